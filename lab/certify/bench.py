"""What a site's measurements stand on: its two ends, their addresses in one family, and ports that nobody has used.

Belongs here: addresses and ports. Never: questions.
"""

import random
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TypeVar

from lab.certify.asking import Patience
from lab.certify.ends import End, Endpoint
from lab.certify.steadiness import Watch
from lab.errors import EvidenceError, RuntimeUnavailable

T = TypeVar("T")
PRIMARY, ALTERNATE = 3478, 3479
"""RFC 5780's two ports of the server; 3478 is STUN's own (RFC 8489, 18.6), the other is free to choose."""
ELSEWHERE = 22
"""A port that no proxy for the web is for: SSH's, and the one that who gets through such a proxy wants most."""
PORTS = range(20_000, 30_000)
"""Inner ports: above the well-known ones, and below those that kernels pick by themselves (32768)."""


@dataclass(frozen=True)
class Bench:
    """`inner`: the probe's addresses inside, each a host to the router; `remote`: its two on the internet.

    `quiet` is held while delays are measured: not many at once, or they would measure each other. `stop` breaks it off.
    `ports`: inner ones to ask with, `tcp_ports`: others for TCP, None: the same.
    `watch`: what it sees the machine stand still in is measured again, of which `say` hears; None: nobody looks.
    """

    inside: End
    outside: End
    inner: tuple[str, ...]
    remote: tuple[str, str]
    patience: Patience = field(default_factory=Patience)
    stop: threading.Event = field(default_factory=threading.Event)
    quiet: AbstractContextManager[object] = field(default_factory=nullcontext)
    ports: "Ports" = field(default_factory=lambda: Ports())
    tcp_ports: "Ports | None" = None
    watch: Watch | None = None
    say: Callable[[str], None] = lambda text: None

    def undisturbed(self, what: str, measure: Callable[[], T]) -> T:
        """What is found while the machine runs."""
        return self.watch.undisturbed(what, measure, self.say) if self.watch else measure()

    def pause(self, seconds: float) -> None:
        """Let time pass, for that is what is measured. Raises LabError where the certification is broken off."""
        if self.stop.wait(seconds):
            raise RuntimeUnavailable("the certification was broken off")

    def fresh(self, host: int = 0) -> Endpoint:
        """An inner endpoint that nobody has used."""
        return Endpoint(self.inner[host], self.ports.take())

    def to(self, address: int, port: int) -> Endpoint:
        """An endpoint on the internet."""
        return Endpoint(self.remote[address], port)

    def matrix(self, ports: Sequence[int] = (PRIMARY, ALTERNATE)) -> tuple[Endpoint, ...]:
        """RFC 5780's four endpoints (fewer with one port): the first, another address, both other, another port."""
        first, last = ports[0], ports[-1]
        every = (self.to(0, first), self.to(1, first), self.to(1, last), self.to(0, last))
        return tuple(dict.fromkeys(every))

    @property
    def family(self) -> int:
        """4 or 6."""
        return ip_address(self.remote[0]).version

    def over_tcp(self) -> "Bench":
        """The same with the ports for TCP."""
        return replace(self, ports=self.tcp_ports or self.ports)

    def patient(self, patience: Patience) -> "Bench":
        """The same with another patience."""
        return replace(self, patience=patience)


class Ports:
    """Inner ports in random order, each given once; those to `spare` once there are no others."""

    def __init__(self, among: Sequence[int] = PORTS, spare: Sequence[int] = ()) -> None:
        self._left = random.sample(spare, len(spare)) + random.sample(among, len(among))
        self._lock = threading.Lock()

    def take(self) -> int:
        """One that was not given before. Raises EvidenceError where all were."""
        with self._lock:
            if not self._left:
                raise EvidenceError("every inner port that there is to ask with was used, and more is to be asked")
            return self._left.pop()
