"""A call that is placed while something else goes on, in a thread of its own.

Belongs here: starting it, telling its events, hanging it up, and the packets that pass meanwhile. Never: how a call is
placed (placing.py).
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from lab.errors import Interrupted
from lab.harness.call_report import CallReport
from lab.harness.events import CallEvent
from lab.harness.passing import Row

EVERY = 0.1
"""Seconds between two looks at what has passed."""
_UNTOLD = ("progress",)
"""Events of a call that are no news."""


@dataclass
class Calling:
    """A call beside the captures, in a thread of its own: `report` when it is over, or the `error` that ended it."""

    place: Callable[[Callable[[CallEvent], None]], CallReport]
    tell: Callable[[float, str, str | None], None]
    report: CallReport | None = None
    error: BaseException | None = None
    _stopped: bool = False
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Dial."""
        self._thread = threading.Thread(target=self._run, name="a call beside captures", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self._thread is not None and not self._thread.is_alive()

    def stop(self, seconds: float = 15.0) -> None:
        """Hang up, and return when it is over: the next thing that is heard of it ends it, and an end that talks
        speaks once a second."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        try:
            self.report = self.place(self._follow)
        except BaseException as error:
            self.error = error

    def _follow(self, event: CallEvent) -> None:
        if self._stopping.is_set() and not self._stopped:  # once: its last words are still heard
            self._stopped = True
            raise KeyboardInterrupt
        if event.event not in _UNTOLD:
            path = f" {event.path}" if event.path else ""
            text = f"{event.node}: {event.event}{path}"
            self.tell(event.at, text, text)


class Session(Protocol):
    """Captures that go on, as far as a call beside them needs: `Capturing` is one."""

    def note(self, at: float, text: str, event: str | None = None) -> None:
        """Something that is no packet."""

    def poll(self, now: float) -> list[Row]:
        """The rows whose turn has come."""

    def rest(self) -> list[Row]:
        """After the end: every row that was still to come."""

    def close(self) -> object:
        """End the captures; a second time, nothing more."""

    def discard(self) -> None:
        """Remove what they have kept."""


def accompanied(
    session: Session, place: Callable[[Callable[[CallEvent], None]], CallReport], tell: Callable[[list[Row]], None]
) -> tuple[CallReport, str | None]:
    """Place a call, and give `tell` the rows of its packets while they pass.

    Returns its report, and what kept the rows from being told to their end, None if nothing did: whatever befalls the
    captures, the call goes on. Whatever ends this, the call is hung up, and no capture goes on. Raises what the call
    raised.
    """
    calling, trouble = Calling(place, session.note), None

    def last() -> list[Row]:
        session.close()
        return session.rest()

    def take(rows: Callable[[], list[Row]]) -> None:
        nonlocal trouble
        if trouble is None:
            try:
                found = rows()
            except Exception as error:
                trouble = str(error) or type(error).__name__
            else:
                tell(found)

    try:
        calling.start()
        while not calling.over:
            take(lambda: session.poll(time.monotonic()))
            time.sleep(EVERY)
        take(last)
    except KeyboardInterrupt as interrupt:
        calling.stop()
        if isinstance(calling.error, Interrupted):  # it says what is kept of the call
            raise calling.error from interrupt
        raise
    finally:
        try:
            calling.stop()
        finally:
            session.close()
            session.discard()
    if calling.report is None:
        raise calling.error or RuntimeError("a call that is over has neither a report nor an error")
    return calling.report, trouble
