"""One packet followed from place to place: through routers that translate, to where it was dropped."""

from pathlib import Path

import pytest
from lab_calls import files, stun
from packet_world import IN, OUT, RELAY, START, SYN, TOPOLOGY, World, address, frame, framed, talk

from lab.evidence import Captures
from lab.evidence.journeys import Journey, follow
from lab.evidence.sorts import Sort


def followed(world: World, folder: Path) -> list[Journey]:
    return follow(TOPOLOGY, Captures.read(files(world, folder)))


def ways(journeys: list[Journey]) -> set[tuple[str, str | None, str | None, int]]:
    return {(one.sender, one.receiver, one.dropped, len(one.sightings)) for one in journeys}


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_packet_is_one_on_both_sides_of_two_routers(tmp_path: Path, protocol: str) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 0.4, protocol)
    found = followed(world, tmp_path)
    assert ways(found) == {("bob", "frank", None, 5), ("frank", "bob", None, 5)} and len(found) == 40
    assert {one.told.sort for one in found} == {Sort.VOICE}
    assert [one.told.sequence for one in found if one.sender == "bob"] == list(range(20))


def test_a_packet_that_a_router_lets_nobody_have_was_dropped_there(tmp_path: Path) -> None:
    world = World()
    bob = world.outer("bob", "udp", 4000, ("0.0.0.0", 0))
    world.send(START, "udp", "frank", 5000, bob, stun(1), lost="home-router")
    world.send(START + 1, "udp", "frank", 5000, bob, stun(2), lost="core")
    world.send(START + 2, "udp", "frank", 5000, bob, stun(3), lost="flat-router")
    world.send(START + 3, "udp", "frank", 5000, ("192.168.32.2", 4000), stun(4), lost="core")
    dropped = [(one.dropped, one.receiver, len(one.sightings)) for one in followed(world, tmp_path)]
    assert dropped == [("home-router", "home-router", 4), ("core", "home-router", 3),
                       ("flat-router", "home-router", 1), ("core", "bob", 3)]  # fmt: skip


def test_a_repeated_check_is_not_taken_for_the_one_that_was_dropped(tmp_path: Path) -> None:
    world = World()
    bob = world.outer("bob", "udp", 4000, ("0.0.0.0", 0))
    world.send(START, "udp", "frank", 5000, bob, stun(1), lost="home-router")
    world.send(START + 0.1, "udp", "frank", 5000, bob, stun(1))
    assert [one.dropped for one in followed(world, tmp_path)] == ["home-router", None]


def test_through_a_relay_goes_one_packet_to_it_and_one_from_it(tmp_path: Path) -> None:
    world = World()
    carol = world.outer("carol", "udp", 5000, RELAY)
    world.send(START, "udp", "bob", 4000, RELAY, stun(1))
    world.send(START + 0.01, "udp", "relay-1", RELAY[1], carol, stun(1))
    assert ways(followed(world, tmp_path)) == {("bob", "relay-1", None, 4), ("relay-1", "carol", None, 4)}


def test_a_segment_that_a_kernel_has_cut_is_no_dropped_one(tmp_path: Path) -> None:
    world = World()
    bob, payload = world.outer("bob", "tcp", 4000, RELAY), framed(world.random.randbytes(2800))
    world.see("relay-1", START, frame("tcp", RELAY, bob, payload, OUT, 5000))
    world.see("core", START + 0.001, frame("tcp", RELAY, bob, payload, IN, 5000))
    for number, at in enumerate((0, 1401)):
        part, time = payload[at : at + 1401], START + 0.002 + number / 1000
        world.see("home-router", time, frame("tcp", RELAY, bob, part, IN, 5000 + at))
        inside = (address("bob"), 4000)
        world.see("home-router", time + 0.0001, frame("tcp", RELAY, inside, part, OUT, 5000 + at))
    found = followed(world, tmp_path)
    assert ways(found) == {("relay-1", "bob", None, 4)} and len(found) == 1


def test_a_connection_and_what_only_acknowledges_it(tmp_path: Path) -> None:
    world = World()
    alice = (address("alice"), 443)
    world.send(START, "tcp", "dave", 4000, alice, b"", flags=SYN)
    dave = world.outer("dave", "tcp", 4000, alice)
    world.send(START + 0.01, "tcp", "alice", 443, dave, b"", flags=SYN | 0x10)
    world.send(START + 0.02, "tcp", "dave", 4000, alice, b"", flags=0x10)
    found = followed(world, tmp_path)
    assert [one.told.sort for one in found] == [Sort.SYN, Sort.SYN_ACK]
    assert ways(found) == {("dave", "alice", None, 5), ("alice", "dave", None, 5)}


def test_a_packet_turned_back_by_its_router_is_one(tmp_path: Path) -> None:
    world = World()
    bella = world.outer("bella", "udp", 5000, ("0.0.0.0", 0))
    world.outer("bob", "udp", 4000, bella)
    world.send(START, "udp", "bob", 4000, bella, stun(1))
    assert [(one.sender, one.dropped) for one in followed(world, tmp_path)] == [("bob", None)]


def test_what_a_place_overhears_on_a_bridge_is_no_step_of_its_way(tmp_path: Path) -> None:
    world, other = World(), 3  # PACKET_OTHERHOST
    bob = world.outer("bob", "udp", 4000, RELAY)
    world.send(START, "udp", "bob", 4000, RELAY, stun(1), lost="core")
    world.see("flat-router", START + 0.001, frame("udp", bob, RELAY, stun(1), other))
    assert ways(followed(world, tmp_path)) == {("bob", "relay-1", "core", 3)}
