"""A supernode that is a stranger's: it serves as any other does, but for the attack that it is told to make.

Used twice: on the network in memory by the unit tests, and in a container of the lab. Nothing of the product knows it.
"""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab.errors import ProtocolError
from lab.overlay.actions import earliest
from lab.overlay.carrying import Carrying
from lab.overlay.gate import Gate
from lab.overlay.identity import CLOCK_TOLERANCE, Identity, issue_credential
from lab.overlay.member import Membership
from lab.overlay.mesh import Peer
from lab.overlay.seat import Seat
from lab.overlay.stunserver import StunService
from lab.overlay.supernode import Supernode
from lab.wire.addresses import Address
from lab.wire.messages import (
    Answer,
    Candidate,
    Carry,
    Credential,
    Envelope,
    Found,
    Full,
    HubMessage,
    Invite,
    Located,
    Location,
    Lookup,
    Move,
    Offers,
    RelayEntry,
    RelayOffer,
    Relays,
    Ringing,
    Sealed,
    StandBy,
    StandingBy,
    Trickle,
    Undeliverable,
    decode_body,
    encode,
)
from lab.wire.stun import Kind, StunMessage

LATER = 60.0
"""Seconds after which a replayed invite comes a second time."""
HELD = CLOCK_TOLERANCE + 1
"""Seconds for which an invite is held back: longer than anybody takes it for a new one."""
PESTERING = 0.5
"""Seconds between two words to every client."""

ON_THE_WAY = ("replay", "hold", "answer", "misdeliver", "alter", "drop", "undeliverable", "no-relays", "talk-over")
ABOUT_KEYS = ("no-key", "false-key", "stale-key", "sealed-anew")
ABOUT_PLACES = ("false-location", "stale-location", "false-relays")
TO_CLIENTS = ("move-nowhere", "move-here", "full", "many-relays")
ABOUT_ADDRESSES = ("other-host", "other-port", "ever-other")
DROPPING = ("answer", "misdeliver", "hold", "alter", "drop", "undeliverable", "false-location")
"""Those under which a call of its own clients does not come about; a false word ends its link with the others."""
ATTACKS = (*ON_THE_WAY, *ABOUT_KEYS, *ABOUT_PLACES, *TO_CLIENTS, *ABOUT_ADDRESSES)


class Hostile(Supernode):
    """`attack` gives what it does at the moment, "" nothing; `nobody` is an address where no machine is."""

    attack: Callable[[], str] = staticmethod(lambda: "")
    nobody = "203.0.113.199"

    def __init__(self, membership: Membership, promoted: bool = False) -> None:
        super().__init__(membership, promoted)
        self.gate = Barred(self)
        self.carrying = Meddling(self)
        self.reflector = Lying(self)
        self.actions.sockets.update(dict.fromkeys(self.reflector.ports, self))
        self.known: dict[str, Credential] = {}
        self.sat: dict[str, Location] = {}
        self.once: dict[str, Location] = {}
        """Each client's first word of where it sits, with a key that it may have put away since."""
        self.later: list[tuple[float, Callable[[], object]]] = []
        self.next_word = 0.0
        self.wall = membership.wall.offset
        self.seen: list[bytes] = []
        """All that was ever said to it, in clear."""

    def deadline(self) -> float | None:
        return earliest(super().deadline(), self.next_word, *(at for at, _ in self.later))

    def poll(self, now: float) -> None:
        super().poll(now)
        for due in [each for each in self.later if now >= each[0]]:
            self.later.remove(due)
            due[1]()
        if now >= self.next_word:
            self.next_word = now + PESTERING
            self._pester(now)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        self.seen.append(data)
        super().link_data(link, data, now)

    # -- lies to clients -------------------------------------------------------------------------------------------

    def _pester(self, now: float) -> None:
        match self.attack():
            case "move-nowhere":
                word: HubMessage = Move(((self.nobody,),))
            case "move-here":
                word = Move((self.membership.own.addresses,))
            case "many-relays":
                word = StandingBy(tuple(self._no_relay(f"relay-{now:.3f}-{number}") for number in range(4)))
            case "false-location" | "stale-location":
                self._place_everybody(now)
                return
            case "false-relays":
                entries = tuple(RelayEntry(f"a-{number}", (self.nobody,), 9, (9,)) for number in range(60))
                hijacked = (RelayEntry("relay-1", (self.nobody,), 9, (9,)),)
                for peer in self.peers.values():
                    peer.send(Relays((*hijacked, *entries)))
                return
            case _:
                return
        for link in self.clients.values():
            self.send(link, word)

    def _said(self, link: int, session: Seat, message: HubMessage, now: float) -> None:
        if isinstance(message, StandBy) and self.attack() == "no-relays":
            self.send(link, StandingBy((self._no_relay("relay-1"),)))
        else:
            super()._said(link, session, message, now)

    def _no_relay(self, name: str) -> RelayOffer:
        return RelayOffer(name, (self.nobody,), 33034, (443, 80), b"no token")

    # -- lies to other supernodes ----------------------------------------------------------------------------------

    def _place_everybody(self, now: float) -> None:
        """Says of all clients that it has ever met that they sit here."""
        told = [where for name in self.known if (where := self._claimed(name, now)) is not None]
        for peer in self.peers.values():
            peer.send(Located(tuple(told)))

    def _claimed(self, name: str, now: float) -> Location | None:
        if self.attack() == "stale-location":
            return self.sat.get(name)
        if (credential := self.known.get(name)) is None:
            return None
        at = now + self.wall
        return self._under_own_key(credential, at)

    def _under_own_key(self, credential: Credential, at: float) -> Location:
        """That somebody sits here, and reads what this supernode can read as well."""
        signature = self.membership.identity.locate(self.name, at, PUBLIC)
        return Location(credential, self.name, at, PUBLIC, signature)

    def peer_says(self, peer: Peer, message: HubMessage, now: float) -> None:
        if isinstance(message, Lookup) and self.attack() in ("false-location", "stale-location"):
            peer.send(Found(message.name, self._claimed(message.name, now)))
            return
        if isinstance(message, Located):
            for location in message.locations:
                self.known[location.credential.name] = location.credential
        super().peer_says(peer, message, now)


class Meddling(Carrying):
    """What it does to envelopes on their way."""

    def __init__(self, hub: Hostile) -> None:
        super().__init__(hub.name, hub.directory, hub.roster, hub._client, hub._peer, hub.actions.emit)
        self.hub = hub
        self.now = 0.0
        self.done: set[str] = set()
        self.callers: dict[str, bytes] = {}
        """By call, the key that the callee's words are sealed under, as the invite shows it to everybody."""

    def of_client(self, carry: Carry, seen: tuple[str, ...], to: Callable[[object], object], now: float) -> None:
        self.now = now

        def back(message: object) -> None:
            if isinstance(message, Found):
                self._tell_key(message, to)
            else:
                to(message)

        if self.hub.attack() == "no-relays" and carry.relays:
            offers = (self.hub._no_relay("relay-1"), self.hub._no_relay("relay-2"))
            carry = Carry(carry.envelope)
            super().of_client(carry, seen, back, now)
            back(Offers(carry.envelope.call, offers))
        else:
            super().of_client(carry, seen, back, now)

    def _tell_key(self, found: Found, to: Callable[[object], object]) -> None:
        """Under which key a callee reads: it is shown none, this supernode's own, under false names, or an old one."""
        location = found.location
        assert location is not None
        match self.hub.attack():
            case "no-key":
                return
            case "false-key":
                own = self.hub.membership.identity.credential
                assert own is not None
                to(Found(found.name, msgspec.structs.replace(location, sealing=PUBLIC)))
                for credential in (location.credential, own):
                    to(Found(found.name, self.hub._under_own_key(credential, location.at)))
            case "stale-key":
                to(Found(found.name, self.hub.once.get(found.name, location)))
            case _:
                to(found)

    def of_peer(self, carry: Carry, back: Callable[[object], object], now: float) -> None:
        self.now = now
        super().of_peer(carry, back, now)

    def _pass_on(self, hub: str, carry: Carry) -> bool:
        def on(other: Carry) -> object:
            return Carrying._pass_on(self, hub, other)

        envelope = carry.envelope
        try:
            word = decode_body(envelope.body)
        except ProtocolError:
            return bool(on(carry))
        if isinstance(word, Invite):
            self.callers[envelope.call] = word.ephemeral
        once = (attack := self.hub.attack()) + envelope.call
        first = once not in self.done
        match attack:
            case "drop":
                return True
            case "undeliverable":
                self._back(envelope, Undeliverable(envelope.call, envelope.sender, envelope.recipient, LIE))
                return True
            case "alter":
                middle = len(envelope.body) // 2
                body = envelope.body[:middle] + bytes((envelope.body[middle] ^ 1,)) + envelope.body[middle + 1 :]
                on(msgspec.structs.replace(carry, envelope=msgspec.structs.replace(envelope, body=body)))
                return True
            case "no-relays":
                offers = (self.hub._no_relay("relay-1"), self.hub._no_relay("relay-2"))
                on(msgspec.structs.replace(carry, offers=offers))
                return True
            case "talk-over":
                on(carry)
                stranger = Identity(envelope.sender)
                under = word.to if isinstance(word, Sealed) else PUBLIC
                for false in (Answer(90), Ringing(91, self._forged(stranger), PUBLIC, (), bytes(32), PUBLIC)):
                    on(Carry(stranger.seal(envelope.recipient, envelope.call, false, under)))
                return True
            case "sealed-anew" if isinstance(word, Sealed):
                self._seal_anew(carry, word, on)
                return bool(on(carry))
        if not isinstance(word, Invite):
            return bool(on(carry))
        self.done.add(once)
        match attack:
            case "answer" if first:
                self._answer(envelope)
            case "misdeliver" if first:
                self._misdeliver(carry)
            case "hold" if first:
                self.hub.later.append((self.now + HELD, lambda: on(carry)))
            case "replay" if first:
                for after in (0.0, 0.0, 3.0, LATER):
                    self.hub.later.append((self.now + after, lambda: on(carry)))
                return bool(on(carry))
            case "answer" | "misdeliver" | "hold":
                pass  # the caller says it again
            case _:
                return bool(on(carry))
        return True

    def _seal_anew(self, carry: Carry, word: Sealed, on: Callable[[Carry], object]) -> None:
        """What somebody has sealed, under other names, cut short, and with another's key on it; and words of its own
        under the same key, with and without the sender's signature."""
        envelope, own = carry.envelope, self.hub.membership.identity
        bodies = [
            msgspec.structs.replace(word, text=word.text[: len(word.text) // 2]),
            msgspec.structs.replace(word, to=PUBLIC),
        ]
        lured = Trickle(90, (Candidate("host", "udp", (self.hub.nobody, 9)),))
        for identity in (own, Identity(envelope.sender), Identity(envelope.sender, own.private)):
            for body in (word, *bodies):
                on(Carry(identity._signed(envelope.recipient, envelope.call, body)))
            on(Carry(identity.seal(envelope.recipient, envelope.call, lured, word.to)))
        for body in bodies:
            on(Carry(msgspec.structs.replace(envelope, body=encode(body))))

    def _back(self, envelope: Envelope, message: object) -> None:
        """To the sender, wherever it sits."""
        if (send := self.client(envelope.sender)) is not None:
            send(message)  # type: ignore[arg-type]
        for peer in self.hub.peers.values() if send is None else ():
            peer.send(message)  # type: ignore[arg-type]

    def _forged(self, identity: Identity) -> Credential:
        """A credential for a name under a key of its own, of an authority of its own."""
        wall = self.now + self.hub.wall
        return issue_credential(Ed25519PrivateKey.generate(), identity.name, identity.public, wall)

    def _answer(self, envelope: Envelope) -> None:
        """Rings and picks up in the callee's place: with a false credential, the callee's own, this supernode's."""
        digest, callee, caller = hashlib.sha256(envelope.body).digest(), envelope.recipient, envelope.sender
        impostor = Identity(callee)
        own = self.hub.membership.identity
        for credential in (self._forged(impostor), self.hub.known.get(callee), own.credential):
            if credential is None:
                continue
            for identity in (impostor, Identity(callee, own.private)):
                for word in (Ringing(1, credential, PUBLIC, (), digest, PUBLIC), Answer(2)):
                    under = self.callers[envelope.call]
                    self._back(envelope, Carry(identity.seal(caller, envelope.call, word, under)))

    def _misdeliver(self, carry: Carry) -> None:
        """To everybody but whom it is for: as it is, and with another recipient's name on it."""
        for name in [name for name in self.hub.clients if name != carry.envelope.recipient]:
            for envelope in (carry.envelope, msgspec.structs.replace(carry.envelope, recipient=name)):
                self.hub.send(self.hub.clients[name], msgspec.structs.replace(carry, envelope=envelope))


class Lying(StunService):
    """What it says of the addresses under which clients are seen."""

    def __init__(self, hub: Hostile) -> None:
        honest = hub.reflector
        super().__init__(hub.actions, honest.ports, honest.own, honest.other)
        self.hub = hub
        self.lies = 0

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        attack = self.hub.attack()
        try:
            request = StunMessage.parse(data)
        except ProtocolError:
            return
        if attack not in ABOUT_ADDRESSES or request.kind is not Kind.REQUEST:
            super().datagram(socket, data, source, now)
            return
        for _ in range(100 if attack == "ever-other" else 1):
            self.lies += 1
            match attack:
                case "other-host":
                    seen: Address = (self.hub.nobody if ":" not in source[0] else "2001:db8:0:1::199", source[1])
                case "other-port":
                    seen = (source[0], source[1] % 60_000 + 1_024)
                case _:
                    seen = (source[0], 1_024 + self.lies % 60_000)
            truth = self._response(request, source, socket, self.other(6 if ":" in source[0] else 4))
            self.actions.send_to(socket, source, replace(truth, xor_mapped=seen).encode(fingerprint=False))


LIE = "the callee says that it will never talk to you"
"""A word that a caller would believe if it were shown as anybody's but the supernode's."""
PRIVATE = X25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()


class Barred(Gate):
    """The gate of a hostile supernode: what its clients have signed is kept, and perhaps nobody is let in."""

    def __init__(self, hub: Hostile) -> None:
        super().__init__(hub)
        self.hostile = hub

    def _client_in(self, link: int, session: Seat, now: float) -> None:
        hostile = self.hostile
        if session.location is not None:
            hostile.known[session.name] = session.location.credential
            hostile.sat[session.name] = session.location
            hostile.once.setdefault(session.name, session.location)
        if hostile.attack() == "full":
            hostile.send(link, Full(((hostile.nobody,), hostile.membership.own.addresses), 3600.0))
            hostile.drop(link, "full", now)
        else:
            super()._client_in(link, session, now)
