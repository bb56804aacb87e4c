"""Which sessions of a relay the kernel forwards, and what it counted for them.

Belongs here: the decision, and the sums of both places. Never: how a kernel is told (the shell's).

A session goes to the kernel once both its legs are bound over UDP of one family, each by a token and from an address
that is no other leg's. The relay's socket goes on to serve whatever still reaches it: binds always, everything where
the kernel does not help.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lab.overlay.actions import Actions, CountOffloaded, Event, Offload, Offloaded, Onload
from lab.overlay.session import CALL_BURST, CALL_RATE, Leg, Session
from lab.wire.addresses import Address

HEADERS = {False: 28, True: 48}
"""Bytes of the headers of UDP over IPv4 and over IPv6, which a kernel counts with the datagram."""
REMAINDER = CALL_BURST / 10
"""What a call may send at once that has just come back from the kernel, whose bucket may be empty: 30 packets."""
COUNT_EVERY = 5.0
"""Seconds after which an offloaded session is counted that no bind has had counted: silence is told by it."""


@dataclass(frozen=True, slots=True)
class ForwardsInKernel(Event):
    """UDP between two bound legs is the kernel's from now on."""


@dataclass(frozen=True, slots=True)
class ForwardsInUserSpace(Event):
    """The kernel does not forward, or not these legs; the relay does, at a higher cost."""

    reason: str


@dataclass
class _Placed:
    session: Session
    legs: tuple[Address, Address]
    counted: Offloaded
    at: float
    ended: Callable[[], None] | None = None


class Offloading:
    """The relay's sessions in the kernel. `by_address` is the relay's own: which leg an address of UDP is."""

    def __init__(self, actions: Actions, by_address: dict[Address, Leg]) -> None:
        self.actions, self.by_address = actions, by_address
        self.kernel = False
        self.why_not = "nobody has told of a kernel that would"
        self.placed: dict[int, _Placed] = {}
        self.waiting: dict[int, list[Callable[[], None]]] = {}

    # -- what the shell tells --------------------------------------------------------------------------------------

    def up(self, sessions: list[Session], now: float) -> None:
        self.kernel, self.why_not = True, ""
        self.actions.emit(ForwardsInKernel())
        for session in sessions:
            self.review(session, now)

    def down(self, reason: str, now: float) -> None:
        """The kernel forwards nothing any more; whatever waited for its counts goes without."""
        self.kernel, self.why_not = False, reason
        self.actions.emit(ForwardsInUserSpace(reason))
        for number, placed in list(self.placed.items()):
            placed.session.complete = False
            self._back(number, placed, now)

    def refused(self, number: int, reason: str, now: float) -> None:
        if (placed := self.placed.get(number)) is not None:
            self.actions.emit(ForwardsInUserSpace(reason))
            placed.session.complete &= (
                placed.counted == Offloaded()
            )  # one that the kernel never took has no counts there
            self._back(number, placed, now)

    def counted(self, number: int, counts: Offloaded, now: float) -> None:
        placed = self.placed.get(number)
        if placed is None:
            return
        session, before = placed.session, placed.counted
        header = HEADERS[":" in placed.legs[0][0]]
        for index in (0, 1):
            passed = counts.passed[index] - before.passed[index]
            session.had[index] += counts.had[index] - before.had[index]
            session.sent[1 - index] += passed
            session.packets += passed
            session.bytes += counts.bytes[index] - before.bytes[index] - passed * header
        if counts.had != before.had:
            session.last = now
        placed.counted, placed.at = counts, now
        if counts.final:
            self._back(number, placed, now)
        else:
            self._release(number)

    # -- what the relay asks ---------------------------------------------------------------------------------------

    def review(self, session: Session, now: float) -> None:
        """A leg was bound, moved or lost: to the kernel, to its new place there, or back."""
        legs = self._fit(session)
        placed = self.placed.get(session.number)
        if legs is None:
            if placed is not None and placed.ended is None:
                self._leave(session, lambda: None, now)
        elif placed is None:
            if session.budget + (now - session.paid) * CALL_RATE >= CALL_BURST * 0.8:  # the kernel's bucket begins full
                self.placed[session.number] = _Placed(session, legs, Offloaded(), now)
                self.actions.pending.append(Offload(session.number, legs, int(CALL_RATE)))
        elif placed.ended is None and placed.legs != legs:
            placed.legs = legs
            self.actions.pending.append(Offload(session.number, legs, int(CALL_RATE)))

    def relocated(self) -> None:
        """The ways to the legs may be others: the same legs again."""
        for number, placed in self.placed.items():
            if placed.ended is None:
                self.actions.pending.append(Offload(number, placed.legs, int(CALL_RATE)))

    def with_counts(self, session: Session, then: Callable[[], None]) -> None:
        """Calls `then` when the session's sums are those of now."""
        if session.number not in self.placed:
            then()
            return
        self.waiting.setdefault(session.number, []).append(then)
        if len(self.waiting[session.number]) == 1:
            self.actions.pending.append(CountOffloaded(session.number))

    def sweep(self, now: float) -> None:
        """Has counted what nobody asked about for a while."""
        for number, placed in self.placed.items():
            if placed.ended is None and now - placed.at >= COUNT_EVERY:
                placed.at = now
                self.actions.pending.append(CountOffloaded(number))

    def count(self, now: float) -> None:
        """Has counted every session that the kernel forwards."""
        for number, placed in self.placed.items():
            if placed.ended is None:
                placed.at = now
                self.actions.pending.append(CountOffloaded(number))

    def end(self, session: Session, then: Callable[[], None], now: float) -> None:
        """The session is over: calls `then` when its sums are final."""
        if session.number in self.placed:
            self._leave(session, then, now)
        else:
            then()

    # -- within ----------------------------------------------------------------------------------------------------

    def _fit(self, session: Session) -> tuple[Address, Address] | None:
        near, far = session.legs
        if not self.kernel or near is None or far is None or near.link is not None or far.link is not None:
            return None
        own = all(self.by_address.get(leg.address) is leg for leg in (near, far))
        same_family = (":" in near.address[0]) == (":" in far.address[0])
        return (near.address, far.address) if own and same_family else None

    def _leave(self, session: Session, then: Callable[[], None], now: float) -> None:
        placed = self.placed[session.number]
        if placed.ended is None:
            self.actions.pending.append(Onload(session.number))
            session.budget, session.paid = min(session.budget, REMAINDER), now
        placed.ended = then

    def _back(self, number: int, placed: _Placed, now: float) -> None:
        del self.placed[number]
        placed.session.budget, placed.session.paid = min(placed.session.budget, REMAINDER), now
        self._release(number)
        if placed.ended is not None:
            placed.ended()

    def _release(self, number: int) -> None:
        for then in self.waiting.pop(number, ()):
            then()
