"""The order of the questions to one site."""

from dataclasses import replace

import pytest

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


def test_long_datagrams_are_not_asked_of_a_queue_that_takes_none(order: list[str]) -> None:
    measure(bench_of(Router()), Asked(None, None, None, None, None, ("", 0), fragments=False), lambda text: None)
    assert sorted(order) == ["link", "opening", "transport", "transport"]
