"""The order of the questions to one site."""

from dataclasses import replace

import pytest

from lab.certify.bench import Bench, Ports
from lab.certify.findings import Reach, Transport
from lab.certify.measuring import site
from lab.certify.measuring.site import Asked, measure

from .conftest import Router, bench_of

EVERYTHING = Reach(True, True, True, True, True, plain_443=True, tls_443=True)


@pytest.fixture
def order(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The questions in the order in which they are asked; none of them takes any time."""
    asked: list[str] = []

    def transport(*_: object) -> Transport:
        asked.append("transport")
        return Transport()

    def of_link(*_: object) -> dict[str, object]:
        asked.append("link")
        return {}

    monkeypatch.setattr(site, "reach", lambda bench: EVERYTHING)
    monkeypatch.setattr(site.link, "throttle", lambda bench: None)
    monkeypatch.setattr(site, "_transport", transport)
    monkeypatch.setattr(site, "_link", of_link)
    monkeypatch.setattr(site.errors, "fragmented", lambda bench: asked.append("fragments"))
    monkeypatch.setattr(site.opening, "simultaneous_open", lambda bench, ports: asked.append("opening"))
    return asked


def test_a_link_with_a_rate_is_measured_before_anything_else_fills_it(order: list[str]) -> None:
    bench = bench_of(Router())
    bench = bench.patient(replace(bench.patience, rate=64_000))
    measure(bench, Asked(None, None, None, None, None, ("", 0)), lambda text: None)
    assert order == ["link", "transport", "transport", "fragments", "opening"]


def test_a_host_asks_for_more_than_its_share_over_each_transport_that_has_a_limit(
    order: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(bench: Bench, tcp: bool, port: int, limit: int) -> int:
        order.append(f"{'tcp' if tcp else 'udp'} {limit} {port}")
        return limit - 1

    monkeypatch.setattr(site.mapping, "exhausted", exhausted)
    for udp, tcp in ((1024, 64), (None, 64), (1024, None), (None, None)):
        order.clear()
        asked = Asked(None, None, None, udp, None, ("", 0), tcp_ports_per_host=tcp)
        found = measure(bench_of(Router()), asked, lambda text: None)
        expected = (["udp 1024 3478"] if udp else []) + (["tcp 64 3478"] if tcp else [])
        assert [words for words in order if words.startswith(("udp", "tcp"))] == expected
        assert (found.ports_of_one_host, found.tcp_ports_of_one_host) == (udp and 1023, tcp and 63)


def test_tcp_is_asked_with_ports_of_its_own(order: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    used: dict[bool, int] = {}

    def transport(bench: Bench, tcp: bool, *_: object) -> Transport:
        used[tcp] = bench.fresh().port
        return Transport()

    monkeypatch.setattr(site, "_transport", transport)
    bench = replace(bench_of(Router()), ports=Ports(range(40_000, 41_000)), tcp_ports=Ports(range(20_000, 21_000)))
    measure(bench, Asked(None, None, None, None, None, ("", 0)), lambda text: None)
    assert {tcp: port // 1000 for tcp, port in used.items()} == {False: 40, True: 20}


@pytest.mark.parametrize("serves", [True, False])
def test_a_proxy_that_serves_is_asked_for_another_port(monkeypatch: pytest.MonkeyPatch, serves: bool) -> None:
    nothing = Reach(False, False, False, False, False)
    asked: list[object] = []

    def elsewhere(bench: Bench, proxy: tuple[str, int], address: str) -> bool:
        asked.append((proxy, address))
        return False

    monkeypatch.setattr(site, "reach", lambda bench: nothing)
    monkeypatch.setattr(site.link, "proxied", lambda bench, proxy, listener: (serves, None, None))
    monkeypatch.setattr(site, "proxied_elsewhere", elsewhere)
    proxy = ("192.168.1.5", 3128)
    found = measure(bench_of(Router()), Asked(None, None, None, None, proxy, ("203.0.113.251", 443)), lambda text: None)
    assert asked == ([(proxy, "203.0.113.251")] if serves else [])
    assert (found.reach.proxy, found.reach.proxy_elsewhere) == (serves, False if serves else None)


def test_long_datagrams_are_not_asked_of_a_queue_that_takes_none(order: list[str]) -> None:
    measure(bench_of(Router()), Asked(None, None, None, None, None, ("", 0), fragments=False), lambda text: None)
    assert sorted(order) == ["link", "opening", "transport", "transport"]
