"""What a client answers when a supernode asks it to become one, or a relay, and what it measures when it is asked to
dial another.

Belongs here: whether it may, and how far it has come. Never: what those do, which are other machines of the same
program.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, Event, earliest
from lab.overlay.limits import Limiter, Rate
from lab.overlay.mesh import Machine, one_a_family
from lab.overlay.paths import nobodys
from lab.overlay.reach import Reach
from lab.overlay.wallclock import WallClock
from lab.overlay.whereabouts import Whereabouts
from lab.wire.messages import Demoted, Dial, Dialled, HubMessage, Message, Nominate, Promoted, Role, Unwilling, Willing

PROBATION = 30.0
"""Seconds for which a client listens as what it was asked to be without being promoted."""
CAPACITY = 200
"""Clients that a promoted one has room for unless its user says otherwise; Skype's had some hundred."""
CALLS = 20
"""Calls that a promoted relay takes unless its user says otherwise: 2 Mbit/s each way if all talk through it."""
WEIGH_EVERY = 60.0
"""Seconds between two looks at what its machine has to spare, while it is a supernode or a relay."""
TIRED = 2
"""Looks in a row that find nothing to spare before it is a client alone again."""
DIALS = Rate(0.5, 5)
"""What a client dials for its supernodes: it is no scanner of ports."""

Answer = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class AskedToBe(Event):
    """The program is to listen as a supernode or relay does, and to say `listening` when it does."""

    role: Role


@dataclass(frozen=True, slots=True)
class AskedForSpare(Event):
    """The program is to measure what its machine has to spare for this role, and to say `spares`, to a supernode beside
    as well."""

    role: Role


@dataclass(frozen=True, slots=True)
class PromotedTo(Event):
    """Others have reached it: it is one now, among these supernodes."""

    role: Role
    supernodes: tuple[Machine, ...]


@dataclass(frozen=True, slots=True)
class DemotedFrom(Event):
    """The program is to be a client alone again, for this reason; its clients, or calls, go elsewhere first."""

    role: Role
    reason: str


class Candidacy:
    """One client's. `own` is where it stands; `capacity` how many clients it would have room for, None: CAPACITY;
    `calls` how many calls it would carry, None: CALLS. What is known of its own network: `blocked` tells why it reaches
    few others, `narrow` why it has no line to spare; None: as far as is known, it does, and has."""

    def __init__(
        self,
        actions: Actions,
        own: Whereabouts,
        authority: bytes,
        rng: random.Random,
        wall: WallClock,
        capacity: int | None,
        calls: int | None = None,
        blocked: Callable[[float], str | None] = lambda now: None,
        narrow: Callable[[float], str | None] = lambda now: None,
    ) -> None:
        self.actions, self.own, self.authority, self.rng, self.wall = actions, own, authority, rng, wall
        self.capacity, self.calls, self.blocked = capacity or CAPACITY, calls or CALLS, blocked
        self.narrow = narrow
        self.role: Role | None = None
        self.promoted: Role | None = None
        self.until: float | None = None
        self.answer: Answer | None = None
        self.willing: Willing | None = None
        """What it has answered, once the program listens."""
        self.told: set[str] = set()
        """The supernodes that have asked it to be this, and have been answered so: they alone may promote it."""
        self.host = self.hub = self.because = ""
        self.room = 0
        self.weigh_at: float | None = None
        self.tired = 0
        self.reaches: list[Reach] = []
        self._dials = Limiter(DIALS)

    def says(self, hub: str, message: HubMessage, answer: Answer, now: float) -> bool:
        """A word of a supernode; whether it was about this. `answer` goes back to it. Raises ProtocolError where one
        promotes it that has not asked it, or for what it has not been asked to be."""
        match message:
            case Nominate():
                self._nominated(hub, message, answer, now)
            case Promoted():
                self._promoted_by(hub, message, now)
            case Demoted(role, reason):
                self.told.discard(hub)
                if role == self.role and self.promoted is None and hub == self.hub:  # no other has asked since
                    self.cease(reason)
            case Dial():
                self._dial(message, answer, now)
            case _:
                return False
        return True

    def _nominated(self, hub: str, wanted: Nominate, answer: Answer, now: float) -> None:
        again = wanted.role == self.role and self.promoted is None and wanted.observed[0] == self.host
        if again and hub != self.hub:  # who asked before may have lost it since, for it waits at several
            self.hub, self.answer, self.until = hub, answer, now + PROBATION
            if self.willing is not None:
                self._say_willing(hub, answer)
        elif self.role is not None:
            answer(Unwilling(wanted.role, f"it is a {self.role} already, or about to be one"))
        elif wanted.observed[0] not in self.own.addresses:
            answer(Unwilling(wanted.role, "its address is translated on the way"))
        elif nobodys(wanted.observed[0]):
            answer(Unwilling(wanted.role, "its address is nobody's"))
        elif wanted.role == "relay" and (why := self.narrow(now)) is not None:
            answer(Unwilling(wanted.role, why))
        else:
            self.role, self.answer, self.until = wanted.role, answer, now + PROBATION
            self.hub, self.host, self.room, self.willing = hub, wanted.observed[0], 0, None
            self.actions.emit(AskedToBe(wanted.role))

    def _promoted_by(self, hub: str, word: Promoted, now: float) -> None:
        if word.role != self.role or hub not in self.told:
            raise ProtocolError(f"{hub} promotes this client to a {word.role}, and has not asked it")
        if self.promoted is not None:
            return  # another that had asked as well was sooner
        self.promoted, self.until, self.tired = word.role, None, 0
        self.weigh_at = now + WEIGH_EVERY
        lack = "had too much to do" if word.role == "supernode" else "knew no relay with room"
        self.because = f"{hub} {lack}, and {word.measurer} has reached it"
        self.actions.emit(PromotedTo(word.role, word.supernodes))

    def _say_willing(self, hub: str, answer: Answer) -> None:
        assert self.willing is not None, "who says so listens"
        self.told.add(hub)
        answer(self.willing)

    def wanted(self, role: Role) -> int:
        """How many clients, or calls, its user would have it take, if its machine has room."""
        return self.capacity if role == "supernode" else self.calls

    def has(self, room: int) -> None:
        """How many its machine has room for."""
        self.room = room

    def listening(self, refusal: str | None, now: float) -> None:
        """The program listens as it was asked to, or cannot for a reason."""
        if self.role is None or self.answer is None or self.promoted is not None:
            return
        if refusal is not None:
            self.answer(Unwilling(self.role, refusal[:300]))
            self.role = self.answer = self.until = None
            return
        hosts = one_a_family((self.host, *self.own.addresses))
        self.willing = Willing(self.role, hosts, self.room or self.wanted(self.role))
        self._say_willing(self.hub, self.answer)

    def spares(self, refusal: str | None) -> None:
        """What the machine has to spare now: None where that is enough, else why it is not. A relay whose user needs
        the machine is one no more, and its calls are elsewhere first; a supernode stays one, and takes nobody new: were
        it to leave where all have much to do, the others would have more."""
        if self.promoted == "relay":
            self.tired = self.tired + 1 if refusal is not None else 0
            if refusal is not None and self.tired >= TIRED:
                self.cease(refusal)

    def cease(self, reason: str) -> None:
        """It is a client alone again, or will be as soon as its clients, or calls, are elsewhere."""
        if self.role is not None:
            self.actions.emit(DemotedFrom(self.role, reason))
        self.role = self.promoted = self.answer = self.willing = self.until = self.weigh_at = None
        self.because = ""
        self.told.clear()

    def relocated(self) -> None:
        """Who stands elsewhere is not what was measured."""
        if self.role is not None and self.host not in self.own.addresses:
            self.cease(f"its address {self.host} is gone")

    def _dial(self, wanted: Dial, answer: Answer, now: float) -> None:
        usable = not any(nobodys(host) or host in self.own.addresses for host in wanted.hosts)
        if not usable:
            answer(Dialled(wanted.name, False, False))
            return
        if not self._dials.allows("", now):
            answer(Unwilling(wanted.role, "it has dialled too many"))
            return

        def done(question: Dial, tcp: bool, udp: bool, now: float) -> None:
            self.reaches = [reach for reach in self.reaches if not reach.over]
            if not (tcp and udp) and (why := self.blocked(now)) is not None:
                answer(Unwilling(question.role, why))  # it says nothing of the other
            else:
                answer(Dialled(question.name, tcp, udp))

        reach = Reach(self.actions, wanted, self.authority, self.own, self.rng, self.wall, done)
        self.reaches.append(reach)
        reach.start(now)

    def deadline(self) -> float | None:
        return earliest(self.until, self.weigh_at, *(reach.deadline() for reach in self.reaches))

    def poll(self, now: float) -> None:
        for reach in list(self.reaches):
            reach.poll(now)
        if self.until is not None and now >= self.until:
            self.cease("nobody has promoted it")
        if self.weigh_at is not None and self.promoted is not None and now >= self.weigh_at:
            self.weigh_at = now + WEIGH_EVERY
            if self.promoted == "relay" and (why := self.narrow(now)) is not None:
                self.spares(why)
            else:
                self.actions.emit(AskedForSpare(self.promoted))
