"""The authority: binds a name to a key once and signs that; afterwards nobody needs it (Skype's login server did this).

A second enrolment of a name with another key is refused. It signs nothing else and carries nothing.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.errors import ProtocolError
from lab.overlay.actions import Event, LinkInfo, Machine, earliest
from lab.overlay.identity import check_signature, issue_credential
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import FRAME_LIMIT, Enrol, Enrolled, Refused, decode_authority, encode

LINK_LIMIT = 10.0
"""Seconds for which a connection is kept; an enrolment takes two packets."""


@dataclass(frozen=True, slots=True)
class NameBound(Event):
    """A name has been given to a key; the node keeps this for its next start."""

    name: str
    key: bytes


@dataclass(frozen=True, slots=True)
class EnrolmentRefused(Event):
    """Somebody asked for what it cannot have."""

    address: str
    reason: str


@dataclass
class _Applicant:
    info: LinkInfo
    expires: float
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(4, FRAME_LIMIT))


class Authority(Machine):
    """`names` are the bindings known from an earlier start: name to 32 bytes of key."""

    def __init__(self, private: Ed25519PrivateKey, names: dict[str, bytes], wall_offset: float) -> None:
        super().__init__()
        self.private, self.names, self.wall_offset = private, dict(names), wall_offset
        self.applicants: dict[int, _Applicant] = {}

    def start(self, now: float) -> None:
        """There is nothing to begin: it answers."""

    def deadline(self) -> float | None:
        return earliest(*(applicant.expires for applicant in self.applicants.values()))

    def poll(self, now: float) -> None:
        for link in [link for link, applicant in self.applicants.items() if now >= applicant.expires]:
            del self.applicants[link]
            self.actions.close(link)

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        self.applicants[link] = _Applicant(info, now + LINK_LIMIT)
        return link

    def link_data(self, link: int, data: bytes, now: float) -> None:
        applicant = self.applicants.get(link)
        if applicant is None:
            return
        try:
            for body in applicant.deframer.feed(data):
                self._asked(link, body, now)
        except ProtocolError as error:
            self.actions.emit(EnrolmentRefused(applicant.info.peer[0], str(error)))
            self.actions.write(link, frame(encode(Refused(str(error)[:300])), 4))
            del self.applicants[link]
            self.actions.close(link)

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.actions.links.pop(link, None)
        self.applicants.pop(link, None)

    def _asked(self, link: int, body: bytes, now: float) -> None:
        message = decode_authority(body)
        if not isinstance(message, Enrol):
            raise ProtocolError(f"expected Enrol, got {type(message).__name__}")
        check_signature(message.key, message.signature, "lab enrol", message.name.encode(), message.key)
        if self.names.get(message.name, message.key) != message.key:
            raise ProtocolError(f"the name {message.name} belongs to another key")
        if message.name not in self.names:
            self.names[message.name] = message.key
            self.actions.emit(NameBound(message.name, message.key))
        credential = issue_credential(self.private, message.name, message.key, now + self.wall_offset)
        self.actions.write(link, frame(encode(Enrolled(credential)), 4))
