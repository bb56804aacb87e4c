"""One packet on both sides of a router: recognised by what it carries, and what the router did to its address."""

from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path

import pytest
from packet_world import IN, OUT, RELAY, START, TOPOLOGY, World, address, frame, talk, write_pcap

from lab.evidence import Captures, Endpoint
from lab.evidence.flows import Flow
from lab.evidence.pcap import Direction
from lab.evidence.translation import on_own_lan, routers_before, trails, translated, views
from lab.topology.model import Attachment, Network, Node, Role, Topology


def flow_of(topology: Topology, captures: Captures, name: str) -> Flow:
    node = topology.node(name)
    own = str(node.attachments[0].address.ip)
    (view,) = views(topology, captures, node, own)
    (flow,) = view.table.flows(own, view.forward, view.backward)
    return flow


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("client", "expected"), [("alice", False), ("bob", True), ("carol", True)], ids=["open", "linux", "symmetric"]
)
def test_a_router_translated_an_end_or_did_not(tmp_path: Path, client: str, expected: bool, protocol: str) -> None:
    world = World()
    for number in range(20):
        world.send(START + number * 0.02, protocol, client, 4000, RELAY, world.voice(number))
    captures = world.captures(tmp_path)
    (trail,) = trails(TOPOLOGY, captures, TOPOLOGY.node(client), flow_of(TOPOLOGY, captures, client), START, START + 1)
    assert [hop.local for hop in trail] == [Endpoint(address(client), 4000), world.outer(client, protocol, 4000, RELAY)]
    assert [hop.remote for hop in trail] == [RELAY, RELAY]
    assert translated(trail) is expected


def test_a_change_of_the_port_alone_is_a_translation(tmp_path: Path) -> None:
    world = World()
    frames = []
    for number in range(20):
        payload = world.voice(number)
        frames.append((START + number, frame("udp", (address("alice"), 4000), RELAY, payload, IN)))
        frames.append((START + number + 0.001, frame("udp", (address("alice"), 4001), RELAY, payload, OUT)))
    captures = Captures.read({"park-router": write_pcap(tmp_path / "p.pcap", frames)})
    flow = flow_of(TOPOLOGY, captures, "alice")
    (trail,) = trails(TOPOLOGY, captures, TOPOLOGY.node("alice"), flow, START, START + 30)
    assert translated(trail)


def test_an_end_that_only_receives_is_followed_by_what_it_receives(tmp_path: Path) -> None:
    world = World()
    talk(world, ("frank", 5000), ("bob", 4000), START, 1.0, back=False)
    captures = world.captures(tmp_path)
    flow = flow_of(TOPOLOGY, captures, "bob")
    assert flow.forward is None
    (trail,) = trails(TOPOLOGY, captures, TOPOLOGY.node("bob"), flow, START, START + 1)
    assert trail[-1].local == ("203.0.113.32", 4000)


def test_what_a_router_dropped_has_no_other_side(tmp_path: Path) -> None:
    world = World()
    for number in range(20):
        world.send(START + number * 0.02, "udp", "dave", 4000, RELAY, world.voice(number), lost="hotel-router")
    captures = world.captures(tmp_path)
    flow = flow_of(TOPOLOGY, captures, "dave")
    (trail,) = trails(TOPOLOGY, captures, TOPOLOGY.node("dave"), flow, START, START + 1)
    assert len(trail) == 1


def test_neighbours_are_told_from_the_router_and_the_rest() -> None:
    bob = TOPOLOGY.node("bob")
    assert on_own_lan(TOPOLOGY, bob, address("bella"))
    assert not on_own_lan(TOPOLOGY, bob, "192.168.32.1")
    assert not on_own_lan(TOPOLOGY, bob, "203.0.113.21")
    assert not on_own_lan(TOPOLOGY, bob, "2001:db8::1")


def test_behind_a_carrier_both_routers_are_followed(tmp_path: Path) -> None:
    shared = Network("carrier", "carrier", "carrier", IPv4Network("100.64.0.0/10"))
    sides = (("carrier", "100.64.0.1/10"), ("internet", "203.0.113.60/24"))
    attachments = tuple(Attachment(network, IPv4Interface(own)) for network, own in sides)
    carrier = Node("carrier-router", Role.ROUTER, "carrier", "carrier-grade", "none", attachments)
    home = replace(
        TOPOLOGY.node("home-router"),
        attachments=(
            Attachment("home", IPv4Interface("192.168.32.1/24")),
            Attachment("carrier", IPv4Interface("100.64.0.2/10")),
        ),
    )
    nodes = tuple(home if node.name == "home-router" else node for node in TOPOLOGY.nodes)
    topology = Topology((*nodes, carrier), (*TOPOLOGY.networks, shared))
    assert [router.name for router in routers_before(topology, topology.node("bob"), address("bob"))] == [
        "home-router",
        "carrier-router",
    ]
    world = World()
    ends = [(address("bob"), 4000), ("100.64.0.2", 4000), ("203.0.113.60", 2048)]
    for number in range(20):
        payload = world.voice(number)
        for place, inner, outer in (("home-router", ends[0], ends[1]), ("carrier-router", ends[1], ends[2])):
            world.see(place, START + number, frame("udp", inner, RELAY, payload, IN))
            world.see(place, START + number + 0.001, frame("udp", outer, RELAY, payload, OUT))
    captures = world.captures(tmp_path, extra=("carrier-router",))
    (trail,) = trails(topology, captures, topology.node("bob"), flow_of(topology, captures, "bob"), START, START + 30)
    assert [hop.local for hop in trail] == ends
    assert views(topology, captures, topology.node("bob"), address("bob"))[0].forward is Direction.IN
