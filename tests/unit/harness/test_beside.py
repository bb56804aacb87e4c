"""A call with captures beside it: its packets are told while they pass, and neither spoils the other."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lab.errors import Interrupted, NotNow, RuntimeUnavailable
from lab.harness.beside import accompanied
from lab.harness.events import CallEvent
from lab.harness.passing import Row
from tests.unit.test_command_line import good

WAIT = 10.0
"""Seconds after which something is not coming any more."""


class Session:
    """Captures that bring a row at each look, or fail from that one on."""

    def __init__(self, fails_at: int | None = None, error: Exception | None = None) -> None:
        self.fails_at, self.error = fails_at, error
        self.looks, self.failed = 0, threading.Event()
        self.told: list[str] = []
        self.done: list[str] = []

    def note(self, at: float, text: str, event: str | None = None) -> None:
        self.told.append(text)

    def poll(self, now: float) -> list[Row]:
        self.looks += 1
        if self.error is not None and self.looks == self.fails_at:
            self.failed.set()
            raise self.error
        return [Row(float(self.looks), "core", "a:1", "b:2", f"look {self.looks}")]

    def rest(self) -> list[Row]:
        assert self.done == ["closed"], "what is left is there once they have ended"
        return [Row(99.0, "core", "a:1", "b:2", "the last one")]

    def close(self) -> None:
        self.done.append("closed")

    def discard(self) -> None:
        self.done.append("discarded")


class Told:
    """Remembers what the rows were, and lets a call go on once so many have come."""

    def __init__(self, enough: int) -> None:
        self.rows: list[str] = []
        self._enough, self.reached = enough, threading.Event()

    def __call__(self, rows: list[Row]) -> None:
        self.rows += [row.what for row in rows]
        if len(self.rows) >= self._enough:
            self.reached.set()


def lasting(until: threading.Event, end: BaseException | None = None) -> Callable[[Callable[[CallEvent], None]], Any]:
    """A call that is dialled at once and is over when something is."""

    def place(follow: Callable[[CallEvent], None]) -> Any:
        follow(CallEvent("dialled", "c1", "bob", 1.0))
        assert until.wait(WAIT)
        if end is not None:
            raise end
        return good()

    return place


def test_rows_are_told_while_the_call_goes_on_and_the_rest_when_the_captures_have_ended() -> None:
    session, told = Session(), Told(3)
    report, trouble = accompanied(session, lasting(told.reached), told)  # over once three were told: not before
    assert report == good() and trouble is None
    assert told.rows[:3] == ["look 1", "look 2", "look 3"] and told.rows[-1] == "the last one"
    assert session.told == ["bob: dialled"] and session.done[-1] == "discarded"


@pytest.mark.parametrize("error", [RuntimeUnavailable("core ended early"), KeyError("core ended early")])
def test_captures_that_fail_leave_the_call_alone_and_are_not_asked_again(error: Exception) -> None:
    session, told = Session(2, error), Told(1)
    report, trouble = accompanied(session, lasting(session.failed), told)
    assert report == good() and trouble is not None and "core ended early" in trouble
    assert told.rows == ["look 1"] and session.looks == 2 and session.done == ["closed", "discarded"]


def test_a_call_that_cannot_be_placed_says_why_and_no_capture_goes_on() -> None:
    session, told = Session(), Told(1)
    with pytest.raises(NotNow, match="bob is in call c9"):
        accompanied(session, lasting(told.reached, NotNow("bob is in call c9 already")), told)
    assert session.done[-2:] == ["closed", "discarded"]


class Terminated(KeyboardInterrupt):
    pass


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt(), Terminated()])
def test_an_interrupt_hangs_up_says_what_is_kept_and_leaves_no_capture(interrupt: KeyboardInterrupt) -> None:
    session, hung_up = Session(), threading.Event()

    def place(follow: Callable[[CallEvent], None]) -> Any:
        try:
            while True:
                follow(CallEvent("progress", "c1", "bob", 1.0))
                threading.Event().wait(0.01)
        except KeyboardInterrupt as error:
            hung_up.set()
            raise Interrupted("interrupted; what is known is in c1") from error

    def tell(rows: list[Row]) -> None:
        raise interrupt

    with pytest.raises(Interrupted, match="what is known is in c1") as left:
        accompanied(session, place, tell)
    assert hung_up.is_set() and left.value.__cause__ is interrupt  # which says what the exit code is
    assert session.done[-2:] == ["closed", "discarded"]


def test_a_reader_that_has_seen_enough_ends_it_all() -> None:
    session, hung_up = Session(), threading.Event()

    def place(follow: Callable[[CallEvent], None]) -> Any:
        try:
            while True:
                follow(CallEvent("progress", "c1", "bob", 1.0))
                threading.Event().wait(0.01)
        finally:
            hung_up.set()

    def tell(rows: list[Row]) -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        accompanied(session, place, tell)
    assert hung_up.is_set() and session.done[-2:] == ["closed", "discarded"]
