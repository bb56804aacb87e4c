"""An outer port that the router gives to a client's socket because it was asked for it (UPnP IGD, NAT-PMP, PCP).

Belongs here: when it is asked, again and no more. Never: in which protocol; nothing waits for the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from lab.overlay.actions import Actions, Event, earliest
from lab.overlay.paths import is_local, usable
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address, family
from lab.wire.messages import Candidate

LIFETIME = 600
"""Seconds that are asked for: a client that ends without a word leaves its port open for no longer. RFC 6886, 3.3
recommends 7,200, and RFC 6887, 11.2.1 asks a client to renew at half of what it was given."""
SOONEST = 15.0
"""Seconds until it is asked again at the soonest, however little it gives."""


@dataclass(frozen=True, slots=True)
class PortMapped(Event):
    """The router has given an outer port for `lifetime` seconds; told when it is another than before."""

    outer: Address
    port: int
    lifetime: int


@dataclass(frozen=True, slots=True)
class PortNotMapped(Event):
    """It has not, and is not asked again until the client signs in again or moves."""

    reason: str


@dataclass
class Gateway:
    """What a client knows of its router in this: whether it gives ports, None until one was asked for.

    One question at a time finds that out, so that a router that offers nothing is asked once.
    """

    actions: Actions
    own: Whereabouts
    offers: bool | None = None
    asking: "MappedPort | None" = None
    waiting: "list[MappedPort]" = field(default_factory=list)

    def forget(self) -> None:
        """The client stands elsewhere."""
        self.offers, self.asking = None, None
        self.waiting.clear()

    def admits(self, asker: "MappedPort") -> bool:
        """Whether it is worth asking now; whoever has to wait for another's answer is woken by it."""
        if self.offers is False or not any(family(host) == 4 and is_local(host) for host in self.own.addresses):
            return False
        if self.offers is None and self.asking not in (None, asker):
            self.waiting.append(asker)
            return False
        self.asking = asker
        return True

    def answered(self, offers: bool) -> None:
        """Whoever waited for the answer may ask for itself, or need not."""
        self.offers = offers
        self._done()

    def left(self, asker: "MappedPort") -> None:
        """An asker wants no answer any more; whoever waited for it asks in its place."""
        if self.asking is asker:
            self._done()

    def _done(self) -> None:
        self.asking = None
        waiting, self.waiting = self.waiting, []
        for asker in waiting:
            asker.ask()


@dataclass
class MappedPort:
    """The outer port of one socket; `changed` is called when it is another than before."""

    gateway: Gateway
    changed: Callable[[float], None] = lambda now: None
    port: int = 0
    outer: Address | None = None
    question: int | None = None
    renew_at: float | None = None
    wanted: bool = False
    closed: bool = False

    def open(self, port: int) -> None:
        """The socket is there, on that port of this host; asks at once where the router gives ports, or may soon say
        that it does."""
        self.port = port
        if self.wanted or self.gateway.offers or self.gateway.asking is not None:
            self.ask()

    def ask(self) -> None:
        """Asks for a port, or to keep the one that there is."""
        self.wanted = True
        if self.closed or not self.port or self.question is not None or not self.gateway.admits(self):
            return
        self.renew_at = None
        self.question = self.gateway.actions.map_port(self, self.port, LIFETIME)

    def relocated(self) -> None:
        """Another router, or perhaps the same one: what was given counts no more."""
        self._forget()
        self.ask()

    def close(self) -> None:
        """The socket is no more, and the router is told."""
        if self.question is not None or self.outer is not None:
            self.gateway.actions.unmap_port(self.port)
        self._forget()
        self.closed = True
        self.gateway.left(self)

    def _forget(self) -> None:
        if self.question is not None:
            self.gateway.actions.forget_mapping(self.question)
        self.question, self.outer, self.renew_at = None, None, None

    def deadline(self) -> float | None:
        return earliest(self.renew_at)

    def poll(self, now: float) -> None:
        if self.renew_at is not None and now >= self.renew_at:
            self.ask()

    def port_mapped(self, mapping: int, outer: Address, lifetime: int, now: float) -> None:
        """A router may say anything: what no peer could send to, or is this host's own, is no port for it."""
        self.question = None
        if not 0 < outer[1] <= 0xFFFF:  # peers take no such candidate, nor the message that tells of it
            self.port_not_mapped(mapping, f"the router tells the outer port {outer[1]}, which is none", now)
            return
        if not usable([Candidate("port-mapped", "udp", outer)], self.gateway.own) or family(outer[0]) != 4:
            said = f"the outer address {outer[0]}, which nobody can reach" if outer[0] else "no outer address"
            self.port_not_mapped(mapping, f"the router tells {said}", now)
            return
        self.renew_at = now + max(SOONEST, lifetime / 2)
        if outer != self.outer:
            self.outer = outer
            self.gateway.actions.emit(PortMapped(outer, self.port, lifetime))
            self.changed(now)
        self.gateway.answered(True)

    def port_not_mapped(self, mapping: int, reason: str, now: float) -> None:
        self._forget()
        self.gateway.actions.emit(PortNotMapped(reason))
        self.gateway.answered(False)
