"""Who of a large mesh is dead: each supernode watches the few that follow it on a ring of hashed names, and tells all
the others whom it has not heard for too long; whoever is told by two looks for itself before it believes it.

Pure. Belongs here: whom to probe, when to suspect, when to call somebody silent. Never: links; what follows from it.

After SWIM (Das, Gupta, Motivala 2002), with what a mesh of strangers needs: one's word that another is dead costs one
probe and is worth nothing else, for the suspected one refutes it by answering whoever asks.
"""

import bisect
import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lab.overlay.actions import earliest
from lab.overlay.limits import Limiter, Rate
from lab.wire.messages import Message, Probe, Suspected

WATCHED = 4
"""Others that each watches, and watchers that each has."""
PROBE_EVERY = 1.0
"""Seconds between two probes of one that is watched."""
SUSPECT_AFTER = 2.5
"""Seconds without a word of it after which a watcher says so."""
AGAIN = 1.0
"""Seconds after which a watcher says so again: two words of one count as those of two, where the other watchers have
died with it."""
ACCUSERS = 2
"""Words after which somebody is looked for: one watcher's link alone may be slow."""
VERIFY = 2.0
"""Seconds in which one that is looked for has to say something. A death is known SUSPECT_AFTER + VERIFY, and the time
that words take, after the last word, so within 4.8 s; who stands still for 3 s, at most PROBE_EVERY after it, is
heard before that."""
REMEMBERED = 5.0
"""Seconds for which a word against somebody counts."""
LATE = 0.5
"""Seconds by which this one's own clock rings late before it takes itself for the one that stood still."""
ACCUSATIONS = Rate(2, 50)
"""Names that one other may suspect: that many at once where half of a mesh dies."""
LOOK_AROUND_EVERY = 10.0
"""Seconds between two times that all others are looked for, by one whose watched ones are all silent."""


@dataclass
class _Watched:
    """One that is watched: when it was last `heard`, when it is `probed` next, when it was last `suspected`."""

    heard: float
    probe: float
    suspected: float | None = None

    def due(self) -> float:
        """When there is something to do about it."""
        since = self.heard + SUSPECT_AFTER if self.suspected is None else self.suspected + AGAIN
        return min(self.probe, since)


class Watch:
    """One supernode's. `send` tells another something; `silent` is called with one that is taken for dead, and with
    the time: whoever is told forgets it (`down`)."""

    def __init__(
        self,
        own: str,
        rng: random.Random,
        send: Callable[[str, Message], object],
        silent: Callable[[str, float], object],
    ) -> None:
        self.own, self.rng, self.send, self.silent = own, rng, send, silent
        self.on = False
        """Whether it watches anybody: not where every link's own heartbeat is quick enough."""
        self.members: set[str] = set()
        self._ring: list[tuple[bytes, str]] = []
        self.watched: dict[str, _Watched] = {}
        self.looked_for: dict[str, float] = {}
        """Until when, for each that is being verified."""
        self._against: dict[str, dict[str, float]] = {}
        """Who has said when, for the first time, that somebody is silent."""
        self._words = Limiter(ACCUSATIONS)
        self._looked_around = float("-inf")

    # -- who there is ----------------------------------------------------------------------------------------------

    def up(self, name: str, now: float) -> None:
        if name not in self.members and name != self.own:
            self.members.add(name)
            bisect.insort(self._ring, _place(name))
        self._against.pop(name, None)
        self.looked_for.pop(name, None)
        self.watched.pop(name, None)
        self._choose(now)

    def down(self, name: str, now: float) -> None:
        if name not in self.members:
            return
        self.members.discard(name)
        self._ring.remove(_place(name))
        self._against.pop(name, None)
        self.looked_for.pop(name, None)
        self.watched.pop(name, None)
        self._choose(now)

    def turn(self, on: bool, now: float) -> None:
        """Begins to watch, or ends."""
        if on is not self.on:
            self.on = on
            self._choose(now)

    def _choose(self, now: float) -> None:
        """The next ones on the ring; who is new among them counts as heard now."""
        count = min(WATCHED, len(self._ring)) if self.on else 0
        at = bisect.bisect(self._ring, _place(self.own))
        names = [self._ring[(at + step) % len(self._ring)][1] for step in range(count)]
        first = PROBE_EVERY * self.rng.random() if names else 0.0
        self.watched = {name: self.watched.get(name) or _Watched(now, now + first) for name in names}

    # -- what is heard ---------------------------------------------------------------------------------------------

    def heard(self, name: str, now: float) -> None:
        """Something has come from another: whatever it is, it lives."""
        self.looked_for.pop(name, None)
        self._against.pop(name, None)
        if (watched := self.watched.get(name)) is not None:
            watched.heard, watched.suspected = now, None

    def suspected(self, accuser: str, names: Iterable[str], now: float) -> None:
        """Another has not heard of these for too long."""
        for name in names:
            if name not in self.members or name == accuser:
                continue
            if accuser != self.own and not self._words.allows(accuser, now):
                return
            self._accused(name, accuser, now)

    def _accused(self, name: str, accuser: str, now: float) -> None:
        against = self._against.setdefault(name, {})
        for each in [each for each, since in against.items() if now >= since + REMEMBERED]:
            del against[each]
        again = accuser in against and now >= against[accuser] + AGAIN / 2
        against.setdefault(accuser, now)
        if (len(against) >= ACCUSERS or again) and name not in self.looked_for:
            self._look_for(name, now)

    def _look_for(self, name: str, now: float) -> None:
        self.looked_for[name] = now + VERIFY
        self.send(name, Probe())

    # -- time ------------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        return earliest(*(watched.due() for watched in self.watched.values()), *self.looked_for.values())

    def poll(self, now: float) -> None:
        due = self.deadline()
        if due is None or now < due:
            return
        if now >= due + LATE:
            self._stood_still(now - due, now)
        for name, watched in self.watched.items():
            if now >= watched.probe:
                watched.probe = max(watched.probe, now - PROBE_EVERY) + PROBE_EVERY
                self.send(name, Probe())
        self._suspect(now)
        for name in [name for name, until in self.looked_for.items() if now >= until]:
            if self.looked_for.pop(name, None) is not None:
                self._look_around(now)
                self.silent(name, now)

    def _stood_still(self, seconds: float, now: float) -> None:
        """What has come meanwhile has not been read yet: nobody is to blame for that."""
        for watched in self.watched.values():
            watched.heard += seconds
        for name in list(self.looked_for):
            self._look_for(name, now)

    def _suspect(self, now: float) -> None:
        names = []
        for name, watched in self.watched.items():
            first = watched.suspected is None and now >= watched.heard + SUSPECT_AFTER
            if first or (watched.suspected is not None and now >= watched.suspected + AGAIN):
                watched.suspected = now
                names.append(name)
        if not names:
            return
        for other in sorted(self.members.difference(names)):  # the same for every run: a set's order is not
            self.send(other, Suspected(tuple(names)))
        self.suspected(self.own, names, now)

    def _look_around(self, now: float) -> None:
        """Where none of those that it watches is heard, it may be the one that is cut off: looks for everybody."""
        alone = all(watched.suspected is not None for watched in self.watched.values())
        if self.watched and alone and now >= self._looked_around + LOOK_AROUND_EVERY:
            self._looked_around = now
            for name in sorted(self.members.difference(self.looked_for)):
                self._look_for(name, now)


def _place(name: str) -> tuple[bytes, str]:
    """Where a name stands on the ring."""
    return hashlib.blake2b(name.encode(), digest_size=8).digest(), name
