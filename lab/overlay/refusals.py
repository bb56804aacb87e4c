"""Who was turned away and why: every time is counted, and some are told.

Belongs here: counting by reason, and how often that is logged. Never: who is turned away.
"""

from collections import Counter

from lab.errors import ProtocolError
from lab.overlay.limits import Limiter, Rate

MOST_REASONS = 100
"""Reasons that are counted apart of those in which stands what strangers say."""
TOLD_EVERY = 1.0
"""Seconds after which an address is logged again that is turned away for the same reason; every time is counted."""
TOLD = Rate(20, 200)
"""Lines of the log about all of them: who writes under many addresses fills no disk."""


class TooMuch(ProtocolError):
    """Somebody asks more than it may; no word of its own stands in the sentence."""


class Refusals:
    """One machine's; `counted` is how often each reason was given."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._worded: set[str] = set()
        self._told = Limiter(Rate(1 / TOLD_EVERY, 1))
        self._lines = Limiter(TOLD)

    def count(self, host: str, reason: str, now: float, worded: bool = False) -> bool:
        """Somebody is turned away; whether it is to be logged. `worded`: a stranger's words stand in the reason, so
        there may be any number of such."""
        shown = reason
        if worded and reason not in self._worded:
            if len(self._worded) < MOST_REASONS:
                self._worded.add(reason)
            else:
                shown = "other reasons"
        self.counted[shown] += 1
        return self._told.allows((host, reason), now) and self._lines.allows("", now)
