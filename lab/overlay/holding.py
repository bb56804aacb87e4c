"""A call on hold: neither end sends voice until whoever put it on hold has taken it off, and every path stays alive.

What is due while it lasts, path by path, after an answer:

- The path in use needs fresh consent at all times (RFC 7675, 5.1), so it is asked every 5 s; these checks refresh its
  mapping as well, unless the router is known to forget sooner.
- The others, to which nothing is sent, need no consent: each is asked as seldom as this end's router lets a mapping
  live, which was learnt (lifetime.py), and so is the supernode for the socket's own mapping (reflexive.py). The peer
  asks for its own router in the same way, and every answer refreshes both.
- A relay's leg binds by itself (leg.py): at the learnt interval, or when its session wants it, whichever is sooner.
- Over TCP what was learnt is how long a connection may be idle (lifetime.py).

A check that goes unanswered is repeated at the pace of a talking call, and a path that is dead is found out as soon
after it. The checks themselves say who holds the call, by a count of changes: a word that was overtaken is told by it.
"""

import random
from collections.abc import Callable

from lab.overlay.paths import Path

CONSENT_ON_HOLD = 5.0
"""Seconds between two checks of the path in use, each 0.8 to 1.2 times as long (RFC 7675, 5.1)."""
JITTER = (0.8, 1.2)


class Holding:
    """One side's knowledge of who holds the call; `changed` hears whether somebody does, when that changes."""

    def __init__(self, changed: Callable[[bool, float], None]) -> None:
        self.changed = changed
        self.own = self.peers = 0

    @property
    def on(self) -> bool:
        """Whether either side holds it."""
        return bool(self.own % 2 or self.peers % 2)

    @property
    def word(self) -> int | None:
        """What every check says of it: nothing, for a call that has never been on hold."""
        return self.own or None

    def order(self, on: bool, now: float) -> None:
        """This side holds it, or does so no more."""
        if bool(self.own % 2) is not on:
            before = self.on
            self.own += 1
            self._note(before, now)

    def heard(self, holds: int | None, now: float) -> None:
        """The peer's word; an older one may come later, by another path."""
        if (holds or 0) > self.peers:
            before = self.on
            self.peers = holds or 0
            self._note(before, now)

    def _note(self, before: bool, now: float) -> None:
        if self.on is not before:
            self.changed(self.on, now)

    def untold(self, path: Path) -> bool:
        """Whether a path has not answered since the call was put on hold, or taken off it."""
        return bool(path.rest) is not self.on

    def rest(self, path: Path, in_use: bool, keepalive: float, rng: random.Random, now: float) -> None:
        """A path has answered: for how long it is left alone, if the call is on hold."""
        path.rest = 0.0
        if self.on:
            least, most = JITTER
            consent = CONSENT_ON_HOLD * rng.uniform(least, most)
            path.rest = min(consent, keepalive) if in_use else keepalive
            if not path.nominating:
                path.next_check = now + path.rest
