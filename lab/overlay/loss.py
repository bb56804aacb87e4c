"""How much of the peer's voice is lost on the way: from RTP's sequence numbers (RFC 3550, 5.1), readable under SRTP.

Belongs here: counting over the last seconds, path by path. Never: what follows from it, nor whose a packet is: what is
heard here has been checked (RFC 3711, 3.3).
"""

import itertools
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from lab.wire.rtp import is_rtp

WINDOW = 2.0
"""Seconds over which loss is measured, and that a path has to carry voice before anything is said of it."""
TOO_MUCH = 0.1
"""Share of lost packets above which a path ranks below every clean one."""
LATEST = 25
TOO_MANY = ((LATEST, 6, 3), (2 * LATEST, 8, 4))
"""Of so many packets, half a second's and a second's, so many lost in so many gaps are too much at once. Of 60,000
simulated lines that lose three in ten, the median shows in 0.42 s, 99 in a hundred in 1.0 s (1.15 by the first alone),
all but one in 10,000 in 1.7 s; one that loses three in a hundred does five times an hour, as often as it comes to
TOO_MUCH. What is lost in one run is left to WINDOW, or to silence (vigil.py)."""
SOONEST, LATER, LATEST_OF_ALL = 0.04, 1.5, 0.3
"""Seconds that a packet is waited for when one behind it has come, where none has been late yet; where some have been,
so many times as long as the latest of them; and at the most: what comes later than that no ear hears."""
MISORDER, DROPOUT = 100, 250
"""Packets by which a number may lie behind the highest, and before it: two and five seconds. A flood of old packets, or
one that somebody has made up, says nothing of the path."""
SETTLED = 1.0
"""Seconds that a path has to carry voice before that is said of it."""


class LossMeter:
    """Counts what arrives on each path; a gap counts for the path on which both its neighbours came, once a packet that
    is behind it has been here for longer than any has been late."""

    def __init__(self) -> None:
        self.heard: deque[tuple[float, int, Hashable]] = deque()
        self.highest: int | None = None
        self.gap: int | None = None
        """The packet behind the last gap."""
        self.stray: int | None = None
        self.late = SOONEST
        self.path: Hashable = None
        self.since = 0.0

    def hear(self, path: Hashable, data: bytes, now: float) -> bool:
        """A packet of the peer; what is no RTP, or of another time, is left alone. True where some are missing that
        came before it, not long ago."""
        if not is_rtp(data) or (number := self._number(int.from_bytes(data[2:4], "big"))) is None:
            return False
        if path != self.path or not self.heard or now - self.heard[-1][0] > WINDOW:
            self.path, self.since, self.late = path, now, SOONEST
        if self.highest is not None and number > self.highest + 1:
            self.gap = number
        elif overtook := next((at for at, other, by in self.heard if other > number and by == path), None):
            self.late = min(LATEST_OF_ALL, max(self.late, LATER * (now - overtook)))
        self.highest = number if self.highest is None else max(self.highest, number)
        self.heard.append((now, number, path))
        self._trim(now)
        return self.gap is not None and number <= self.gap + 2 * LATEST

    def _number(self, sequence: int) -> int | None:
        """The number that a sequence number stands for; None for one too far from the others, unless it is the second
        in a row: then they are counted anew (RFC 3550, A.1)."""
        if self.highest is None:
            return sequence
        number = self.highest + (sequence - self.highest + 0x8000) % 0x10000 - 0x8000
        if -MISORDER <= number - self.highest <= DROPOUT:
            self.stray = None
            return number
        if sequence == self.stray:
            self.heard.clear()
            self.highest = self.gap = self.stray = None
            return number
        self.stray = (sequence + 1) % 0x10000
        return None

    def lost(self, now: float) -> float | None:
        """The share that the path lost on which voice comes now, 0 to 1; None until it has come there for a while."""
        self._trim(now)
        if not self.heard or now - self.since < SETTLED:
            return None
        last = max((number for at, number, _ in self.heard if at <= now - self.late), default=None)
        if last is None:
            return None
        numbers = sorted((number, path) for _, number, path in self.heard if number <= last)
        gaps = [
            (later, later - earlier - 1)
            for (earlier, before), (later, path) in itertools.pairwise(numbers)
            if before == path == self.path and later > earlier + 1
        ]
        for span, many, scattered in TOO_MANY:
            latest = [missing for behind, missing in gaps if behind > last - span]
            if len(latest) >= scattered and sum(latest) >= many:
                return min(1.0, sum(latest) / span)
        if now - self.since < WINDOW:
            return None
        missing = sum(missing for _, missing in gaps)
        came = sum(path == self.path for _, path in numbers)
        return missing / (missing + came) if came else None

    def still_hears(self, now: float) -> bool:
        """Whether voice has come within WINDOW, however little."""
        self._trim(now)
        return bool(self.heard)

    def forget(self) -> None:
        """What came so far came another way."""
        self.heard.clear()

    def _trim(self, now: float) -> None:
        while self.heard and now - self.heard[0][0] > WINDOW:
            self.heard.popleft()


COUNTED, VOICED = 40, 100
"""Datagrams that a leg's share of lost ones is reckoned from, and those of voice that WINDOW has each way."""
DROWNED = 3
"""Unanswered binds in a row, 1.5 s, that say the same: what is dropped above a rate drops the large ones first."""
COUNTING = 0.5
"""Seconds between binds while it is to be known whether the leg loses voice: each answer says what the relay has had
from the leg and sent to it."""
ATTENTIVE = 3.0
"""Seconds for which a leg counts so often when voice begins to flow and whenever some of it is missed: for as long as
either end hears all of it, no leg loses any, and a bind costs a relay as much as seventy packets that its kernel
forwards."""
CLEAN = 0.01
"""Share of lost packets, heard by either end, up to which no leg is doubted."""
VOICE = 15
"""Packets of voice between two binds, sent and heard, from which on a leg carries it."""


@dataclass(frozen=True, slots=True)
class _Count:
    """Datagrams of a leg up to a bind and its answer: sent by the client, had by the relay, returned by it, got."""

    time: float
    sent: int
    had: int
    returned: int
    got: int


class LegMeter:
    """Counts one UDP leg's datagrams at the client's end and compares them with what the relay says that it counted.

    `got` is of whatever comes from the relay's address, for the relay passes on and counts what it cannot read, too;
    `voice` is of this end's voice and of what is the peer's by its protection. Where none goes, neither what comes nor
    what the relay says tells anything: both may be made up.
    """

    def __init__(self) -> None:
        self.sent = self.got = self.voice = self.marked = self.unanswered = 0
        self.flowed = False
        self.asked: dict[bytes, int] = {}
        self.counts: deque[_Count] = deque()

    @property
    def flows(self) -> bool:
        """Whether voice has gone or come since the last bind."""
        return self.voice - self.marked >= VOICE

    def ask(self, transaction: bytes) -> bool:
        """A bind goes out; True where so many have gone unanswered beside voice that the leg drowns."""
        self.flowed, self.marked = self.flows, self.voice
        self.asked[transaction] = self.sent
        while len(self.asked) > 2 * DROWNED:
            del self.asked[next(iter(self.asked))]
        self.unanswered = self.unanswered + 1 if self.flowed else 0
        return self.unanswered > DROWNED

    def answer(self, transaction: bytes, counts: int | None, now: float) -> bool:
        """The relay's counts came; True where over the last WINDOW too much is missing, in either direction."""
        sent = self.asked.pop(transaction, None)
        if sent is None:
            return False
        self.unanswered = 0
        if counts is None:
            return False
        had, returned = counts >> 32, counts & 0xFFFF_FFFF
        if self.counts and (had < self.counts[-1].had or returned < self.counts[-1].returned):
            self.counts.clear()  # it counts from anew: this end has come to it from another outer address
        self.counts.append(_Count(now, sent, had, returned, self.got))
        while len(self.counts) > 2 and now - self.counts[1].time >= WINDOW:
            self.counts.popleft()
        first, last = self.counts[0], self.counts[-1]
        if last.time - first.time < WINDOW or not self.flowed:
            return False
        up = (last.sent - first.sent, last.had - first.had)
        down = (last.returned - first.returned, last.got - first.got)
        return any(due >= COUNTED and due - came > _bearable(due) for due, came in (up, down))


def _bearable(due: int) -> float:
    """How many of these may be missing: TOO_MUCH of the last WINDOW, and before it, while nobody doubted, CLEAN."""
    recent = min(due, VOICED)
    return TOO_MUCH * recent + CLEAN * (due - recent)
