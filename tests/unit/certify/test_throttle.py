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
    """What passes of a train: a line with bursts of loss, and 2,000 bytes a second where it is throttled, half of them
    taken by others until some time."""

    line: Line
    throttled: bool
    shared_until: float = 0.0
    trains: list[Sequence[tuple[int, int]]] = field(default_factory=list)
    now: float = 0.0

    def order(self, order: str, **fields: Any) -> dict[str, Any]:
        if order == "arrivals":
            return {"arrived": self.trains[-1]}
        passed, bucket = [], 2_000.0
        for number in range(fields["count"]):
            self.now += fields["gap_s"]
            rate = 1_000 if self.now < self.shared_until else 2_000
            bucket = min(2_000.0, bucket + rate * fields["gap_s"])
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


@pytest.mark.parametrize(("shared_until", "trains"), [(0.0, 2), (3.0, 3)])
def test_what_other_hosts_take_of_a_throttle_is_not_taken_for_its_rate(
    monkeypatch: pytest.MonkeyPatch, shared_until: float, trains: int
) -> None:
    monkeypatch.setattr(link, "open_one", lambda bench, *where: bench.talk)
    way = Way(Line(Impairment(), random.Random(1)), True, shared_until)
    assert throttle(bench(way, Burst(0.0, 1.0))) == pytest.approx(16, rel=0.2)
    assert len(way.trains) == trains
    assert trains == 2 or len(way.trains[0]) < 0.75 * len(way.trains[-1])


def test_others_that_never_let_a_throttle_be_do_not_keep_a_certification_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(link, "open_one", lambda bench, *where: bench.talk)
    passed = iter([4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
    monkeypatch.setattr(link, "_passing", lambda bench, talk: next(passed))
    way = Way(Line(Impairment(), random.Random(1)), True)
    assert throttle(bench(way, Burst(0.0, 1.0))) == 9.0, "the sixth"


def test_where_nothing_is_throttled_one_train_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "open_one", lambda bench, *where: bench.talk)
    way = Way(Line(Impairment(), random.Random(1)), False)
    assert throttle(bench(way, Burst(0.0, 1.0))) is None and len(way.trains) == 1
