"""One call, from one side: invite, ring, answer, talk, hang up; who the peer is, which keys, which path.

The transitions stand in one table. Signalling goes out through `Phone.post`; voice comes and goes as opaque packets.
"""

import hashlib
from collections.abc import Sequence
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab.errors import ProtocolError
from lab.overlay.actions import earliest
from lab.overlay.call_events import (
    Answered,
    Checked,
    Closing,
    Ended,
    Finished,
    Guesses,
    Heard,
    Held,
    Met,
    Moved,
    Opens,
    RankedDown,
    RelayOffered,
    Rings,
    Told,
)
from lab.overlay.checklist import Checklist
from lab.overlay.identity import (
    CallKeys,
    check_credential,
    check_envelope,
    check_location,
    derive_keys,
    open_envelope,
)
from lab.overlay.introduction import Introduction
from lab.overlay.leg import RelayLeg
from lab.overlay.legs import Legs
from lab.overlay.passage import ANY
from lab.overlay.paths import Key, PathName
from lab.overlay.paths import State as PathState
from lab.overlay.prospects import tcp_may_come
from lab.overlay.reflexive import MediaSocket
from lab.overlay.reports import Demotion, Reports, Verdict
from lab.overlay.sealing import check_usable
from lab.overlay.surroundings import Surroundings
from lab.overlay.tcp_port import TcpPort
from lab.wire.addresses import Address
from lab.wire.messages import (
    Answer,
    Body,
    Bye,
    CallMessage,
    Candidate,
    Envelope,
    Invite,
    Location,
    Network,
    RelayOffer,
    Ringing,
    Trickle,
    Withdrawn,
    decode_body,
    decode_envelope,
    encode,
)

INVITE_LIMIT = 6.0
"""Seconds for the callee to ring."""
INVITE_RETRY = 1.5
"""Seconds before an invite that nothing came back to is sent again: a hub link may die with a word in it."""
MOST_WORDS = 8
"""Envelopes of a call that are kept to be said again."""
RINGING_LIMIT = 60.0
"""Seconds for the callee to answer."""
PATH_LIMIT = 30.0
"""Seconds without any path after which a call is over (RFC 7675, 5.1: consent expires after 30 s); since the answer
where it has had none yet. Such a call is given no less: what keeps the two apart may be a router that restarts, and
whoever has picked up waits for the network as one does in mid-call. Who does not care to wait hangs up."""
LINGER = 0.4
"""Seconds for which a call that was hung up still takes in what is in flight."""
HUNG_UP = "hung up"
"""The reason of a call that ended as calls do."""
IN_BAND = b"\x58"
"""First byte of an envelope that travels on the media path; of the range that RFC 7983, 7 leaves unassigned."""


class State(StrEnum):
    INVITING = "inviting"
    RINGING = "ringing"
    TALKING = "talking"
    CLOSING = "closing"
    ENDED = "ended"


TRANSITIONS: dict[tuple[State, type], State] = {
    (State.INVITING, Ringing): State.RINGING,
    (State.RINGING, Answer): State.TALKING,
    (State.INVITING, Trickle): State.INVITING,
    (State.RINGING, Trickle): State.RINGING,
    (State.TALKING, Trickle): State.TALKING,
    (State.INVITING, Bye): State.CLOSING,
    (State.RINGING, Bye): State.CLOSING,
    (State.TALKING, Bye): State.CLOSING,
    (State.CLOSING, Bye): State.CLOSING,
    (State.RINGING, Withdrawn): State.CLOSING,
    (State.TALKING, Withdrawn): State.CLOSING,
    (State.CLOSING, Withdrawn): State.CLOSING,
}
"""What the peer may say, and when; anything else is a protocol error and changes nothing."""
SIDES = {Answer: True, Ringing: True, Withdrawn: False}
"""What one side alone is told: the caller (True), or the callee."""


class Call:
    """One side of one call; made by the client when somebody dials, or when an invite arrives."""

    def __init__(
        self,
        id: str,
        peer: str,
        caller: bool,
        around: Surroundings,
        media: MediaSocket,
        now: float,
        port: TcpPort | None = None,
    ) -> None:
        """`port` is one that has been opened before, where the client knows that it has no UDP."""
        self.id, self.peer, self.caller, self.around, self.media = id, peer, caller, around, media
        self.state = State.INVITING if caller else State.RINGING
        self.ephemeral = X25519PrivateKey.generate()
        self.keys: CallKeys | None = None
        self.peer_key = b""
        self.seals_to: bytes | None = None
        """The X25519 public key that the peer reads under, as soon as it is known."""
        self.introduced = False
        """Whether the peer has told its network."""
        self.invite_body = b""
        self.sequence = 0
        self.heard_sequence = -1
        self.error: str | None = None
        self.talked = self.shut = False
        self.found_path = False
        self.took_leave = self.finished = False
        self.path: PathName | None = None
        self.proven = False
        self.words: list[Envelope] = []
        self.newest: Envelope | None = None
        self.rejoined = False
        self.retry_at: float | None = now + INVITE_RETRY if caller else None
        self.limit: float | None = now + (INVITE_LIMIT if caller else RINGING_LIMIT)
        self.pathless_since = now
        reports = Reports(
            self._data,
            self._note_path,
            self._verdict,
            self._fell_silent,
            self._opens,
            self._guesses,
            self._tell,
            self._held,
            self._met,
            self._demoted,
        )
        self.checklist = Checklist(
            around.actions, id, caller, media, around.own, around.rng, reports, around.passage, around.courtesy
        )
        self.introduction = Introduction(id, around, media)
        checklist = self.checklist
        told = checklist.turned, checklist.drop_leg
        self.legs = Legs(around, media, checklist.choice, checklist.from_relay, self._renew, *told)
        media.deliver, media.learnt = self._datagram, self._learnt
        if port is not None:
            self._use(port)

    # -- the caller's and the callee's first words ---------------------------------------------------------------

    def invite(self, now: float) -> None:
        """The caller's first word; relay offers, and the key that the callee reads under, come back from the hub by
        themselves."""
        credential = self.around.identity.credential
        assert credential is not None
        message = Invite(self._next(), now + self.around.wall.offset, credential, self._public())
        self.invite_body = encode(message)
        self._post(message)

    def located(self, location: Location, now: float) -> None:
        """The callee's own word of where it sits, which the hub has gone by: what the callee is to know of this end
        goes after the invite, under the key that is named there. Raises ProtocolError where it is not the callee's.

        A hub that keeps it back, or shows an old one, wins nothing: all is told under the key in the callee's first
        word.
        """
        if not self.caller or self.state is not State.INVITING:
            return
        check_location(location, self.around.authority, now + self.around.wall.offset)
        if location.credential.name != self.peer:
            raise ProtocolError(f"it is {location.credential.name}'s, asked for {self.peer}'s")
        if self.seals_to != location.sealing:
            check_usable(location.sealing)
            self.peer_key, self.seals_to = location.credential.key, location.sealing
            self._introduce(now)

    def _introduce(self, now: float) -> None:
        """The caller tells where it can be reached, and its network."""
        self.introduction.anew()
        candidates, network = self.introduction.candidates(), self.introduction.introduce(now)
        self._post(Trickle(self._next(), candidates, network))

    def ring(self, envelope: Envelope, invite: Invite, offers: Sequence[RelayOffer], now: float) -> None:
        """The callee's first word, to an invite whose signature and key have been checked."""
        self.peer_key, self.invite_body, self.heard_sequence = invite.credential.key, envelope.body, invite.sequence
        self.seals_to = invite.ephemeral
        self.keys = derive_keys(self.ephemeral, invite.ephemeral, self.id, envelope.body, self._public())
        credential = self.around.identity.credential
        assert credential is not None
        digest = hashlib.sha256(envelope.body).digest()
        candidates, network = self.introduction.candidates(), self.introduction.introduce(now)
        sealing = self.around.sealing.public
        self._post(Ringing(self._next(), credential, self._public(), candidates, digest, sealing, network))
        self.around.actions.emit(Rings(self.id, self.peer, incoming=True))
        self.around.contacts.meets(self.id, self.peer, self.peer_key)
        self.offered(offers, now)
        self.checklist.unlock(self.keys.check, now)

    def answer(self, now: float) -> None:
        """The callee picks up."""
        if self.state is State.RINGING and not self.caller:
            self._post(Answer(self._next()))
            self._talk(now)

    def hang_up(self, now: float, reason: str = HUNG_UP, frames: int | None = None) -> None:
        """Either side ends the call, or takes leave of one that the other has ended, having sent `frames` of voice.

        What is in flight is still taken in for LINGER seconds.
        """
        if self.state is State.ENDED or self.took_leave:
            return
        self.took_leave = True
        known = self.seals_to is not None
        envelope = self._post(Bye(self._next(), reason, frames) if known else Withdrawn(self._next()))
        self.send(IN_BAND + encode(envelope))
        if self.state is not State.CLOSING:
            unanswered = f"hung up before {self.peer} answered" if reason == HUNG_UP and self.caller else reason
            self._close(None if self.talked else unanswered, None, now)

    def hold(self, on: bool, now: float) -> None:
        """This side puts the call on hold, or takes it off; nothing happens where nobody talks."""
        if self.state is State.TALKING:
            self.checklist.holding.order(on, now)

    def fail(self, reason: str, now: float) -> None:
        """The call cannot go on: tells the peer and ends with an error."""
        if self.state not in (State.CLOSING, State.ENDED):
            self.hang_up(now, reason)
            self.error = reason

    def undeliverable(self, reason: str, now: float) -> None:
        """The hub knows nobody to bring the invite to; where the hub before has just died, the callee may come back."""
        if self.state is State.INVITING:
            self.error = reason
            if not self.rejoined:
                self._end(now)

    def send(self, data: bytes) -> bool:
        """A protected voice packet, on the path in use; False if there is none."""
        path = self.checklist.choice.outlet
        if path is None or not path.carrier.ready:
            return False
        path.carrier.send(data)
        return True

    @property
    def rtt(self) -> float | None:
        """Smoothed round trip of the path in use, seconds."""
        path = self.checklist.selected
        return path.rtt if path else None

    def rejoin(self, now: float) -> None:
        """The client has a hub again, after one that may have died with this call's words in it."""
        self.rejoined = True
        self.repeat()
        self.legs.rejoined(now)

    def repeat(self) -> None:
        """Says again what was said: a hub link has broken, or the peer has not heard. What it knows, it ignores."""
        if self.state in (State.INVITING, State.RINGING) or not self.caller:
            for envelope in self.words:
                self.around.post(envelope, self.caller and envelope is self.words[0])

    # -- what arrives --------------------------------------------------------------------------------------------

    def offered(self, offers: Sequence[RelayOffer], now: float) -> None:
        """Relay sessions that the hub offers for this call; one it offered before stays as it is."""
        self.legs.offered(offers, now, self._take_leg)

    def _take_leg(self, leg: RelayLeg, now: float) -> None:
        self.around.actions.emit(RelayOffered(self.id, leg.offer.relay, leg.udp_addresses))
        self.checklist.add_leg(leg, now)

    def vouched(self, hosts: Sequence[str], now: float) -> None:
        """The peer's supernode has seen the peer under these."""
        self.checklist.manners.vouched.update(hosts)
        self._expect(now)

    def envelope(self, envelope: Envelope, body: Body, now: float) -> None:
        """A message of the peer, not yet trusted; raises ProtocolError when it is not the peer's, does not open, or is
        out of turn."""
        if self.peer_key:
            check_envelope(envelope, self.peer_key)
        message = self._opened(envelope, body, now)
        if isinstance(message, Ringing) and self.caller and self.state is State.INVITING:
            self._meet(message, now)
        if not self.peer_key:
            raise ProtocolError(f"{envelope.sender} sent {type(message).__name__} before its key is known")
        check_envelope(envelope, self.peer_key)
        if message.sequence <= self.heard_sequence:
            self._overtaken(message, now)
            return  # a copy: the same word may come over the hub and over the media path
        following = TRANSITIONS.get((self.state, type(message)))
        if following is None or SIDES.get(type(message), self.caller) is not self.caller:
            raise ProtocolError(f"{envelope.sender} sent {type(message).__name__} while the call is {self.state}")
        self.heard_sequence = message.sequence
        if isinstance(message, Ringing):
            self._rings(message, following, now)
        elif isinstance(message, Trickle):
            if message.network is not None:
                self.introduced = True
                self._meet_network(message.network, now)
            self._meet_at(message.candidates, now)
            self._note_path(now)
        elif isinstance(message, Answer):
            self._talk(now)
        elif isinstance(message, Bye | Withdrawn):
            reason, frames = (message.reason, message.frames) if isinstance(message, Bye) else (HUNG_UP, None)
            usual = self.talked and reason == HUNG_UP
            error = self.error if usual else f"{self.peer} ended the call: {reason}"
            self._close(error, frames, now)

    def _opened(self, envelope: Envelope, body: Body, now: float) -> CallMessage | Invite | Withdrawn:
        """What stands in an envelope: sealed under this end's key of the call, or, the caller's first words, under one
        of this client's own."""
        if isinstance(body, Invite | Withdrawn):
            return body
        ours = body.to == self._public()
        return open_envelope(envelope, body, self.ephemeral if ours else self.around.sealing.private(body.to, now))

    def _overtaken(self, message: CallMessage | Invite | Withdrawn, now: float) -> None:
        """A copy, or a word that a later one came before by the shorter way: its candidates are worth having still."""
        if isinstance(message, Trickle) and (self.state, Trickle) in TRANSITIONS:
            unknown = [each for each in message.candidates if each not in self.checklist.remote]
            if unknown:
                self._meet_at([each for each in unknown if each.kind != "predicted"], now)

    def _meet(self, message: Ringing, now: float) -> None:
        check_credential(message.credential, self.around.authority, now + self.around.wall.offset)
        if message.credential.name != self.peer:
            raise ProtocolError(f"{message.credential.name} rings in place of {self.peer}")
        if message.invite != hashlib.sha256(self.invite_body).digest():
            raise ProtocolError(f"{self.peer} rings for another invite than the one that was sent")
        self.peer_key = message.credential.key

    def _rings(self, message: Ringing, following: State, now: float) -> None:
        self.keys = derive_keys(self.ephemeral, message.ephemeral, self.id, self.invite_body, message.ephemeral)
        sealed_to, self.seals_to = self.seals_to, message.ephemeral
        self.state, self.limit = following, now + RINGING_LIMIT
        self.around.actions.emit(Rings(self.id, self.peer, incoming=False))
        self.around.contacts.meets(self.id, self.peer, self.peer_key)
        if sealed_to != message.sealing:
            self._introduce(now)
        self.introduced = True
        self._meet_network(message.network, now)
        self._meet_at(message.candidates, now)
        self.checklist.unlock(self.keys.check, now)

    def _datagram(self, data: bytes, source: Address, now: float) -> None:
        if self.legs.datagram(data, source, now):
            self._note_path(now)
        else:
            self.checklist.datagram(data, source, now)

    def _data(self, path: Key, data: bytes, now: float) -> None:
        """What came by a path and is no check: voice, or an envelope in band."""
        if data[:1] != IN_BAND:
            self.around.actions.emit(Heard(self.id, data, path))
            return
        envelope = decode_envelope(data[1:])
        if envelope.call == self.id and envelope.sender == self.peer and self.peer_key:
            self.envelope(envelope, decode_body(envelope.body), now)

    # -- time ----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        port = self.port.deadline() if self.port is not None else None
        own = (self.limit, self.retry_at)
        return earliest(*own, port, self.checklist.deadline(), self.media.deadline(), self.legs.deadline())

    def poll(self, now: float) -> None:
        if self.state is State.ENDED:
            return
        self.media.poll(now)
        self.legs.poll(now)
        if self.port is not None:
            self.port.poll(now)
        self.checklist.poll(now)
        self._meet_by_tcp(now)
        if self.talked and not self.finished and self.checklist.finished:
            self.finished = True
            self.around.actions.emit(Finished(self.id))
        self._note_path(now)
        if self.retry_at is not None and now >= self.retry_at:
            self.retry_at = now + INVITE_RETRY if self.state is State.INVITING else None
            if self.retry_at is not None:
                self.repeat()
        if self.limit is not None and now >= self.limit:
            self._expired(now)

    def _expired(self, now: float) -> None:
        if self.state is State.CLOSING:
            self._end(now)
        elif self.state is State.INVITING:
            self.fail(self.error or f"{self.peer} did not ring within {INVITE_LIMIT:.0f} s", now)
        elif self.state is State.RINGING:
            self.fail(f"{self.peer if self.caller else 'this side'} did not answer in {RINGING_LIMIT:.0f} s", now)
        elif not self.proven:
            waited = now - self.pathless_since
            self.fail(f"no path to {self.peer} works, neither between the two nor by a relay, for {waited:.0f} s", now)

    # -- inside --------------------------------------------------------------------------------------------------

    def _talk(self, now: float) -> None:
        assert self.keys is not None
        self.state, self.talked, self.pathless_since = State.TALKING, True, now
        self.checklist.answered(now)
        self.limit = None if self.proven else now + PATH_LIMIT
        if not self.proven:
            self.legs.hurry(now)
        send, receive = (self.keys.caller, self.keys.callee) if self.caller else (self.keys.callee, self.keys.caller)
        self.around.actions.emit(Answered(self.id, send, receive))
        self.path = None
        self._note_path(now)

    def _note_path(self, now: float) -> None:
        """Tells when the path that voice goes out on, or what it is, has changed. What one that nothing has proven yet
        is called, the peer's network decides: the caller's may come in after the callee has picked up."""
        proven = self.checklist.selected is not None
        if proven is not self.proven:
            self.proven, self.found_path = proven, True
            if not proven:
                self.legs.hurry(now)
            if self.state is State.TALKING:
                self.pathless_since = now
                self.limit = None if proven else now + PATH_LIMIT
        if self.state is not State.TALKING or not (self.introduced or proven):
            return
        outlet = self.checklist.choice.outlet
        name = outlet.name if outlet else None
        if name == self.path:
            return
        self.path = name
        self.around.actions.emit(Moved(self.id, name))
        if name is not None and self.newest is not None:
            self.send(IN_BAND + encode(self.newest))

    def _opens(self, remote: Address, state: PathState) -> None:
        self.around.actions.emit(Opens(self.id, remote, state))

    def _verdict(self, verdict: Verdict, now: float) -> None:
        self.around.actions.emit(Checked(self.id, verdict))
        self._note_path(now)

    def _guesses(self, now: float) -> None:
        guessing = self.checklist.guessing
        told = Guesses(self.id, guessing.part, guessing.under_way, guessing.sent, guessing.opened)
        self.around.actions.emit(told)

    def _held(self, on: bool) -> None:
        self.around.actions.emit(Held(self.id, on))

    def _met(self, remote: Address) -> None:
        self.around.actions.emit(Met(self.id, remote))

    def _demoted(self, demotion: Demotion) -> None:
        self.around.actions.emit(RankedDown(self.id, demotion))

    def _tell(self, candidates: Sequence[Candidate], now: float) -> None:
        if self.state in (State.RINGING, State.TALKING):
            self.around.actions.emit(Told(self.id, tuple(candidates)))
            self._post(Trickle(self._next(), tuple(candidates)))

    def _meet_network(self, network: Network, now: float) -> None:
        """What the peer has found out about its own network, beside what it has been told of this side's."""
        self.checklist.meet(self.introduction.network, network, now)
        self._expect(now)

    def _expect(self, now: float) -> None:
        """Where the peer can come by TCP and cannot be met, this end tells it a port, and has its router let it in."""
        living = self.state in (State.INVITING, State.RINGING, State.TALKING)
        if living and tcp_may_come(self.introduction.network, self.checklist.peer_network):
            if self.port is None:
                self._use(self.around.open_port(now))
            self.checklist.tcp.expect(self.checklist.manners.vouched)

    def _meet_at(self, candidates: Sequence[Candidate], now: float) -> None:
        """The peer's candidates; where it opens TCP from a port of its own, this end needs one as well."""
        self.checklist.add_remote(candidates, now)
        if self.port is None and self.checklist.tcp.targets:
            self._use(self.around.open_port(now))

    @property
    def port(self) -> TcpPort | None:
        """The port that it opens TCP from, where it needs one."""
        return self.introduction.port

    def _meet_by_tcp(self, now: float) -> None:
        """UDP of this end turns out to carry no voice any more, or again: the peer is told, and in the former case this
        end is to be met by TCP as one that has never let UDP out."""
        passage = self.around.passage
        shut = self.talked and passage.lets_udp_out(self.media, now) is False
        if shut == self.shut:
            return
        self.shut = shut
        if shut and self.port is None and passage.passes(ANY) is not False:
            self._use(self.around.open_port(now))
        self._learnt(now)

    def _use(self, port: TcpPort) -> None:
        self.introduction.port = self.checklist.tcp.port = port
        port.learnt = self._learnt

    def relocated(self, now: float) -> None:
        """This end stands elsewhere: learns its addresses anew, tells them, and tries every path again."""
        if self.state in (State.CLOSING, State.ENDED):
            return
        self.introduction.anew()
        self.media.relocated(now)
        self.legs.relocated(now)
        if self.port is not None:
            self.port.close()
            self._use(self.around.open_port(now))
        self.checklist.restart(now)
        self._expect(now)
        self._learnt(now)

    def rerouted(self, now: float) -> None:
        """The addresses are the same and the way out is perhaps another: voice goes on while all is asked again."""
        if self.state not in (State.CLOSING, State.ENDED):
            self.media.relocated(now)
            self.legs.rerouted(now)
            self.checklist.recheck(now)

    def _fell_silent(self, now: float) -> None:
        """The peer's voice has stopped: this end's outer addresses may be others, or its relay may have gone."""
        self.media.ask(now)
        self.legs.hurry(now)

    def _renew(self) -> bool:
        """Asks for relay sessions with fresh tokens: the hub gives both ends theirs with a word of the caller's."""
        if self.state is not State.TALKING or not self.caller:
            return False
        assert self.seals_to is not None
        word = Trickle(self._next(), ())
        return self.around.renew(self.around.identity.seal(self.peer, self.id, word, self.seals_to))

    def _learnt(self, now: float) -> None:
        """Addresses became known after the first words."""
        if self.introduction.begun and self.state in (State.INVITING, State.RINGING, State.TALKING):
            fresh, network = self.introduction.candidates(), self.introduction.other_network(now)
            if network is not None and self.introduced:
                self._meet_network(self.checklist.peer_network, now)
            if fresh or network is not None:
                self.newest = self._post(Trickle(self._next(), fresh, network))
                self.send(IN_BAND + encode(self.newest))  # the hub may be out of reach for the same reason

    def _close(self, error: str | None, frames: int | None, now: float) -> None:
        """From here on only what is in flight counts; a peer's second word may come, that it has heard the first."""
        self.checklist.choice.vigil.forget()
        if self.state is not State.CLOSING:
            self.state, self.error = State.CLOSING, error
            self.limit = now + (LINGER + 2 * (self.rtt or 0.0) if self.talked else 0.0)
        self.around.actions.emit(Closing(self.id, frames))

    def _end(self, now: float) -> None:
        self.state, self.limit = State.ENDED, None
        self.checklist.close(now)
        self.legs.stop()
        self.media.close()
        if self.port is not None:
            self.port.close()
        self.around.actions.emit(Ended(self.id, self.error, self.talked and self.found_path))

    def _post(self, message: CallMessage | Invite | Withdrawn) -> Envelope:
        identity = self.around.identity
        if isinstance(message, Invite | Withdrawn):
            envelope = identity.say(self.peer, self.id, message)
        else:
            assert self.seals_to is not None, "whoever speaks to somebody knows its key"
            envelope = identity.seal(self.peer, self.id, message, self.seals_to)
        self.around.post(envelope, isinstance(message, Invite))
        if len(self.words) < MOST_WORDS:
            self.words.append(envelope)
        return envelope

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence

    def _public(self) -> bytes:
        return self.ephemeral.public_key().public_bytes_raw()
