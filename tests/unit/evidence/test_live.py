"""What flows between two sites, of programs that nobody knows: by voice's rhythm, else by single packets."""

from pathlib import Path

import pytest
from lab_calls import files
from packet_world import IN, RELAY, START, TOPOLOGY, World, frame, relay, talk

from lab.errors import EvidenceError
from lab.evidence import Captures
from lab.evidence.filed import Filed
from lab.evidence.live import between
from lab.evidence.unclaimed import NO_VOICE, ONE_WAY


def judged(world: World, folder: Path, sites: tuple[str, str] = ("home", "flat")) -> Filed:
    return between(TOPOLOGY, Captures.read(files(world, folder)), sites, START, START + 3)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_voice_of_any_hosts_is_judged_like_a_call(tmp_path: Path, protocol: str) -> None:
    world = World()
    talk(world, ("bella", 4000), ("frank", 5000), START + 0.1, 2.5, protocol)
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.observed.transport, found.observed.via) == ("punched", protocol, None)
    assert (found.caller, found.callee, found.note) == ("home", "flat", None)
    assert "home 203.0.113.32:4000 (translated from 192.168.32.3:4000)" in found.observed.reason
    assert found.to_json()["kind"] == "punched"


def test_one_at_an_open_site_is_direct_and_one_through_a_relay_relayed(tmp_path: Path) -> None:
    world = World()
    talk(world, ("alice", 4000), ("bob", 5000), START + 0.1, 2.5)
    assert judged(world, tmp_path, ("park", "home")).observed.kind == "direct"
    world = World()
    relay(world, ("bob", 4000), ("carol", 5000), START + 0.1, 2.5)
    found = judged(world, tmp_path, ("home", "office")).observed
    assert (found.kind, found.transport, found.via) == ("relayed", "udp", "relay-1")


def test_a_relay_that_is_no_node_is_named_by_its_address(tmp_path: Path) -> None:
    """Its two legs are at two of its ports, as TURN has it; somebody else whom one site alone talks with is none."""
    world, other = World(), ("198.51.100.101", 53)
    legs = (("bob", 4000, ("198.51.100.100", 3478)), ("carol", 5000, ("198.51.100.100", 49152)))
    outers = [world.outer(name, "udp", port, at) for name, port, at in legs]
    for number in range(125):
        time = START + 0.1 + number / 50
        for side, (name, port, at) in enumerate(legs):
            voice, there = world.voice(number), legs[1 - side][2]
            world.send(time, "udp", name, port, at, voice)
            world.see("core", time + 0.03, frame("udp", there, outers[1 - side], voice, IN))
            world._deliver("udp", outers[1 - side], time + 0.03, there, voice, 0, 0, None)
        world.send(time, "udp", "bob", 4000, other, bytes(60))
    found = judged(world, tmp_path, ("home", "office")).observed
    assert (found.kind, found.transport, found.via) == ("relayed", "udp", "198.51.100.100"), found.reason


def test_what_flows_one_way_has_a_path_and_that_is_said(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.1, 2.5, back=False)
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.note) == ("punched", ONE_WAY)


@pytest.mark.parametrize("ends", [("home", "flat", "punched"), ("home", "park", "direct")])
def test_packets_that_are_all_alike_are_known_by_their_endpoints(tmp_path: Path, ends: tuple[str, str, str]) -> None:
    world = World()
    there = world.outer({"flat": "frank", "park": "alice"}[ends[1]], "udp", 7000, ("0.0.0.0", 0))
    for number in range(125):
        world.send(START + 0.1 + number / 50, "udp", "bob", 4000, there, bytes(100))
    found = judged(world, tmp_path, ends[:2])
    assert (found.observed.kind, found.observed.transport, found.note) == (ends[2], "udp", ONE_WAY)
    assert found.observed.packets == 125


def test_two_flows_that_are_all_alike_are_not_taken_for_each_other(tmp_path: Path) -> None:
    """Carol sends frank as many of the same packets as bob sends relay-1."""
    world = World()
    frank = world.outer("frank", "udp", 7000, ("0.0.0.0", 0))
    for number in range(125):
        at = START + 0.1 + number / 50
        world.send(at, "udp", "bob", 4000, RELAY, bytes(100))
        world.send(at, "udp", "carol", 4000, frank, bytes(100))
    found = judged(world, tmp_path).observed
    assert found.kind is None and found.reason.endswith("that never reached the other end")


def test_what_is_no_voice_is_told_by_its_single_packets(tmp_path: Path) -> None:
    world = World()
    frank = world.outer("frank", "tcp", 80, ("0.0.0.0", 0))
    home = world.outer("bob", "tcp", 4000, frank)
    for number in range(6):
        world.send(START + number / 3, "tcp", "bob", 4000, frank, b"GET /%d" % number + world.random.randbytes(40))
        world.send(START + number / 3 + 0.05, "tcp", "frank", 80, home, world.random.randbytes(100))
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.observed.transport, found.note) == ("punched", "tcp", NO_VOICE)
    assert found.observed.reason.startswith("TCP between home 203.0.113.32:4000")


def test_nothing_between_the_two_is_no_path(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("carol", 5000), START + 0.1, 2.5)
    world.send(START, "udp", "frank", 5000, RELAY, world.stun())
    found = judged(world, tmp_path)
    assert found.observed.kind is None and found.observed.reason == "no flow between home and flat"
    empty = World()
    talk(empty, ("bob", 4000), ("carol", 5000), START + 0.1, 2.5)
    with pytest.raises(EvidenceError, match="flat-router"):
        judged(empty, tmp_path)


@pytest.mark.parametrize("more", [True, False])
def test_two_voices_at_once_that_are_called_alike_are_one_path(tmp_path: Path, more: bool) -> None:
    """Two voices on ports of their own, and one whose every direction has its own socket."""
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.1, 2.5, back=more)
    talk(world, ("bob", 4002), ("frank", 5002), START + 0.1, 2.5, there=more)
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.observed.transport, found.observed.via) == ("punched", "udp", None)
    assert found.observed.packets == (500 if more else 250) and found.note is None
    assert found.observed.reason.endswith(", the most of 2 flows that are alike")


def test_two_voices_at_once_that_go_the_same_way_are_one_way(tmp_path: Path) -> None:
    world = World()
    for port in (4000, 4002):
        talk(world, ("bob", port), ("frank", port + 1000), START + 0.1, 2.5, back=False)
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.note) == ("punched", ONE_WAY)


@pytest.mark.parametrize("back", [True, False])
def test_of_two_paths_at_once_that_with_most_packets_is_named_and_the_other_noted(tmp_path: Path, back: bool) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.1, 2.5, back=back)
    talk(world, ("bella", 4002), ("frank", 5002), START + 0.1, 2.5, "tcp", back=not back)
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.observed.transport, found.observed.packets) == (
        "punched", "udp" if back else "tcp", 250
    )  # fmt: skip
    assert found.note == f"beside it there are 125 packets of punched/{'tcp' if back else 'udp'}"


def test_a_path_that_was_left_is_nothing_beside_the_last(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START + 0.1, 1.5)
    talk(world, ("bob", 4000), ("frank", 5000), START + 1.6, 1.3)
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.note) == ("punched", None)


def test_voice_of_an_end_with_a_relay_is_noted_beside_the_path_between_the_two(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.1, 2.5)
    for number in range(125):
        world.send(START + 0.1 + number / 50, "udp", "bella", 4002, RELAY, world.voice(number))
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.observed.transport, found.observed.packets) == ("punched", "udp", 250)
    note = "beside it there are 125 media packets of home with relay-1 (203.0.113.21:33034) by UDP"
    assert found.note == note


def test_beside_voice_of_an_end_with_a_relay_single_packets_tell_the_path(tmp_path: Path) -> None:
    world = World()
    frank = world.outer("frank", "tcp", 80, ("0.0.0.0", 0))
    for number in range(125):
        world.send(START + 0.1 + number / 50, "udp", "bob", 4000, RELAY, world.voice(number))
    for number in range(6):
        world.send(START + number / 3, "tcp", "bella", 4000, frank, b"GET /%d" % number + world.random.randbytes(40))
    found = judged(world, tmp_path)
    assert (found.observed.kind, found.observed.transport, found.observed.packets) == ("punched", "tcp", 6)
    assert found.note and found.note.startswith(f"{NO_VOICE}; beside it there are 125 media packets of home with relay")


@pytest.mark.parametrize("payload", [b"\0", b"ping\n", b"over and out", bytes(12), b"A video", b"a frame" * 200])
@pytest.mark.parametrize("ends", [("home", "flat", "punched"), ("home", "park", "direct")])
@pytest.mark.parametrize("times", [1, 30])
def test_datagrams_of_any_size_tell_the_path(
    tmp_path: Path, payload: bytes, ends: tuple[str, str, str], times: int
) -> None:
    world = World()
    there = world.outer({"flat": "frank", "park": "alice"}[ends[1]], "udp", 7000, ("0.0.0.0", 0))
    for number in range(times):
        world.send(START + 0.1 + number / 12, "udp", "bob", 4000, there, payload)
        world.send(START + 0.1 + number / 12, "udp", "bob", 4002, RELAY, payload)
        world.send(START + 0.1 + number / 12, "udp", "carol", 4000, there, payload)
    found = judged(world, tmp_path, ends[:2])
    assert (found.observed.kind, found.observed.transport, found.note) == (ends[2], "udp", NO_VOICE)
    assert found.observed.packets == times


@pytest.mark.parametrize("payload", [b"ping\n", b"a message", b"a video" * 150])
def test_datagrams_of_any_size_tell_of_a_relay(tmp_path: Path, payload: bytes) -> None:
    world = World()
    carol = world.outer("carol", "udp", 5000, RELAY)
    for number in range(3):
        world.send(START + number / 2, "udp", "bob", 4000, RELAY, payload)
        world.send(START + number / 2, "udp", "carol", 5000, RELAY, b"\0")
        world.send(START + number / 2 + 0.01, "udp", "relay-1", RELAY[1], carol, payload)
    found = judged(world, tmp_path, ("home", "office"))
    assert (found.observed.kind, found.observed.via, found.note) == ("relayed", "relay-1", NO_VOICE)


def test_what_keeps_two_mappings_alive_at_one_relay_is_no_path_through_it(tmp_path: Path) -> None:
    world = World()
    outers = {name: world.outer(name, "udp", 4000, RELAY) for name in ("bob", "carol")}
    for number in range(3):
        for name, outer in outers.items():
            world.send(START + number / 2, "udp", name, 4000, RELAY, b"\0")
            world.send(START + number / 2 + 0.01, "udp", "relay-1", RELAY[1], outer, b"\0")
    found = judged(world, tmp_path, ("home", "office")).observed
    assert (found.kind, found.reason) == (None, "no flow between home and office")
