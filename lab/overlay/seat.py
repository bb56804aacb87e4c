"""One inbound link of a supernode, from challenge to the end, and what a supernode tells of its sessions.

Belongs here: data. Never: what is decided.
"""

from dataclasses import dataclass, field

from lab.overlay.actions import Event, LinkInfo
from lab.overlay.hub import HEARTBEAT
from lab.overlay.reach import Reach
from lab.wire.framing import LengthPrefixed
from lab.wire.messages import FRAME_LIMIT, Location


@dataclass(frozen=True, slots=True)
class Joined(Event):
    """A node has signed in here."""

    role: str
    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """A node that was signed in has gone."""

    role: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ToldToWait(Event):
    """A client waits for its turn, or for room."""

    name: str
    ahead: int


@dataclass(frozen=True, slots=True)
class TurnedAway(Event):
    """A client found no room here, not even to wait in, and was told of these others."""

    name: str
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unreachable(Event):
    """A supernode or relay that had been promoted cannot be reached any more, by this one; or this one by that."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unneeded(Event):
    """A relay that had been promoted is idle while those that do nothing else have room."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Empty(Event):
    """The supernode has left: its clients are elsewhere, or have had time enough."""

    clients: int


@dataclass
class Seat:
    """One inbound link, from challenge to the end. `waiting`: a client that is not let in yet; `kept_until`: when the
    link of one that has signed in elsewhere is closed, if it has not closed it by then."""

    info: LinkInfo
    nonce: bytes
    since: float
    last_heard: float
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(4, FRAME_LIMIT))
    role: str = ""
    name: str = ""
    key: bytes = b""
    waiting: bool = False
    told_to_wait: bool = False
    heartbeat: float = HEARTBEAT
    location: Location | None = None
    trial: Reach | None = None
    eased: float = float("-inf")
    kept_until: float = float("inf")
    told: tuple[tuple[str, ...], ...] = ()
    """Other supernodes, each with its addresses, that a client or relay has been told of here."""
    expires: float = float("inf")
    """When its credential does, epoch seconds: the wall clock may be stepped meanwhile."""

    @property
    def moved(self) -> bool:
        """Whether it is the link of a client that sits elsewhere by now."""
        return self.kept_until < float("inf")

    @property
    def host(self) -> str:
        """The address that it is seen under."""
        return self.info.peer[0]
