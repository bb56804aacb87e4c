"""Every combination of mapping, filtering and allocation that makes sense, for UDP and TCP: measured as asked.

Belongs here: one case a combination. Never: how it is measured.
"""

from contextlib import ExitStack
from itertools import product

import pytest
from measure import (
    Sockets,
    mapping,
    tcp_allocation,
    tcp_filtering,
    tcp_seen,
    udp_allocation,
    udp_filtering,
    udp_seen,
)
from world import HOSTS, World

from lab.errors import ConfigError
from lab.nat import Allocation, Behaviour, Filtering, Mapping, profile

RANGE = "ports=40000-42047"


def asked(behaviour: Behaviour) -> str:
    return (
        f"mapping={behaviour.mapping} filtering={behaviour.filtering} allocation={behaviour.allocation} {RANGE} "
        "udp-timeout=30"
    )


def makes_sense(behaviour: Behaviour) -> bool:
    try:
        profile("full-cone", asked(behaviour))
    except ConfigError:
        return False
    return True


SENSIBLE = [found for one in product(Mapping, Filtering, Allocation) if makes_sense(found := Behaviour(*one))]
every_sensible_combination = pytest.mark.parametrize(
    "behaviour", SENSIBLE, ids=lambda one: f"{one.mapping}/{one.filtering}/{one.allocation}"
)


def test_what_is_refused_is_dependent_mapping_with_ports_preserved_and_nothing_else() -> None:
    refused = {one for one in product(Mapping, Filtering, Allocation)} - {
        (one.mapping, one.filtering, one.allocation) for one in SENSIBLE
    }
    dependent = (Mapping.ADDRESS_DEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT)
    assert refused == set(product(dependent, Filtering, [Allocation.PRESERVING]))


@every_sensible_combination
def test_udp_behaves_as_asked(behaviour: Behaviour, world: World, reflectors: Sockets) -> None:
    world.behave("full-cone", asked(behaviour))
    port = world.port()
    with world.udp("anna", HOSTS["anna"], port) as anna, world.udp("bert", HOSTS["bert"], port) as bert:
        seen, same_port = udp_seen(anna, reflectors), udp_seen(bert, reflectors)
        assert (mapping(seen), mapping(same_port)) == (behaviour.mapping, behaviour.mapping)
        assert not set(seen) & set(same_port)
        assert all(40000 <= endpoint.port <= 42047 for endpoint in seen + same_port)
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        assert udp_filtering(anna, reflectors) == behaviour.filtering
    assert udp_allocation(world, reflectors) == behaviour.allocation


@every_sensible_combination
def test_tcp_behaves_as_asked(behaviour: Behaviour, world: World, listeners: Sockets) -> None:
    world.behave("full-cone", asked(behaviour))
    port = world.port()
    with ExitStack() as kept:
        seen = tcp_seen(world, kept, listeners, "anna", port)
        same_port = tcp_seen(world, kept, listeners, "bert", port)
        assert (mapping(seen), mapping(same_port)) == (behaviour.mapping, behaviour.mapping)
        assert not set(seen) & set(same_port)
    assert tcp_filtering(world, listeners, world.port()) == behaviour.filtering
    assert tcp_allocation(world, listeners) == behaviour.allocation


APART = list(zip(SENSIBLE, SENSIBLE[len(SENSIBLE) // 2 :] + SENSIBLE[: len(SENSIBLE) // 2], strict=True))
"""Each combination once for UDP and once for TCP, beside one of the other's that differs from it."""


def of_each(udp: Behaviour, tcp: Behaviour) -> str:
    axes = (f"{name}-{axis}" for name, one in (("udp", udp), ("tcp", tcp)) for axis in _axes(one))
    return " ".join((*axes, RANGE, "udp-timeout=30"))


def _axes(one: Behaviour) -> tuple[str, ...]:
    return f"mapping={one.mapping}", f"filtering={one.filtering}", f"allocation={one.allocation}"


@pytest.mark.parametrize(
    ("udp", "tcp"),
    APART,
    ids=[" and ".join(f"{one.mapping}/{one.filtering}/{one.allocation}" for one in both) for both in APART],
)
def test_udp_and_tcp_behave_apart(
    udp: Behaviour, tcp: Behaviour, world: World, reflectors: Sockets, listeners: Sockets
) -> None:
    """At one router at once, also from one and the same inner port."""
    assert udp != tcp
    world.behave("full-cone", of_each(udp, tcp))
    port = world.port()
    with ExitStack() as kept, world.udp("anna", HOSTS["anna"], port) as anna:
        assert mapping(udp_seen(anna, reflectors)) == udp.mapping
        assert mapping(tcp_seen(world, kept, listeners, "anna", port)) == tcp.mapping
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        assert udp_filtering(anna, reflectors) == udp.filtering
    assert tcp_filtering(world, listeners, world.port()) == tcp.filtering
    assert (udp_allocation(world, reflectors), tcp_allocation(world, listeners)) == (udp.allocation, tcp.allocation)
