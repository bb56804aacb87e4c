"""Whether the path in use still brings the peer's voice: noticed within a few lost packets, long before consent ends.

Belongs here: when silence is suspicious, and when it has lasted too long. Never: which path comes next (checklist.py).
"""

from collections import deque

SILENCE = 0.2
"""Seconds without a packet, where voice had come steadily, that are suspicious: ten packets of 20 ms each."""
STEADY = 5
"""Packets within RECENT seconds that make voice steady."""
RECENT = 1.0
TOO_LONG = 0.4
"""Seconds of silence, and a round trip, after which the path is left for one that answers. SILENCE is enough where the
peer's voice comes another way meanwhile: it has left this one, which may have died in one direction."""
SLACK, TRIPS = 0.03, 1.5
"""Seconds, and round trips, that a check of a silent path has for its answer: it waits for its turn, and a round trip
is a mean."""
STORM = 0.1
"""Seconds between two checks of one path while the silence lasts."""
EXCUSED = 5.0
"""Seconds between two silences of which the second is no longer an event of the network but loss."""
STORM_LIMIT = 10.0
"""Seconds after which checks go back to their usual pace: the peer's network is gone for longer."""


class Vigil:
    """Listens for what comes on one path; times are monotonic seconds."""

    def __init__(self) -> None:
        self.path: object = None
        self.arrivals: deque[float] = deque(maxlen=STEADY)
        self.last = self.elsewhere = 0.0
        self.suspicious_since: float | None = None
        self.excused = float("-inf")
        self.on_hold = False

    def watch(self, path: object, now: float) -> None:
        """Another path is in use, or none. Voice that was steady before is expected on it at once."""
        if path is not self.path:
            self.path, self.last = path, now

    def hear(self, path: object, now: float) -> None:
        """A packet of the peer's voice."""
        if path is self.path:
            self.arrivals.append(now)
            self.last, self.suspicious_since = now, None
        else:
            self.elsewhere = now

    def excuses(self, now: float) -> bool:
        """Asked before `hear`: whether what is missing was one silence, as of a path that had to be found again."""
        if self.suspicious_since is None:
            return False
        before, self.excused = self.excused, now
        return now - before > EXCUSED

    def forget(self) -> None:
        """No voice is expected any more, or not yet."""
        self.arrivals.clear()
        self.suspicious_since = None

    def hold(self, on: bool) -> None:
        """The call is put on hold, or taken off it: silence means nothing until voice comes steadily again."""
        self.on_hold = on
        self.forget()

    @property
    def steady(self) -> bool:
        """Whether voice came steadily until it stopped."""
        return not self.on_hold and len(self.arrivals) == STEADY and self.arrivals[-1] - self.arrivals[0] < RECENT

    def suspects(self, now: float) -> bool:
        """Whether it has become suspiciously silent; the first time that this is so starts `suspicious_since`."""
        silent = self.path is not None and self.steady and now >= self.last + SILENCE
        if silent and self.suspicious_since is None:
            self.suspicious_since = now
        return silent

    def storms(self, now: float) -> bool:
        """Whether every path is to be checked in quick succession."""
        return self.suspicious_since is not None and now - self.suspicious_since < STORM_LIMIT

    def unanswered(self, answered: float, rtt: float, now: float) -> bool:
        """Whether the path in use, whose last answer came at `answered`, is silent and has had the time to answer."""
        since = self.suspicious_since
        return since is not None and answered < since and now >= since + SLACK + TRIPS * rtt

    def lasts_too_long(self, answered: float, rtt: float, now: float) -> bool:
        """Whether that path is to be left: neither voice nor an answer comes."""
        since = self.suspicious_since
        if since is None or not self.unanswered(answered, rtt, now):
            return False
        return self.elsewhere > since or now >= self.last + TOO_LONG + rtt

    def deadline(self) -> float | None:
        """When silence becomes suspicious."""
        if self.path is None or not self.steady or self.suspicious_since is not None:
            return None
        return self.last + SILENCE
