"""What shares something narrow is measured one after the other, and all else at the same time."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.certify.asking import Severed
from lab.certify.bench import Bench
from lab.certify.claimed import LinkClaim, Router
from lab.certify.ends import End
from lab.errors import RuntimeUnavailable
from lab.harness import certifying, claiming
from lab.harness.claiming import SiteClaim
from lab.harness.turns import Turns, narrow
from lab.nat import firewall, profile
from lab.runtime.world import World
from lab.topology import parse
from lab.topology.model import Node

pytestmark = pytest.mark.slow


ZOO = Path(__file__).parents[3] / "compose" / "zoo.yml"
MEET_S = 0.3
"""Two that may be measured at the same time meet well within it; two that may not never do."""


def site(name: str, *routers: str, rated: tuple[str, ...] = (), policy: str = "none") -> SiteClaim:
    """Behind routers of these names, the last one with that firewall."""
    policies = ["none"] * len(routers[1:]) + [policy]
    ways = tuple(Router(one, profile("linux"), firewall(policies[at])) for at, one in enumerate(routers))
    return SiteClaim(name, "linux", "none", None, ways, LinkClaim(), (4, 6), rated=rated)


PLAIN, DUAL = site("home", "home-router"), site("dual-1", "dual-router", rated=("dual-1",))
MOBILE = [site(name, f"{name}-router", "carrier-router", rated=("carrier-1",)) for name in ("mobile-1", "mobile-2")]
CHOKED = [site(name, f"{name}-router", "carrier-router", policy="udp-throttled") for name in ("mobile-1", "mobile-2")]
OWN = [site(name, f"{name}-router", policy="udp-throttled") for name in ("one", "other")]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Of each measurement, whether it met another one."""
    met: list[bool] = []
    both = threading.Barrier(2)

    def measure(*words: Any) -> None:
        try:
            both.wait(MEET_S)
            met.append(True)
        except threading.BrokenBarrierError:
            met.append(False)
            both.reset()
        raise Severed("measured")

    monkeypatch.setattr(certifying, "measure", measure)
    yield met


def bench_of(family: int) -> Bench:
    end = End(lambda order, **fields: {})
    remote = ("203.0.113.253", "203.0.113.252") if family == 4 else ("2001:db8::1", "2001:db8::2")
    return Bench(end, end, ("192.168.32.253",), remote)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ((PLAIN, 4), (PLAIN, 6), True),
        ((DUAL, 4), (DUAL, 6), False),
        ((DUAL, 4), (MOBILE[0], 4), True),
        ((MOBILE[0], 4), (MOBILE[1], 4), False),
        ((CHOKED[0], 4), (CHOKED[1], 4), False),
        ((OWN[0], 4), (OWN[1], 4), True),
        ((OWN[0], 4), (OWN[0], 6), True),
    ],
    ids=[
        "families of a wide link",
        "families of a narrow link",
        "sites of two narrow links",
        "sites behind a narrow carrier",
        "sites behind a carrier that throttles",
        "sites that throttle each",
        "families that are throttled each",
    ],
)
def test_what_is_measured_together(
    measured: list[bool], one: tuple[SiteClaim, int], other: tuple[SiteClaim, int], together: bool
) -> None:
    turns, nothing = Turns(threading.Event()), ("", 0)
    with ThreadPoolExecutor(2) as pool:
        jobs = [
            pool.submit(certifying._verdict, bench_of(family), claim, turns, None, nothing)
            for claim, family in (one, other)
        ]
        assert all(isinstance(job.exception(), Severed) for job in jobs)
    assert measured == [together] * 2


def test_who_waits_for_a_turn_ends_when_the_certification_is_broken_off() -> None:
    stop = threading.Event()
    turns = Turns(stop)
    with turns.alone({"a link"}), ThreadPoolExecutor(1) as pool:

        def wait() -> None:
            with turns.alone({"a link"}):
                pass

        waiting = pool.submit(wait)
        stop.set()
        assert isinstance(waiting.exception(5.0), RuntimeUnavailable)


def test_a_turn_ends_with_what_is_measured_in_it() -> None:
    turns = Turns(threading.Event())
    for _ in range(2):
        with pytest.raises(Severed), turns.alone({"a link", "a throttle"}):
            raise Severed("cut")


def test_a_claim_names_the_links_on_the_way_that_have_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(engine: Any, world: Any, node: Node) -> dict[str, Any]:
        return {"profile": node.profile, "axes": node.axes, "firewall": node.firewall}

    links = {"carrier-1": {"up": "delay=10ms", "down": "delay=10ms rate=128kbit"}, "dual-1": {"up": "", "down": ""}}
    monkeypatch.setattr(claiming, "_ask", ask)
    monkeypatch.setattr(claiming.standing, "core", lambda *words: {"shaping": {"seed": 7, "links": links}})
    nothing: Any = None
    found = claiming.claims(
        nothing, World("lab", parse(ZOO), {}, None), ["mobile-1", "mobile-2", "carrier-1", "dual-1"]
    )
    assert [one.rated for one in found] == [("carrier-1",)] * 3 + [()]
    assert {narrow(one, 4) for one in found[:3]} == {frozenset({"the link of carrier-1"})}
    assert narrow(replace(found[3], rated=("dual-1",)), 4) == narrow(replace(found[3], rated=("dual-1",)), 6)
