"""Who there is: an authority's key, supernodes, clients; each with a computer, a key and what it keeps on its disk.

Belongs here: who starts and ends, and how. Never: when, which is a story's; nor what is made of it (measuring.py).
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.overlay.actions import Event, Machine
from lab.overlay.host_cache import Machine as Addresses
from lab.overlay.hub import HostsLearnt
from lab.overlay.identity import Identity, issue_credential
from lab.overlay.member import SIGNALLING_PORTS, Membership
from lab.overlay.passage import STUN_PORT
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.supernode import ALTERNATE_SOCKET, STUN_SOCKET, Joined, Supernode
from lab.overlay.whereabouts import Whereabouts
from lab.simulation.client import SignallingClient
from lab.simulation.heartbeats import Heartbeats
from lab.simulation.hosts import Host, Program
from lab.simulation.network import Network

BUILT_IN = 7
"""Supernodes that a client knows before it has ever run, all of them dedicated (Baset & Schulzrinne 2004)."""
CLIENTS_EACH = 250
"""Clients for each supernode when all are up: Skype's had several hundred."""
MOST_SUPERNODES = 100
"""No more than that by themselves: each is linked with each other one, and knows where every client sits."""
ROOM = 1.8
"""Places of a supernode, of the clients that it has on average: 30 % of them may crash, as in 2010, and the others have
room for all."""
BREAKING = 1.25
"""Clients at which it shuts itself down, of its places: more than it ever lets in."""
HANDSHAKE = 0.002
"""Seconds of a supernode's processor for one TLS handshake and the signatures of a sign-in. They take 0.6 ms on a
machine of 2024; it is somebody's computer, of which a third may be used."""
CLIENT_DELAY, SUPERNODE_DELAY = 0.015, 0.008
"""Median seconds one way from a computer to the middle of the internet, log-normal; round trips are then 20 to 200 ms,
as those between hosts of the internet are, and 600 ms at the most, as over a satellite: a sign-in takes four of them
and has to be over in 5 s (lab/overlay/hub.py)."""
SPREAD, MOST_DELAY = 0.7, 0.15
OPEN_SHARE = 0.2
"""Clients on an open address of their own; the others stand behind a NAT. Nothing rests on it while nobody is promoted.
"""
WALL = 1_800_000_000.0
"""Epoch seconds at which the simulated clock begins."""
AUTHORITY = "198.51.100.1"


@dataclass(slots=True, eq=False)
class Node:
    """One computer's owner in the overlay. `learnt` is on its disk, as is its credential; `program` None: it is off."""

    name: str
    role: str
    identity: Identity
    host: Host
    dedicated: bool = False
    learnt: tuple[Addresses, ...] = ()
    starts: int = 0
    program: Program | None = None
    bytes_before: int = 0
    """What its programs that are over have sent and received."""

    @property
    def up(self) -> bool:
        return self.program is not None

    @property
    def bytes(self) -> int:
        """Sent and received, with what carries them; heartbeats that were left out count once they are summed up."""
        return self.bytes_before + (self.program.bytes if self.program is not None else 0)


class Watcher:
    """What is told of a population; measuring.py takes the measures."""

    def began(self, node: Node, now: float) -> None:
        """A node has been started."""

    def ended(self, node: Node, now: float) -> None:
        """A node has been stopped."""

    def told(self, node: Node, event: Event, now: float) -> None:
        """A node's machine tells something."""


@dataclass(frozen=True)
class Scale:
    """How much there is. Of the supernodes `built_in` are known to clients beforehand, and `dedicated` never go.

    `room` is a supernode's places, None: whoever comes is let in. One that has more than `breaking` clients shuts down
    for good, as Skype's did in 2010 to spare the computers that they ran on.
    """

    clients: int
    supernodes: int
    built_in: int
    dedicated: int
    room: int | None
    breaking: int

    @classmethod
    def of(cls, clients: int) -> "Scale":
        """So many clients, and supernodes for them; at the most half of these are built in."""
        supernodes = max(8, min(MOST_SUPERNODES, math.ceil(clients / CLIENTS_EACH)))
        room = ROOM * clients / supernodes
        floor = min(BUILT_IN, supernodes // 2)
        return cls(clients, supernodes, floor, floor, math.ceil(room), math.ceil(BREAKING * room))


class Population:
    """All nodes on one network; `client` makes a client's machine, which a test may want to be the whole one."""

    def __init__(
        self,
        scale: Scale,
        seed: int,
        watcher: Watcher,
        elide: bool = True,
        client: Callable[[Membership], Machine] = SignallingClient,
    ) -> None:
        self.scale, self.seed, self.watcher, self.client = scale, seed, watcher, client
        self.rng = random.Random(f"{seed} population")
        self.heartbeats = Heartbeats() if elide else None
        self.network = Network(self.heartbeats)
        if self.heartbeats is not None:
            self.heartbeats.network = self.network
        self.authority = self._key()
        self.anchor = self.authority.public_key().public_bytes_raw()
        self.supernodes = [self._supernode(number) for number in range(scale.supernodes)]
        self.clients = [self._client(number) for number in range(scale.clients)]
        everywhere = [node.host.address for node in self.supernodes]
        self.mesh = tuple((address,) for address in everywhere)
        self.built_in = self.mesh[: scale.built_in]
        self.overloaded = 0
        """Supernodes that have shut themselves down because of their load."""

    # -- coming and going ----------------------------------------------------------------------------------------

    def start(self, node: Node) -> None:
        """Switches a node on, with what it has on its disk."""
        if node.up:
            return
        network, host = self.network, node.host
        network.revive(host)
        node.starts += 1
        supernode = node.role == "supernode"
        membership = Membership(
            identity=node.identity,
            authority=self.anchor,
            authority_hosts=(AUTHORITY,),
            supernodes=self.mesh if supernode else self.built_in,
            own=Whereabouts((host.own,)),
            rng=random.Random(f"{self.seed} {node.name} {node.starts}"),
            wall_offset=WALL,
            learnt=node.learnt,
            capacity=self.scale.room if supernode else None,
        )
        machine = Supernode(membership) if supernode else self.client(membership)
        program = node.program = Program(host, machine, node.identity.public, lambda _, event: self._told(node, event))
        if supernode:
            self._open(program)
        self.watcher.began(node, network.now)
        network.start(program)

    def _open(self, program: Program) -> None:
        """The ports of a supernode."""
        network = self.network
        for port in SIGNALLING_PORTS:
            network.listen(program, port, "stun", "signalling")
        for port, socket in ((STUN_PORT, STUN_SOCKET), (ALTERNATE_PORT, ALTERNATE_SOCKET)):
            network.listen(program, port, "stun")
            network.bind(program, port, socket)

    def crash(self, node: Node) -> None:
        """The program ends; its computer tells everybody who was connected."""
        if (program := node.program) is not None:
            self.network.crash(program)
            self._ended(node, program)

    def vanish(self, node: Node) -> None:
        """The computer is gone without a word: its plug is pulled, its lid is shut."""
        if (program := node.program) is not None:
            self.network.vanish(node.host)
            self._ended(node, program)

    def _ended(self, node: Node, program: Program) -> None:
        node.bytes_before += program.bytes
        node.program = None
        self.watcher.ended(node, self.network.now)

    def _told(self, node: Node, event: Event) -> None:
        if isinstance(event, HostsLearnt):
            node.learnt = event.machines
        self.watcher.told(node, event, self.network.now)
        if isinstance(event, Joined) and event.role == "client":
            self._bears(node)

    def _bears(self, node: Node) -> None:
        machine = node.program.machine if node.program is not None else None
        if isinstance(machine, Supernode) and len(machine.clients) > self.scale.breaking:
            self.overloaded += 1
            self.network.at(self.network.now, lambda: self.crash(node))

    # -- making --------------------------------------------------------------------------------------------------

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.rng.randbytes(32))

    def _identity(self, name: str) -> Identity:
        """Enrolled before the story begins: nobody needs the authority in it."""
        identity = Identity(name, self._key())
        identity.credential = issue_credential(self.authority, name, identity.public, WALL)
        return identity

    def _delay(self, median: float) -> float:
        return min(MOST_DELAY, median * math.exp(self.rng.gauss(0.0, SPREAD)))

    def _supernode(self, number: int) -> Node:
        address = f"203.{number >> 8}.{number & 255}.1"
        host = Host(address, address, self._delay(SUPERNODE_DELAY), handshake=HANDSHAKE)
        name = f"supernode-{number + 1}"
        return Node(name, "supernode", self._identity(name), self.network.add(host), number < self.scale.dedicated)

    def _client(self, number: int) -> Node:
        address = f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1"
        opens = self.rng.random() < OPEN_SHARE
        own = address if opens else "192.168.1.10"
        host = Host(address, own, self._delay(CLIENT_DELAY), open=opens, handshake=HANDSHAKE)
        name = f"client-{number + 1}"
        return Node(name, "client", self._identity(name), self.network.add(host))
