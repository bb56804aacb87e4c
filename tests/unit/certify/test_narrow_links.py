"""A train is as dense as its link bears: on one with a rate nothing of it waits, and nothing is lost by itself."""

from random import Random

import pytest

from lab.certify.claimed import LinkClaim, link_claim
from lab.certify.comparing import deviation
from lab.certify.measuring.link import GAP_S, LONGEST_TRAIN_S, PROBE_BYTES, PROBES, train_on
from lab.links import Impairment, Link, Queue
from lab.links.line import Line


def lost(line: Impairment, count: int, gap_s: float) -> int:
    """How many of a train's probes a line drops."""
    real = Line(line, Random(1))
    return sum(real.cross(number * gap_s, PROBE_BYTES) is None for number in range(count))


@pytest.mark.parametrize("rate", [32_000, 64_000, 100_000, 1_000_000])
@pytest.mark.parametrize("queue", [None, Queue(bytes=PROBE_BYTES)])
def test_a_train_loses_nothing_to_a_rate(rate: int, queue: Queue | None) -> None:
    count, gap_s = train_on(rate)
    assert lost(Impairment(rate=rate, queue=queue), count, gap_s) == 0
    assert count * gap_s <= LONGEST_TRAIN_S


def test_the_train_of_a_wide_link_would_be_lost_on_a_narrow_one() -> None:
    assert train_on(None) == train_on(1_000_000) == (PROBES, GAP_S)
    assert lost(Impairment(rate=32_000), PROBES, GAP_S) > PROBES / 3


def test_a_narrow_link_is_measured_by_fewer_probes_that_still_tell_a_tenth_of_loss() -> None:
    count, _ = train_on(32_000)
    assert count == 600
    assert 4 * deviation(0.0, count) < 0.01 and 4 * deviation(0.1, count) < 0.05


def test_a_link_claims_its_narrower_rate_and_the_smaller_queue() -> None:
    found = link_claim(Link(Impairment(rate=64_000, queue=Queue(bytes=5000)), Impairment(rate=1_000_000)))
    assert (found.rate, found.queue_bytes) == (64_000, 5000)
    assert (LinkClaim().rate, LinkClaim().queue_bytes) == (None, None)
