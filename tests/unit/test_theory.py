"""The theory of paths says what RFCs and the project's table say, for pairs that are easily thought through."""

import runpy
from dataclasses import replace
from itertools import permutations
from pathlib import Path

import pytest

from lab.topology import parse
from lab.topology.model import Topology
from tests.theory import Search, Side, expected, side

COMPOSE = Path(__file__).parents[2] / "compose"


@pytest.fixture(scope="module")
def zoo() -> Topology:
    return parse(COMPOSE / "zoo.yml")


def of(zoo: Topology, site: str) -> Side:
    return side(zoo, next(client for client in zoo.clients() if client.site == site))


@pytest.mark.parametrize(
    ("one", "two", "best"),
    [
        ("open-1", "symmetric-1", "direct/udp"),
        ("inbound-blocked-1", "inbound-blocked-2", "direct/udp"),  # stateful, untranslated
        ("inbound-blocked-1", "linux-1", "direct/udp"),
        ("full-cone-1", "symmetric-1", "punched/udp"),
        ("restricted-1", "symmetric-1", "punched/udp"),  # filters by address
        ("rfc4787-1", "address-dependent-1", "punched/udp"),
        ("port-restricted-1", "linux-1", "punched/udp"),
        ("sequential-1", "port-restricted-1", "punched/udp"),  # predicted
        ("sequential-1", "sequential-2", "punched/udp"),  # met
        ("symmetric-1", "symmetric-2", "relayed/udp"),
        ("symmetric-1", "sequential-1", "relayed/udp"),
        ("mobile-1", "mobile-2", "punched/udp"),  # hairpinned by the carrier that they share
        ("udp-blocked-1", "open-1", "direct/tcp"),
        ("udp-blocked-1", "inbound-blocked-1", "direct/tcp"),  # both at once
        ("udp-blocked-1", "linux-1", "punched/tcp"),  # both at once
        ("udp-blocked-2", "linux-1", "relayed/mixed"),  # symmetric for TCP as well
        ("udp-blocked-2", "full-cone-1", "punched/tcp"),  # let in from whatever port
        ("udp-blocked-2", "rfc4787-1", "punched/tcp"),  # let in where it has been written to
        ("tcp-443-2", "linux-1", "relayed/mixed"),  # a mapped port is not 443
        ("proxy-only-1", "open-1", "direct/tcp"),
        ("proxy-only-1", "tls-only-1", "relayed/tcp"),
        ("ipv6-1", "dual-1", "direct/udp"),
        ("ipv6-1", "nptv6-1", "direct/udp"),
        ("ipv6-1", "linux-1", "relayed/udp"),  # no family in common
        ("dual-1", "linux-1", "punched/udp"),
        ("udp-throttled-1", "open-1", "direct/tcp"),
        ("udp-throttled-1", "linux-2", "punched/tcp"),
    ],
)
def test_the_best_path_is_what_theory_says(zoo: Topology, one: str, two: str, best: str) -> None:
    assert expected(of(zoo, one), of(zoo, two)).best == best


@pytest.mark.parametrize(
    ("one", "two", "path"),
    [
        ("symmetric-1", "port-restricted-1", "punched/udp"),  # by guessing, which may fail
        ("symmetric-1", "port-restricted-1", "relayed/udp"),
        ("address-dependent-1", "symmetric-1", "punched/udp"),
        ("udp-blocked-1", "sequential-1", "punched/tcp"),  # foreseen
    ],
)
def test_where_chance_decides_both_are_accepted(zoo: Topology, one: str, two: str, path: str) -> None:
    assert expected(of(zoo, one), of(zoo, two)).holds(path)


@pytest.mark.parametrize(
    ("one", "two", "path"),
    [
        ("symmetric-1", "symmetric-2", "punched/udp"),
        ("mobile-3", "symmetric-1", "punched/udp"),  # one draws from a block of few ports, the other from all
        ("sequential-1", "symmetric-1", "punched/tcp"),  # the port that one will have is no use without the other's
        ("udp-throttled-1", "open-1", "direct/udp"),  # its loss is known before the call
        ("linux-1", "linux-2", "relayed/udp"),
        ("udp-blocked-1", "open-1", "direct/udp"),
        ("open-1", "linux-1", "punched/udp"),
    ],
)
def test_what_cannot_be_is_not_accepted(zoo: Topology, one: str, two: str, path: str) -> None:
    assert not expected(of(zoo, one), of(zoo, two)).holds(path)


@pytest.mark.parametrize(
    ("one", "two", "path", "search"),
    [
        ("symmetric-1", "port-restricted-1", "punched/udp", Search.TRIED),
        ("symmetric-1", "inbound-blocked-1", "direct/udp", Search.TRIED),
        ("symmetric-1", "address-dependent-1", "punched/udp", Search.TRIED),
        ("sequential-1", "linux-1", "punched/udp", Search.FORESEEN),
        ("sequential-1", "sequential-2", "punched/udp", Search.FORESEEN),
        ("sequential-1", "udp-throttled-1", "punched/tcp", Search.FORESEEN),
        ("symmetric-1", "full-cone-1", "punched/udp", None),
        ("linux-1", "linux-2", "punched/udp", None),
        ("symmetric-1", "symmetric-2", "relayed/udp", None),
    ],
)
def test_how_a_port_is_found_follows_from_both_networks(
    zoo: Topology, one: str, two: str, path: str, search: Search | None
) -> None:
    found = expected(of(zoo, one), of(zoo, two))
    assert (found.hoped, found.search) == (path, search)


def test_two_sides_meet_in_blocks_where_both_draw_from_a_few_ports(zoo: Topology) -> None:
    one, two = of(zoo, "mobile-3"), replace(of(zoo, "mobile-3"), site="mobile-5", carrier="carrier-2")
    assert expected(one, two).search is Search.BLOCKS
    assert expected(one, two).accepted == {"punched/udp", "relayed/udp"}
    assert expected(one, replace(two, carrier=one.carrier)).accepted == {"relayed/udp"}


def test_a_carrier_turns_packets_back_to_its_own_or_they_need_the_relay(zoo: Topology) -> None:
    one, two = of(zoo, "mobile-1"), of(zoo, "mobile-2")
    assert expected(one, two).best == "punched/udp"
    assert expected(replace(one, hairpins=False), replace(two, hairpins=False)).accepted == {"relayed/udp"}


def test_it_does_not_matter_who_calls(zoo: Topology) -> None:
    sides = [side(zoo, client) for client in zoo.clients()]
    assert all(expected(one, two) == expected(two, one) for one, two in permutations(sides, 2))


def test_neighbours_use_their_lan(zoo: Topology) -> None:
    assert expected(of(zoo, "linux-1"), of(zoo, "linux-1")).best == "direct/udp"


def test_the_table_of_the_reference_lab_says_nothing_that_theory_does_not() -> None:
    table = runpy.run_path(str(COMPOSE.parent / "tests" / "calls" / "expected.py"))
    world = parse(COMPOSE / "reference.yml")
    sides = {client.name: side(world, client) for client in world.clients()}
    for caller, callee, path in table["CALLS"]:
        assert expected(sides[caller], sides[callee]).holds(path), (caller, callee)
