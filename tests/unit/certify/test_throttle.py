"""A throttle is found where there is one, and not where losses come in bursts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from lab.certify.asking import Patience
from lab.certify.bench import Bench
from lab.certify.measuring import link
from lab.certify.measuring.link import throttle
from lab.links import Burst, Impairment
from lab.links.line import Line

GAP_S, BYTES = link.THROTTLE_GAP_S, link.THROTTLE_BYTES


@dataclass
class Way:
    """What passes of a train: a line with bursts of loss, and 2,000 bytes a second where it is throttled."""

    line: Line
    throttled: bool
    trains: list[Sequence[tuple[int, int]]] = field(default_factory=list)
    now: float = 0.0

    def order(self, order: str, **fields: Any) -> dict[str, Any]:
        if order == "arrivals":
            return {"arrived": self.trains[-1]}
        passed, bucket = [], 2_000.0
        for number in range(fields["count"]):
            self.now += fields["gap_s"]
            bucket = min(2_000.0, bucket + 2_000 * fields["gap_s"])
            fits = bucket >= BYTES or not self.throttled
            bucket -= BYTES if fits else 0
            if fits and self.line.cross(self.now, BYTES) is not None:
                passed.append((number, 0))
        self.trains.append(passed)
        return {}


def bench(way: Way, burst: Burst) -> Bench:
    class Talk:
        def packet(self, upward: bool) -> dict[str, Any]:
            return {}

    class Fake:
        patience = Patience(0.01, burst.loss, again=burst.loss_after_loss)
        inside = outside = way

        def fresh(self) -> None: ...
        def to(self, address: int, port: int) -> None: ...
        def pause(self, seconds: float) -> None:
            way.now += seconds

    fake = Fake()
    fake.talk = Talk()  # type: ignore[attr-defined]
    return cast(Bench, fake)


@pytest.mark.parametrize("text", [(0.01, 0.3), (0.02, 0.1), (0.01, 0.05)])
def test_bursts_are_no_throttle_and_a_throttle_is_seen_behind_them(
    monkeypatch: pytest.MonkeyPatch, text: tuple[float, float]
) -> None:
    burst = Burst(*text)
    monkeypatch.setattr(link, "open_one", lambda bench, *where: bench.talk)
    called = {True: 0, False: 0}
    for throttled in called:
        for seed in range(200):
            way = Way(Line(Impairment(burst=burst), random.Random(seed)), throttled)
            called[throttled] += throttle(bench(way, burst)) is not None
    assert called[False] <= 2, "of 200; one train alone would call it one up to thirty times"
    assert called[True] >= 190
