"""What a line does to packets, on a clock that stands still for nobody: figures against theory, with seeds.

Bounds of shares are binomial: 4 standard deviations, which one run in 16,000 exceeds; the seeds are fixed.
"""

from itertools import groupby, pairwise
from math import sqrt
from random import Random
from statistics import mean, median

import pytest

from lab.links import Burst, Impairment, Queue
from lab.links.line import Line

SIZE = 1000


def line(impairment: Impairment, seed: int = 1) -> Line:
    return Line(impairment, Random(seed))


def fates(line: Line, count: int, apart: float, size: int = SIZE) -> list[tuple[float, float | None]]:
    """(when sent, when out) of packets that come at a steady pace."""
    return [(at, line.cross(at, size)) for at in (number * apart for number in range(count))]


def lost(fates: list[tuple[float, float | None]]) -> float:
    return sum(out is None for _, out in fates) / len(fates)


def bound(share: float, count: int) -> float:
    return 4 * sqrt(share * (1 - share) / count)


@pytest.mark.parametrize("delay", [0.0, 0.01, 0.05, 0.1, 0.4])
def test_every_packet_takes_the_delay(delay: float) -> None:
    assert all(out == at + delay for at, out in fates(line(Impairment(delay=delay)), 100, 0.0005))


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.5])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_uniform_loss_is_binomial(share: float, seed: int) -> None:
    assert lost(fates(line(Impairment(loss=share), seed), 20_000, 0.001)) == pytest.approx(
        share, abs=bound(share, 20_000)
    )


def test_all_and_nothing() -> None:
    assert lost(fates(line(Impairment(loss=1.0)), 1000, 0.001)) == 1
    assert lost(fates(line(Impairment()), 1000, 0.001)) == 0


def test_uniform_loss_has_no_memory() -> None:
    """After a loss another one is as likely as ever."""
    gone = [out is None for _, out in fates(line(Impairment(loss=0.1)), 50_000, 0.001)]
    after = [second for first, second in pairwise(gone) if first]
    assert mean(after) == pytest.approx(0.1, abs=bound(0.1, len(after)))


@pytest.mark.parametrize(
    "burst", [Burst(0.01, 0.25), Burst(0.02, 0.5, 0.8), Burst(0.005, 0.1, 0.5, 0.01)], ids=["simple", "leaky", "full"]
)
@pytest.mark.parametrize("seed", [1, 2])
def test_bursts_lose_what_the_model_says_in_the_long_run(burst: Burst, seed: int) -> None:
    count = 200_000
    measured = lost(fates(line(Impairment(burst=burst), seed), count, 0.001))
    # Packets of one burst share their luck: as many independent ones as there are changes of state.
    assert measured == pytest.approx(burst.loss, abs=4 * bound(burst.loss, count) / 4 * sqrt(2 / burst.r))


def test_bursts_are_as_long_as_the_model_says() -> None:
    """A bad state lasts 1/r packets on average, and all of them are lost here; the time between is 1/p."""
    burst = Burst(0.01, 0.2)
    gone = [out is None for _, out in fates(line(Impairment(burst=burst)), 200_000, 0.001)]
    lengths = {state: [len(list(run)) for key, run in groupby(gone) if key is state] for state in (True, False)}
    assert mean(lengths[True]) == pytest.approx(1 / 0.2, rel=0.1)
    assert mean(lengths[False]) == pytest.approx(1 / 0.01, rel=0.1)


def test_the_same_seed_is_the_same_luck() -> None:
    figures = Impairment(delay=0.05, jitter=0.01, loss=0.1)
    assert fates(line(figures, 7), 500, 0.001) == fates(line(figures, 7), 500, 0.001)
    assert fates(line(figures, 7), 500, 0.001) != fates(line(figures, 8), 500, 0.001)


@pytest.mark.parametrize("apart", [0.0005, 0.02, 1.0])
def test_jitter_keeps_order_bounds_and_the_median(apart: float) -> None:
    figures = Impairment(delay=0.05, jitter=0.01)
    packets = [(at, out) for at, out in fates(line(figures), 40_000, apart) if out is not None]
    delays = [out - at for at, out in packets]
    assert len(delays) == 40_000
    assert [out for _, out in packets] == sorted(out for _, out in packets)
    assert min(delays) >= 0.04 - 1e-9 and max(delays) <= 0.06 + 1e-9
    assert median(delays) == pytest.approx(0.05, abs=0.0005)
    assert min(delays) < 0.042 and max(delays) > 0.058


def test_jitter_is_felt_between_the_packets_of_a_call() -> None:
    """20 ms apart the mean difference is near that of independent even values, 2/3 of the jitter."""
    delays = [out - at for at, out in fates(line(Impairment(delay=0.05, jitter=0.01)), 20_000, 0.04) if out]
    assert 0.4 * 0.01 < mean(abs(one - other) for one, other in pairwise(delays)) < 0.7 * 0.01


def test_the_rate_sets_the_pace() -> None:
    """1,000 bytes at 1 mbit take 8 ms each."""
    figures = Impairment(rate=1_000_000, queue=Queue(seconds=1.0))
    outs = [out for _, out in fates(line(figures), 100, 0.0)]
    assert outs == pytest.approx([0.008 * (number + 1) for number in range(100)])


def test_below_the_rate_nothing_waits() -> None:
    assert all(out == pytest.approx(at + 0.008) for at, out in fates(line(Impairment(rate=1_000_000)), 100, 0.01))


@pytest.mark.parametrize(
    ("queue", "admitted"),
    [
        (Queue(bytes=10_000), 10),
        (Queue(seconds=0.08), 10),  # the same at 1 mbit
        (Queue(bytes=500), 1),  # an idle link takes any packet
        (None, 12),  # 100 ms
    ],
)
def test_what_exceeds_the_queue_is_dropped(queue: Queue | None, admitted: int) -> None:
    slow = line(Impairment(rate=1_000_000, queue=queue))
    outs = [out for _, out in fates(slow, 50, 0.0)]
    assert [out is not None for out in outs] == [True] * admitted + [False] * (50 - admitted)
    assert (slow.overflowed, slow.lost) == (50 - admitted, 0)


def test_twice_the_rate_loses_half_and_fills_the_queue() -> None:
    """2 mbit into 1 mbit with 200 ms of queue: bufferbloat."""
    packets = fates(line(Impairment(rate=1_000_000, delay=0.01, queue=Queue(seconds=0.2))), 5000, 0.004)
    assert lost(packets) == pytest.approx(0.5, abs=0.01)
    late = [out - at for at, out in packets[1000:] if out is not None]
    assert 0.19 < median(late) - 0.01 <= 0.2


def test_a_shorter_line_delivers_what_is_on_it_sooner_and_in_order() -> None:
    changing = line(Impairment(delay=0.4))
    dues = [out for _, out in fates(changing, 100, 0.002) if out is not None]
    retimed = changing.change(Impairment(delay=0.01), now=0.2)
    assert [retimed(due) for due in dues] == pytest.approx([0.21] * 100)
    assert changing.cross(0.2, SIZE) == pytest.approx(0.21)


def test_a_longer_line_leaves_what_is_under_way_alone() -> None:
    changing = line(Impairment(delay=0.01))
    due = changing.cross(0.0, SIZE)
    assert due is not None and changing.change(Impairment(delay=0.4), now=0.005)(due) == due
    assert changing.cross(0.005, SIZE) == pytest.approx(0.405)


def test_what_waits_for_the_rate_goes_on_at_the_new_one() -> None:
    figures = Impairment(rate=1_000_000, delay=0.01, queue=Queue(seconds=10))
    changing = line(figures)
    dues = [out for _, out in fates(changing, 100, 0.0) if out is not None]
    retimed = changing.change(Impairment(rate=4_000_000, delay=0.01, queue=Queue(seconds=10)), now=0.4)
    # At 0.4 s the fiftieth packet has been sent; the fifty behind it take 2 ms each now.
    assert [retimed(due) for due in dues[50:]] == pytest.approx([0.41 + 0.002 * (number + 1) for number in range(50)])
    assert changing.cross(0.4, SIZE) == pytest.approx(0.41 + 0.002 * 51)
    assert [retimed(due) for due in dues] == sorted(retimed(due) for due in dues)


def test_without_a_rate_nothing_waits_any_more() -> None:
    changing = line(Impairment(rate=8_000, queue=Queue(seconds=60)))
    dues = [out for _, out in fates(changing, 10, 0.0) if out is not None]
    assert len(dues) == 10 and {changing.change(Impairment(), now=0.5)(due) for due in dues} == {0.5}
    assert changing.cross(0.5, SIZE) == 0.5
