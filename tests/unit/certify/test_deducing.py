"""From sightings to axes, also where they are few, odd, or contradict each other."""

from dataclasses import replace

import pytest

from lab.certify import deducing
from lab.certify.ends import Endpoint
from lab.certify.findings import (
    Filtered,
    Findings,
    Fragmented,
    Hairpinned,
    Mapped,
    Reach,
    Reported,
    Shared,
    Timed,
    Transport,
)

ONE, TWO = "203.0.113.253", "203.0.113.252"
MATRIX = [Endpoint(ONE, 1), Endpoint(TWO, 1), Endpoint(TWO, 2), Endpoint(ONE, 2)]
INNER = Endpoint("192.168.1.9", 5000)


def row(*ports: int | None, inner: Endpoint = INNER) -> Mapped:
    """Outer ports toward the four remote endpoints; None: the packet was never seen."""
    outer = [frozenset() if port is None else frozenset({Endpoint("192.0.2.1", port)}) for port in ports]
    return Mapped(inner, dict(zip(MATRIX, outer, strict=True)))


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ((7, 7, 7, 7), "endpoint-independent"),
        ((7, 8, 8, 7), "address-dependent"),
        ((7, 8, 9, 6), "address-and-port-dependent"),
        ((7, 7, 9, 6), "address-and-port-dependent"),  # two of four random ports came twice
        ((7, 7, None, 7), "endpoint-independent"),
        ((None, None, None, None), None),
    ],
)
def test_mapping(ports: tuple[int | None, ...], expected: str | None) -> None:
    assert deducing.mapping([row(*ports)]) == expected


def test_one_flow_with_two_outer_endpoints_is_irregular() -> None:
    both = frozenset({Endpoint("192.0.2.1", 7), Endpoint("192.0.2.1", 8)})
    assert deducing.mapping([Mapped(INNER, {MATRIX[0]: both})]) == "irregular"


def filtered(*admitted: Endpoint) -> Filtered:
    return Filtered(MATRIX[0], frozenset(MATRIX[1:]), frozenset(admitted))


@pytest.mark.parametrize(
    ("admitted", "expected"),
    [
        ((), "address-and-port-dependent"),
        ((MATRIX[3],), "address-dependent"),
        (tuple(MATRIX[1:]), "endpoint-independent"),
        ((MATRIX[1],), "irregular"),
        ((MATRIX[1], MATRIX[2]), "irregular"),
    ],
)
def test_filtering(admitted: tuple[Endpoint, ...], expected: str) -> None:
    assert deducing.filtering([filtered(*admitted)]) == expected


def test_sockets_that_are_filtered_differently_are_irregular() -> None:
    assert deducing.filtering([filtered(), filtered(MATRIX[3])]) == "irregular"
    assert deducing.filtering([]) is None


@pytest.mark.parametrize(
    ("outer", "expected"),
    [
        ((5000, 6100, 5300), "preserving"),
        ((50000, 50001, 50003, 50004), "sequential"),
        ((65534, 65535, 1024, 1025), "sequential"),
        ((50000, 50001, 44000, 44001, 61000, 61001), "random"),
        ((40000, 1025, 65000), "random"),
    ],
)
def test_allocation(outer: tuple[int, ...], expected: str) -> None:
    inner = [5000, 6100, 5300, 7000, 7001, 7002]
    made = [(Endpoint("a", own), Endpoint("b", port)) for own, port in zip(inner, outer, strict=False)]
    assert deducing.allocation(made) == expected


@pytest.mark.parametrize(
    ("outer", "pool", "expected"),
    [(("a", "a"), 1, None), (("a", "a"), 2, "paired"), (("a", "b"), 2, "arbitrary"), (("a", "b"), 1, "arbitrary")],
)
def test_pooling(outer: tuple[str, ...], pool: int, expected: str | None) -> None:
    assert deducing.pooling([(Endpoint("host", 1), Endpoint(address, 1)) for address in outer], pool) == expected


def test_hosts_of_different_outer_addresses_are_paired() -> None:
    made = [(Endpoint("one", 1), Endpoint("a", 1)), (Endpoint("two", 1), Endpoint("b", 1))]
    assert deducing.pooling(made, 2) == "paired"


def test_ports_and_addresses_are_told_of_each_transport() -> None:
    def made(*outer: tuple[str, int]) -> Transport:
        return Transport(allocated=tuple((Endpoint("host", 1), Endpoint(*one)) for one in outer))

    udp, tcp = made(("a", 40000), ("a", 40700)), made(("a", 20000), ("b", 20999))
    out = Reach(True, True, True, True, True, plain_443=True, tls_443=True)
    found = deducing.deduce(Findings(out, udp, tcp, ports_of_one_host=1000, tcp_ports_of_one_host=64), 2)
    assert (found.ports, found.pooling, found.ports_per_host) == ((40000, 40700), "paired", 1000)
    assert (found.tcp.ports, found.tcp.pooling, found.tcp.ports_per_host) == ((20000, 20999), "arbitrary", 64)
    found = deducing.deduce(Findings(replace(out, udp=False), tcp=tcp), 2)
    assert (found.ports, found.pooling, found.tcp.ports, found.tcp.pooling) == (
        None,
        None,
        (20000, 20999),
        "arbitrary",
    )
    found = deducing.deduce(Findings(out, udp=udp), 1)
    assert (found.pooling, found.tcp.ports, found.tcp.pooling) == (None, None, None)


def test_ports_of_a_host_are_those_toward_every_destination_each_draw_counted_once() -> None:
    first = ((INNER, Endpoint("192.0.2.1", 7000)),)
    each = Transport(mapped=(row(7000, 9000, 8000, 6000),), allocated=first)
    assert (deducing.port_range(each), len(deducing.mappings(each))) == ((6000, 9000), 4)
    one = Transport(mapped=(row(7000, 7000, 7000, 7000),), allocated=first)
    assert (deducing.port_range(one), len(deducing.mappings(one))) == ((7000, 7000), 1)
    assert deducing.port_range(Transport()) is None


@pytest.mark.parametrize(
    ("first", "reachable", "expected"),
    [((7, 7, 7, 7), True, "kept"), ((7, 8, 8, 8), True, "split"), ((7, 7, 7, 7), False, "lost")],
)
def test_two_hosts_on_one_port(first: tuple[int, ...], reachable: bool, expected: str) -> None:
    shared = Shared((row(*first), row(9, 9, 9, 9, inner=Endpoint("192.168.1.8", 5000))), reachable)
    assert deducing.same_port([row(5, 5, 5, 5)], shared) == expected


@pytest.mark.parametrize(
    ("alive", "gone", "expected"),
    [
        ((5.0, 14.4), (15.6, 18.0), 15.0),
        ((5.0, 18.0), (), 18.0),
        ((), (3.0, 9.0), 3.0),
        ((5.0, 15.0), (14.0,), None),
    ],
)
def test_timeout(alive: tuple[float, ...], gone: tuple[float, ...], expected: float | None) -> None:
    idle = dict.fromkeys(alive, True) | dict.fromkeys(gone, False)
    assert deducing.timeout(idle) == expected


def test_a_hairpinned_packet_bears_an_outer_or_an_inner_source() -> None:
    inner, outer = Endpoint("192.168.1.8", 5), Endpoint("192.0.2.1", 6)
    assert deducing.hairpinning_source(Hairpinned(outer, outer, inner)) == "external"
    assert deducing.hairpinning_source(Hairpinned(inner, outer, inner)) == "internal"
    assert deducing.hairpinning_source(Hairpinned(None, outer, inner)) is None


def test_tls_alone_is_told_from_anything_on_443() -> None:
    def on_443(tls: bool, plain: bool) -> str | None:
        found = Reach(False, False, True, False, False, tls_443=tls, plain_443=plain)
        return deducing.outbound(found).tcp_443

    assert (on_443(True, True), on_443(True, False), on_443(False, False)) == ("anything", "tls", None)


@pytest.mark.parametrize(
    ("outbound", "inbound", "by"),
    [(True, True, "both"), (True, False, "outbound"), (False, True, "inbound"), (False, False, "nothing")],
)
def test_what_keeps_a_mapping_alive(outbound: bool, inbound: bool, by: str) -> None:
    assert deducing.refreshed_by(Timed({9.0: True, 11.0: False}, 6.0, 12.0, outbound, inbound)) == by


def test_of_a_mapping_that_lives_anyway_nothing_is_known_of_what_keeps_it() -> None:
    assert deducing.refreshed_by(Timed({9.0: True, 11.0: True, 12.5: False}, 6.0, 12.0, True, True)) is None
    assert deducing.refreshed_by(None) is None


def test_icmp_errors_are_delivered_missing_or_quote_what_their_reader_never_sent() -> None:
    both, one = frozenset({"host unreachable", "port unreachable"}), frozenset({"host unreachable"})
    assert deducing.icmp_errors(Reported(both, both, True, True)) == "delivered"
    assert deducing.icmp_errors(Reported(both, one, True, True)) == "not delivered: port unreachable"
    assert deducing.icmp_errors(Reported(both, both, False, True)) == "outer quoted"
    assert deducing.icmp_errors(None) is None


def test_fragments_pass_where_each_order_does_each_way() -> None:
    whole = Fragmented(True, True, True, True)
    assert deducing.whole(whole) is True
    assert [deducing.whole(replace(whole, **{way: False})) for way in ("up_in_order", "down_reversed")] == [False] * 2
    assert deducing.whole(None) is None
