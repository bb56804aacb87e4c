"""How an envelope finds its recipient: here, at the supernode that the directory names, or nowhere.

Belongs here: the way of one envelope, and the relays that go with a caller's first. Never: sessions, the mesh's links.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from lab.overlay.actions import Event
from lab.overlay.directory import Directory
from lab.overlay.roster import Roster
from lab.wire.messages import Carry, Envelope, Message, Offers, Undeliverable

MOST_TALKS = 10_000
"""Pairs of which it is remembered that they have had to do with one another."""

Send = Callable[[Message], object]


@dataclass(frozen=True, slots=True)
class Carried(Event):
    """An envelope passed through; its content is its sender's and recipient's."""

    call: str
    sender: str
    recipient: str
    toward: str


@dataclass(frozen=True, slots=True)
class Offered(Event):
    """Relays were offered to both ends of a call."""

    call: str
    relays: tuple[str, ...]


class Carrying:
    """One supernode's. `client` and `peer` give the way to one that is signed in here or linked with this one."""

    def __init__(
        self,
        own: str,
        directory: Directory,
        roster: Roster,
        client: Callable[[str], Send | None],
        peer: Callable[[str], Send | None],
        emit: Callable[[Event], object],
    ) -> None:
        self.own, self.directory, self.roster = own, directory, roster
        self.client, self.peer, self.emit = client, peer, emit
        self._talks: OrderedDict[frozenset[str], None] = OrderedDict()

    def have_talked(self, one: str, other: str) -> bool:
        """Whether an envelope went from one to the other here, not too many others ago."""
        return frozenset((one, other)) in self._talks

    def of_client(self, carry: Carry, seen: tuple[str, ...], back: Send, now: float) -> None:
        """An envelope of a client that sits here and has been `seen` at these hosts. With a caller's first go relays
        for both ends; the caller's are told `back` as soon as it is known that there is a callee."""
        envelope = carry.envelope
        self._talks[frozenset((envelope.sender, envelope.recipient))] = None
        if len(self._talks) > MOST_TALKS:
            self._talks.popitem(last=False)

        def then(hub: str | None, now: float) -> None:
            ends = (envelope.sender, envelope.recipient)
            other = hub if hub != self.own else None
            relays = self.roster.chosen(without=ends, hub=other) if carry.relays and hub is not None else []
            mine, theirs = self.roster.offers(relays, envelope.call, now)
            if not self._pass_on(hub, Carry(envelope, offers=theirs, seen=seen)):
                back(_nowhere(envelope))
            elif relays:
                self.emit(Offered(envelope.call, tuple(relay.name for relay in relays)))
                back(Offers(envelope.call, mine))

        self.directory.find(envelope.recipient, now, then)

    def of_peer(self, carry: Carry, back: Send, now: float) -> None:
        """An envelope that another supernode has sent here. Who is no longer here is sought once more, and once only:
        whoever has been sent on a wrong way twice is told so."""
        envelope = carry.envelope
        if self._pass_on(self.own, carry):
            return
        if carry.sought:
            back(_nowhere(envelope))
            return

        def then(hub: str | None, now: float) -> None:
            if hub == self.own or not self._pass_on(hub, msgspec.structs.replace(carry, sought=True)):
                back(_nowhere(envelope))

        self.directory.find(envelope.recipient, now, then, anew=True)

    def _pass_on(self, hub: str | None, carry: Carry) -> bool:
        envelope = carry.envelope
        send = self.client(envelope.recipient) if hub == self.own else self.peer(hub or "")
        if send is None:
            return False
        send(carry)
        toward = envelope.recipient if hub == self.own else hub or ""
        self.emit(Carried(envelope.call, envelope.sender, envelope.recipient, toward))
        return True


def _nowhere(envelope: Envelope) -> Undeliverable:
    reason = f"{envelope.recipient} is not signed in at any supernode"
    return Undeliverable(envelope.call, envelope.sender, envelope.recipient, reason)
