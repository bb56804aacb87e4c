"""The packets that matter, found by what they are and, inside TLS, by when nodes say that they were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lab_calls import files, moved, punched, setting
from packet_world import RELAY, START, TOPOLOGY, World, relay, talk

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


def voices(world: World, folder: Path) -> list[tuple[int, str]]:
    """Milliseconds and sentence of what is told of voice."""
    told = found((world, []), folder)
    return [(round((one.packet.time - START) * 1000), one.sentence) for one in told]


ONWARD = "path moved: the voice of bob leaves {} for {}"


@pytest.mark.parametrize(
    ("legs", "first"), [(("udp", "udp"), "relayed/udp via relay-1"), (("udp", "tcp"), "relayed/mixed via relay-1")]
)
def test_four_packets_at_the_relay_are_first_voice_and_the_path_moves_after_them(
    tmp_path: Path, legs: tuple[str, str], first: str
) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START + 0.1, 0.08, legs)
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.18, 2.0)
    of_bob = [one for one in voices(world, tmp_path) if "of bob" in one[1]]
    assert [sentence for _, sentence in of_bob] == [f"first voice of bob: {first}", ONWARD.format(first, "punched/udp")]
    assert 100 <= of_bob[0][0] <= 103 and 180 <= of_bob[1][0] <= 183


def test_voice_that_goes_back_moves_again(tmp_path: Path) -> None:
    world, ends = World(), (("bob", 4000), ("frank", 5000))
    relay(world, *ends, START + 0.1, 1.0)
    talk(world, *ends, START + 1.1, 0.1)
    relay(world, *ends, START + 1.2, 1.0)
    by_relay = "relayed/udp via relay-1"
    assert [sentence for _, sentence in voices(world, tmp_path) if "of bob" in sentence] == [
        f"first voice of bob: {by_relay}", ONWARD.format(by_relay, "punched/udp"),
        ONWARD.format("punched/udp", by_relay),
    ]  # fmt: skip


def test_between_two_public_addresses_a_short_stretch_is_direct(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("alice", 5000), START + 0.1, 0.08)
    relay(world, ("bob", 4000), ("alice", 5000), START + 0.18, 1.0)
    one, captures = setting(), Captures.read(files(world, tmp_path))
    _, scene = conclude(TOPOLOGY, captures, "bob", "alice", one.start, one.end)
    told = moments(TOPOLOGY, ("bob", "alice"), follow(TOPOLOGY, captures), scene, [])
    assert "first voice of bob: direct/udp" in [one.sentence for one in told]


def test_what_goes_out_beside_the_path_is_no_move(tmp_path: Path) -> None:
    """Voice that never comes through, voice that a relay has and passes on to nobody, and a second copy."""
    world = World()
    frank = world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.1, 1.0)
    for number in range(4):
        at = START + 0.5 + number / 50
        world.send(at, "udp", "bob", 4001, frank, world.voice(900 + number), lost="flat-router")
        world.send(at, "udp", "bob", 4000, RELAY, world.voice(950 + number))
        copy = world.voice(990 + number)
        for to in (frank, RELAY):
            world.send(at + 0.001, "udp", "bob", 4000, to, copy)
        world.send(at + 0.003, "udp", "relay-1", RELAY[1], frank, copy)
    assert [sentence for _, sentence in voices(world, tmp_path) if "of bob" in sentence] == [
        "first voice of bob: punched/udp"
    ]


def test_inside_tls_the_judges_stretches_tell_it_beside_single_packets(tmp_path: Path) -> None:
    world, ends = World(), (("bob", 4000), ("frank", 5000))
    relay(world, *ends, START + 0.1, 2.0, ("tcp", "tcp"), wrapped=True)
    talk(world, *ends, START + 2.1, 1.0)
    by_relay = "relayed/tcp via relay-1"
    assert [sentence for _, sentence in voices(world, tmp_path) if "of bob" in sentence] == [
        f"first voice of bob: {by_relay}", ONWARD.format(by_relay, "punched/udp")
    ]  # fmt: skip


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
