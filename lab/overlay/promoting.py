"""How a supernode that has too much to do makes one of its clients another, or one that lacks relays a relay: asked,
measured from outside, promoted.

Belongs here: who is asked, who measures, what is believed. Never: links; what a promoted client does.
"""

import random
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from lab.overlay.actions import Event, earliest
from lab.overlay.admission import OVERBOOKED
from lab.overlay.limits import Limiter, Rate
from lab.wire.addresses import Address
from lab.wire.messages import (
    Demoted,
    Dial,
    Dialled,
    Message,
    Nominate,
    Promoted,
    Role,
    Unwilling,
    Willing,
)

UPTIME_LEAST = 5.0
"""Seconds for which a client has been here before it is asked, or half of the time for which its supernode is here, if
that is less: where everything has restarted, nobody has been anywhere for long. Of several, the one that has been here
longest is the first: who has stayed long stays longest."""
STAGE_LIMIT = 12.0
"""Seconds in which somebody who is asked has to answer."""
PAUSE = 0.2
"""Seconds between two that are asked. Where it is urgent, after one who is unwilling the next is asked at once."""
SEARCH = 1.0
"""The same where a relay is lacking: there may be nobody who is fit, for as long as the supernode is up."""
SETTLING = 8.0
"""Seconds after a promotion in which nobody else is promoted: what it helps shows by then. But where many times more
wait than it has room for, the next one is asked at once."""
NOT_AGAIN = 600.0
"""Seconds for which nobody is asked again who would not, or whose own words say that it is not fit."""
DOUBTED = 30.0
"""The same at first of who was not reached, or by nobody who could say so: a firewall is opened, and those that could
measure it had been asked too much. It doubles each time, up to what it is for others."""
MOST_MEASURERS = 3
"""Nodes that dial a candidate in turn in vain, at the most: some cannot dial anybody. Who says so does not count."""
MOST_ELSEWHERE = 5
"""Other supernodes that are asked in turn, at the most, to have one of their clients dial a candidate."""
MEASURER_LIMIT = 5.0
"""Seconds in which one of them has to answer; it gives up by itself after three."""
MEASURING = 20.0
"""Seconds for which others are asked to dial one candidate, who waits no longer than thirty."""
MEASURINGS = Rate(0.2, 3)
"""What one node is asked to dial."""
MOST_ABLE = 1_000
"""Nodes of which it is remembered that they have reached somebody: their word counts where they reach nobody."""
RECHECK = 15.0
"""Seconds between two measurings of supernodes and relays that were promoted, each time of another."""
RECHECK_SOON = 2.0
"""The same after one that somebody did not reach."""
FAILING = 0.8
"""The share of measurings that are of those that somebody has not reached since: one of them may be reached from here
and by nobody else who could say so, and is not to keep the others from their turns."""
FAILURES = 2
"""Measurers in a row that have to fail before one is told that it is out of reach."""


@dataclass(frozen=True, slots=True)
class Asked(Event):
    """A client is asked to become a supernode, or a relay."""

    name: str
    role: str


@dataclass(frozen=True, slots=True)
class FoundUnfit(Event):
    """A client is not promoted, and why."""

    name: str
    role: str
    reason: str


@dataclass(frozen=True, slots=True)
class FoundFit(Event):
    """A client is promoted: `measurer`, whom it had nothing to do with, has reached it; a supernode has had one of its
    clients do so."""

    name: str
    role: str
    measurer: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A client that could be asked: the address that its supernode sees it under, and since when it is here."""

    name: str
    key: bytes
    observed: Address
    since: float
    send: Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class _Unfit:
    """Who was found so at this address is not asked again there before `until`, after a pause of so many seconds: those
    that were its own fault."""

    where: Address
    until: float
    pause: float


@dataclass
class _Asking:
    candidate: Candidate
    role: Role
    until: float
    willing: Willing | None = None
    asked: tuple[str, ...] = ()
    measurer: str = ""
    measured_by: float = 0.0
    """Until when others are asked to dial it."""
    elsewhere: int = 0
    """How many other supernodes have been asked to have it dialled."""
    in_vain: list[str] = field(default_factory=list)
    """Who has dialled it and not reached it, or has not answered."""


class Promoting:
    """One supernode's. `dial` measures from this node itself, `machines` are the supernodes that a promoted one is
    told of; `strangers` are the nodes that could measure a candidate and have, as far as is known here, had nothing to
    do with it: what a candidate has contacted itself, a router may let in while it lets in nobody else. `able` says
    whether one of them has reached somebody before: who has not may be the one that reaches nobody. Where none of them
    is left, those `elsewhere` are asked, other supernodes that have such clients perhaps.
    """

    def __init__(
        self,
        emit: Callable[[Event], object],
        rng: random.Random,
        dial: Callable[[Dial, float], object],
        strangers: Callable[[Candidate], Mapping[str, Callable[[Message], object]]],
        machines: Callable[[], Sequence[tuple[str, ...]]],
        able: Callable[[str], bool] = lambda name: True,
        elsewhere: Callable[[], Mapping[str, Callable[[Message], object]]] = dict,
    ) -> None:
        self.emit, self.rng, self.dial, self.strangers, self.machines = emit, rng, dial, strangers, machines
        self.able, self.elsewhere = able, elsewhere
        self.asking: _Asking | None = None
        self.unfit: dict[tuple[str, Role], _Unfit] = {}
        self.here_since = float("-inf")
        """When this supernode began to take part."""
        self.next_ask = 0.0
        self.unwilling = False
        """Whether the one who was asked last said that it would not."""
        self.needed_since: float | None = None
        self.turn = 0.0
        """Of its patience, the share for which it waits this time."""
        self.promoted: dict[str, Role] = {}
        self.settling: list[tuple[float, int]] = []
        """Of what was promoted lately: until when it settles, and how much it has room for."""
        self._measurers = Limiter(MEASURINGS)

    def deadline(self, needed: Role | None, patience: float, waiting: int = 0) -> float | None:
        if self.asking is not None:
            return 0.0 if self._needless(needed) else self.asking.until
        if needed is not None and self.needed_since is None:
            return 0.0  # since when it is needed does not hang on what else has it look up
        return self.next(patience, waiting) if needed else None

    def next(self, patience: float, waiting: int = 0) -> float:
        """When somebody is asked, where one is needed, if nobody is being asked."""
        settled, next_ask = 0.0, self.next_ask
        if self.unwilling and not patience:
            next_ask -= PAUSE
        if waiting <= OVERBOOKED * sum(room for _, room in self.settling):
            settled = max((until for until, _ in self.settling), default=0.0)
        return max(next_ask, settled, (self.needed_since or 0.0) + self.turn * patience)

    def poll(
        self,
        needed: Role | None,
        candidates: Callable[[], Sequence[Candidate]],
        patience: float,
        now: float,
        waiting: int = 0,
    ) -> None:
        """Asks somebody where one is `needed`, some time within `patience` seconds after it is first; gives up on who
        does not answer. So many clients are `waiting` for what is promoted."""
        if needed is None:
            self.needed_since = None
        elif self.needed_since is None:
            self.needed_since, self.turn = now, self.rng.random()
        if self.asking is not None:
            if self._needless(needed):
                self.asking.candidate.send(Demoted(self.asking.role, "another has become one"))
                self.asking, self.next_ask = None, now + PAUSE
            elif now >= self.asking.until and self.asking.measurer:
                self._in_vain(self.asking, now)
            elif now >= self.asking.until:
                self._unfit("it does not answer", now)
        elif needed is not None and now >= self.next(patience, waiting):
            self.next_ask, self.unwilling = now + (PAUSE if needed == "supernode" else SEARCH), False
            fit = [each for each in candidates() if self._may_be(each, needed, now)]
            if fit:
                chosen = min(fit, key=lambda each: (each.since, each.name))
                self.asking = _Asking(chosen, needed, now + STAGE_LIMIT)
                self.emit(Asked(chosen.name, needed))
                chosen.send(Nominate(needed, chosen.observed))

    def _may_be(self, candidate: Candidate, role: Role, now: float) -> bool:
        uptime = min(UPTIME_LEAST, (now - self.here_since) / 2)
        if candidate.name in self.promoted or now < candidate.since + uptime:
            return False
        before = self._before(candidate, role)
        return before is None or now >= before.until

    def _before(self, candidate: Candidate, role: Role) -> _Unfit | None:
        """What was found of it at the address that it has."""
        found = self.unfit.get((candidate.name, role))
        return found if found is not None and found.where[0] == candidate.observed[0] else None

    def measures(self, name: str, message: Dialled) -> bool:
        """Whether that node has been asked to dial that one."""
        return self.asking is not None and (name, message.name) == (self.asking.measurer, self.asking.candidate.name)

    @property
    def measurer(self) -> str:
        """Who is asked to dial the candidate now."""
        return self.asking.measurer if self.asking is not None else ""

    def cannot_measure(self, name: str, now: float) -> None:
        """A node says that it reaches few others: then it is no witness."""
        if self.asking is not None and name == self.asking.measurer:
            self._ask_stranger(self.asking, now)

    def says(self, name: str, message: Message, now: float) -> None:
        """A word of a client about being asked, or of a node about what it has measured; what nobody waits for is
        nothing."""
        asking = self.asking
        if asking is None:
            return
        if isinstance(message, Dialled):
            if (name, message.name) == (asking.measurer, asking.candidate.name) and asking.willing is not None:
                self._measured(asking, message.tcp and message.udp, now)
        elif name == asking.candidate.name and isinstance(message, Unwilling):
            self._unfit(message.reason, now, tell=False, pause=NOT_AGAIN)
        elif name == asking.candidate.name and isinstance(message, Willing) and asking.willing is None:
            if asking.candidate.observed[0] not in message.hosts or message.role != asking.role:
                self._unfit("the address that it is seen under is not its own", now, pause=NOT_AGAIN)
                return
            asking.willing, asking.until = message, now + STAGE_LIMIT
            self.dial(self._question(asking), now)

    def dialled(self, wanted: Dial, tcp: bool, udp: bool, now: float) -> None:
        """This node itself has dialled somebody that is asked: the cheap half of the measuring."""
        asking = self.asking
        if asking is None or asking.willing is None or asking.measurer or wanted.name != asking.candidate.name:
            return
        if tcp and udp:
            asking.measured_by = now + MEASURING
            self._ask_stranger(asking, now)
        else:
            self._unfit(_unreached(tcp, udp), now)

    def _ask_stranger(self, asking: _Asking, now: float) -> None:
        """The next one, who was never asked; where one has failed, one that has reached somebody, if there is any."""
        strangers = self.strangers(asking.candidate)
        names = [name for name in sorted(strangers) if name not in asking.asked]
        if asking.in_vain and (proven := [name for name in names if self.able(name)]):
            names = proven
        self.rng.shuffle(names)
        enough = len(asking.in_vain) >= MOST_MEASURERS or now >= asking.measured_by
        measurer = None if enough else next((name for name in names if self._measurers.allows(name, now)), None)
        if measurer is None and not enough:
            strangers = self.elsewhere()
            measurer = self._supernode(asking, strangers, now)
        if measurer is None:
            reason = "nobody else has reached it" if asking.in_vain else "nobody is here who could measure it"
            self._unfit(reason, now, blamed=any(self.able(name) for name in asking.in_vain))
            return
        asking.measurer = measurer
        asking.asked += (measurer,)
        asking.until = now + MEASURER_LIMIT
        strangers[measurer](self._question(asking))

    def _supernode(self, asking: _Asking, others: Collection[str], now: float) -> str | None:
        """One that is asked to have the candidate dialled, if there is any that has not been."""
        names = [name for name in sorted(others) if name not in asking.asked and self._measurers.allows(name, now)]
        if not names or asking.elsewhere >= MOST_ELSEWHERE:
            return None
        asking.elsewhere += 1
        return self.rng.choice(names)

    def _in_vain(self, asking: _Asking, now: float) -> None:
        asking.in_vain.append(asking.measurer)
        self._ask_stranger(asking, now)

    def _question(self, asking: _Asking) -> Dial:
        assert asking.willing is not None
        candidate = asking.candidate
        return Dial(asking.role, candidate.name, candidate.key, asking.willing.hosts)

    def _measured(self, asking: _Asking, reached: bool, now: float) -> None:
        if not reached:
            self._in_vain(asking, now)
            return
        name = asking.candidate.name
        self.promoted[name] = asking.role
        room = asking.willing.capacity if asking.willing is not None else 0
        self.settling = [settles for settles in self.settling if settles[0] > now] + [(now + SETTLING, room)]
        self.asking, self.next_ask = None, now + PAUSE
        self.emit(FoundFit(name, asking.role, asking.measurer))
        asking.candidate.send(Promoted(asking.role, asking.measurer, tuple(self.machines())[:200]))

    def is_one_no_more(self, name: str) -> None:
        """A promoted relay has stepped down: it may be asked again when one is lacking."""
        if self.promoted.get(name) == "relay":
            del self.promoted[name]

    def gone(self, name: str, now: float) -> None:
        """A client has left; who was promoted may be asked again when it is back, for it is a client again."""
        self.promoted.pop(name, None)
        if self.asking is not None and self.asking.candidate.name == name:
            self.asking, self.next_ask = None, now + PAUSE
        elif self.asking is not None and self.asking.measurer == name:
            self._ask_stranger(self.asking, now)

    def _needless(self, needed: Role | None) -> bool:
        """Whether others have made somebody a supernode while one is asked here, and no other is needed."""
        return self.asking is not None and self.asking.role == "supernode" != needed

    def _unfit(self, reason: str, now: float, tell: bool = True, pause: float = DOUBTED, blamed: bool = True) -> None:
        """`blamed`: it may be the candidate's own fault, and the next pause is longer."""
        assert self.asking is not None
        candidate, role = self.asking.candidate, self.asking.role
        before = self._before(candidate, role)
        if before is not None and blamed:
            pause = min(max(pause, 2 * before.pause), NOT_AGAIN)
        earned = pause if blamed else before.pause if before is not None else 0.0
        self.unfit = {who: found for who, found in self.unfit.items() if found.until + NOT_AGAIN > now}
        self.unfit[candidate.name, role] = _Unfit(candidate.observed, now + pause, earned)
        self.asking, self.next_ask, self.unwilling = None, now + PAUSE, not tell
        self.emit(FoundUnfit(candidate.name, role, reason))
        if tell:
            candidate.send(Demoted(role, reason[:300]))


HERE = ""
"""The measurer that a supernode is itself."""


class Rechecking:
    """Whether supernodes and relays that were promoted can still be reached: now and then one is dialled, from here or
    by one of the `strangers` to it, in turn: a router may have come to let in whom it knows, and nobody else.

    Out of reach is what this node has failed to reach twice in a row, and somebody else between the two it has
    reached; or what two strangers have that have reached somebody before: many networks let them dial nobody.
    """

    def __init__(
        self,
        rng: random.Random,
        dial: Callable[[Dial, float], object],
        strangers: Callable[[Dial], Mapping[str, Callable[[Message], object]]],
    ) -> None:
        self.rng, self.dial, self.strangers = rng, dial, strangers
        self.next: float | None = None
        self.failures: dict[str, list[str]] = {}
        """Who has failed to reach each, since somebody did."""
        self.measured: dict[str, float] = {}
        """When each was measured last."""
        self.able: OrderedDict[str, None] = OrderedDict()
        self.asked: tuple[str, Dial] | None = None
        """The stranger that is dialling, and whom."""
        self.control = ""
        """Whom this node dials to see whether it reaches anybody."""
        self.reaches = False
        """Whether it has, since it last failed."""
        self._measurers = Limiter(MEASURINGS)

    def deadline(self, promoted: bool) -> float | None:
        """`promoted`: whether there is anybody to be measured."""
        return self.next if self.next is not None or not promoted else 0.0

    def poll(
        self,
        promoted: Callable[[], Sequence[Dial]],
        now: float,
        built_in: Callable[[], Sequence[Dial]] = lambda: (),
    ) -> None:
        """`promoted` gives the questions, one for each promoted supernode that is linked with this one and each
        promoted relay that sits here; `built_in` those for the other supernodes, which are dialled for comparison."""
        if self.next is not None and now < self.next:
            return
        due, questions = self.next is not None, promoted()
        self.next = now + RECHECK * self.rng.uniform(0.5, 1.0) if questions else None
        if due and questions:
            failing = [each for each in questions if self.failures.get(each.name)]
            if failing and self.rng.random() < FAILING:
                questions = failing
            first = min(self.measured.get(each.name, 0.0) for each in questions)
            chosen = self.rng.choice([each for each in questions if self.measured.get(each.name, 0.0) == first])
            if (control := self._compared(chosen, (*questions, *built_in()))) is not None:
                self.control = control.name
                self.dial(control, now)
            else:
                self.measured[chosen.name] = now
                self._measure(chosen, now)

    def _compared(self, question: Dial, others: Sequence[Dial]) -> Dial | None:
        """Somebody else to dial first, where this node has just failed and may be the one that reaches nobody."""
        if self.reaches or self.failures.get(question.name, [])[:1] != [HERE]:
            return None
        others = [other for other in others if not self.failures.get(other.name) and other.name != question.name]
        return self.rng.choice(others) if others else None

    def _measure(self, question: Dial, now: float) -> None:
        """From here, or by a stranger; again so, and by another stranger, where that has just failed."""
        before = self.failures.get(question.name, [])
        strangers = self.strangers(question)
        names = [name for name in sorted(strangers) if name not in before and (not before or name in self.able)]
        if names and HERE not in before and (before or self.rng.random() < 0.5):
            measurer = self.rng.choice(names)
            if self._measurers.allows(measurer, now):
                self.asked = measurer, question
                strangers[measurer](question)
                return
        self.dial(question, now)

    def says(self, measurer: str, message: Dialled, now: float) -> tuple[Dial, bool, bool] | None:
        """A node's word about what it has measured: the question, and whether TCP and UDP got there, where it was asked
        and its word counts."""
        if self.asked is None or (measurer, message.name) != (self.asked[0], self.asked[1].name):
            return None
        question, self.asked = self.asked[1], None
        if message.tcp and message.udp:
            self.can(measurer)
        elif measurer not in self.able:
            self.next = earliest(self.next, now + RECHECK_SOON)
            return None
        return question, message.tcp, message.udp

    @property
    def measurer(self) -> str:
        """Which stranger is asked to dial somebody now."""
        return self.asked[0] if self.asked is not None else ""

    def cannot_measure(self, name: str, now: float) -> None:
        """A node says that it reaches few others: then it is no witness."""
        if name == self.measurer:
            self.asked, self.next = None, earliest(self.next, now + RECHECK_SOON)

    def can(self, measurer: str) -> None:
        """A node has reached somebody."""
        self.able[measurer] = None
        self.able.move_to_end(measurer)
        if len(self.able) > MOST_ABLE:
            self.able.popitem(last=False)

    def dialled(self, name: str, reached: bool, now: float, measurer: str = HERE) -> bool:
        """What came of it; whether it is out of reach."""
        if measurer == HERE:
            self.reaches = reached
            if name == self.control:
                self.control = ""
                self._has_compared(now)
                return False
        failed = self.failures.setdefault(name, [])
        # a stranger's failure is not refuted by this node, which a router may know, nor the other way round
        alike = not failed or (failed[0] == HERE) is (measurer == HERE)
        if reached:
            if alike:
                failed.clear()
            return False
        if not alike:
            failed.clear()
        failed.append(measurer)
        self.next = earliest(self.next, now + RECHECK_SOON)
        out_of_reach = len(failed) >= FAILURES
        del failed[: 1 - FAILURES]  # its word alone is not heeded: it is to measure anew
        return out_of_reach

    def _has_compared(self, now: float) -> None:
        """This node does reach others, or its own failures are worth nothing."""
        if self.reaches:
            self.next = earliest(self.next, now + RECHECK_SOON)
            return
        for failed in self.failures.values():
            if failed[:1] == [HERE]:
                failed.clear()

    def gone(self, name: str) -> None:
        self.failures.pop(name, None)
        self.measured.pop(name, None)
        if name == self.control:
            self.control = ""


def _unreached(tcp: bool, udp: bool) -> str:
    ways = [way for way, reached in (("TCP", tcp), ("UDP", udp)) if not reached]
    return f"it cannot be reached by {' nor '.join(ways)}"
