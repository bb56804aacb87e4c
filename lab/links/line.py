"""One direction of a link, packet by packet: a clock and a size in, the time at which the packet leaves out.

Pure: the same seed and the same packets give the same fate. Belongs here: loss, rate, delay. Never: whose packet it is.
"""

from collections.abc import Callable
from random import Random

from lab.links.axes import CLEAN, Impairment

Retiming = Callable[[float], float]

_KNOTS_APART = 4  # times the jitter: the delay changes by at most half of the time in which it does


class Line:
    """Loss, then the wait for the rate, then the delay. First in, first out: no packet overtakes another.

    Jitter is a delay that wanders: evenly distributed values of -jitter to +jitter, four times the jitter apart, and
    straight lines between them. So order is kept without pushing packets back, and the median is the delay itself;
    packets far apart differ as they would with independent draws, packets close together hardly do.
    """

    def __init__(self, impairment: Impairment, random: Random) -> None:
        self.impairment = CLEAN
        self.lost = self.overflowed = 0
        self._random = random.random
        self._bad = False
        self._idle_at = self._last_out = float("-inf")
        self._knots = (0.0, 0.0, 0.0, 0.0)  # the wandering delay: from (time, value) to (time, value)
        self._set(impairment)

    def _set(self, impairment: Impairment) -> None:
        self.impairment = impairment
        self._delay, self._jitter = impairment.delay, impairment.jitter
        self._loss, self._burst = impairment.loss, impairment.burst
        self._byte_time = 8 / impairment.rate if impairment.rate else 0.0
        self._longest_wait = impairment.queue_limit * self._byte_time + 1e-9  # what just fits, fits

    def cross(self, at: float, size: int) -> float | None:
        """When a packet of `size` bytes that comes at `at` (seconds) leaves; None where it never does."""
        if (self._loss and self._random() < self._loss) or (self._burst and self._lost_in_burst()):
            self.lost += 1
            return None
        if self._byte_time:
            start = max(at, self._idle_at)
            # Drop-tail: what waits, and this one, must fit; a link that is idle takes any packet.
            if start > at and start - at + size * self._byte_time > self._longest_wait:
                self.overflowed += 1
                return None
            at = self._idle_at = start + size * self._byte_time
        out = at + self._delay
        if self._jitter:
            out += self._wander(at)
        if out < self._last_out:  # two packets at one knot, or at a clock that jumped
            out = self._last_out
        self._last_out = out
        return out

    def change(self, impairment: Impairment, now: float) -> Retiming:
        """Become another line; returns what that does to the times at which those under way would have left.

        None is lost and none overtakes: those that still wait for the rate go on at the new one, those behind it take
        at most the new delay from now on.
        """
        before, idle_at = self.impairment, self._idle_at
        self._set(impairment)
        ratio = before.rate / impairment.rate if before.rate and impairment.rate else 0.0

        def retimed(due: float) -> float:
            waits = due - before.delay - now
            if before.rate and waits > 0:
                return now + waits * ratio + impairment.delay
            return min(due, now + impairment.delay)

        self._idle_at = now + max(0.0, idle_at - now) * ratio
        self._last_out = retimed(self._last_out)
        self._knots = (0.0, 0.0, 0.0, 0.0)
        return retimed

    def _lost_in_burst(self) -> bool:
        burst = self._burst
        assert burst is not None
        if self._random() < (burst.r if self._bad else burst.p):
            self._bad = not self._bad
        share = burst.loss_bad if self._bad else burst.loss_good
        return share > 0 and self._random() < share

    def _wander(self, at: float) -> float:
        start, first, end, last = self._knots
        apart = _KNOTS_APART * self._jitter
        if at >= end:
            fresh = self._jitter * (2 * self._random() - 1)
            if at >= end + apart:  # after a silence nothing ties the delay to what it was
                start, first = at, self._jitter * (2 * self._random() - 1)
            else:
                start, first = end, last
            end, last = start + apart, fresh
            self._knots = (start, first, end, last)
        return first + (last - first) * (at - start) / apart
