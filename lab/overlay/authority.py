"""The authority: binds a name to a key once and signs that; afterwards nobody needs it (Skype's login server did this).

A second enrolment of a name with another key is refused. It signs nothing else and carries nothing.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.errors import ProtocolError
from lab.overlay.actions import Event, LinkInfo, Machine, earliest
from lab.overlay.identity import check_signature, issue_credential
from lab.overlay.limits import Limiter, Rate
from lab.overlay.lobby import Displaced, Lobby, holder
from lab.overlay.wallclock import WallClock
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import FRAME_LIMIT, Enrol, Enrolled, Refused, decode_authority, encode

LINK_LIMIT = 5.0
"""Seconds for which a connection is kept; an enrolment takes two packets."""
APPLICANTS_EACH, APPLICANTS = 64, 1_024
"""Connections, of one address and of all, that have enrolled nothing yet."""
ENROLMENTS = Rate(10, 250)
"""Enrolments from one address, each a signature to check and one to give: a carrier's address may stand for many that
begin at the same time."""


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
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(4, FRAME_LIMIT))


class Authority(Machine):
    """`names` are the bindings known from an earlier start: name to 32 bytes of key."""

    def __init__(self, private: Ed25519PrivateKey, names: dict[str, bytes], wall: WallClock) -> None:
        super().__init__()
        self.private, self.names, self.wall = private, dict(names), wall
        self.applicants: dict[int, _Applicant] = {}
        self.lobby: Lobby[int] = Lobby("connections that enrol nothing", APPLICANTS, APPLICANTS_EACH, LINK_LIMIT)
        self.served: Lobby[int] = Lobby("connections", APPLICANTS, APPLICANTS, LINK_LIMIT)
        """Those that have enrolled, until they close."""
        self.enrolments = Limiter(ENROLMENTS)

    def start(self, now: float) -> None:
        """There is nothing to begin: it answers."""

    def deadline(self) -> float | None:
        return earliest(self.lobby.deadline(), self.served.deadline())

    def poll(self, now: float) -> None:
        for link, host in self.lobby.late(now):
            self.actions.reject(host, "did not enrol", now)
            self._close(link)
        for link, _ in self.served.late(now):
            self._close(link)

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        self.applicants[link] = _Applicant(info)
        self._make_room(self.lobby.enter(link, info.peer[0], now), now)
        return link

    def _make_room(self, displaced: Displaced[int] | None, now: float) -> None:
        if displaced is not None:
            self.actions.reject(displaced.host, displaced.reason, now)
            self._close(displaced.key)

    def _close(self, link: int) -> None:
        self.actions.close(link)
        self._forget(link)

    def _forget(self, link: int) -> None:
        self.applicants.pop(link, None)
        self.lobby.leave(link)
        self.served.leave(link)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        applicant = self.applicants.get(link)
        if applicant is None:
            return
        try:
            for body in applicant.deframer.feed(data):
                self._asked(link, applicant.info.peer[0], body, now)
                if link not in self.applicants:
                    return
        except ProtocolError as error:
            self._refuse(link, applicant.info.peer[0], str(error), now)

    def _refuse(self, link: int, host: str, reason: str, now: float, worded: bool = True) -> None:
        if self.actions.refusals.count(host, reason, now, worded):
            self.actions.emit(EnrolmentRefused(host, reason))
        self.actions.write(link, frame(encode(Refused(reason[:300])), 4))
        self._close(link)

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.actions.links.pop(link, None)
        self._forget(link)

    def _asked(self, link: int, host: str, body: bytes, now: float) -> None:
        if not self.enrolments.allows(holder(host), now):
            self._refuse(link, host, "too many enrolments of one address in a short time; wait a little", now, False)
            return
        message = decode_authority(body)
        if not isinstance(message, Enrol):
            raise ProtocolError(f"expected Enrol, got {type(message).__name__}")
        check_signature(message.key, message.signature, "lab enrol", message.name.encode(), message.key)
        if self.names.get(message.name, message.key) != message.key:
            raise ProtocolError(f"the name {message.name} belongs to another key")
        if message.name not in self.names:
            self.names[message.name] = message.key
            self.actions.emit(NameBound(message.name, message.key))
        credential = issue_credential(self.private, message.name, message.key, now + self.wall.offset)
        self.actions.write(link, frame(encode(Enrolled(credential)), 4))
        if self.lobby.leave(link):
            self._make_room(self.served.enter(link, host, now), now)
