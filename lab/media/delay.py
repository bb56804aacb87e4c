"""How long the jitter buffer should hold a frame: the target follows what the network's delay varied by lately.

Knows transit times only, in seconds on one monotonic clock; no packets, no playing.
"""

from collections import deque

FLOOR_SECONDS = 0.02
"""Least target while nothing gets lost, and the target until enough was measured: what begins with less has to stretch
the first words, what begins with more lets the first one wait."""

RECOVERY_SECONDS = 0.04
"""Least target with loss: only a frame that waits longer than the next one takes to come can be recovered from it."""

CEILING_SECONDS = 0.4
"""G.114 calls 400 ms the limit of a conversation: what came later than that is an outage and not jitter."""

_WINDOW = 150  # packets: the last 3 s, so a storm is forgotten 3 s after it passed
_EVERY = 10  # packets between two reckonings
_SHARE = 0.98  # of packets that shall come in time
_MARGIN_SECONDS = 0.01
_LOSS_MEMORY = 500  # packets, 10 s


class DelayEstimate:
    """Target delay of the playout, from the transit time of each packet (arrival less media time, any offset)."""

    def __init__(self) -> None:
        self._transits: deque[float] = deque(maxlen=_WINDOW)
        self._since = 0
        self._armed = 0
        self.fastest: float | None = None
        """Least transit of the window: the delay that the playout's delay is counted from."""
        self.target = FLOOR_SECONDS

    def observe(self, transit: float, late: bool = False) -> None:
        """A packet's transit, in seconds; `late` when it missed its moment, which is acted upon at once."""
        self._transits.append(transit)
        self._since += 1
        self._armed = max(0, self._armed - 1)
        if self.fastest is None or transit < self.fastest:
            self.fastest = transit
        if late or self._since >= _EVERY:
            self._reckon()

    def lose(self) -> None:
        """A packet did not come: more may follow, and redundancy shall serve."""
        self._armed = _LOSS_MEMORY
        self.target = max(self.target, RECOVERY_SECONDS)

    def restart(self, fastest: float) -> None:
        """After an outage: what it did to the packets says nothing about the time that follows."""
        self._transits.clear()
        self._transits.append(fastest)
        self._since = 0
        self.fastest = fastest
        self.target = RECOVERY_SECONDS

    def _reckon(self) -> None:
        self._since = 0
        ordered = sorted(self._transits)
        self.fastest = ordered[0]
        jitter = [transit for transit in ordered if transit - ordered[0] <= CEILING_SECONDS]
        wanted = jitter[int(_SHARE * (len(jitter) - 1))] - ordered[0] + _MARGIN_SECONDS
        least = RECOVERY_SECONDS if self._armed else FLOOR_SECONDS
        self.target = min(CEILING_SECONDS, max(least, wanted))
