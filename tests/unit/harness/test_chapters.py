"""What befell each path in the course of a call: not only its last word."""

import json
from typing import Any

from lab.harness.chapters import BEGINNING, ENDING, Chapter
from lab.harness.explaining import Explanation, Rung, concluded
from tests.unit.harness.test_explaining import CAROL, DIALLED, check, demotion, line, report

RELAY = "203.0.113.21:33034"
VIA = "relayed/udp via relay-1"


def moved(node: str, at: float, kind: str, via: str | None = None) -> dict[str, Any]:
    return line("path", node, at, path={"kind": kind, "transport": "udp", "via": via})


def rung(found: Explanation, path: str) -> Rung:
    (one,) = [one for one in found.rungs if one.path == path]
    return one


def told(found: Explanation, path: str) -> list[tuple[int, str, str]]:
    return [(one.at_ms, one.what, one.detail) for one in rung(found, path).story]


LOSSY = [
    DIALLED,
    check("bob", 0.05, "udp", CAROL, "in-progress"),
    check("bob", 0.06, VIA, RELAY, "in-progress"),
    check("bob", 0.1, VIA, RELAY, "valid", 41.0),
    check("bob", 0.11, "punched/udp", CAROL, "valid", 40.5),
    moved("bob", 0.2, "punched"),
    demotion("bob", 4.2, "punched/udp", "loss", lost=31),
    moved("bob", 4.3, "relayed", "relay-1"),
    check("bob", 9.0, "udp", CAROL, "failed"),
    check("bob", 20.0, "punched/udp", CAROL, "valid", 40.2),
    moved("bob", 34.4, "punched"),
]


def test_a_path_that_lost_voice_and_came_back_is_told_from_the_first_try_to_the_last_move() -> None:
    found = concluded(report("punched"), LOSSY)
    assert told(found, "punched/udp") == [
        (50, "tried", CAROL),
        (110, "worked", f"{CAROL}, round trip 40.5 ms"),
        (200, "in use", ""),
        (4200, "ranked down", f"{CAROL}: it lost 31 % of the voice"),
        (4300, "left", "for relayed/udp via relay-1: it lost 31 % of the voice"),
        (9000, "failed", CAROL),
        (20000, "worked", f"{CAROL}, round trip 40.2 ms"),
        (34400, "in use", ""),
    ]
    assert told(found, "relayed/udp")[-2:] == [
        (4300, "in use", "via relay-1"),
        (34400, "left", "for punched/udp: a better one works"),
    ]
    assert told(found, "direct/tcp") == []


def test_a_path_that_answered_no_more_is_left_for_that_whoever_noticed() -> None:
    lines = [*LOSSY[:6], moved("carol", 0.2, "punched"), check("bob", 3.0, "udp", CAROL, "failed")]
    found = concluded(report(), [*lines, *(moved(node, 3.1, "relayed", "relay-1") for node in ("bob", "carol"))])
    left = [(one.node, one.detail) for one in rung(found, "punched/udp").story if one.what == "left"]
    assert left == [(node, f"for {VIA}: it answered no more") for node in ("bob", "carol")]


def test_what_was_held_against_a_path_is_forgotten_when_it_is_taken_again() -> None:
    again = [*LOSSY[:8], moved("bob", 34.4, "punched"), moved("bob", 40.0, "relayed", "relay-1")]
    assert told(concluded(report(), again), "punched/udp")[-1] == (40000, "left", f"for {VIA}")


def test_what_is_closed_because_the_call_is_over_has_not_failed() -> None:
    lines = [*LOSSY, line("ended", "carol", 40.0), check("bob", 40.01, "udp", CAROL, "failed")]
    assert told(concluded(report("punched"), lines), "punched/udp")[-1][1] == "in use"


def test_ways_that_never_worked_are_of_no_path_and_stay_attempts() -> None:
    found = concluded(report(), [DIALLED, check("bob", 0.05, "udp", CAROL, "failed")])
    assert not any(one.story for one in found.rungs)
    assert len(found.attempts) == 1


def test_of_a_long_story_the_beginning_and_the_end_are_told() -> None:
    lines = [DIALLED]
    for number in range(100):
        lines += [
            check("bob", number + 0.1, "punched/udp", CAROL, "valid", 40),
            check("bob", number + 0.6, "udp", CAROL, "failed"),
        ]
    found = rung(concluded(report(), lines), "punched/udp")
    assert len(found.story) == BEGINNING + ENDING and found.untold == 200 - BEGINNING - ENDING
    assert [one.at_ms for one in found.story] == [100, 600, 1100, 1600, *range(96100, 100000, 500)]


def test_the_document_has_the_story_beside_what_it_had() -> None:
    document = json.loads(json.dumps(concluded(report("punched"), LOSSY).to_json()))
    (found,) = [one for one in document["rungs"] if one["path"] == "punched/udp"]
    assert {"path", "verdict", "reason", "story", "untold"} == set(found)
    assert found["story"][0] == {"node": "bob", "at_ms": 50, "what": "tried", "detail": CAROL}
    assert Chapter(**found["story"][0]) in rung(concluded(report("punched"), LOSSY), "punched/udp").story
