"""Mapping, filtering and allocation as packets show them, in the order of RFC 5780, 4.3 and 4.4.

Belongs here: what is sent and what its answer is called. Never: what was asked of the router.
"""

from contextlib import ExitStack
from itertools import pairwise
from socket import socket

from world import FIRST, HOSTS, PATIENCE_S, PORTS, SECOND, SILENCE_S, Endpoint, World, connect, connected, ready

from lab.nat import Allocation, Filtering, Mapping

Sockets = dict[Endpoint, socket]
TARGETS = (Endpoint(FIRST, PORTS[0]), Endpoint(FIRST, PORTS[1]), Endpoint(SECOND, PORTS[0]))


def mapping(seen: list[Endpoint]) -> Mapping:
    """By the outer endpoints that the three targets saw."""
    if seen[0] == seen[1] == seen[2]:
        return Mapping.ENDPOINT_INDEPENDENT
    return Mapping.ADDRESS_DEPENDENT if seen[0] == seen[1] else Mapping.ADDRESS_AND_PORT_DEPENDENT


def allocation(inner: list[int], outer: list[int]) -> Allocation:
    """By the outer ports of mappings made one after the other."""
    if inner == outer:
        return Allocation.PRESERVING
    steps = {after - before for before, after in pairwise(outer)}
    return Allocation.SEQUENTIAL if steps == {1} else Allocation.RANDOM


def filtering(from_other_port: bool, from_other_address: bool) -> Filtering:
    if from_other_address:
        return Filtering.ENDPOINT_INDEPENDENT
    return Filtering.ADDRESS_DEPENDENT if from_other_port else Filtering.ADDRESS_AND_PORT_DEPENDENT


# --- UDP ----------------------------------------------------------------------


def udp_outer(host: socket, reflectors: Sockets, to: Endpoint) -> Endpoint:
    """The outer endpoint that one target sees; it answers, and the answer comes."""
    host.sendto(b"question", to)
    outer = Endpoint(*reflectors[to].recvfrom(64)[1])
    reflectors[to].sendto(b"answer", outer)
    assert Endpoint(*host.recvfrom(64)[1]) == to
    return outer


def udp_seen(host: socket, reflectors: Sockets) -> list[Endpoint]:
    return [udp_outer(host, reflectors, target) for target in TARGETS]


def udp_filtering(host: socket, reflectors: Sockets) -> Filtering:
    """Two strangers write, then the one that was written to: what came before its packet is all that comes."""
    contacted, other_port, other_address = TARGETS
    host.sendto(b"question", contacted)
    outer = Endpoint(*reflectors[contacted].recvfrom(64)[1])
    came = set()
    for sender in (other_port, other_address, contacted):
        reflectors[sender].sendto(b"knock", outer)
    while contacted not in came:
        came.add(Endpoint(*host.recvfrom(64)[1]))
    return filtering(other_port in came, other_address in came)


def udp_allocation(world: World, reflectors: Sockets) -> Allocation:
    inner, outer = [], []
    for _ in range(4):
        inner.append(world.port())
        with world.udp("anna", HOSTS["anna"], inner[-1]) as host:
            outer.append(udp_outer(host, reflectors, TARGETS[0]).port)
    return allocation(inner, outer)


# --- TCP ----------------------------------------------------------------------


def tcp_outer(world: World, kept: ExitStack, listeners: Sockets, node: str, port: int, to: Endpoint) -> Endpoint:
    """The outer endpoint that one listener sees of a connection, which stays open as long as `kept`."""
    connection = kept.enter_context(world.tcp(node, HOSTS[node], port))
    connect(connection, to)
    assert connected(connection)
    assert ready([listeners[to]], seconds=PATIENCE_S)
    accepted, peer = listeners[to].accept()
    kept.enter_context(accepted)
    return Endpoint(*peer)


def tcp_seen(world: World, kept: ExitStack, listeners: Sockets, node: str, port: int) -> list[Endpoint]:
    return [tcp_outer(world, kept, listeners, node, port, target) for target in TARGETS]


def tcp_filtering(world: World, listeners: Sockets, port: int) -> Filtering:
    """Two strangers open connections to the outer endpoint of one that stands; nobody is refused aloud."""
    with ExitStack() as kept:
        outer = tcp_outer(world, kept, listeners, "anna", port, TARGETS[0])
        kept.enter_context(world.tcp("anna", HOSTS["anna"], port, listening=True))
        strangers = [kept.enter_context(world.tcp("server", address, 0)) for address in (FIRST, SECOND)]
        for stranger in strangers:
            connect(stranger, outer)
        return filtering(*(connected(stranger, SILENCE_S) for stranger in strangers))


def tcp_allocation(world: World, listeners: Sockets) -> Allocation:
    inner, outer = [], []
    with ExitStack() as kept:
        for _ in range(4):
            inner.append(world.port())
            outer.append(tcp_outer(world, kept, listeners, "anna", inner[-1], TARGETS[0]).port)
    return allocation(inner, outer)
