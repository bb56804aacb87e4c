"""A call that is placed while something else goes on, in a thread of its own.

Belongs here: starting it, telling its events, hanging it up. Never: how a call is placed (placing.py).
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.harness.call_report import CallReport
from lab.harness.events import CallEvent

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
