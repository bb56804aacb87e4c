"""How many of some tries must succeed: what chance allows is let pass, what it does not is told."""

from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from lab.harness.call_report import CallReport, SetupTimes, Stretch
from tests.shares import DEMANDS, TRIES, Demand, after_the_answer, fewest, shortfall
from tests.theory import Search

TRIED = DEMANDS[Search.TRIED]


@pytest.mark.parametrize(
    ("tries", "share", "least"),
    [(40, 0.9, 29), (8, 0.9, 4), (2, 0.9, 0), (40, 0.5, 10), (400, 0.9, 340), (0, 0.9, 0)],  # tables of the binomial
)
def test_so_many_succeed_but_once_in_a_thousand(tries: int, share: float, least: int) -> None:
    assert fewest(tries, share) == least


def test_a_campaign_holds_its_shares_as_they_stand() -> None:
    late, found = [7.0] * 4, [1.0] * 36
    assert len(late + found) == TRIES and shortfall(late + found, TRIED, doubt=None) is None
    assert "35 of 40 within 6 s, expected 36" in str(shortfall([*late, None, *found[1:]], TRIED, doubt=None))
    slow = [3.0] * 21 + [1.0] * 19
    assert "19 of 40 within 2.5 s, expected 20" in str(shortfall(slow, TRIED, doubt=None))


@pytest.mark.parametrize("search", Search)
def test_clients_that_do_not_guess_fall_short_in_any_number_of_tries_that_counts(search: Search) -> None:
    assert "never" in str(shortfall([None] * 8, DEMANDS[search]))


def test_without_a_limit_in_time_only_the_share_counts() -> None:
    assert shortfall([None] * 8, Demand(0.9, inf)) is not None
    assert shortfall([100.0] * 8, Demand(0.9, inf)) is None


def test_a_path_is_found_when_its_first_stretch_begins() -> None:
    times = SetupTimes(44, 500, 560, 1500)
    history = (
        Stretch("relayed", "udp", "relay-1", 501, 1500, True),
        Stretch("punched", "udp", None, 1500, 2000, True),
        Stretch("relayed", "udp", "relay-1", 2000, 2500, True),
        Stretch("punched", "udp", None, 2500, 3000, True),
    )
    report = CallReport("c1", "a", "b", True, None, None, None, True, (), history, times, {}, {}, Path())
    assert after_the_answer(report, "punched/udp") == 1.0
    assert after_the_answer(report, "direct/udp") is None
    assert after_the_answer(replace(report, setup_ms=SetupTimes(44, None, None, None)), "punched/udp") is None
