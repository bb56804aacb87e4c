"""Who is let in next: so many clients at a time, so many a second, and the others wait in a line of bounded length.

Pure. Belongs here: the line and its turns. Never: sessions, messages.
"""

from collections import OrderedDict
from dataclasses import dataclass

LOGIN_RATE = 100.0
"""Clients that one supernode lets in a second, at the most: each costs it about three milliseconds of CPU, mostly TLS
and signatures, and as much again at those that keep its name."""
MOST_WAITING = 1_000
"""Links that wait for their turn; each costs a socket and two messages a second."""
OVERBOOKED = 2.0
"""Who finds no place in the line is asked to come back when it will have moved on; half of them may find a place
elsewhere meanwhile, and the line shall not run dry."""
LONGEST_AWAY = 600.0
"""Seconds after which everybody may try again."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A client in the line: its name, and since when (monotonic seconds)."""

    name: str
    since: float


class Admission:
    """One supernode's. `capacity` None is room for as many as come; `rate` is clients a second."""

    def __init__(self, capacity: int | None, rate: float | None = None) -> None:
        self.capacity, self.rate = capacity, rate or LOGIN_RATE
        self.most = capacity
        """What it has room for where its machine is as it was at the start."""
        self._weighed = capacity or 0
        """What the last look at the machine found."""
        self.line: OrderedDict[int, Waiting] = OrderedDict()
        self.back: OrderedDict[int, Waiting] = OrderedDict()
        """Those that sit here already, and come on another link: they need a turn, and no other place."""
        self._kept: set[int] = set()
        """Of these, the ones that no client of this supernode stands for any more."""
        self._back_next = True
        self._names: dict[str, int] = {}
        self._helpers: set[int] = set()
        """Links of those that go first."""
        self.next_turn = 0.0
        self.away_until = 0.0

    def weighed(self, more: int, clients: int) -> None:
        """Its machine was looked at, and has room for so many `more` beside these clients: it takes no more than that,
        nor than at the start. Less counts once two looks in a row have found it; nobody who sits here is sent away."""
        if self.most is not None:
            before, self._weighed = self._weighed, clients + len(self._kept) + more
            self.capacity = min(self.most, max(before, self._weighed))

    def room(self, clients: int) -> int | None:
        """How many more it has room for beside so many clients, who wait for it included."""
        taken = clients + len(self._kept) + len(self.line)
        return None if self.capacity is None else max(0, self.capacity - taken)

    def full(self, clients: int) -> bool:
        """Whether there is no room beside so many clients."""
        return self.capacity is not None and clients + len(self._kept) >= self.capacity

    def now(self, clients: int, now: float, sits: bool = False) -> bool:
        """Whether a client that comes now is let in at once: then it has had its turn. `sits`: it has a place here."""
        if self.back or now < self.next_turn or (not sits and (self.line or self.full(clients))):
            return False
        self.next_turn = now + 1 / self.rate
        return True

    def wait(self, link: int, name: str, now: float, first: bool = False, sits: bool = False) -> bool:
        """A client joins the line, at its end unless it goes `first`; False where the line is full. One that `sits`
        here has a line for itself."""
        if sits:
            self.back[link], self._names[name] = Waiting(name, now), link
            return True
        if len(self.line) >= MOST_WAITING and not first:
            return False
        self.line[link], self._names[name] = Waiting(name, now), link
        if first:
            self.first(link)
        return True

    def first(self, link: int) -> None:
        """Who waits on this link is the next: it has become a supernode, and is to help."""
        if link in self.line:
            self.line.move_to_end(link, last=False)
            self._helpers.add(link)

    def left(self, name: str) -> None:
        """A client's link is gone: if it has come back on another and waits for its turn, its place is kept."""
        link = self._names.get(name)
        if link is not None and link in self.back:
            self._kept.add(link)

    @property
    def helpers(self) -> int:
        """How many wait that go first."""
        return len(self._helpers)

    @property
    def without_help(self) -> int:
        """How many wait, those not counted that go first."""
        return len(self.line) - len(self._helpers)

    def leave(self, link: int) -> None:
        self._helpers.discard(link)
        self._kept.discard(link)
        gone = self.line.pop(link, None) or self.back.pop(link, None)
        if gone is not None and self._names.get(gone.name) == link:
            del self._names[gone.name]

    def waits(self, name: str) -> int | None:
        """The link on which a client of that name stands in the line."""
        return self._names.get(name)

    def ahead(self, link: int) -> int:
        """How many wait before this one; the last one's place is told without counting."""
        if next(reversed(self.line), None) == link:
            return len(self.line) - 1
        line = self.back if link in self.back else self.line
        return next((place for place, each in enumerate(line) if each == link), 0)

    def seconds(self, sits: bool = False) -> float:
        """How long the line takes, where there is room; or that of those that sit here. They take turns."""
        return (2 * len(self.back) if sits else len(self.line) + min(len(self.line), len(self.back))) / self.rate

    def come_back(self, now: float, lines: int = 1) -> float:
        """Seconds after which one who finds no place in the line may come back: each has another moment. `lines` are
        those that it has asked or will ask, this one among them: what they let in together is what it waits for."""
        pace = OVERBOOKED * self.rate * lines
        self.away_until = max(self.away_until, now + self.seconds() / OVERBOOKED) + 1 / pace
        return min(self.away_until - now, LONGEST_AWAY)

    def due(self, clients: int, now: float) -> int | None:
        """The link whose turn it is now, out of its line; None: nobody's. Neither of the two lines holds up the other:
        who sits here may come back again and again."""
        line = self.line if self.line and not self.full(clients) else None
        if now < self.next_turn or not (self.back or line):
            return None
        self.next_turn = max(self.next_turn, now - 1 / self.rate) + 1 / self.rate
        takes = line if line and not (self.back and self._back_next) else self.back
        self._back_next = takes is not self.back
        link = next(iter(takes))
        self.leave(link)
        return link

    def deadline(self, clients: int) -> float | None:
        return self.next_turn if self.back or (self.line and not self.full(clients)) else None
