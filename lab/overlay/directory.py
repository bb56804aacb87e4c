"""Where each client sits: one directory over all supernodes, each name kept by three of them.

Belongs here: who keeps a name, what is believed of it, looking for one. Never: links, sessions, what is carried.
"""

import contextlib
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from lab.errors import CredentialExpired, ProtocolError
from lab.overlay.actions import earliest
from lab.overlay.identity import check_location
from lab.wire.messages import Absent, Found, Located, Location, Lookup, Message, Moved

COPIES = 3
"""Supernodes that keep a name's location: any two may die at once."""
LOOKUP_LIMIT = 2.0
"""Seconds in which those that keep a name have to say where it sits."""
MOST_KEPT = 200_000
MOST_CACHED = 10_000
MOST_SEARCHES = 1_000
CACHE_SECONDS = 10.0
"""How long what was found is used without asking again; who has moved since is sought anew from where it was."""
AT_ONCE = 64
"""Locations, or names, in one message."""

Then = Callable[[Location | None, float], None]
"""What is done with the location that was found, or None; and the time."""


@dataclass
class _Search:
    """`newest` is the latest of the places that the client was said to sit at, by those that have answered."""

    asked: set[str]
    until: float
    then: list[Then] = field(default_factory=list)
    newest: Location | None = None


class Directory:
    """One supernode's part of it. `own` is its name, `send` tells another one something; `moved_away` is called with
    the name of a client of this supernode that has signed in elsewhere meanwhile, and the time, epoch seconds.

    Each supernode knows all others (`up`, `down`), so that any of them asks the right ones: a name resolves in one hop.
    A location counts only with its client's own signature, the newest first. It lives as long as the link to the
    supernode that told of it.
    """

    def __init__(
        self,
        own: str,
        authority: bytes,
        send: Callable[[str, Message], object],
        moved_away: Callable[[str, float], None],
    ) -> None:
        self.own, self.authority, self.send, self.moved_away = own, authority, send, moved_away
        self.members: set[str] = set()
        self.mine: dict[str, Location] = {}
        self.kept: dict[str, Location] = {}
        self.by_hub: dict[str, set[str]] = {}
        self.hops: Counter[int] = Counter()
        """How many names were found after so many hops."""
        self._keepers: dict[str, list[tuple[int, str]]] = {}
        self._cached: OrderedDict[str, tuple[Location, float]] = OrderedDict()
        self._searches: dict[str, _Search] = {}

    # -- who keeps what --------------------------------------------------------------------------------------------

    def keepers(self, name: str) -> list[str]:
        """The supernodes that keep a name: those of the highest scores (rendezvous hashing), so that one more or less
        changes nothing for most names."""
        return [member for _, member in self._best(name)]

    def _best(self, name: str) -> list[tuple[int, str]]:
        return sorted(((_score(name, member), member) for member in (*self.members, self.own)), reverse=True)[:COPIES]

    def up(self, member: str) -> None:
        """Another supernode is linked with this one: what it keeps from now on is told to it."""
        self.members.add(member)
        told: list[Location] = []
        relieved: dict[str, list[str]] = {}
        for name, keepers in self._keepers.items():
            one = (_score(name, member), member)
            if one in keepers:
                told.append(self.mine[name])
            elif len(keepers) < COPIES or one > keepers[-1]:
                keepers.append(one)
                keepers.sort(reverse=True)
                told.append(self.mine[name])
                for _, other in keepers[COPIES:]:
                    relieved.setdefault(other, []).append(name)
                del keepers[COPIES:]
        for other, names in relieved.items():
            for at in range(0, len(names), AT_ONCE):
                self._absent(other, tuple(names[at : at + AT_ONCE]))
        self._tell(member, told)

    def down(self, member: str, now: float) -> None:
        """The link to another supernode is gone: what sat there is nowhere now, what it kept is kept by another."""
        self.members.discard(member)
        for name in self.by_hub.pop(member, set()):
            self.kept.pop(name, None)
        told: dict[str, list[Location]] = {}
        for name, keepers in self._keepers.items():
            if any(keeper == member for _, keeper in keepers):
                self._keepers[name] = best = self._best(name)
                for one in best:
                    if one not in keepers:
                        told.setdefault(one[1], []).append(self.mine[name])
        for keeper, locations in told.items():
            self._tell(keeper, locations)
        for name, search in list(self._searches.items()):
            search.asked.discard(member)
            if not search.asked:
                self._conclude(name, now)

    def _tell(self, keeper: str, locations: Iterable[Location]) -> None:
        told = list(locations)
        if keeper == self.own:
            for location in told:
                self._keep(location)
            return
        for at in range(0, len(told), AT_ONCE):
            self.send(keeper, Located(tuple(told[at : at + AT_ONCE])))

    def _absent(self, keeper: str, names: tuple[str, ...]) -> None:
        if keeper == self.own:
            for name in names:
                self._forget(name, self.own)
        else:
            self.send(keeper, Absent(names))

    # -- this supernode's clients ----------------------------------------------------------------------------------

    def sits_here(self, location: Location) -> None:
        """A client has signed in here, by its own word."""
        name = location.credential.name
        kept = self.kept.get(name)
        if kept is not None and kept.hub in self.members and kept.at < location.at:
            self.send(kept.hub, Moved(location))
        self.mine[name] = location
        self._keepers[name] = self._best(name)
        for _, keeper in self._keepers[name]:
            self._tell(keeper, [location])

    def has_left(self, name: str) -> None:
        """A client no longer sits here."""
        if self.mine.pop(name, None) is not None:
            for _, keeper in self._keepers.pop(name):
                self._absent(keeper, (name,))

    # -- what other supernodes say ---------------------------------------------------------------------------------

    def located(self, sender: str, message: Located, wall: float) -> None:
        """Raises ProtocolError for what its client has not signed, and for a client that is told of twice; `wall` is
        now, epoch seconds. What has expired on the way is left out: no supernode has broken anything by it."""
        if len({location.credential.name for location in message.locations}) < len(message.locations):
            raise ProtocolError(f"{sender} tells twice of a client in one message")
        for location in message.locations:
            if location.hub != sender:
                raise ProtocolError(f"{sender} tells of a client of {location.hub}")
            try:
                check_location(location, self.authority, wall)
            except CredentialExpired:
                continue
            name = location.credential.name
            before = self.mine.get(name) or self.kept.get(name)
            if before is not None and before.at > location.at:
                self.send(sender, Moved(before))
                continue
            if name in self.mine:
                self._gone(name, wall)
            elif before is not None and before.hub != sender and before.hub in self.members:
                self.send(before.hub, Moved(location))
            self._keep(location)

    def moved(self, message: Moved, wall: float) -> None:
        """A client of this supernode sits elsewhere by now, if it says so itself; raises ProtocolError."""
        with contextlib.suppress(CredentialExpired):
            self._moved(message, wall)

    def _moved(self, message: Moved, wall: float) -> None:
        check_location(message.location, self.authority, wall)
        mine = self.mine.get(message.location.credential.name)
        if mine is not None and mine.at < message.location.at:
            self._gone(message.location.credential.name, wall)

    def absent(self, sender: str, names: Iterable[str]) -> None:
        for name in names:
            self._forget(name, sender)

    def asked(self, name: str) -> Found:
        """What this supernode knows of a name."""
        return Found(name, self.mine.get(name) or self.kept.get(name))

    def _gone(self, name: str, wall: float) -> None:
        self.has_left(name)
        self.moved_away(name, wall)

    def _keep(self, location: Location) -> None:
        name = location.credential.name
        if (before := self.kept.get(name)) is not None:
            self._forget(name, before.hub)
        if len(self.kept) < MOST_KEPT:
            self.kept[name] = location
            self.by_hub.setdefault(location.hub, set()).add(name)

    def _forget(self, name: str, hub: str) -> None:
        if (kept := self.kept.get(name)) is not None and kept.hub == hub:
            del self.kept[name]
            self.by_hub[hub].discard(name)

    # -- looking for a name ----------------------------------------------------------------------------------------

    def find(self, name: str, now: float, then: Then, anew: bool = False) -> None:
        """Calls `then` with where a client sits: at once, or when the others have answered; `anew`: what was found
        before does not hold."""
        if (location := self._known(name, now, anew)) is not None:
            self.hops[0] += 1
            then(location, now)
            return
        if (search := self._searches.get(name)) is not None:
            search.then.append(then)
            return
        asked = [keeper for keeper in self.keepers(name) if keeper != self.own]
        if not asked or len(self._searches) >= MOST_SEARCHES:
            then(None, now)
            return
        self._searches[name] = _Search(set(asked), now + LOOKUP_LIMIT, [then])
        for keeper in asked:
            self.send(keeper, Lookup(name))

    def knows(self, name: str, now: float) -> bool:
        """Whether nobody has to be asked where a client sits."""
        return self._known(name, now, anew=False) is not None

    def doubt(self, name: str) -> None:
        """Somebody was not where it was found."""
        self._cached.pop(name, None)

    def _known(self, name: str, now: float, anew: bool) -> Location | None:
        if (mine := self.mine.get(name)) is not None:
            return mine
        if (kept := self.kept.get(name)) is not None and (kept.hub in self.members or kept.hub == self.own):
            return kept
        cached, until = self._cached.get(name, (None, 0.0))
        if cached is not None and cached.hub in self.members and now < until and not anew:
            return cached
        self.doubt(name)
        return None

    def found(self, sender: str, message: Found, now: float, wall: float) -> None:
        """An answer to a question; raises ProtocolError for a location that its client has not signed.

        What two say alike counts at once, else the newest of what all say: a supernode where the client once sat has
        its word for that still, and could say so first.
        """
        search = self._searches.get(message.name)
        if search is None or sender not in search.asked:
            return
        search.asked.discard(sender)
        location = message.location
        try:
            if location is not None:
                if location.credential.name != message.name:
                    raise ProtocolError(f"{sender} answers for {location.credential.name}, asked for {message.name}")
                check_location(location, self.authority, wall)
                if location.hub in self.members:
                    before, search.newest = search.newest, max(search.newest or location, location, key=_since)
                    if before is not None and before.hub == location.hub:
                        search.asked.clear()
        except CredentialExpired:
            pass  # as if it had said nothing
        finally:
            if not search.asked:
                self._conclude(message.name, now)

    def deadline(self) -> float | None:
        """Searches are over in the order in which they began."""
        return earliest(next((search.until for search in self._searches.values()), None))

    def poll(self, now: float) -> None:
        for name in [name for name, search in self._searches.items() if now >= search.until]:
            self._conclude(name, now)

    def _conclude(self, name: str, now: float) -> None:
        """All have answered, or enough, or there is no more time."""
        search = self._searches.pop(name)
        found = None
        if search.newest is not None and search.newest.hub in self.members:
            found = search.newest
            self.hops[1] += 1
            self._cached[name] = (found, now + CACHE_SECONDS)
            if len(self._cached) > MOST_CACHED:
                self._cached.popitem(last=False)
        for then in search.then:
            then(found, now)


def _since(location: Location) -> float:
    return location.at


def _score(name: str, member: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{name} {member}".encode(), digest_size=8).digest(), "big")
