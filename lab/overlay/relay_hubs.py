"""The supernodes at which a relay signs in: all built-in ones, and some that these tell it of. The built-in ones may
all be gone, and whoever sits at the others wants relays as well.

Belongs here: at which, and for how long it tries. Never: what is said over the links.
"""

from collections.abc import Callable, Iterable, Iterator

from lab.overlay.actions import earliest
from lab.overlay.host_cache import HostCache, Machine
from lab.overlay.hub import HubLink
from lab.overlay.member import Membership

MOST_LEARNT = 4
"""Supernodes beside the built-in ones at which a relay signs in. Each tells all others of those that sit at it: with
one of them alive, every supernode knows the relay."""
AWAY_LIMIT = 20.0
"""Seconds for which one of them may not let it in before another has its place: whoever was promoted may be a client
alone by now, or switched off."""


class RelayHubs:
    """One relay's. `dial` makes the link to one machine. Nothing is dialled before `begin`."""

    def __init__(self, membership: Membership, dial: Callable[[Machine], HubLink]) -> None:
        self.own, self.rng, self.dial = membership.own, membership.rng, dial
        self.built_in = [dial(hosts) for hosts in membership.supernodes]
        self.learnt: dict[Machine, HubLink] = {}
        """By the machine that each leads to."""
        self.away: dict[Machine, float] = {}
        """Until when each of these is tried that has not let the relay in, or not again."""
        self.cache = HostCache(membership.supernodes, membership.learnt)
        self.begun = False

    def __iter__(self) -> Iterator[HubLink]:
        yield from self.built_in
        yield from self.learnt.values()

    @property
    def complete(self) -> bool:
        """Whether it sits at all built-in ones."""
        return all(hub.hub is not None for hub in self.built_in)

    def begin(self, machines: Iterable[Machine], now: float) -> None:
        """Signs in; `machines` are supernodes that are known beside the built-in ones."""
        self.begun = True
        self.cache.learn(machines, self.own.addresses)
        for hub in self.built_in:
            hub.start(now)
        self._fill(now)

    def learn(self, machines: Iterable[Machine], now: float) -> bool:
        """A supernode has named others; whether any was new."""
        new = self.cache.learn(machines, self.own.addresses)
        self._fill(now)
        return new

    def signed_in(self, hub: HubLink) -> None:
        for machine, link in self.learnt.items():
            if link is hub:
                self.away.pop(machine, None)
                self.cache.let_in(machine[0])

    def signed_out(self, hub: HubLink, now: float) -> None:
        self.away |= {machine: now + AWAY_LIMIT for machine, link in self.learnt.items() if link is hub}

    def deadline(self) -> float | None:
        return earliest(*(hub.deadline() for hub in self), *(self.away.values() if self._others() else ()))

    def poll(self, now: float) -> None:
        for hub in list(self):
            hub.poll(now)
        for machine in [machine for machine, until in self.away.items() if now >= until]:
            if self._others():
                del self.away[machine]
                self.cache.failed(machine[0])
                self.learnt.pop(machine).stop()
                self._fill(now)

    def _others(self) -> list[Machine]:
        """Those that it knows and does not dial."""
        return [machine for machine in self.cache.learnt if machine not in self.learnt]

    def _fill(self, now: float) -> None:
        """Any of those that have failed least lately: were it the first for every relay, all would sit at the same."""
        failures = self.cache.failures
        while self.begun and len(self.learnt) < MOST_LEARNT and (others := self._others()):
            least = min(failures.get(machine, 0) for machine in others)
            machine = self.rng.choice([machine for machine in others if failures.get(machine, 0) == least])
            self.learnt[machine], self.away[machine] = self.dial(machine), now + AWAY_LIMIT
            self.learnt[machine].start(now)
