"""Links that have not shown yet what they are for: so many in all, so many of one address, each for so long.

Pure. Belongs here: who makes room for whom. Never: what a link has to show, and what is done with one that is cut off.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Network
from typing import Generic, TypeVar

SUBSCRIBER = 64
"""Bits of an IPv6 address that one subscriber's hosts have in common (RFC 6177, 2): it has the others to itself."""

Key = TypeVar("Key", bound=Hashable)


@lru_cache(maxsize=4096)
def holder(host: str) -> str:
    """What a host in text is counted as: its IPv4 address, or the /64 of its IPv6 address."""
    if ":" not in host:
        return host
    return str(IPv6Network((host.partition("%")[0], SUBSCRIBER), strict=False))


@dataclass(frozen=True, slots=True)
class Displaced(Generic[Key]):
    """One that has to go, whose it was, and why."""

    key: Key
    host: str
    reason: str


class Lobby(Generic[Key]):
    """At most `most` keys, and `each` of one holder; every one may stay for `patience` seconds. `what` they are stands
    in the reasons, in the plural. Times are monotonic seconds. No step takes longer where there are more.

    Where there is no room, the oldest goes of the holder that has most: who has few is not touched by who has many.
    """

    def __init__(self, what: str, most: int, each: int, patience: float) -> None:
        self.what, self.most, self.each, self.patience = what, most, each, patience
        self._all: OrderedDict[Key, tuple[str, float]] = OrderedDict()
        """Host and deadline by key, the earliest deadline first."""
        self._of: dict[str, OrderedDict[Key, None]] = {}
        """The keys of each holder, in the same order."""
        self._by_count: dict[int, OrderedDict[str, None]] = {}
        """Holders by how many they have."""
        self._top = 0

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, key: Key) -> bool:
        return key in self._all

    def count(self, host: str) -> int:
        """How many are there of the same holder as `host`."""
        return len(self._of.get(holder(host), ()))

    def enter(self, key: Key, host: str, now: float) -> Displaced[Key] | None:
        """One more comes; another may have to go for it, and is gone from here then."""
        own = self._of.setdefault(holder(host), OrderedDict())
        self._all[key] = (host, now + self.patience)
        own[key] = None
        self._recount(holder(host), len(own) - 1, len(own))
        if len(own) > self.each:
            return self._displace(next(iter(own)), f"too many {self.what} of one address")
        return self.squeeze() if len(self._all) > self.most else None

    def squeeze(self) -> Displaced[Key] | None:
        """The oldest of the greediest goes; None where there is nobody."""
        if not self._top:
            return None
        greediest = next(iter(self._by_count[self._top]))
        return self._displace(next(iter(self._of[greediest])), f"too many {self.what}")

    def again(self, key: Key, now: float) -> None:
        """One has shown that it is there: it is the youngest from now on, with all its time before it."""
        if key in self._all:
            host, _ = self._all.pop(key)
            self._all[key] = (host, now + self.patience)
            self._of[holder(host)].move_to_end(key)

    def leave(self, key: Key) -> bool:
        """One is gone, or is known by now; whether it was here."""
        if (found := self._all.pop(key, None)) is None:
            return False
        whose = holder(found[0])
        own = self._of[whose]
        del own[key]
        self._recount(whose, len(own) + 1, len(own))
        if not own:
            del self._of[whose]
        return True

    def late(self, now: float) -> list[tuple[Key, str]]:
        """Those whose time is over, with their hosts; they are gone from here then."""
        found: list[tuple[Key, str]] = []
        while self._all:
            key, (host, due) = next(iter(self._all.items()))
            if now < due:
                break
            found.append((key, host))
            self.leave(key)
        return found

    def deadline(self) -> float | None:
        """When the next one's time is over."""
        for _, due in self._all.values():
            return due
        return None

    def _displace(self, key: Key, reason: str) -> Displaced[Key]:
        host, _ = self._all[key]
        self.leave(key)
        return Displaced(key, host, reason)

    def _recount(self, whose: str, before: int, after: int) -> None:
        """A holder has one more or one less."""
        if before:
            del self._by_count[before][whose]
            if not self._by_count[before]:
                del self._by_count[before]
        if after:
            self._by_count.setdefault(after, OrderedDict())[whose] = None
        if after > self._top or (before == self._top and before not in self._by_count):
            self._top = after
