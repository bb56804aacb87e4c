"""Whether the machine ran all the while; what it stood still in is measured again, whatever that says.

Belongs here: a clock that looks at itself, and doing a thing again. Never: what is measured, or whether it agrees.
A machine that stands still for seconds (a virtual one does when its host is busy) delays packets, and lets mappings die
that somebody was about to ask. So such a measurement says nothing, be it as claimed or not: it is thrown away before
anybody has looked at it, and the report says so. That makes no second chance for a network that is not what it claims.
"""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from lab.certify.asking import SLACK_S, Severed

T = TypeVar("T")
LOOK_S = 0.05
"""Between two looks at the clock."""
STALL_S = SLACK_S
"""A look that comes so late: longer than a packet is waited for beyond its link's delay."""
TIMES = 3
"""So often at most a thing is measured; on a machine that stands still each time, the last one has to do."""


class Watch:
    """A thread that wakes twenty times a second, while its `with` block lasts, and remembers when it could not.

    `clock`: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._stalls: list[tuple[float, float]] = []  # from the last look that was in time to the late one
        self._last = clock()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            self.look()

    def look(self) -> None:
        """Note how long ago the last look was."""
        with self._lock:
            now = self._clock()
            if now - self._last - LOOK_S > STALL_S:
                self._stalls.append((self._last, now))
            self._last = now

    def stood_still(self, since: float) -> float:
        """For how many seconds at a time the machine stood still, at most, since then; 0 where it ran."""
        self.look()  # a stall that has just ended may not have been seen yet
        with self._lock:
            return max((until - start for start, until in self._stalls if until > since), default=0.0)

    def undisturbed(self, what: str, measure: Callable[[], T], say: Callable[[str], None]) -> T:
        """What is found while the machine runs; `say` hears of each time that it did not."""
        for time_left in reversed(range(TIMES)):
            began = self._clock()
            try:
                found, failure = measure(), None
            except Severed as error:  # a way that was cut; or nobody there to see what came
                failure = error
            stall = self.stood_still(began)
            if stall and time_left:
                say(f"{what}: measured again, for the machine stood still for {stall:.1f} s")
                continue
            if stall:
                say(f"{what}: the machine stood still for {stall:.1f} s, {TIMES} times running")
            if failure:
                raise failure
            return found
        raise AssertionError("unreachable")
