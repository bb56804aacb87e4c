"""The packets that matter, found by what they are and, inside TLS, by when nodes say that they were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab_calls import files, moved, punched, setting
from packet_world import START, TOPOLOGY, World, talk

from lab.evidence import Captures, conclude
from lab.evidence.journeys import follow
from lab.evidence.moments import Moment, comments, moments

Call = tuple[World, list[dict[str, Any]]]


def found(call: Call, folder: Path, lines: bool = True) -> list[Moment]:
    world, said = call
    one, captures = setting(), Captures.read(files(world, folder))
    _, scene = conclude(TOPOLOGY, captures, "bob", "frank", one.start, one.end)
    return moments(TOPOLOGY, ("bob", "frank"), follow(TOPOLOGY, captures), scene, said if lines else [])


def told(moments: list[Moment]) -> list[tuple[int, str, str, str]]:
    """Milliseconds, what, from whom to whom, and where that packet was seen."""
    return [
        (round((one.packet.time - START) * 1000), one.what, f"{one.journey.sender}>{one.journey.receiver}",
         one.packet.place)
        for one in moments
    ]  # fmt: skip


def test_the_story_of_a_punched_call_is_told_by_its_packets(tmp_path: Path) -> None:
    story = told(found(punched(), tmp_path))
    assert story[:-2] == [
        (1, "invite", "bob>supernode-1", "home-router"),
        (11, "invite", "supernode-1>frank", "core"),
        (20, "ringing", "frank>supernode-1", "flat-router"),
        (25, "first check", "frank>home-router", "flat-router"),
        (30, "ringing", "supernode-1>bob", "core"),
        (40, "first check", "bob>frank", "home-router"),
        (41, "first through", "bob>frank", "flat-router"),
        (100, "nominated", "bob>frank", "home-router"),
        (520, "answer", "frank>supernode-1", "flat-router"),
        (530, "answer", "supernode-1>bob", "core"),
    ]
    assert {one[1:] for one in story[-2:]} == {
        ("first voice", "bob>frank", "home-router"), ("first voice", "frank>bob", "flat-router")
    }  # fmt: skip


def test_without_a_timeline_what_is_inside_tls_is_left_out_and_the_rest_is_the_same(tmp_path: Path) -> None:
    whole = told(found(punched(), tmp_path))
    assert told(found(punched(), tmp_path, lines=False)) == [
        one for one in whole if one[1] not in ("invite", "ringing", "answer")
    ]


def test_a_dropped_first_check_says_where(tmp_path: Path) -> None:
    first = next(one for one in found(punched(), tmp_path) if one.what == "first check")
    assert first.sentence == "first check of frank: frank to home-router, dropped at home-router"


def test_a_move_is_the_first_voice_on_the_other_path(tmp_path: Path) -> None:
    voice = [one for one in found(moved(), tmp_path) if one.what in ("first voice", "path moved")]
    assert sorted(one.sentence for one in voice) == [
        "first voice of bob: relayed/udp via relay-1",
        "first voice of frank: relayed/udp via relay-1",
        "path moved: the voice of bob leaves relayed/udp via relay-1 for punched/udp",
        "path moved: the voice of frank leaves relayed/udp via relay-1 for punched/udp",
    ]
    moves = [one.packet.time - START for one in voice if one.what == "path moved"]
    assert all(2.1 <= at < 2.2 for at in moves)


@pytest.mark.parametrize("make", [punched, moved])
def test_a_connected_call_has_three_comments_at_least_each_on_a_packet_of_its_capture(
    tmp_path: Path, make: Callable[[], Call]
) -> None:
    call = make()
    said = comments(found(call, tmp_path))
    assert sum(map(len, said.values())) >= 3
    packets = {(one.place, one.offset) for one in Captures.read(files(call[0], tmp_path)).everything()}
    assert said.keys() <= packets


def test_a_line_without_its_packet_is_no_moment(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.6, 2.0)
    assert {one.what for one in found((world, punched()[1]), tmp_path)} == {"first voice"}
