"""What a stall of the machine spoils is measured again, whether it agrees or not, and it is said."""

import threading

import pytest

from lab.certify.asking import Severed
from lab.certify.steadiness import STALL_S, TIMES, Watch


class Clock:
    """Seconds that pass as the test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def measured(stalls: list[float], outcomes: list[object]) -> tuple[object, list[str], int]:
    """The outcome of a measurement that takes a stall of so many seconds each time, what was said, how often it ran."""
    clock, said, times = Clock(), list[str](), 0
    watch = Watch(clock)

    def measure() -> object:
        nonlocal times
        for _ in range(20):
            clock.now += 0.05
            watch.look()
        clock.now += stalls[times]
        watch.look()
        times += 1
        if isinstance(outcomes[times - 1], Severed):
            raise outcomes[times - 1]  # type: ignore[misc]
        return outcomes[times - 1]

    return watch.undisturbed("udp", measure, said.append), said, times


@pytest.mark.parametrize("outcomes", [["as claimed", "as claimed"], ["not so", "as claimed"], ["as claimed", "not so"]])
def test_what_a_stall_has_spoilt_is_measured_again_whatever_it_said(outcomes: list[object]) -> None:
    found, said, times = measured([3.2, 0.0], outcomes)
    assert (found, times) == (outcomes[1], 2)
    assert said == ["udp: measured again, for the machine stood still for 3.2 s"]


def test_what_nothing_disturbed_is_measured_once_whatever_it_says() -> None:
    assert measured([STALL_S / 2], ["not so"]) == ("not so", [], 1)
    with pytest.raises(Severed):
        measured([0.0], [Severed("cut")])


def test_a_way_that_was_cut_while_the_machine_stood_still_is_tried_again() -> None:
    found, said, times = measured([2.0, 0.0], [Severed("cut"), "as claimed"])
    assert (found, len(said), times) == ("as claimed", 1, 2)


def test_a_machine_that_stands_still_each_time_has_its_last_word_and_that_is_said() -> None:
    found, said, times = measured([2.0] * TIMES, ["not so"] * TIMES)
    assert (found, times) == ("not so", TIMES)
    assert said[-1] == f"udp: the machine stood still for 2.0 s, {TIMES} times running"


def test_a_stall_before_a_measurement_is_none_of_its_own() -> None:
    clock = Clock()
    watch = Watch(clock)
    clock.now = 5.0
    watch.look()
    clock.now = 5.05
    assert watch.stood_still(since=5.0) == 0.0
    assert watch.stood_still(since=4.0) == 5.0


def test_a_watch_goes_on_looking_by_itself() -> None:
    looks, seen = 0, threading.Event()

    def clock() -> float:
        nonlocal looks
        looks += 1
        if looks > 3:
            seen.set()
        return 0.0

    with Watch(clock):
        assert seen.wait(10)
