"""How much one stranger, and one user, may ask of a supernode: token buckets, one a key, and no more keys than fit.

Pure. Belongs here: counting. Never: what follows for who asks too much.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

MOST_KEYS = 10_000
"""Buckets that are kept; the one that was asked longest ago makes room, and is full by then."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second on average, and so many at once."""

    a_second: float
    at_once: float


class Limiter:
    """One Rate for each of many keys; times are monotonic seconds."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def allows(self, key: Hashable, now: float, times: int = 1) -> bool:
        """Whether `key` may once more, or so many `times` more; they count if so."""
        left, since = self._buckets.pop(key, (self.rate.at_once, now))
        left = min(self.rate.at_once, left + (now - since) * self.rate.a_second)
        allowed = left >= times
        self._buckets[key] = (left - times if allowed else left, now)
        if len(self._buckets) > MOST_KEYS:
            self._buckets.popitem(last=False)
        return allowed

    def spent(self, key: Hashable, now: float) -> float:
        """How much of what `key` may at once it has used lately."""
        left, since = self._buckets.get(key, (self.rate.at_once, now))
        return max(0.0, self.rate.at_once - left - (now - since) * self.rate.a_second)

    def give_back(self, key: Hashable) -> None:
        """What `key` did last does not count."""
        if (found := self._buckets.get(key)) is not None:
            self._buckets[key] = (min(self.rate.at_once, found[0] + 1.0), found[1])

    def forget(self, key: Hashable) -> None:
        """Who had the key is gone."""
        self._buckets.pop(key, None)
