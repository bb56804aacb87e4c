"""What is measured while a story goes on: who is away and for how long, how fast supernodes let in, who was found,
and which calls ended.

Belongs here: counting what the machines tell. Never: doing anything, or judging.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.overlay.actions import Event
from lab.overlay.admission import LOGIN_RATE
from lab.overlay.call_events import Answered, Ended, Moved
from lab.overlay.carrying import Carried
from lab.overlay.member import SignedIn, SignedOut
from lab.overlay.seat import Joined, TurnedAway
from lab.simulation.population import Node, Watcher

ORDINARY = 10.0
"""Seconds for which a client may be away after its start, as after the loss of its supernode; who needs no more has
not been waiting for anything to heal."""
LOOKUP_LIMIT = 5.0
"""Seconds within which a name has to be found."""
QUEUE = 1.5
"""How long clients may queue after a blow: times what the supernodes that are left take at their stated rate."""


@dataclass(slots=True)
class Lookup:
    """One word to a client by its name, at a moment; `passed` are the supernodes that carried it on."""

    at: float
    callee: str
    passed: int = 0
    found: bool = False

    @property
    def hops(self) -> int:
        """From one supernode to another, of a name that was found."""
        return self.passed - 1


@dataclass(frozen=True)
class Moment:
    """One second: clients that are up, those of them that are away, sign-ins at all supernodes and at the busiest."""

    at: int
    up: int
    away: int
    logins: int
    busiest: int


@dataclass(frozen=True, slots=True)
class Absence:
    """A client that is up sits nowhere: since when, whether it had a supernode before, and whether that is off now."""

    since: float
    lost: bool = False
    struck: bool = False


@dataclass
class Blow:
    """What befalls supernodes at one moment, and how it was borne.

    So many `survivors`, each of which lets in `login_limit` clients a second, are there for `waiting` clients. While
    they have places and turns enough, nobody is away for longer than ORDINARY; else clients queue, and all are in
    within QUEUE times what their turns take. Who is in within ORDINARY has not queued: `limit_s` is the longer of both.
    """

    what: str
    at: float
    survivors: int
    waiting: int
    login_limit: float
    away: int = 0
    """Clients that were away because of it, and are in again, or off."""
    longest_s: float = 0.0
    """Seconds for which one of them was away."""
    all_in_s: float = 0.0
    """Seconds from the blow until the last one of them was in."""

    @property
    def queue_s(self) -> float:
        return QUEUE * self.waiting / (self.login_limit * self.survivors)

    @property
    def limit_s(self) -> float:
        return max(ORDINARY, self.queue_s)

    @property
    def kept(self) -> bool:
        """Whether it was borne as it has to be."""
        return (self.longest_s if self.queue_s <= ORDINARY else self.all_in_s) <= self.limit_s


@dataclass
class Talk:
    """One call: which ends talk, and since when each has no path for its voice; `ended` says why, once it has."""

    talking: set[str] = field(default_factory=set)
    pathless: dict[str, float] = field(default_factory=dict)
    silence: float = 0.0
    """The longest time without a path, at either end, since the blow."""
    ended: str | None = None


@dataclass
class Measures(Watcher):
    """Of one run. Times are seconds of the simulated clock, rates a second; `since` is when the story's blow falls."""

    since: float = float("inf")
    login_limit: float = LOGIN_RATE
    up: int = 0
    away: dict[Node, Absence] = field(default_factory=dict)
    off: set[str] = field(default_factory=set)
    """Nodes that have been switched off."""
    last_in: float = 0.0
    """When the last client came in, or ended, whose supernode had gone or that had been away for longer than ORDINARY:
    one whose supernode is there has only been between two for a moment, as clients that are moved may be on any day."""
    lost: "array[float]" = field(default_factory=lambda: array("d"))
    """Seconds for which each client that lost its supernode was away."""
    arrived: "array[float]" = field(default_factory=lambda: array("d"))
    """Seconds from the start of a client until it was in."""
    turned: int = 0
    lookups: dict[str, Lookup] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    traffic: list[tuple[float, float]] = field(default_factory=list)
    """Until when, and how many bytes each client sent and received an hour since the last time."""
    blows: list[Blow] = field(default_factory=list)
    calls: dict[str, Talk] = field(default_factory=dict)
    up_seconds: float = 0.0
    _counted: float = 0.0
    _logins: Counter[str] = field(default_factory=Counter)

    # -- what happens --------------------------------------------------------------------------------------------

    def began(self, node: Node, now: float) -> None:
        self.off.discard(node.name)
        if node.role == "client":
            self._count_up(now)
            self.up += 1
            self.away[node] = Absence(now)

    def ended(self, node: Node, now: float) -> None:
        self.off.add(node.name)
        if node.role == "client":
            self._count_up(now)
            self.up -= 1
            self._no_more_away(node, now)

    def told(self, node: Node, event: Event, now: float) -> None:
        if isinstance(event, Joined):
            if event.role == "client":
                self._logins[node.name] += 1
        elif isinstance(event, SignedIn):
            self._in(node, now)
        elif isinstance(event, SignedOut):
            self.away[node] = Absence(now, lost=True, struck=event.hub in self.off)
        elif isinstance(event, TurnedAway):
            self.turned += now >= self.since
        elif isinstance(event, Carried) and (lookup := self.lookups.get(event.call)) is not None:
            lookup.passed += 1
            lookup.found = lookup.found or event.toward == lookup.callee
        elif isinstance(event, Answered | Moved | Ended) and (talk := self.calls.get(event.call)) is not None:
            self._talks(talk, node.name, event, now)

    def struck(self, what: str, survivors: int, waiting: int, now: float) -> None:
        self.blows.append(Blow(what, now, survivors, waiting, self.login_limit))

    def _talks(self, talk: Talk, name: str, event: Answered | Moved | Ended, now: float) -> None:
        if isinstance(event, Answered):
            talk.talking.add(name)
        elif isinstance(event, Ended):
            talk.ended = f"{name}: {event.error or 'hung up'}"
        elif event.path is None:
            talk.pathless[name] = now
        elif (since := talk.pathless.pop(name, None)) is not None and now >= self.since:
            talk.silence = max(talk.silence, now - max(since, self.since))

    def _in(self, node: Node, now: float) -> None:
        if node not in self.away:
            return  # it has moved from one supernode to another
        absence = self.away[node]
        if now >= self.since:
            (self.lost if absence.lost else self.arrived).append(now - absence.since)
        self._no_more_away(node, now)

    def _no_more_away(self, node: Node, now: float) -> None:
        absence = self.away.pop(node, Absence(now))
        if absence.struck or now - absence.since > ORDINARY:
            self.last_in = now
            self._borne(absence, now)

    def _borne(self, absence: Absence, now: float) -> None:
        blow = next((blow for blow in reversed(self.blows) if blow.at <= absence.since), None)
        if blow is not None:
            blow.away += 1
            blow.longest_s = max(blow.longest_s, now - absence.since)
            blow.all_in_s = max(blow.all_in_s, now - blow.at)

    def _count_up(self, now: float) -> None:
        self.up_seconds += self.up * (now - self._counted)
        self._counted = now

    # -- what is asked -------------------------------------------------------------------------------------------

    def second(self, at: int) -> None:
        """A second is over."""
        self._count_up(float(at))
        logins = self._logins
        self.moments.append(Moment(at, self.up, len(self.away), logins.total(), max(logins.values(), default=0)))
        logins.clear()

    def asks(self, word: str, callee: str, now: float) -> None:
        """A client looks another one up, with a word that comes only once."""
        self.lookups[word] = Lookup(now, callee)

    def carried(self, bytes_an_hour: float, now: float) -> None:
        """What each client sent and received an hour, since the last time."""
        self.traffic.append((now, bytes_an_hour))

    def running(self) -> list[Talk]:
        """Calls that both ends talk in."""
        return [talk for talk in self.calls.values() if len(talk.talking) == 2 and talk.ended is None]

    def peak(self) -> int:
        """Clients that the busiest supernode let in within one second, since the blow."""
        return max((moment.busiest for moment in self.moments if moment.at > self.since), default=0)


def share(values: Iterable[float], part: float) -> float | None:
    """The value below which this part of them lies; None of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else None
