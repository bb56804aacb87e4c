"""What the other supernodes have room for, by their own words.

Pure. Belongs here: sums and an order that follow each word, and are asked for after every word of every client. Never:
who is sent there.
"""

import heapq
import math

from lab.overlay.mesh import Peer

ROOMY = 0.4
"""The share of its room that another must have free to be sent some: two that are alike send each other nobody."""
BUSY = 0.8
"""The share of its room from which on a supernode has too much to do."""
MANY = 8
"""What room for as many as come counts as; and how many of the roomy ones are named."""


class Vacancies:
    """Of one supernode's peers. `spare` is how many clients they have room for in all."""

    def __init__(self) -> None:
        self.spare = 0
        self._counted: dict[str, int] = {}
        self._busy: set[str] = set()
        self._full: set[str] = set()
        self._with_much: dict[str, Peer] = {}
        self._roomy: list[Peer] | None = []

    @property
    def roomy(self) -> list[Peer]:
        """Those that have much room, the ones with most first."""
        if self._roomy is None:
            self._roomy = heapq.nsmallest(MANY, self._with_much.values(), key=lambda peer: (-_free(peer), peer.name))
        return self._roomy

    @property
    def full(self) -> int:
        """How many of the others have no room."""
        return len(self._full)

    @property
    def to_send(self) -> int:
        """How many clients a busy supernode may send to the roomy ones: its part of half of their room, for each of the
        others that are busy sees the same room at the same time."""
        half = sum(MANY if peer.room is None else peer.room // 2 for peer in self.roomy)
        return math.ceil(half / (1 + len(self._busy)))

    def noted(self, peer: Peer) -> None:
        """Another supernode has come, or has said how much room it has."""
        places = MANY if peer.room is None else peer.room
        self.spare += places - self._counted.get(peer.name, 0)
        self._counted[peer.name] = places
        (self._busy.add if 1.0 - _free(peer) >= BUSY else self._busy.discard)(peer.name)
        (self._full.discard if places else self._full.add)(peer.name)
        if peer.hosts and _free(peer) >= ROOMY:
            self._with_much[peer.name] = peer
            self._roomy = None
        else:
            self._no_more_roomy(peer.name)

    def gone(self, name: str) -> None:
        """Another supernode has gone."""
        self.spare -= self._counted.pop(name, 0)
        self._busy.discard(name)
        self._full.discard(name)
        self._no_more_roomy(name)

    def _no_more_roomy(self, name: str) -> None:
        if self._with_much.pop(name, None) is not None:
            self._roomy = None


def _free(peer: Peer) -> float:
    """The share of its room that is free; all of it where as many as come have room."""
    return 1.0 if peer.room is None else peer.room / max(1, peer.room + peer.clients)
