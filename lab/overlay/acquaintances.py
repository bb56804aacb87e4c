"""Whom each client has had to do with, as far as its supernode can know: a router may let these in, and nobody else.

Pure. Belongs here: names and hosts. Never: who measures whom, which is relief's and promoting's.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.wire.messages import RelayEntry

MOST = 10_000
"""Pairs, and clients with hosts, that are remembered; as many of before."""
MOST_HOSTS = 50
"""Hosts of one client."""
FORGOTTEN = 14_400.0
"""Seconds after which somebody is a stranger again, or up to twice as long: a router may let in for 2 h 4 min whom an
idle connection leads to (RFC 5382, 5), and the call that it was of may have lasted for almost as long."""


@dataclass
class _Noted:
    """What was noted within FORGOTTEN seconds."""

    talks: OrderedDict[frozenset[str], None] = field(default_factory=OrderedDict)
    seen: OrderedDict[str, OrderedDict[str, None]] = field(default_factory=OrderedDict)
    """Where each was seen that has talked."""
    dialled: OrderedDict[str, OrderedDict[str, None]] = field(default_factory=OrderedDict)
    """What each was asked to dial, or told of."""


class Acquaintances:
    """One supernode's. Nothing is forgotten but by `turn`."""

    def __init__(self) -> None:
        self._new, self._before = _Noted(), _Noted()
        self._turns_at: float | None = None

    def turn(self, now: float) -> None:
        """Forgets what is old; called before anybody asks."""
        if self._turns_at is None:
            self._turns_at = now + FORGOTTEN
        elif now >= self._turns_at:
            late = now >= self._turns_at + FORGOTTEN
            self._before, self._new = _Noted() if late else self._new, _Noted()
            self._turns_at = now + FORGOTTEN

    def talks(self, sender: str, recipient: str, seen: Iterable[str]) -> None:
        """An envelope goes from one to the other; the sender has been seen at these hosts."""
        talks = self._new.talks
        talks[frozenset((sender, recipient))] = None
        if len(talks) > MOST:
            talks.popitem(last=False)
        _note(self._new.seen, sender, seen)

    def dials(self, name: str, hosts: Iterable[str]) -> None:
        """A client is asked to dial somebody. Whom it dials has not contacted it by that."""
        _note(self._new.dialled, name, hosts)

    def offered(self, name: str, relays: Iterable[RelayEntry]) -> None:
        """A client is told of relays, and may connect to them; one may be a client alone again later."""
        for relay in relays:
            _note(self._new.dialled, name, relay.hosts)

    def talked_with(self, name: str) -> set[str]:
        """Everybody else from or to whom an envelope of that one went here, not too many others ago."""
        pairs = (pair for noted in (self._new, self._before) for pair in noted.talks if name in pair)
        return {other for pair in pairs for other in pair if other != name}

    def contacted(self, name: str) -> set[str]:
        """Hosts that this client has sent something to: those of whom it has talked to, and what it has dialled."""
        others, both = self.talked_with(name), (self._new, self._before)
        dialled = (noted.dialled.get(name, ()) for noted in both)
        return set().union(*dialled, *(noted.seen.get(other, ()) for noted in both for other in others))


def _note(noted: OrderedDict[str, OrderedDict[str, None]], name: str, hosts: Iterable[str]) -> None:
    mine = noted.setdefault(name, OrderedDict())
    noted.move_to_end(name)
    for host in hosts:
        mine[host] = None
        mine.move_to_end(host)
    while len(mine) > MOST_HOSTS:
        mine.popitem(last=False)
    if len(noted) > MOST:
        noted.popitem(last=False)
