"""What a call tells the program around it, in the order of its life; voice comes as opaque packets.

Shapes alone. `call` is the call's name in the world.
"""

from dataclasses import dataclass

from lab.overlay.actions import Event
from lab.overlay.paths import Key, PathName, State
from lab.overlay.reports import Demotion, Verdict
from lab.wire.addresses import Address
from lab.wire.messages import Candidate


@dataclass(frozen=True, slots=True)
class Rings(Event):
    """At the callee: `peer` is calling. At the caller: the callee rings."""

    call: str
    peer: str
    incoming: bool


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """Voice may flow: `send` and `receive` are SRTP master keys and salts, 30 bytes each."""

    call: str
    send: bytes
    receive: bytes


@dataclass(frozen=True, slots=True)
class Moved(Event):
    """The path that this side sends its voice on has changed; None: there is none at the moment."""

    call: str
    path: PathName | None


@dataclass(frozen=True, slots=True)
class Told(Event):
    """This side has told the peer of these candidates."""

    call: str
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class RelayOffered(Event):
    """The hub has offered both ends a session at a relay, which is at these addresses."""

    call: str
    relay: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Met(Event):
    """The peer was found at an address that it had not told: a peer-reflexive candidate (RFC 8445, 7.3.1.3)."""

    call: str
    remote: Address


@dataclass(frozen=True, slots=True)
class RankedDown(Event):
    """A path between the two, or a leg at a relay, ranks below every other from now on."""

    call: str
    demotion: Demotion


@dataclass(frozen=True, slots=True)
class Checked(Event):
    """A path was found to work, or was given up."""

    call: str
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Opens(Event):
    """A TCP connection to the peer is tried, or has not come about in time."""

    call: str
    remote: Address
    state: State


@dataclass(frozen=True, slots=True)
class Guesses(Event):
    """Guessing of ports has begun or, with `under_way` False, ended: this side's part, guesses sent, sockets opened."""

    call: str
    part: str
    under_way: bool
    sent: int
    sockets: int


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The checklist is done: nothing better than the path in use is under way."""

    call: str


@dataclass(frozen=True, slots=True)
class Held(Event):
    """Put on hold, by either side: no voice is to be sent. With `on` False: taken off it."""

    call: str
    on: bool


@dataclass(frozen=True, slots=True)
class Heard(Event):
    """What came by the path of that key and may be a packet of the peer's voice, protected. Anybody can write one, so
    it counts for nothing until whoever has the media's keys gives it back (`Client.voice`)."""

    call: str
    data: bytes
    path: Key


@dataclass(frozen=True, slots=True)
class Closing(Event):
    """Hung up, by either side: send no more voice, take in what is in flight; the peer sent `frames`, if it said so."""

    call: str
    frames: int | None


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The call is over. `error` is None when somebody hung up after talking, else a sentence; nothing follows.

    `connected`: it was answered, and a path was found for the voice.
    """

    call: str
    error: str | None
    connected: bool
