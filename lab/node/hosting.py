"""A client that is a supernode or a relay beside: the second machine of the same program, its listeners, and how it
ends.

Belongs here: what the client's decisions mean for sockets. Never: those decisions.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.errors import ConfigError
from lab.node.control import Order
from lab.node.journal import Journal
from lab.node.orders import orders
from lab.node.relaying import RelaySocket
from lab.node.shell import Shell
from lab.node.spare import measured
from lab.node.tls import client_context, hub_context, wrapping_context
from lab.overlay.actions import Event
from lab.overlay.candidacy import AskedForSpare, AskedToBe, DemotedFrom, PromotedTo
from lab.overlay.client import Client
from lab.overlay.member import RELAY_TCP_PORTS, RELAY_UDP_PORT, SIGNALLING_PORTS, Ready
from lab.overlay.passage import STUN_PORT
from lab.overlay.relay import RELAY_SOCKET, HandedOver, Relay
from lab.overlay.seat import Empty, Unneeded, Unreachable
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.supernode import ALTERNATE_SOCKET, STUN_SOCKET, Supernode
from lab.wire.messages import Role

SHARED_PORT = 443
"""The client listens on it for media; a connection that asks for signalling (ALPN, RFC 7301) is the supernode's, one
that begins with a bind is the relay's."""


@dataclass
class Hosted:
    """The supernode or relay while there is one."""

    machine: Supernode | Relay
    shell: Shell
    began: float


class Hosting:
    """Carries out what a client's candidacy asks for. `settle` is called after each input to the client's machine."""

    def __init__(self, client: Client, shell: Shell, journal: Journal, keep: Callable[[Event], None]) -> None:
        self.client, self.shell, self.journal, self.keep = client, shell, journal, keep
        self.hosted: Hosted | None = None
        self.ending: set[asyncio.Task[None]] = set()
        self.opening: set[asyncio.Task[None]] = set()

    def event(self, event: Event) -> bool:
        """An event of the client's machine; whether it was about this."""
        match event:
            case AskedToBe(role):
                task = asyncio.get_running_loop().create_task(self._begin(role))
                self.opening.add(task)
                task.add_done_callback(self.opening.discard)
            case PromotedTo(_, supernodes):
                if self.hosted is not None:
                    self.hosted.machine.admit(supernodes, time.monotonic())
                    self.hosted.shell.settle()
            case AskedForSpare(role):
                task = asyncio.get_running_loop().create_task(self._weigh(role))
                self.opening.add(task)
                task.add_done_callback(self.opening.discard)
                return True
            case DemotedFrom():
                self._cease()
            case _:
                return False
        self.journal.record(event)
        return True

    async def _begin(self, role: Role) -> None:
        if self.hosted is not None:
            self._listening("what it was before is not over yet")
            return
        candidacy = self.client.candidacy
        spare = await measured()
        if self.hosted is not None or candidacy.role != role:  # the host has moved meanwhile
            return
        if refusal := spare.lacking(candidacy.wanted(role)):
            self._listening(refusal)
            return
        candidacy.has(spare.room(candidacy.wanted(role)))
        membership = replace(self.client.membership, capacity=candidacy.room, calls=candidacy.room)
        machine = Relay(membership, promoted=True) if role == "relay" else Supernode(membership, promoted=True)
        shell = Shell(machine, client_context(), self._event)
        self.hosted = Hosted(machine, shell, time.time())
        try:
            if isinstance(machine, Relay):
                self._open_relay(machine, shell)
            else:
                await self._open_supernode(machine, shell)
        except ConfigError as error:
            self._end()
            self._listening(str(error))
            return
        if candidacy.role != role:  # it took too long, or the host has moved meanwhile
            self._end()
            return
        shell.start()
        self._listening(None)

    async def _weigh(self, role: Role) -> None:
        """Whether the machine still has something to spare, and how much."""
        candidacy = self.client.candidacy
        spare, wanted = await measured(), candidacy.wanted(role)
        refusal = spare.lacking(wanted)
        candidacy.spares(refusal)
        self.shell.settle()
        if self.hosted is not None and isinstance(self.hosted.machine, Supernode):
            self.hosted.machine.spares(0 if refusal else spare.room(wanted))
            self.hosted.shell.settle()

    async def _open_supernode(self, machine: Supernode, shell: Shell) -> None:
        self.client.hub.more = machine.for_its_own_client
        tls = hub_context(self.client.name, self.client.membership.identity.private)
        for port in SIGNALLING_PORTS:
            if port != SHARED_PORT:
                shell.listen_to_both("stun", "signalling", port, tls)
        for port in (STUN_PORT, ALTERNATE_PORT):
            await shell.listen("stun", port, None)
        await shell.bind_udp(STUN_SOCKET, STUN_PORT)
        await shell.bind_udp(ALTERNATE_SOCKET, ALTERNATE_PORT)
        self.shell.beside(SHARED_PORT, shell, tls)

    def _open_relay(self, machine: Relay, shell: Shell) -> None:
        wrapping = wrapping_context()
        for port in RELAY_TCP_PORTS:
            if port != SHARED_PORT:
                shell.listen_to_both("relay", "relay", port, wrapping)
        shell.sockets[RELAY_SOCKET] = RelaySocket(shell, machine, RELAY_UDP_PORT)
        shell.forwarder, shell.straight = orders(machine, shell.settle), machine.straight_link
        self.shell.relay_beside(SHARED_PORT, shell)

    def _listening(self, refusal: str | None) -> None:
        self.client.candidacy.listening(refusal, time.monotonic())
        self.shell.settle()

    def _event(self, event: Event) -> None:
        """Of the supernode's, or the relay's, machine."""
        if isinstance(event, Unreachable | Unneeded) and event.name == self.client.name:
            self.client.candidacy.cease(event.reason)
            self.shell.settle()
        elif isinstance(event, Ready):
            return  # the node has been ready as a client
        self.keep(event)
        if isinstance(event, Empty | HandedOver):
            self._end()

    def _cease(self) -> None:
        if self.hosted is not None:
            self.hosted.machine.leave(time.monotonic())
            self.hosted.shell.settle()

    def _end(self) -> None:
        if (hosted := self.hosted) is not None:
            self.hosted, self.client.hub.more = None, tuple
            if isinstance(hosted.machine, Relay):
                self.shell.relay_beside(SHARED_PORT, None)
            else:
                self.shell.beside(SHARED_PORT, None, None)
            asyncio.get_running_loop().call_soon(hosted.shell.stop)

    def beside(self) -> Shell | None:
        """The shell of the supernode or relay, while there is one."""
        return self.hosted.shell if self.hosted is not None else None

    def relocated(self, addresses: tuple[str, ...]) -> None:
        """The host's addresses have changed."""
        self.shell.relocated(addresses)
        if self.hosted is not None:
            self.hosted.shell.relocated(addresses)

    def carried(self, order: Order) -> Order:
        """What it has passed on in one call, as a relay answers it; nothing where it is none."""
        if self.hosted is None or not isinstance(self.hosted.machine, Relay):
            return {"up_since": 0.0, "sessions": []}
        hosted = self.hosted
        return {"up_since": hosted.began, **relay_carried(self.hosted.machine, hosted.shell.settle, order)}

    def status(self) -> Order:
        """What the client is beside being one, and for whom."""
        promoted = self.client.candidacy.promoted
        machine = self.hosted.machine if self.hosted is not None and promoted else None
        said: Order = {"promoted": promoted, "promoted_because": self.client.candidacy.because or None}
        if isinstance(machine, Supernode):
            said |= supernode_status(machine)
        elif isinstance(machine, Relay):
            said |= {key: value for key, value in relay_status(machine).items() if key != "calls"}  # its user's own are
        return said


def supernode_status(machine: Supernode) -> Order:
    """Who sits at a supernode, of how many, and whom it knows."""
    return {
        "capacity": machine.admission.capacity,
        "clients": sorted(machine.clients),
        "waiting": [waiting.name for waiting in machine.admission.line.values()],
        "supernodes": sorted(machine.peers),
        "relays": sorted(machine.roster.all()),
        "turned_away": dict(machine.actions.refusals.counted),
    }


def relay_carried(machine: Relay, settle: Callable[[], None], order: Order) -> Order:
    """What a relay has passed on in one call, by its id or by the user's name for it. With `count`, what its kernel has
    counted is asked for first; it is there when `counting` is over."""
    found = [s for s in machine.sessions.values() if order.get("call") in (s.call, s.call.partition(".")[0])]
    waiting = machine.offloading.waiting
    if order.get("count"):
        for session in found:
            machine.offloading.with_counts(session, lambda: None)
        settle()
    return {
        "sessions": [
            {"packets": s.packets, "bytes": s.bytes, "complete": s.complete, "counting": s.number in waiting}
            for s in found
        ]
    }


def relay_status(machine: Relay) -> Order:
    """What a relay carries, and where it is forwarded."""
    offloading = machine.offloading
    return {
        "forwarding": "kernel" if offloading.kernel else f"user space: {offloading.why_not}",
        "offloaded": len(offloading.placed),
        "sessions": len(machine.sessions),
        "packets": machine.packets,
        "bytes": machine.bytes,
        "calls": {s.call: {"packets": s.packets, "bytes": s.bytes} for s in machine.sessions.values()},
    }
