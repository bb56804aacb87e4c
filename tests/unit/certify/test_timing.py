"""How long mappings, states and connections live, asked of a router in memory whose clock the waiting moves."""

import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.certify import asking, deducing
from lab.certify.asking import Patience
from lab.certify.bench import Bench
from lab.certify.ends import Endpoint
from lab.certify.measuring import timing

from .conftest import APD, Router, bench_of


class Clock:
    """Epoch seconds that pass only while somebody waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now


@dataclass
class Forgetful(Router):
    """It forgets a flow after so long an idle time; `refreshed_by`: the directions that keep one alive."""

    filtering: str = APD
    idle_s: float = 20.0
    opening_s: float = 5.0
    refreshed_by: tuple[str, ...] = ("inside", "outside")
    clock: Clock = field(default_factory=Clock)
    flows: dict[tuple[Endpoint, Endpoint], tuple[float, bool]] = field(default_factory=dict)

    def outer(self, protocol: str, source: Endpoint, to: Endpoint) -> Endpoint:
        outer = super().outer(protocol, source, to)
        self.touch("inside", outer, to)
        return outer

    def inward(self, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        last, answered = self.flows.get((to, source), (float("-inf"), False))
        if self.clock.now - last <= (self.idle_s if answered else self.opening_s):
            self.touch("outside", to, source)
            super().inward(packet, source, to)

    def touch(self, side: str, outer: Endpoint, remote: Endpoint) -> None:
        last, answered = self.flows.get((outer, remote), (self.clock.now, False))
        if side in self.refreshed_by or not answered:
            last = self.clock.now
        self.flows[outer, remote] = (last, answered or side == "outside")

    def deliver(self, side: str, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        said = {"src": source.address, "sport": source.port, "dst": to.address, "dport": to.port}
        kept = {name: packet[name] for name in ("proto", "flags", "seq", "ack", "token") if name in packet}
        self.ends[side].hear({"at": self.clock.now, "size": 100, **kept, **said})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()

    def wait(self: Bench, seconds: float) -> None:
        clock.now += seconds

    monkeypatch.setattr(Bench, "pause", wait)
    monkeypatch.setattr(timing, "time", clock)
    return clock


@pytest.mark.parametrize(("tcp", "loss"), list(itertools.product([False, True], [0.0, 0.1])))
def test_an_idle_flow_dies_after_its_timeout(clock: Clock, tcp: bool, loss: float) -> None:
    found = timing.timed(bench_of(Forgetful(clock=clock, loss=loss)), tcp, 443, 20.0)
    assert found is not None
    assert deducing.timeout(found.idle) == pytest.approx(20.0, abs=0.5)


@pytest.mark.parametrize("lives_s", [9.0, 40.0])
def test_another_timeout_than_the_one_that_is_claimed_is_found_out(clock: Clock, lives_s: float) -> None:
    found = timing.timed(bench_of(Forgetful(clock=clock, idle_s=lives_s)), False, 3478, 20.0)
    assert found is not None
    measured = deducing.timeout(found.idle)
    assert measured is not None and abs(measured - 20.0) > 2.0


@pytest.mark.parametrize("directions", [("inside",), ("outside",), ("inside", "outside"), ()])
def test_which_direction_keeps_a_flow_alive(clock: Clock, directions: tuple[str, ...]) -> None:
    found = timing.timed(bench_of(Forgetful(clock=clock, refreshed_by=directions)), False, 3478, 20.0)
    assert found is not None
    assert (found.outbound, found.inbound) == ("inside" in directions, "outside" in directions)


@pytest.mark.parametrize("loss", [0.0, 0.1])
def test_a_connection_half_open_dies_sooner_than_one_that_stands(clock: Clock, loss: float) -> None:
    found = timing.half_open(bench_of(Forgetful(clock=clock, opening_s=5.0, loss=loss)), 443, 5.0)
    assert found is not None
    assert deducing.timeout(found) == pytest.approx(5.0, abs=0.3)
    found = timing.half_open(bench_of(Forgetful(clock=clock, opening_s=20.0)), 443, 5.0)
    assert found is not None and deducing.timeout(found) != pytest.approx(5.0, abs=0.75)


@dataclass
class Choked(Forgetful):
    """Nothing comes in for so many packets from a moment on: a queue that somebody else fills."""

    choked_at: float = 0.0
    swallows: int = 11

    def inward(self, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        if self.clock.now >= self.choked_at and self.swallows:
            self.swallows -= 1
            return
        super().inward(packet, source, to)


def test_a_question_that_a_full_queue_has_swallowed_is_asked_again(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each copy of it, and the control packets behind them, nine tenths of the time that is claimed after its SYN."""
    monkeypatch.setattr(asking, "SLACK_S", 0.05)
    router = Choked(clock=clock, opening_s=5.0, choked_at=clock.now + 0.85 * 5.0)
    found = timing.half_open(bench_of(router).patient(Patience(rate=48_000)), 443, 5.0)
    assert router.swallows == 0
    assert found is not None and deducing.timeout(found) == pytest.approx(5.0, abs=0.3)
