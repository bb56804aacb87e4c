"""A simulated story for the eye: rows of bars, words for durations, a terminal of any width."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from lab.report.simulation import bars, crests, seconds, simulation, span
from lab.report.simulation_page import page
from lab.report.simulation_svg import picture
from lab.simulation import STORIES, Outcome, simulate


@pytest.fixture(scope="module")
def found() -> Outcome:
    return simulate(STORIES["outage-2010"], 30, 1)


def drawn(found: Outcome, width: int) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(simulation(found, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bars_go_from_nothing_to_the_highest_and_no_crest_is_lost() -> None:
    assert bars([0, 1, 8], 10) == " ▁█"
    assert bars([1, 0, 0, 0, 100, 0], 3) == "▁ █"
    assert bars([0, 0], 10) == "  "
    assert bars([], 10) == ""
    assert crests([3, 1, 4, 1, 5, 9, 2], 3) == [3, 4, 9]


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 80, 160])
def test_it_fits(found: Outcome, width: int) -> None:
    lines = drawn(found, width).splitlines()
    assert re.match(r"outage-2010  30 clients, \d+ supernodes \(2 dedicated", lines[0])
    assert max(map(len, lines)) <= width
    assert any("█" in line for line in lines)


def test_what_did_not_heal_is_said_first(found: Outcome) -> None:
    failed = replace(found, healed=False, time_to_heal_s=None)
    assert "not healed" in drawn(failed, 120).splitlines()[0]
    assert "never" in drawn(failed, 120)
    assert 'class="bad">not healed' in page(failed)


def test_a_story_of_which_no_second_was_measured_is_drawn_all_the_same(found: Outcome) -> None:
    none = replace(found, moments=(), hops=(), traffic=(), loads=())
    assert "outage-2010" in drawn(none, 120) and "<svg" in page(none) and "<svg" in picture(none)


@pytest.mark.parametrize(
    ("value", "told"), [(0.04, "0.0 s"), (61.2, "61.2 s"), (150.0, "2 min"), (21_600.0, "6.0 h"), (None, "never")]
)
def test_durations(value: float | None, told: str) -> None:
    assert seconds(value) == told
    assert value is None or span(90.0) == "90 s"
