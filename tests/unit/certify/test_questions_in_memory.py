"""The procedure against a router in memory: every behaviour is told apart, through losses, no leak overlooked."""

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest

from lab import nat
from lab.certify import asking, claimed, deducing
from lab.certify.asking import Shot
from lab.certify.bench import Ports
from lab.certify.comparing import Draw
from lab.certify.ends import Endpoint
from lab.certify.findings import Fate, Transport
from lab.certify.measuring import mapping, opening

from .conftest import AD, APD, EI, INNER, WAN, Router, Stock, bench_of

pytestmark = pytest.mark.slow

PORTS = (3478, 3479)
BEHAVIOURS = list(itertools.product((EI, AD, APD), (EI, AD, APD)))


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3])
@pytest.mark.parametrize(("maps", "filters"), BEHAVIOURS)
def test_every_mapping_and_filtering_is_told_apart(maps: str, filters: str, loss: float, tcp: bool) -> None:
    bench = bench_of(Router(maps, filters, "random", loss=loss))
    mapped, _ = mapping.mapped(bench, tcp, PORTS)
    assert deducing.mapping(mapped) == maps
    assert deducing.filtering(mapping.filtered(bench, tcp, PORTS, PORTS)) == filters


@pytest.mark.parametrize("allocates", ["preserving", "sequential", "random"])
def test_every_allocation_is_told_apart(allocates: str) -> None:
    _, made = mapping.mapped(bench_of(Router(APD, APD, allocates)), False, PORTS)
    assert deducing.allocation(made) == allocates


@pytest.mark.parametrize("tcp", [False, True])
def test_ports_of_one_host_are_counted_over_either_transport(tcp: bool) -> None:
    router = Router(APD, APD, "random", loss=0.1)
    allocate = router.outer

    def within_block(protocol: str, source: Endpoint, to: Endpoint) -> Endpoint:
        outer = allocate(protocol, source, to)
        return Endpoint(outer.address, 50_000 + outer.port % 16) if (protocol == "tcp") is tcp else outer

    router.outer = within_block  # type: ignore[method-assign]
    bench = bench_of(router)
    assert mapping.exhausted(bench, tcp, 3478, 16) == 16
    assert mapping.exhausted(bench, not tcp, 3478, 16) == 16 + mapping.BEYOND


@pytest.mark.parametrize(("limit", "asked"), [(35_471, 35_535), (35_473, 35_537), (64_512, 64_512)])
def test_a_large_share_is_asked_for_with_ports_that_there_are(
    monkeypatch: pytest.MonkeyPatch, limit: int, asked: int
) -> None:
    used: set[int] = set()
    bench = bench_of(Router())

    def ask(shots: list[Shot], *words: Any, tries: int | None = None) -> None:
        used.update(int(shot.packet["sport"]) for shot in shots if tries)

    monkeypatch.setattr(mapping, "ask", ask)
    mapping.exhausted(bench, False, 3478, limit)
    assert len(used) == asked and min(used) >= 1024 and max(used) <= 65_535


def test_a_filter_that_lets_one_packet_in_forty_through_is_found_out() -> None:
    found = mapping.filtered(bench_of(Router(filtering=APD, leaks=40, loss=0.2)), False, PORTS, PORTS)
    assert any(one.admitted for one in found) or deducing.filtering(found) == APD
    found = mapping.filtered(bench_of(Router(filtering=APD, leaks=5, loss=0.2)), False, PORTS, PORTS)
    assert deducing.filtering(found) != APD


class Scarce(Router):
    """Address-and-port-dependent in both, of few ports: flows to different remote endpoints share one, as they may."""

    ports = 128

    def outer(self, protocol: str, source: Endpoint, to: Endpoint) -> Endpoint:
        flow = (protocol, source, to)
        while flow not in self.out:
            port = Endpoint(WAN, 50_000 + self.chance.randrange(self.ports))
            if (protocol, port, to) not in self.out.values():
                self.out[flow] = (protocol, port, to)
        return self.out[flow][1]

    def inward(self, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        for flow, outer in self.out.items():
            if outer == (packet["proto"], to, source):
                self.deliver("inside", packet, source, flow[1])


@pytest.mark.parametrize("tcp", [False, True])
def test_a_stranger_that_gets_in_by_another_flow_is_not_taken_for_one_that_is_let_in(tcp: bool) -> None:
    shared = 0
    for seed in range(40):
        bench = bench_of(router := Scarce(chance=random.Random(seed)))
        mapping.mapped(bench, tcp, PORTS)
        before = len(router.out)
        found = mapping.filtered(bench, tcp, PORTS, PORTS)
        assert len(found) == mapping.FILTER_SOCKETS and deducing.filtering(found) == APD, seed
        shared += len(router.out) - before > mapping.FILTER_SOCKETS
    assert shared > 5, "an outer endpoint was another's already"


def test_a_mapping_that_changes_under_a_repeated_packet_is_irregular() -> None:
    router = Router(loss=0.5)
    bench = bench_of(router)
    router.outer = lambda protocol, source, to: Router.outer(  # type: ignore[method-assign]
        router, protocol, type(source)(source.address, source.port + router.chance.randrange(2)), to
    )
    mapped, _ = mapping.mapped(bench, False, PORTS)
    assert deducing.mapping(mapped) != EI


@pytest.mark.parametrize("hairpins", [False, True])
def test_hairpinning_and_its_source(hairpins: bool) -> None:
    found = opening.hairpinned(bench_of(Router(hairpins=hairpins)), False, 3478)
    assert found is not None
    assert (found.source is not None) is hairpins
    assert deducing.hairpinning_source(found) == ("external" if hairpins else None)


@pytest.mark.parametrize(("answers", "fate"), [(False, Fate.DROPPED), (True, Fate.REJECTED)])
def test_a_router_that_answers_an_unsolicited_syn_is_found_out(answers: bool, fate: Fate) -> None:
    bench = bench_of(Router(answers=answers, loss=0.1))
    assert opening.unsolicited_tcp(bench, PORTS) == fate


class Narrow(random.Random):
    """It draws one of few ports, those that the bench asks with."""

    def randrange(self, *_: Any) -> int:
        return super().randrange(20_000, 20_064)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("maps", [EI, AD, APD])
def test_a_router_that_draws_from_few_of_the_ports_that_it_claims_is_found_out(maps: str, tcp: bool) -> None:
    for chance, covers in ((Narrow(1), False), (random.Random(1), True)):
        bench = replace(bench_of(Router(maps, APD, "random", chance=chance)), ports=Ports(range(30_000, 30_100)))
        seen = Transport(*mapping.mapped(bench, tcp, PORTS))
        ports = deducing.port_range(seen)
        assert deducing.allocation(seen.allocated) == "random"
        assert ports and Draw(64_512, len(deducing.mappings(seen))).covers(ports) is covers


UNSOLICITED = {False: opening.unsolicited_udp, True: opening.unsolicited_tcp}


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("filters", [EI, AD, APD])
def test_what_comes_in_by_a_mapping_is_not_taken_for_unasked(filters: str, tcp: bool) -> None:
    for seed in range(20):
        router = Router(EI, filters, "random", chance=Narrow(seed))
        bench = replace(bench_of(router), ports=Ports(range(20_000, 20_064)))
        mapping.mapped(bench, tcp, PORTS)
        mapping.mapped(bench, tcp, PORTS)
        assert UNSOLICITED[tcp](bench, PORTS) == Fate.DROPPED, seed


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
def test_what_comes_in_by_a_mapping_that_is_made_meanwhile_says_nothing(
    tcp: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = Router(EI, EI)
    bench = bench_of(router)

    def ask(shots: list[Shot], *words: Any) -> dict[str, Any]:
        ports = [int(shot.packet["dport"]) for shot in shots]
        for port in ports:  # another question's, which the router gives that port
            mapping.open_one(bench, tcp, Endpoint(INNER[0], port), bench.to(0, PORTS[0]))
        return asking.ask(shots, *words)

    monkeypatch.setattr(opening, "ask", ask)
    assert UNSOLICITED[tcp](bench, PORTS) == Fate.DROPPED


class Exposing(Router):
    """One of its hosts gets whatever nobody has asked for, and may answer."""

    def inward(self, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        if to not in self.back:
            self.refuse(packet, source, to)
        self.deliver("inside", packet, source, self.back.get(to, Endpoint(INNER[0], to.port)))


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("allocates", ["preserving", "sequential", "random"])
@pytest.mark.parametrize("answers", [False, True], ids=["silent", "answered"])
def test_a_router_that_lets_everything_in_to_one_host_is_found_out(answers: bool, allocates: str, tcp: bool) -> None:
    bench = bench_of(Exposing(allocation=allocates, loss=0.1, answers=answers))
    assert UNSOLICITED[tcp](bench, PORTS) == Fate.ADMITTED


def test_two_hosts_on_one_port_keep_their_mappings() -> None:
    bench = bench_of(Router(loss=0.1))
    mapped, _ = mapping.mapped(bench, False, PORTS)
    seen = mapping.shared(bench, False, PORTS)
    assert seen is not None
    assert deducing.same_port(mapped, seen) == "kept"
    assert not deducing.translated(Transport())


def in_memory(axes: nat.Translation, tcp: bool) -> Router:
    one = axes.tcp if tcp else axes.udp
    kind = Router if axes.clash_free else Stock
    return kind(str(one.mapping), str(one.filtering), str(one.allocation), one.hairpinning)


PRESETS = [name for name, axes in nat.TRANSLATIONS.items() if axes]
SETTINGS = [
    *((name, "") for name in PRESETS),
    ("linux", "clash-free=yes"),
    ("symmetric", "udp-mapping=address-dependent"),
    ("symmetric", "tcp-mapping=endpoint-independent"),
]


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
@pytest.mark.parametrize("far", [None, *SETTINGS], ids=lambda each: each and " ".join(each).strip())
@pytest.mark.parametrize("near", SETTINGS, ids=lambda each: " ".join(each).strip())
def test_two_hosts_on_one_port_are_claimed_to_fare_as_they_do(
    near: tuple[str, str], far: tuple[str, str] | None, tcp: bool
) -> None:
    profiles = [nat.profile(*each) for each in (near, far) if each]
    bench = bench_of(*(in_memory(each.translation, tcp) for each in profiles if each.translation))
    mapped, _ = mapping.mapped(bench, tcp, PORTS)
    seen = mapping.shared(bench, tcp, PORTS)
    assert seen is not None
    routers = [claimed.Router("r", each, nat.firewall("none")) for each in profiles]
    says = claimed.claimed(routers, claimed.LinkClaim())
    expected = (says.tcp.mapping, says.tcp.same_port) if tcp else (says.mapping, says.same_port)
    assert (deducing.mapping(mapped), deducing.same_port(mapped, seen)) == expected
