"""The signalling messages, typed and validated: what travels in a frame between client, supernode, relay and authority.

Only shapes and their encoding live here (MessagePack through msgspec); what a message means is the overlay's business.
A message that does not fit its type raises ProtocolError; nothing is guessed and no unknown field is passed on.
"""

from typing import Annotated, Literal, TypeVar

import msgspec

from lab.errors import ProtocolError

FRAME_LIMIT = 32 * 1024
"""Longest signalling frame in bytes; an invite with fifty candidates takes a fifth of it."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[a-z0-9][a-z0-9.-]*\Z")]
CallId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+\Z")]
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Host = Annotated[str, msgspec.Meta(min_length=2, max_length=45)]
Reason = Annotated[str, msgspec.Meta(max_length=300)]
Endpoint = tuple[Host, Port]
Hosts = Annotated[tuple[Host, ...], msgspec.Meta(min_length=1, max_length=2)]
"""One machine's addresses, one a family at the most."""
Machines = Annotated[tuple[Hosts, ...], msgspec.Meta(max_length=8)]
"""Other supernodes, each with its addresses."""
Role = Literal["supernode", "relay"]
"""What a client can become beside being a client."""


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of all messages; the tag is the class name."""


class Credential(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The authority's word that `name` belongs to an Ed25519 `key` until `expires` (epoch seconds)."""

    name: Name
    key: Key
    expires: float
    signature: Signature


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A transport address where an end may be reached (RFC 8445, 5.1).

    `port-mapped` was given by the router when asked for it, `predicted` is the next that a router is expected to give.
    `tcp_type` is of RFC 6544, 4.1; active ones are not told, for nobody connects to them.
    """

    kind: Literal["host", "server-reflexive", "port-mapped", "predicted"]
    transport: Literal["udp", "tcp"]
    address: Endpoint
    tcp_type: Literal["passive", "simultaneous-open"] = "passive"


Behaviour = Literal["none", "endpoint-independent", "address-dependent", "address-and-port-dependent"]
"""RFC 4787, 4.1 and 5; `none` where nothing is translated, or nothing is filtered."""
Allocation = Literal["preserving", "sequential", "random"]


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client has found out about the network that it stands in (RFC 5780), for its peer; None: not known.

    `ports` is the range that outer ports have been seen in, or are known to come from; `outer` the outer IPv4 address.
    `narrow`: UDP that leaves the site loses voice, if not small talk.
    """

    udp: bool | None = None
    mapping: Behaviour | None = None
    filtering: Behaviour | None = None
    allocation: Allocation | None = None
    tcp_mapping: Behaviour | None = None
    outer: Host | None = None
    ports: tuple[Port, Port] | None = None
    narrow: bool = False


class RelayOffer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One leg of a relay session that a supernode has paid for with a token: where to bind, and with what."""

    relay: Name
    hosts: Hosts
    udp_port: Port
    tcp_ports: Annotated[tuple[Port, ...], msgspec.Meta(max_length=4)]
    token: Annotated[bytes, msgspec.Meta(max_length=512)]


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one client tells another through supernodes that can neither read it, nor answer it, nor change it.

    `body` is an encoded Invite, Withdrawn or Sealed; `signature` is the sender's, over sender, recipient, call, body.
    Whoever carries it learns who tells whom something, in which call, when, and its length in steps of 256 bytes; of an
    Invite or Withdrawn also what stands in there.
    """

    sender: Name
    recipient: Name
    call: CallId
    body: Annotated[bytes, msgspec.Meta(max_length=FRAME_LIMIT // 2)]
    signature: Signature


class Sealed(Message, frozen=True):
    """An end-to-end message that only the holder of the X25519 public key `to` opens: HPKE's encapsulated key and its
    ciphertext (RFC 9180), as `lab/overlay/sealing.py` makes them."""

    to: Key
    text: Annotated[bytes, msgspec.Meta(max_length=FRAME_LIMIT // 2)]


# -- end to end, inside an Envelope ----------------------------------------------------------------------------------


class EndToEnd(Message, frozen=True):
    """Base of what two clients say to each other; `sequence` grows with each message of a sender in a call."""

    sequence: int


Candidates = Annotated[tuple[Candidate, ...], msgspec.Meta(max_length=50)]


class Invite(EndToEnd, frozen=True):
    """The caller's first word, in the clear: it is said before the caller knows under which key the callee reads. It
    tells who calls and no more; where the caller can be reached follows in a sealed Trickle. `sent_at` is its wall
    clock, epoch seconds; `ephemeral` an X25519 public key, under which the callee's words are sealed."""

    sent_at: float
    credential: Credential
    ephemeral: Key


class Withdrawn(EndToEnd, frozen=True):
    """The caller hangs up before it knows under which key the callee reads; in the clear, therefore nothing else."""


class Ringing(EndToEnd, frozen=True):
    """The callee has the invite, shows who is calling, and lets checks begin. `invite` is the SHA-256 of its body.

    The caller's words are sealed under `ephemeral` from here on; `sealing` is the key that the callee's own word of
    where it sits names by now: what the caller has sealed under another one may not have been read.
    """

    credential: Credential
    ephemeral: Key
    candidates: Candidates
    invite: Key
    sealing: Key
    network: Network = Network()


class Answer(EndToEnd, frozen=True):
    """The callee has picked up: voice may flow both ways."""


class Trickle(EndToEnd, frozen=True):
    """Candidates, and the sender's network: the caller's first ones, and either side's that were found after the first
    ones were sent, with the network where it is not what was said first."""

    candidates: Candidates
    network: Network | None = None


class Bye(EndToEnd, frozen=True):
    """The call is over, or declined. `frames` is how many voice frames the sender has sent, if it counted."""

    reason: Reason
    frames: Annotated[int, msgspec.Meta(ge=0)] | None = None


# -- between a node and its hub --------------------------------------------------------------------------------------


class Challenge(Message, frozen=True):
    """A hub's first frame on a link: who it is, and what the other has to sign."""

    credential: Credential
    nonce: Key


class Hello(Message, frozen=True):
    """The answer to a challenge; `signature` covers the nonce and the hub's key. A relay says where it listens.

    `hosts` are a supernode's or relay's addresses beside the one that it signs in from. A client signs that it sits at
    this hub since `at` (its wall clock, epoch seconds) and reads what is sealed under `sealing`, for the directory.
    Two supernodes whose clocks are far apart are not linked, by the same `at`.
    `beside`: the relay is a client as well.
    """

    role: Literal["client", "supernode", "relay"]
    credential: Credential
    signature: Signature
    udp_port: Port | None = None
    tcp_ports: Annotated[tuple[Port, ...], msgspec.Meta(max_length=4)] = ()
    hosts: Annotated[tuple[Host, ...], msgspec.Meta(max_length=8)] = ()
    at: float = 0.0
    location: Signature | None = None
    beside: bool = False
    sealing: Key | None = None


class Welcome(Message, frozen=True):
    """The hub has let the node in; `observed` is the address that the hub sees it under, `others` where it may go when
    this hub is gone."""

    observed: Endpoint
    others: Machines = ()


class Wait(Message, frozen=True):
    """The hub lets clients in one after the other, and `ahead` wait before this one; it may try these others beside.
    The link stays."""

    others: Machines
    ahead: Annotated[int, msgspec.Meta(ge=0)]


class Full(Message, frozen=True):
    """The hub has no room for another client, nor one to wait in; there may be some at these others, and here after so
    many seconds. The link closes after it."""

    others: Machines
    after: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0.0


class Move(Message, frozen=True):
    """The hub has too much to do, or leaves; please go to one of these others. The link stays until the client has."""

    others: Machines


class Refused(Message, frozen=True, omit_defaults=True):
    """The hub or the authority says no, and why; the link closes after it. `expired`: to a credential that is too old,
    so that its holder enrols before it comes again."""

    reason: Reason
    expired: bool = False


class Renewed(Message, frozen=True):
    """From a node to the hub that it is signed in at: the authority's newer word for the same name and key. A client
    signs where it sits with it and names a fresh key, as in its Hello: the directory keeps the credential beside."""

    credential: Credential
    at: float = 0.0
    location: Signature | None = None
    sealing: Key | None = None


class Ping(Message, frozen=True, omit_defaults=True):
    """Are you there? Heartbeats go from the node to the hub; a relay adds how many sessions it carries and for how many
    more it has room (None: for as many as come), a supernode within how many seconds the next one follows."""

    load: Annotated[int, msgspec.Meta(ge=0)] = 0
    within: Annotated[float, msgspec.Meta(ge=1, le=60)] = 1.0
    room: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Pong(Message, frozen=True):
    """Yes."""


Receipt = tuple[Host, Annotated[bytes, msgspec.Meta(max_length=32)]]
"""A host, and what a supernode has sent there for it to show."""


class Carry(Message, frozen=True):
    """An envelope on its way. A caller asks for relays with its invite; its supernode adds the callee's legs.

    `receipts` show the sender's supernode where it stands; `seen` is the hosts that it has seen it under, sealed by
    that supernode for the recipient: none other that carries it learns them. `sought`: a supernode that did not find
    the recipient where it was looked for has sent it on; nobody does so again.
    """

    envelope: Envelope
    relays: bool = False
    offers: Annotated[tuple[RelayOffer, ...], msgspec.Meta(max_length=4)] = ()
    receipts: Annotated[tuple[Receipt, ...], msgspec.Meta(max_length=4)] = ()
    seen: Sealed | None = None
    sought: bool = False


class Offers(Message, frozen=True):
    """The caller's relay legs for a call that it has just invited to."""

    call: CallId
    offers: Annotated[tuple[RelayOffer, ...], msgspec.Meta(max_length=4)]


class StandBy(Message, frozen=True):
    """A client's question: its network lets no UDP out, at which relays may it wait for a call?"""


class StandingBy(Message, frozen=True):
    """The answer: relays, each with a token that lets one connection wait there, and nothing else."""

    offers: Annotated[tuple[RelayOffer, ...], msgspec.Meta(max_length=4)]


class Undeliverable(Message, frozen=True):
    """The envelope that `sender` sent found nobody: the recipient is not signed in anywhere."""

    call: CallId
    sender: Name
    recipient: Name
    reason: Reason


# -- between supernodes ----------------------------------------------------------------------------------------------


class Location(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A client's own word that it sits at the supernode `hub` since `at`, epoch seconds, and reads what is sealed under
    its X25519 public key `sealing`; `signature` covers all three."""

    credential: Credential
    hub: Name
    at: float
    sealing: Key
    signature: Signature


class Located(Message, frozen=True):
    """These clients sit at the sender; whoever is told keeps it for those who look for them."""

    locations: Annotated[tuple[Location, ...], msgspec.Meta(max_length=64)]


class Absent(Message, frozen=True):
    """These clients have left the sender."""

    names: Annotated[tuple[Name, ...], msgspec.Meta(max_length=400)]


class Lookup(Message, frozen=True):
    """Where does this client sit?"""

    name: Name


class Found(Message, frozen=True):
    """The answer to a lookup: the location, or none that the sender knows of. A caller's supernode tells it with this,
    when it sends its invite on, under which key the callee reads."""

    name: Name
    location: Location | None = None


class Moved(Message, frozen=True):
    """To a supernode where a client no longer sits: the client's own word for where it does."""

    location: Location


class Supernodes(Message, frozen=True):
    """Supernodes that the sender is linked with, each with its addresses."""

    machines: Annotated[tuple[Hosts, ...], msgspec.Meta(max_length=200)]


class RelayEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A relay that sits at a supernode, where it listens, how many sessions it says that it carries, and for how many
    more it has room; None: for as many as come. `beside`: it is some user's client as well."""

    name: Name
    hosts: Hosts
    udp_port: Port
    tcp_ports: Annotated[tuple[Port, ...], msgspec.Meta(max_length=4)]
    load: Annotated[int, msgspec.Meta(ge=0)] = 0
    room: Annotated[int, msgspec.Meta(ge=0)] | None = None
    beside: bool = False


class Probe(Message, frozen=True):
    """Are you there? Between supernodes, whichever of the two has dialled."""


class Present(Message, frozen=True):
    """Yes."""


class Suspected(Message, frozen=True):
    """The sender watches these supernodes and has heard nothing of them for some seconds."""

    names: Annotated[tuple[Name, ...], msgspec.Meta(max_length=64)]


class Relays(Message, frozen=True):
    """All relays that sit at the sender."""

    relays: Annotated[tuple[RelayEntry, ...], msgspec.Meta(max_length=64)]


class Near(Message, frozen=True):
    """The relays that are nearest to the sender, with the round trips that it has measured, in milliseconds."""

    relays: Annotated[
        tuple[tuple[Name, Annotated[int, msgspec.Meta(ge=0, le=60_000)]], ...], msgspec.Meta(max_length=16)
    ]


class Room(Message, frozen=True):
    """How many clients the sender has, and room for how many more; None: as many as come."""

    clients: Annotated[int, msgspec.Meta(ge=0)]
    room: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Reflect(Message, frozen=True):
    """Between supernodes: send `target` the answer to a Binding request of `source`, from here (RFC 5780, 6.1).

    `alternate`: from the second port; `size` is the request's in bytes, which the answer may not exceed.
    """

    target: Endpoint
    source: Endpoint
    transaction: Annotated[bytes, msgspec.Meta(min_length=12, max_length=12)]
    alternate: bool
    size: Annotated[int, msgspec.Meta(ge=0, le=1500)]


# -- promotion -------------------------------------------------------------------------------------------------------


class Nominate(Message, frozen=True):
    """A hub to a client that it sees at `observed`: will you be one as well, or a relay?"""

    role: Role
    observed: Endpoint


class Willing(Message, frozen=True):
    """The client listens now as the role asks, and has room for so many clients, or calls; anybody may dial it."""

    role: Role
    hosts: Hosts
    capacity: Annotated[int, msgspec.Meta(ge=1)]


class Unwilling(Message, frozen=True):
    """The client cannot or will not be what it was asked to be; or dial whom it was asked to dial, for it reaches few
    others from where it is."""

    role: Role
    reason: Reason


class Dial(Message, frozen=True):
    """A hub to one of its nodes: can `name`, who holds `key`, be reached in this role at these addresses? Or to another
    hub, that one of its clients finds out."""

    role: Role
    name: Name
    key: Key
    hosts: Hosts


class Dialled(Message, frozen=True):
    """What came of it: whether TCP and UDP got there, and who answered holds the key."""

    name: Name
    tcp: bool
    udp: bool


class Promoted(Message, frozen=True):
    """The hub has measured that others reach the client: it is what it was nominated for, among these supernodes.
    `measurer` is who has reached it."""

    role: Role
    measurer: Name
    supernodes: Annotated[tuple[Hosts, ...], msgspec.Meta(max_length=200)]


class Demoted(Message, frozen=True):
    """The sender can no longer reach what the receiver listens on, or never could: please be what you were. Or it is
    not `needed` any more."""

    role: Role
    reason: Reason
    needed: bool = True


# -- between a node and the authority --------------------------------------------------------------------------------


class Enrol(Message, frozen=True):
    """Bind `name` to `key`, please; `signature` proves that the sender holds the key."""

    name: Name
    key: Key
    signature: Signature


class Enrolled(Message, frozen=True):
    """The authority's signature on the binding."""

    credential: Credential


class RelayGrant(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a supernode signs into a token: this call may use this relay, on this leg (0 caller, 1 callee).

    Without a leg it lets a connection wait for a call; `call` is then the client's name. An array, as the token around
    it is: a client sends it in each bind.
    """

    call: CallId
    relay: Name
    leg: Literal[0, 1] | None
    expires: float


class RelayToken(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A grant with its issuer's signature, and the issuer's credential without names of fields: about 220 bytes, 400
    where all names are as long as may be. So a relay knows nobody beforehand, and serves whomever supernodes send."""

    grant: Annotated[bytes, msgspec.Meta(max_length=256)]
    issuer: Name
    key: Key
    expires: float
    vouched: Signature
    """The authority's, of the issuer's name, key and expiry."""
    signature: Signature

    @property
    def credential(self) -> Credential:
        """The authority's word for the issuer."""
        return Credential(self.issuer, self.key, self.expires, self.vouched)


Greetings = Challenge | Hello | Welcome | Wait | Full | Move | Refused | Ping | Pong | Renewed
Calling = Carry | Offers | StandBy | StandingBy | Undeliverable
Mesh = (
    Located
    | Absent
    | Lookup
    | Found
    | Moved
    | Supernodes
    | Relays
    | Room
    | Reflect
    | Probe
    | Present
    | Suspected
    | Near
)
Promotion = Nominate | Willing | Unwilling | Dial | Dialled | Promoted | Demoted
HubMessage = Greetings | Calling | Mesh | Promotion
AuthorityMessage = Enrol | Enrolled | Refused
Body = Invite | Withdrawn | Sealed
CallMessage = Ringing | Answer | Trickle | Bye

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_hub: msgspec.msgpack.Decoder[HubMessage] = msgspec.msgpack.Decoder(HubMessage)
_authority: msgspec.msgpack.Decoder[AuthorityMessage] = msgspec.msgpack.Decoder(AuthorityMessage)
_body: msgspec.msgpack.Decoder[Body] = msgspec.msgpack.Decoder(Body)
_call: msgspec.msgpack.Decoder[CallMessage] = msgspec.msgpack.Decoder(CallMessage)
_seen: msgspec.msgpack.Decoder[tuple[str, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[Host, ...], msgspec.Meta(max_length=5)]
)
_envelope = msgspec.msgpack.Decoder(Envelope)
_token = msgspec.msgpack.Decoder(RelayToken)
_grant = msgspec.msgpack.Decoder(RelayGrant)


def encode(message: msgspec.Struct | tuple[str, ...]) -> bytes:
    """The bytes of one message, without a frame around it."""
    return _encoder.encode(message)


def _decode(decoder: "msgspec.msgpack.Decoder[T]", what: str, data: bytes) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"{what} of {len(data)} bytes is not understood: {error}") from None


def decode_hub(data: bytes) -> HubMessage:
    """One message of a link to a supernode; raises ProtocolError."""
    return _decode(_hub, "signalling frame", data)


def decode_authority(data: bytes) -> AuthorityMessage:
    """One message of a link to the authority; raises ProtocolError."""
    return _decode(_authority, "enrolment frame", data)


def decode_body(data: bytes) -> Body:
    """The body of an envelope, neither trusted nor opened; raises ProtocolError."""
    return _decode(_body, "body of an envelope", data)


def decode_call(data: bytes) -> CallMessage:
    """What was sealed in an envelope; raises ProtocolError."""
    return _decode(_call, "end-to-end message", data)


def decode_seen(data: bytes) -> tuple[str, ...]:
    """The hosts that a supernode has seen a sender under; raises ProtocolError."""
    return _decode(_seen, "list of hosts", data)


def is_invite(body: bytes) -> bool:
    """Whether the body of an envelope is an Invite that its recipient understands; raises nothing."""
    try:
        return isinstance(decode_body(body), Invite)
    except ProtocolError:
        return False


def decode_envelope(data: bytes) -> Envelope:
    """An envelope that came over a media path; raises ProtocolError."""
    return _decode(_envelope, "envelope", data)


def decode_token(data: bytes) -> tuple[RelayToken, RelayGrant]:
    """A relay token and the grant inside it, signature not yet checked; raises ProtocolError."""
    token = _decode(_token, "relay token", data)
    return token, _decode(_grant, "relay grant", token.grant)
