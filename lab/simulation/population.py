"""Who there is: an authority's key, supernodes, clients; each with a computer, a key and what it keeps on its disk.

Belongs here: who starts and ends, and how. Never: when, which is a story's; nor what is made of it (measuring.py).
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.overlay.actions import Event, Machine
from lab.overlay.admission import LOGIN_RATE
from lab.overlay.call_events import Rings
from lab.overlay.candidacy import AskedToBe, DemotedFrom, PromotedTo
from lab.overlay.client import Client
from lab.overlay.host_cache import Machine as Addresses
from lab.overlay.hub import HostsLearnt
from lab.overlay.identity import Identity, issue_credential
from lab.overlay.member import SIGNALLING_PORTS, Membership
from lab.overlay.passage import STUN_PORT
from lab.overlay.seat import Empty, Joined, Unreachable
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.supernode import ALTERNATE_SOCKET, LEAVING_LIMIT, STUN_SOCKET, Supernode
from lab.overlay.wallclock import SetClock
from lab.overlay.whereabouts import Whereabouts
from lab.simulation.client import SignallingClient, TalkingClient
from lab.simulation.heartbeats import Heartbeats
from lab.simulation.hosts import Host, Program
from lab.simulation.network import Network
from lab.wire.messages import RelayEntry

BUILT_IN = 7
"""Supernodes that a client knows before it has ever run, all of them dedicated (Baset & Schulzrinne 2004)."""
ROOM = 400
"""Places of a supernode where there are many clients: Skype's had several hundred."""
BREAKING = 1.25
"""Clients at which it shuts itself down, of its places: more than it ever lets in."""
HANDSHAKE = 0.002
"""Seconds of a supernode's processor for one TLS handshake and the signatures of a sign-in. They take 0.6 ms on a
machine of 2024; it is somebody's computer, of which a third may be used."""
CLIENT_DELAY, SUPERNODE_DELAY = 0.015, 0.008
"""Median seconds one way from a computer to the middle of the internet, log-normal; round trips are then 20 to 200 ms,
as those between hosts of the internet are. A heartbeat has to be answered within 2.5 s, so no delay is over MOST_DELAY.
"""
SPREAD, MOST_DELAY = 0.7, 0.15
OPEN_SHARE = 0.2
"""Clients on an open address of their own, who may become supernodes; the others stand behind a NAT. Assumed."""
WALL = 1_800_000_000.0
"""Epoch seconds at which the simulated clock begins."""
AUTHORITY = "198.51.100.1"
RELAYS = ("nobody", [RelayEntry("relay", ("198.51.100.2",), 33034, (443,))])
"""Media is left out, and so is who becomes a relay: each supernode knows one that is never busy, and takes it for
measured."""


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
    beside: Program | None = None
    """The supernode that a client runs beside, once it is asked to become one."""
    bytes_before: int = 0
    """What its programs that are over have sent and received."""

    @property
    def up(self) -> bool:
        return self.program is not None

    @property
    def bytes(self) -> int:
        """Sent and received, with what carries them; heartbeats that were left out count once they are summed up."""
        return self.bytes_before + (self.program.bytes if self.program is not None else 0)

    @property
    def promoted(self) -> bool:
        """Whether it is a client that has become a supernode."""
        machine = self.program.machine if self.program is not None else None
        return isinstance(machine, Client) and machine.candidacy.promoted is not None

    @property
    def hub(self) -> Supernode | None:
        """The machine of the supernode that it is, if it is one and runs."""
        program = self.program if self.role == "supernode" else self.beside
        machine = program.machine if program is not None else None
        return machine if isinstance(machine, Supernode) else None


class Watcher:
    """What is told of a population; measuring.py takes the measures."""

    def began(self, node: Node, now: float) -> None:
        """A node has been started."""

    def ended(self, node: Node, now: float) -> None:
        """A node has been stopped."""

    def told(self, node: Node, event: Event, now: float) -> None:
        """A node's machine tells something."""

    def struck(self, what: str, survivors: int, waiting: int, now: float) -> None:
        """So many supernodes are left, or are there again, at a blow of a story; so many clients come to them now."""


@dataclass(frozen=True)
class Scale:
    """How much there is. The `dedicated` supernodes are built in and never go; all others are promoted clients.

    `room` is a supernode's places, None: whoever comes is let in. One that has more than `breaking` clients shuts down
    for good, as Skype's did in 2010 to spare the computers that they ran on. `login_rate` is clients that one lets in a
    second, None: as many as it says by itself.
    """

    clients: int
    dedicated: int
    room: int | None
    breaking: int
    login_rate: float | None = None

    @classmethod
    def of(cls, clients: int) -> "Scale":
        """So many clients; room for some of them at each supernode."""
        room = ROOM if clients >= 4 * ROOM else max(12, clients // 16)
        return cls(clients, min(BUILT_IN, max(2, clients // 30)), room, math.ceil(BREAKING * room))

    @property
    def login_limit(self) -> float:
        """Clients that one supernode lets in a second, at the most."""
        return self.login_rate or LOGIN_RATE

    def in_proportion(self) -> "Scale":
        """With supernodes that let in as many fewer clients a second as they have fewer places than those of a crowd:
        how long it takes to fill one is then the same, and what a small crowd does, a large one does."""
        return replace(self, login_rate=LOGIN_RATE * min(1.0, (self.room or ROOM) / ROOM))


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
        self.supernodes = [self._supernode(number) for number in range(scale.dedicated)]
        self.clients = [self._client(number) for number in range(scale.clients)]
        self.built_in = tuple((node.host.address,) for node in self.supernodes)
        self.overloaded = 0
        """Supernodes that have shut themselves down because of their load."""
        self.talkers: set[Node] = set()
        """Clients that are whole, and talk; the others have signalling alone."""

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
            supernodes=self.built_in,
            own=Whereabouts((host.own,)),
            rng=random.Random(f"{self.seed} {node.name} {node.starts}"),
            wall=SetClock(WALL),
            learnt=node.learnt,
            capacity=self.scale.room,
            login_rate=self.scale.login_rate,
        )
        client = TalkingClient if node in self.talkers else self.client
        machine = Supernode(membership) if supernode else client(membership)
        program = node.program = Program(host, machine, node.identity.public, lambda _, event: self._told(node, event))
        if isinstance(machine, Supernode):
            self._open(program)
            with_a_relay(machine)
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
        """Its programs end; its computer tells everybody who was connected."""
        for program in (node.beside, node.program):
            if program is not None:
                self.network.crash(program)
        self._ended(node)

    def vanish(self, node: Node) -> None:
        """The computer is gone without a word: its plug is pulled, its lid is shut."""
        self.network.vanish(node.host)
        self._ended(node)

    def leave(self, node: Node) -> None:
        """It ends as its user wants it to: a supernode's clients are handed over first."""
        if node.hub is not None and node.promoted:
            self._hand_over(node)
            self.network.at(self.network.now + LEAVING_LIMIT + 1.0, lambda: self.crash(node))
        else:
            self.crash(node)

    def hubs(self) -> list[Node]:
        """All that are supernodes now: the dedicated ones that are up, and clients that have been promoted."""
        return [node for node in (*self.supernodes, *self.clients) if node.up and (node.promoted or node.hub)]

    def _ended(self, node: Node) -> None:
        if node.program is None:
            return
        node.bytes_before += node.program.bytes
        node.program = node.beside = None
        self.watcher.ended(node, self.network.now)

    def _told(self, node: Node, event: Event) -> None:
        """An event of the node's own machine."""
        now, at = self.network.now, self.network.at
        if isinstance(event, HostsLearnt):
            node.learnt = event.machines
        self.watcher.told(node, event, now)
        match event:
            case Joined("client"):
                self._bears(node)
            case AskedToBe(role):
                at(now, lambda: self._asked(node, role))
            case PromotedTo(_, supernodes):
                at(now, lambda: self._admitted(node, supernodes))
            case DemotedFrom():
                at(now, lambda: self._hand_over(node))
            case Rings(call, _, True):
                at(now, lambda: self._picks_up(node, call))

    # -- calls ---------------------------------------------------------------------------------------------------

    def dial(self, caller: Node, callee: Node, call: str) -> None:
        """One that talks calls another one, which picks up at once; both are signed in."""
        if caller.program is not None and isinstance(client := caller.program.machine, Client):
            client.dial(call, callee.name, self.network.now)
            self.network.settle(caller.program)

    def _picks_up(self, node: Node, call: str) -> None:
        if node.program is not None and isinstance(client := node.program.machine, Client):
            client.answer(call, self.network.now)
            self.network.settle(node.program)

    # -- clients that become supernodes; the same as lab/node/hosting.py does ------------------------------------

    def _asked(self, node: Node, role: str) -> None:
        """Starts a supernode beside, whose ports are open to whoever measures the node."""
        if node.program is None or not isinstance(client := node.program.machine, Client):
            return
        if role != "supernode":
            client.candidacy.listening(f"it cannot be a {role}", self.network.now)
        elif node.beside is None:
            membership = replace(client.membership, capacity=client.candidacy.capacity)
            machine = Supernode(membership, promoted=True)
            with_a_relay(machine)
            client.hub.more = machine.for_its_own_client
            node.beside = Program(node.host, machine, node.program.key, lambda _, event: self._hub_told(node, event))
            self._open(node.beside)
            self.network.start(node.beside)
            client.candidacy.listening(None, self.network.now)
        self.network.settle(node.program)

    def _admitted(self, node: Node, supernodes: Sequence[Addresses]) -> None:
        if node.beside is not None and node.hub is not None:
            node.hub.admit(supernodes, self.network.now)
            self.network.settle(node.beside)

    def _hand_over(self, node: Node) -> None:
        if node.beside is not None and node.hub is not None:
            node.hub.leave(self.network.now)
            self.network.settle(node.beside)

    def _hub_told(self, node: Node, event: Event) -> None:
        """An event of the supernode that a client runs beside."""
        now, at = self.network.now, self.network.at
        self.watcher.told(node, event, now)
        match event:
            case Joined("client"):
                self._bears(node)
            case Unreachable(name, reason) if name == node.name:
                at(now, lambda: self._cease(node, reason))
            case Empty():
                at(now, lambda: self._closed(node))

    def _cease(self, node: Node, reason: str) -> None:
        if node.program is not None and isinstance(client := node.program.machine, Client):
            client.candidacy.cease(reason)
            self.network.settle(node.program)

    def _closed(self, node: Node) -> None:
        if node.beside is not None:
            self.network.crash(node.beside)
            node.beside = None

    def _bears(self, node: Node) -> None:
        if node.hub is not None and len(node.hub.clients) > self.scale.breaking:
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
        return Node(name, "supernode", self._identity(name), self.network.add(host), dedicated=True)

    def _client(self, number: int) -> Node:
        address = f"{20 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1"
        opens = self.rng.random() < OPEN_SHARE
        own = address if opens else "192.168.1.10"
        host = Host(address, own, self._delay(CLIENT_DELAY), open=opens, handshake=HANDSHAKE)
        name = f"client-{number + 1}"
        return Node(name, "client", self._identity(name), self.network.add(host))


def with_a_relay(supernode: Supernode) -> None:
    """Tells it of the relay that it can always send callers to."""
    supernode.roster.measured = lambda relay: True
    supernode.roster.told(*RELAYS)
