"""How an envelope finds its recipient: here, at the supernode that the directory names, or nowhere.

Belongs here: the way of one envelope, and the relays that go with a caller's first. Never: sessions, the mesh's links.

What a supernode that carries one can read: sender, recipient, call, the length in steps of 256 bytes; of a caller's
first the name, key and clock as well, and which relays are offered. All else is sealed from client to client.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from lab.errors import ProtocolError
from lab.overlay.acquaintances import Acquaintances
from lab.overlay.actions import Event
from lab.overlay.directory import Directory
from lab.overlay.identity import seal_seen
from lab.overlay.roster import Roster
from lab.wire.messages import Carry, Envelope, Found, Location, Message, Offers, Sealed, Undeliverable

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
        self.acquaintances = Acquaintances()

    def of_client(self, carry: Carry, seen: tuple[str, ...], back: Send, now: float) -> None:
        """An envelope of a client that sits here and has been `seen` at these hosts. With a caller's first go relays
        for both ends; as soon as it is known that there is a callee, the caller's are told `back`, and the callee's own
        word of where it sits, with the key to seal under: the invite goes on meanwhile, and nobody waits for a key."""
        envelope = carry.envelope
        self.acquaintances.talks(envelope.sender, envelope.recipient, seen)

        def then(location: Location | None, now: float) -> None:
            ends, relays = (envelope.sender, envelope.recipient), []
            if carry.relays and location is not None:
                relays = self.roster.chosen(without=ends, hub=location.hub if location.hub != self.own else None)
            mine, theirs = self.roster.offers(relays, envelope.call, now)
            told = Carry(envelope, offers=theirs, seen=_for_recipient(envelope, seen, location))
            if location is None or not self._pass_on(location.hub, told):
                back(_nowhere(envelope))
                return
            if carry.relays:
                back(Found(envelope.recipient, location))
            if relays:
                for name in ends:
                    self.acquaintances.offered(name, relays)
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

        def then(location: Location | None, now: float) -> None:
            hub = location.hub if location is not None else self.own
            if hub == self.own or not self._pass_on(hub, msgspec.structs.replace(carry, sought=True)):
                back(_nowhere(envelope))

        self.directory.find(envelope.recipient, now, then, anew=True)

    def _pass_on(self, hub: str, carry: Carry) -> bool:
        envelope = carry.envelope
        send = self.client(envelope.recipient) if hub == self.own else self.peer(hub)
        if send is None:
            return False
        send(carry)
        toward = envelope.recipient if hub == self.own else hub
        self.emit(Carried(envelope.call, envelope.sender, envelope.recipient, toward))
        return True


def _for_recipient(envelope: Envelope, seen: tuple[str, ...], location: Location | None) -> Sealed | None:
    """What this supernode has seen of the sender, under the recipient's key, if it has one that is of any use."""
    if location is None:
        return None
    with contextlib.suppress(ProtocolError):
        return seal_seen(envelope, seen, location.sealing)
    return None


def _nowhere(envelope: Envelope) -> Undeliverable:
    reason = f"{envelope.recipient} is not signed in at any supernode"
    return Undeliverable(envelope.call, envelope.sender, envelope.recipient, reason)
