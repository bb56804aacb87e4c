"""Who may come to a supernode, and how much each may ask of it; whoever goes beyond is turned away and counted.

Pure. Belongs here: limits by address and by name. Never: sessions, messages.
"""

from collections import Counter

from lab.overlay.limits import Limiter, Rate

STRANGERS_EACH, STRANGERS = 64, 1_024
"""Links that have not signed in, of one address and of all: a carrier's address may stand for a thousand people who
come at once after an outage, and each is a stranger for two round trips."""
KNOCKS = Rate(50, 250)
"""New links of one address."""
FRAMES = Rate(100, 400)
"""Messages of one client: a call's setup has a dozen, and a client in a call pings once a second."""
INVITATIONS = Rate(2, 20)
"""Calls that one client begins."""
ENVELOPES = Rate(100, 400)
"""Envelopes for one client that another supernode brings: as many as one client of it may send."""
MOST_REASONS = 100
"""Reasons that are counted apart: what strangers say stands in some of them."""
TOLD_EVERY = 1.0
"""Seconds after which an address is logged again that is turned away for the same reason; every time is counted."""


class Doorkeeper:
    """One supernode's. `turned` counts how often each reason was given."""

    def __init__(self) -> None:
        self.turned: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()
        self._all = 0
        """Strangers of all addresses."""
        self._knocks, self._frames, self._invitations = Limiter(KNOCKS), Limiter(FRAMES), Limiter(INVITATIONS)
        self._envelopes = Limiter(ENVELOPES)
        self._told = Limiter(Rate(1 / TOLD_EVERY, 1))

    def knocks(self, host: str, now: float) -> str | None:
        """A new link of a stranger; why it is not even greeted, or None: then it is a stranger until `known`."""
        if self._strangers[host] >= STRANGERS_EACH:
            return "too many links that have not signed in"
        if self._all >= STRANGERS:
            return "too many strangers at a time"
        if not self._knocks.allows(host, now):
            return "too many links in a short time"
        self._strangers[host] += 1
        self._all += 1
        return None

    def known(self, host: str) -> None:
        """A stranger has signed in, or has gone."""
        self._all -= 1
        self._strangers[host] -= 1
        if self._strangers[host] <= 0:
            del self._strangers[host]

    def frame(self, name: str, now: float) -> bool:
        """Whether a client may say one more thing."""
        return self._frames.allows(name, now)

    def invitation(self, name: str, now: float) -> bool:
        """Whether a client may begin one more call."""
        return self._invitations.allows(name, now)

    def brings(self, supernode: str, recipient: str, now: float) -> bool:
        """Whether another supernode may bring one more envelope for a client; for others it may nevertheless."""
        return self._envelopes.allows((supernode, recipient), now)

    def count(self, host: str, reason: str, now: float) -> bool:
        """Somebody is turned away; whether it is to be logged."""
        known = reason in self.turned or len(self.turned) < MOST_REASONS
        self.turned[reason if known else "other reasons"] += 1
        return self._told.allows((host, reason), now)
