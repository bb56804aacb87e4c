"""Figures against the vectors of their recommendations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.media.quality import InterarrivalJitter, delay_impairment, loss_impairment, mos, rating


# ITU-T G.107, table B.1 (and its default R of 93.2 with a MOS of 4.41).
@pytest.mark.parametrize(("r", "score"), [(93.2, 4.41), (90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_mos_of_a_rating_is_the_one_of_g107(r: float, score: float) -> None:
    assert mos(r) == pytest.approx(score, abs=0.01)


@pytest.mark.parametrize(("r", "score"), [(-5, 1.0), (0, 1.0), (3, 1.0), (100, 4.5), (120, 4.5)])
def test_mos_stays_between_1_and_4_and_a_half(r: float, score: float) -> None:
    assert mos(r) == pytest.approx(score)


@pytest.mark.parametrize(
    ("delay_ms", "impairment"), [(0, 0.0), (100, 2.4), (150, 3.6), (177.3, 4.2552), (277.3, 17.6552), (400, 34.097)]
)
def test_delay_hurts_little_up_to_177_ms_and_much_beyond(delay_ms: float, impairment: float) -> None:
    assert delay_impairment(delay_ms) == pytest.approx(impairment, abs=1e-6)


def test_loss_hurts_as_in_g107_with_the_robustness_of_opus() -> None:
    assert loss_impairment(0) == 0
    assert loss_impairment(19.5) == pytest.approx(47.5)  # as much loss as robustness costs half of the scale
    assert loss_impairment(100) == pytest.approx(95 * 100 / 119.5)


def test_a_good_call_scores_above_4_and_a_broken_one_below_2_and_a_half() -> None:
    assert mos(rating(60, 0)) > 4.3
    assert mos(rating(60, 1)) > 4.1
    assert mos(rating(400, 20)) < 2.5


@given(st.floats(0, 2000), st.floats(0, 100), st.floats(0, 500), st.floats(0, 50))
def test_more_delay_or_loss_never_scores_higher(delay: float, loss: float, more_delay: float, more_loss: float) -> None:
    assert mos(rating(delay + more_delay, loss)) <= mos(rating(delay, loss)) + 1e-9
    assert mos(rating(delay, min(100, loss + more_loss))) <= mos(rating(delay, loss)) + 1e-9


def test_jitter_of_an_even_stream_is_nought() -> None:
    jitter = InterarrivalJitter()
    for index in range(100):
        jitter.observe(5 + index * 0.02, index * 960)
    assert jitter.milliseconds == pytest.approx(0, abs=1e-9)


def test_jitter_is_smoothed_by_sixteenths() -> None:
    jitter = InterarrivalJitter()
    jitter.observe(0.0, 0)
    jitter.observe(0.036, 960)  # 16 ms late
    assert jitter.milliseconds == pytest.approx(1.0)
    jitter.observe(0.056, 1920)
    assert jitter.milliseconds == pytest.approx(1.0 - 1 / 16)


def test_jitter_that_alternates_by_10_ms_settles_at_10_ms() -> None:
    jitter = InterarrivalJitter()
    for index in range(400):
        jitter.observe(index * 0.02 + 0.01 * (index % 2), index * 960)
    assert jitter.milliseconds == pytest.approx(10, abs=0.01)


def test_jitter_is_blind_to_a_wrap_and_to_a_clock_that_starts_anew() -> None:
    jitter = InterarrivalJitter()
    for index in range(10):
        jitter.observe(index * 0.02, (0xFFFFFFFF - 3000 + index * 960) & 0xFFFFFFFF)
    jitter.observe(0.2, 0x7000_0000)
    assert jitter.milliseconds == pytest.approx(0, abs=1e-9)
