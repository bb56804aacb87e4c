"""Ports that hosts have asked for, beside every kind of translation; the daemon's rule is written by hand here.

Belongs here: what passes the router's own rules. Never: the daemon, which the calls of tests/calls have.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from socket import IP_ADD_MEMBERSHIP, IPPROTO_IP, inet_aton, socket

import pytest
from measure import TARGETS, Sockets, udp_outer
from world import HOSTS, OUTER, SILENCE_S, Endpoint, World, ready

from lab.boot import rules
from lab.nat import portmap

PRESETS = ("full-cone", "port-restricted-cone", "symmetric", "symmetric-sequential", "linux", "carrier-grade")
GROUP, SSDP = portmap.SSDP


@contextmanager
def given(world: World, outer: int, inner: int) -> Iterator[None]:
    """The daemon's table with one mapping, as miniupnpd writes it: anna's."""
    rule = f'iif "wan" meta l4proto udp th dport {outer} dnat ip to {HOSTS["anna"]}:{inner}'
    with world.inside("router"):
        rules.feed(["nft", "-f", "-"], portmap.EMPTY)
        rules.feed(["nft", "-f", "-"], f"add rule inet {portmap.TABLE} {portmap.PREROUTING} {rule}\n")
    try:
        yield
    finally:
        with world.inside("router"):
            rules.feed(["nft", "-f", "-"], portmap.WITHOUT)


def reached(stranger: socket, anna: socket, outer: int) -> bool:
    """Whether a stranger reaches the outer port, and is answered by it."""
    stranger.sendto(b"knock", (OUTER, outer))
    if not ready([anna], seconds=SILENCE_S):
        return False
    _, source = anna.recvfrom(64)
    anna.sendto(b"answer", source)
    return Endpoint(*stranger.recvfrom(64)[1]) == Endpoint(OUTER, outer)


@pytest.mark.parametrize("firewall", ["none", "inbound-blocked"])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_port_that_was_asked_for_is_open_to_everybody(
    preset: str, firewall: str, world: World, reflectors: Sockets
) -> None:
    world.behave(preset, firewall=firewall, portmap="on")
    outer, inner = world.port(), world.port()
    with given(world, outer, inner), world.udp("anna", HOSTS["anna"], inner) as anna:
        udp_outer(anna, reflectors, TARGETS[0])  # a mapping that its own packets have made stands beside it
        for target in TARGETS[1:]:
            assert reached(reflectors[target], anna, outer), target


def test_the_switch_alone_opens_nothing(world: World, reflectors: Sockets) -> None:
    world.behave("symmetric", portmap="on")
    outer = world.port()
    with given(world, world.port(), outer), world.udp("anna", HOSTS["anna"], outer) as anna:
        assert not reached(reflectors[TARGETS[0]], anna, outer)


def test_other_rules_of_the_router_leave_what_was_given(world: World, reflectors: Sockets) -> None:
    world.behave("symmetric", portmap="on")
    outer, inner = world.port(), world.port()
    with given(world, outer, inner), world.udp("anna", HOSTS["anna"], inner) as anna:
        world.behave("full-cone", firewall="inbound-blocked", portmap="on")
        assert reached(reflectors[TARGETS[0]], anna, outer)


@pytest.mark.parametrize("switch", ["on", "off"])
def test_hosts_find_their_gateway_on_the_lan_alone(switch: str, world: World) -> None:
    """The question goes to a multicast group; from the WAN nothing reaches the router, by its group or its address."""
    world.behave("linux", portmap=switch)
    with world.udp("router", "0.0.0.0", SSDP) as gateway, world.udp("anna", HOSTS["anna"], world.port()) as anna:
        with world.inside("router"):
            for side in ("192.168.32.1", OUTER):
                gateway.setsockopt(IPPROTO_IP, IP_ADD_MEMBERSHIP, inet_aton(GROUP) + inet_aton(side))
        anna.sendto(b"M-SEARCH", (GROUP, SSDP))
        assert bool(ready([gateway], seconds=SILENCE_S)) is (switch == "on")
        if switch == "on":
            gateway.recvfrom(64)
        with world.udp("server", TARGETS[0].address, world.port()) as stranger:
            for to in (GROUP, OUTER):
                stranger.sendto(b"M-SEARCH", (to, SSDP))
        assert not ready([gateway], seconds=SILENCE_S)
