"""A client that is a supernode beside: the second machine of the same program, its listeners, and how it ends.

Belongs here: what the client's decisions mean for sockets. Never: those decisions.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.errors import ConfigError
from lab.node.control import Order
from lab.node.journal import Journal
from lab.node.shell import Shell
from lab.node.tls import client_context, hub_context
from lab.overlay.actions import Event
from lab.overlay.candidacy import AskedToBe, DemotedFrom, PromotedTo
from lab.overlay.client import Client
from lab.overlay.member import SIGNALLING_PORTS, Ready
from lab.overlay.passage import STUN_PORT
from lab.overlay.seat import Empty, Unreachable
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.supernode import ALTERNATE_SOCKET, STUN_SOCKET, Supernode

SHARED_PORT = 443
"""The client listens on it for media; a connection that asks for signalling (ALPN, RFC 7301) is the supernode's."""


@dataclass
class Hosted:
    """The supernode while there is one."""

    machine: Supernode
    shell: Shell


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
            case AskedToBe("supernode"):
                task = asyncio.get_running_loop().create_task(self._begin())
                self.opening.add(task)
                task.add_done_callback(self.opening.discard)
            case AskedToBe(role):
                self._listening(f"it cannot be a {role}")
            case PromotedTo(_, supernodes):
                if self.hosted is not None:
                    self.hosted.machine.admit(supernodes, time.monotonic())
                    self.hosted.shell.settle()
            case DemotedFrom():
                self._cease()
            case _:
                return False
        self.journal.record(event)
        return True

    async def _begin(self) -> None:
        membership = replace(self.client.membership, capacity=self.client.candidacy.capacity)
        machine = Supernode(membership, promoted=True)
        shell = Shell(machine, client_context(), self._event)
        tls = hub_context(self.client.name, membership.identity.private)
        try:
            for port in SIGNALLING_PORTS:
                if port != SHARED_PORT:
                    shell.listen_to_both("stun", "signalling", port, tls)
            for port in (STUN_PORT, ALTERNATE_PORT):
                await shell.listen("stun", port, None)
            await shell.bind_udp(STUN_SOCKET, STUN_PORT)
            await shell.bind_udp(ALTERNATE_SOCKET, ALTERNATE_PORT)
        except ConfigError as error:
            shell.stop()
            self._listening(str(error))
            return
        self.hosted = Hosted(machine, shell)
        self.shell.beside(SHARED_PORT, shell, tls)
        shell.start()
        self._listening(None)

    def _listening(self, refusal: str | None) -> None:
        self.client.candidacy.listening(refusal, time.monotonic())
        self.shell.settle()

    def _event(self, event: Event) -> None:
        """Of the supernode's machine."""
        if isinstance(event, Unreachable) and event.name == self.client.name:
            self.client.candidacy.cease(event.reason)
            self.shell.settle()
        elif isinstance(event, Ready):
            return  # the node has been ready as a client
        self.keep(event)
        if isinstance(event, Empty):
            self._end()

    def _cease(self) -> None:
        if self.hosted is not None:
            self.hosted.machine.leave(time.monotonic())
            self.hosted.shell.settle()

    def _end(self) -> None:
        if (hosted := self.hosted) is not None:
            self.hosted = None
            self.shell.beside(SHARED_PORT, None, None)
            asyncio.get_running_loop().call_soon(hosted.shell.stop)

    def supernode(self) -> Shell | None:
        """The shell of the supernode, while there is one."""
        return self.hosted.shell if self.hosted is not None else None

    def relocated(self, addresses: tuple[str, ...]) -> None:
        """The host's addresses have changed."""
        self.shell.relocated(addresses)
        if self.hosted is not None:
            self.hosted.shell.relocated(addresses)

    def status(self) -> Order:
        """What the client is beside being one, and for whom."""
        machine = self.hosted.machine if self.hosted is not None else None
        return {
            "promoted": self.client.candidacy.promoted,
            "promoted_because": self.client.candidacy.because or None,
            **(supernode_status(machine) if machine is not None and self.client.candidacy.promoted else {}),
        }


def supernode_status(machine: Supernode) -> Order:
    """Who sits at a supernode, and whom it knows."""
    return {
        "clients": sorted(machine.clients),
        "waiting": [waiting.name for waiting in machine.admission.line.values()],
        "supernodes": sorted(machine.peers),
        "relays": sorted(machine.roster.all()),
        "turned_away": dict(machine.door.turned),
    }
