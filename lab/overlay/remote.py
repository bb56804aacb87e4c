"""The candidates that a peer has told, in one call: how many are looked at, and which are forgotten.

Belongs here: keeping them. Never: what is tried with them (checklist.py).
"""

from collections.abc import Collection, Iterator, Sequence

from lab.overlay.limits import Limiter, Rate
from lab.wire.addresses import Address
from lab.wire.messages import Candidate

MOST_CANDIDATES = 50
"""Of a peer, as many as one message carries (RFC 8445, 19.5.1 asks for a limit); the oldest of no use make room."""
NEW_CANDIDATES = Rate(0.2, MOST_CANDIDATES)
"""How many are looked at: who moves tells about ten anew, and who has others checked by us one in five seconds."""


class Remote:
    """One peer's, the oldest first. `hosts` are those that it stands at, `reflexive` those that others see it under."""

    def __init__(self) -> None:
        self._known: dict[Candidate, None] = {}
        self._newcomers = Limiter(NEW_CANDIDATES)
        self.hosts: set[str] = set()
        self.reflexive: set[str] = set()

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, candidate: object) -> bool:
        return candidate in self._known

    def learn(self, candidates: Sequence[Candidate], now: float) -> list[Candidate]:
        """Those that may be tried, known ones among them. Ports that are foreseen over UDP are for guessing alone."""
        listed = [one for one in dict.fromkeys(candidates) if (one.kind, one.transport) != ("predicted", "udp")]
        for candidate in listed:
            if candidate not in self._known and self._newcomers.allows("new", now):
                self._known[candidate] = None
        kept = [candidate for candidate in listed if candidate in self._known]
        self.hosts |= {one.address[0] for one in kept if one.kind == "host"}
        self.reflexive |= {one.address[0] for one in kept if one.kind == "server-reflexive"}
        return kept

    def make_room(self, used: Collection[Address]) -> list[Candidate]:
        """Forgets the ones of longest ago, where there are too many, that are not in use; returns them."""
        unused = [candidate for candidate in self._known if candidate.address not in used]
        forgotten = unused[: max(0, len(self._known) - MOST_CANDIDATES)]
        for candidate in forgotten:
            del self._known[candidate]
        return forgotten
