"""The tour's texts, on calls of a real lab."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import cli
from lab.cli.tours import STOPS as NAMES
from lab.evidence.drops import Cause
from lab.evidence.passages import Passage, Step, kinds
from lab.harness.call_report import CallReport, Stretch
from lab.report import tour
from lab.report.console import plain
from lab.report.passages import fate
from lab.report.story import timeline
from lab.report.tour import STOPS, Stop
from lab.topology import parse
from tests.recorded import report as recorded

TOPOLOGY = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})
RECORDED = dict(zip(NAMES, ("direct", "punched", "symmetric", "outgoing-tcp", "relayed"), strict=True))
BY_NAME = {stop.name: stop for stop in STOPS}


def report(stop: Stop, **changes: Any) -> CallReport:
    return recorded(RECORDED[stop.name], **changes)


def shown(content: Any) -> str:
    text = plain(content, tour.WIDTH)
    assert max(map(len, text.splitlines())) <= tour.WIDTH
    return text


def words(content: Any) -> str:
    return " ".join(shown(content).split())


def passage(at: float, what: str, ends: tuple[str, str], *steps: Step, **more: Any) -> Passage:
    plain = {"dropped_at": None, "lost": False, "length": 92}
    return Passage(at, what, f"{ends[0]}:40000", f"{ends[1]}:50000", ends, steps, **{**plain, **more})


def test_the_stops_are_those_of_the_command() -> None:
    assert tuple(stop.name for stop in STOPS) == NAMES


@pytest.mark.parametrize("stop", STOPS, ids=NAMES)
def test_each_recorded_call_is_what_its_stop_expects(stop: Stop) -> None:
    assert report(stop).holds(stop.expected)
    text = words(tour.after(stop, report(stop)))
    assert "failed" not in text and "was expected" not in text and "to try next" in text


@pytest.mark.parametrize("stop", STOPS, ids=NAMES)
def test_what_is_to_be_tried_next_are_commands_that_there_are(stop: Stop) -> None:
    told = [*stop.next(report(stop)), ("lab call a b", "")]
    assert {command.split()[1] for command, _ in told} <= set(cli.commands.commands)
    assert all(len(shows) <= tour.WIDTH - 6 for _, shows in told)
    shown(tour.before(stop, 1, 5))


def test_the_symmetric_router_s_call_is_told_as_it_went() -> None:
    stop = BY_NAME["blocked"]
    assert "through relay-2" in (moved := words(tour.after(stop, report(stop)))) and "After 2.5 s" in moved
    stayed = report(stop, history=(Stretch("relayed", "udp", "relay-1", 500, 3000, True),))
    assert "and have not" in words(tour.after(stop, stayed))
    at_once = report(stop, history=(Stretch("punched", "udp", None, 500, 3000, True),))
    assert "before the call was answered" in words(tour.after(stop, at_once))


def test_another_path_and_a_failure_are_said_to_be() -> None:
    stop = BY_NAME["direct"]
    other = recorded("punched")
    assert "It took punched/udp, where direct/udp was expected" in words(tour.after(stop, other))
    failed = replace(other, connected=False, error="no answer", observed=None)
    assert "This call failed, and should not have: no answer" in words(tour.after(stop, failed))


def test_packets_are_told_with_what_became_of_them() -> None:
    stop = BY_NAME["punched"]
    lines = timeline(report(stop).evidence)
    dialled = next(line["at"] for line in lines if line["event"] == "dialled")
    home = Step("home-router", "home wan:40000", "flat wan:50000")
    found = [
        passage(dialled + 0.04, "STUN check", ("bob", "flat wan"), home, Step("flat-router", None, None),
                dropped_at="flat-router"),
        passage(dialled + 0.06, "STUN check", ("bob", "flat wan"), home,
                Step("flat-router", "home wan:40000", "frank:50000")),
        passage(dialled + 0.07, "STUN check", ("bob", "frank"), home, lost=True),
        passage(dialled + 0.08, "request for a leg", ("bob", "relay-1"), home),
        passage(dialled + 0.09, "STUN check", ("alice", "flat wan"), home),
    ]  # fmt: skip
    text = shown(tour.packets(stop, report(stop), TOPOLOGY, Path(".lab/calls/c2"), lines, found))
    told = " ".join(text.split())
    assert "bob ─── home-router ─── core ─── flat-router ─── frank" in text
    assert "40 ms bob:40000 → flat wan:50000 STUN check home-router sends it on as home wan:40000;" in told
    assert "flat-router drops it: nobody inside has asked for it" in told
    assert "flat-router hands it to frank:50000" in told and "out there nobody has that address" in told
    assert "request for a leg" not in told and "alice" not in told, "neither is of this path"
    assert "561 ms bob hears the first voice" in told


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (None, "flat-router drops it: nobody inside has asked for it"),
        (Cause("counted", ("INPUT's policy",)),
         "flat-router drops it: nobody inside has asked for it (counted: INPUT's policy)"),
        (Cause("line"), "it is lost on the line"),
        (Cause("unknown"), "flat-router passes it on to nobody: no rule counted it"),
    ],
)  # fmt: skip
def test_what_a_router_drops_is_told_with_the_rule_that_counted_it(cause: Cause | None, said: str) -> None:
    steps = Step("home-router", "home wan:40000", "flat wan:50000"), Step("flat-router", None, None)
    one = passage(1.0, "STUN check", ("bob", "flat wan"), *steps, dropped_at="flat-router", cause=cause)
    assert fate(one) == f"home-router sends it on as home wan:40000; {said}"


def test_what_a_line_lost_between_two_routers_is_told_as_lost_and_apart_from_what_came() -> None:
    home = Step("home-router", "home wan:40000", "flat wan:50000")
    one = passage(1.0, "voice", ("bob", "flat wan"), home, cause=Cause("line"))
    came = passage(1.1, "voice", ("bob", "flat wan"), home)
    assert fate(one).endswith("; it is lost on the line") and fate(came) == "home-router sends it on as home wan:40000"
    assert [kind.first for kind in kinds([one, came], lambda found: True)] == [one, came]


def test_a_relay_s_hop_is_a_hop() -> None:
    stop = BY_NAME["relayed"]
    lines = [{"at": 100.0, "event": "dialled", "node": "dave", "callee": "erin"}]
    legs = Step("hotel-router", "hotel wan:40000", "relay-2:50000"), Step("bank-router", "relay-2:50000", "erin:41000")
    found = [passage(100.5, "voice", ("dave", "relay-2"), *legs)]
    text = words(tour.packets(stop, report(stop), TOPOLOGY, Path("c5"), lines, found))
    assert (
        "hotel-router sends it on as hotel wan:40000; relay-2 passes it on; bank-router hands it to erin:41000" in text
    )


def test_welcome_and_goodbye_fit() -> None:
    shown(tour.welcome())
    shown(tour.goodbye())


def test_recorded_lines_are_all_understood() -> None:
    from lab.report.happening import moments

    for name in RECORDED.values():
        lines = [json.loads(line) for line in (recorded(name).evidence / "timeline.jsonl").read_text().splitlines()]
        told = list(moments(lines))
        assert [one.words for one in told if one.words == one.event] == []
        assert any(one.words == f"dials {recorded(name).callee}" for one in told)
