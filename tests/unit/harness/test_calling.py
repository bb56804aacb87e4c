"""A request for a call that makes sense, and one that makes none."""

import pytest

from lab.errors import ConfigError
from lab.harness.calling import request


def test_holds_are_taken_in_their_order_and_do_not_count_as_talk() -> None:
    made = request("bob", "frank", 5, 500, [(64, 70), (2, 62)])
    assert made.holds == ((2, 62), (64, 70)) and made.held == 66


@pytest.mark.parametrize(
    ("holds", "sentence"),
    [
        ([(2, 3)], "a hold lasts at least 2 s, got 2:3"),
        ([(3, 2)], "a hold lasts at least 2 s, got 3:2"),
        ([(0.5, 9)], "at least 1 s of talk before the hold 0.5:9"),
        ([(2, 9), (8, 12)], "at least 1 s of talk before the hold 8:12"),
        ([(3.5, 9)], "after 3.5 of 4 s there is too little left"),
        ([(2, 9), (10.5, 14)], "after 3.5 of 4 s there is too little left"),
    ],
)
def test_a_hold_that_shows_nothing_is_refused(holds: list[tuple[float, float]], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        request("bob", "frank", 4, 500, holds)
