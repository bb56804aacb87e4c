"""What stands in the model internet: computers, the programs on them, the two ends of a connection.

Belongs here: what they have. Never: what happens to them; that is network.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from lab.overlay.actions import Event, Machine
from lab.wire.addresses import Address

NEVER = float("inf")


@dataclass(slots=True, eq=False)
class Host:
    """One computer. `address` is what others see it under, `own` what its interface has: another one behind a NAT.

    `delay` is seconds one way between it and the middle of the internet; `handshake` is seconds of its processor for
    one TLS handshake that it answers. Nobody gets into one that is not `open`, but for answers to its own datagrams.
    """

    address: str
    own: str
    delay: float
    open: bool = True
    handshake: float = 0.0
    alive: bool = True
    busy: float = 0.0
    """When its processor will be done with the handshakes that it has been asked for."""
    programs: list["Program"] = field(default_factory=list)
    tcp: dict[int, tuple["Program", str | None, str | None]] = field(default_factory=dict)
    """By port: who listens there, and the names of its listeners for plain words and for TLS."""
    udp: dict[int, tuple["Program", int]] = field(default_factory=dict)
    contacted: set[tuple[int, Address]] = field(default_factory=set)
    """From which of its UDP ports it has sent whom something."""


@dataclass(slots=True, eq=False)
class Program:
    """One machine that runs, or has run, on a host; a restart is another program. `told` gets the machine's events."""

    host: Host
    machine: Machine
    key: bytes
    told: Callable[["Program", Event], None]
    running: bool = False
    alarm: float = NEVER
    due: float = NEVER
    bytes: int = 0
    """Sent and received, with what carries them."""
    ends: dict[int, "End"] = field(default_factory=dict)
    sockets: dict[int, int] = field(default_factory=dict)
    tcp_ports: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class End:
    """One end of a TCP connection; bytes take `delay` seconds to the other one."""

    program: Program
    link: int
    delay: float
    other: "End | None" = None
    open: bool = True
