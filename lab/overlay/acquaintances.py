"""Whom each client has had to do with, as far as its supernode can know: a router may let these in, and nobody else.

Pure. Belongs here: names and hosts. Never: who measures whom, which is relief's and promoting's.
"""

from collections import OrderedDict
from collections.abc import Iterable

from lab.wire.messages import RelayEntry

MOST = 10_000
"""Pairs, and clients with hosts, that are remembered."""
MOST_HOSTS = 50
"""Hosts of one client."""


class Acquaintances:
    """One supernode's."""

    def __init__(self) -> None:
        self._talks: OrderedDict[frozenset[str], None] = OrderedDict()
        self._seen: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        """Where each was seen that has talked."""
        self._dialled: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        """What each was asked to dial, or told of."""

    def talks(self, sender: str, recipient: str, seen: Iterable[str]) -> None:
        """An envelope goes from one to the other; the sender has been seen at these hosts."""
        self._talks[frozenset((sender, recipient))] = None
        if len(self._talks) > MOST:
            self._talks.popitem(last=False)
        _note(self._seen, sender, seen)

    def dials(self, name: str, hosts: Iterable[str]) -> None:
        """A client is asked to dial somebody. Whom it dials has not contacted it by that."""
        _note(self._dialled, name, hosts)

    def offered(self, name: str, relays: Iterable[RelayEntry]) -> None:
        """A client is told of relays, and may connect to them; one may be a client alone again later."""
        for relay in relays:
            _note(self._dialled, name, relay.hosts)

    def talked_with(self, name: str) -> set[str]:
        """Everybody else from or to whom an envelope of that one went here, not too many others ago."""
        return {other for pair in self._talks if name in pair for other in pair if other != name}

    def contacted(self, name: str) -> set[str]:
        """Hosts that this client has sent something to: those of whom it has talked to, and what it has dialled."""
        hosts = set(self._dialled.get(name, ()))
        return hosts.union(*(self._seen.get(other, ()) for other in self.talked_with(name)))


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
