"""Hubs that let a node in and end its session soon after: each is left alone for a while, ever longer.

Pure. Belongs here: for how long. Never: links, nor which hub is tried before which, which is the host cache's.
"""

import random

from lab.overlay.actions import earliest
from lab.overlay.host_cache import MOST, Machine

SHORT_STAY = 5.0
"""Seconds in a session within which its end is a failure of the hub's."""
BACKOFF_FIRST, BACKOFF_MOST = 0.5, 30.0
"""Seconds between two climbs of the whole ladder, and for which a hub is left alone that has failed; doubled each time,
jittered so that nobody returns in step."""
MOST_DOUBLED = 10


class ShortStays:
    """One node's. A hub that had asked it to go elsewhere before is excused, once: it handed its clients over."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self._times: dict[Machine, int] = {}
        """How many stays in a row were short."""
        self._until: dict[Machine, float] = {}

    def over(self, machine: Machine, seconds: float, asked_to_move: bool, now: float) -> None:
        """A session of so many seconds has ended, and not by this node."""
        times = 1 + self._times.pop(machine, 0)
        if seconds >= SHORT_STAY:
            return
        self._times[machine] = times
        if len(self._times) > MOST:
            del self._times[next(iter(self._times))]
        if failures := times - asked_to_move:
            pause = min(BACKOFF_FIRST * 2 ** min(failures - 1, MOST_DOUBLED), BACKOFF_MOST)
            self._until[machine] = now + pause * self.rng.uniform(0.5, 1.0)

    def rests(self, machine: Machine) -> bool:
        """Whether that one is left alone."""
        return machine in self._until

    def ends(self) -> dict[Machine, float]:
        """Until when each is left alone that is."""
        return dict(self._until)

    def rested(self, now: float) -> list[Machine]:
        """Those that have been left alone for long enough, and are not from now on."""
        rested = [machine for machine, until in self._until.items() if now >= until]
        for machine in rested:
            del self._until[machine]
        return rested

    def hurry(self, now: float) -> None:
        """Nobody is left alone for long any more: a call waits."""
        self._until = {machine: min(until, now + BACKOFF_FIRST) for machine, until in self._until.items()}

    def forget(self) -> None:
        """The node stands elsewhere: what ended its sessions may have been its own network."""
        self._times.clear()
        self._until.clear()

    def deadline(self) -> float | None:
        return earliest(*self._until.values())
