"""Two sides that guess ports through NATs in memory, without a call around them: hundreds of tries in seconds.

A NAT is mapping x filtering x allocation (RFC 4787), with Linux's bias and other hosts' flows. Checks are answered as
clients answer them; what the signalling carries takes `SIGNALLING` seconds, a datagram `DELAY`.
"""

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.overlay.actions import Actions, CloseUdp, OpenUdp, SendTo
from lab.overlay.guessing import Guessing, Means
from lab.overlay.reflexive import MediaSocket
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address
from lab.wire.messages import Candidate, Network
from lab.wire.stun import Kind, Method, StunMessage, is_stun

DELAY, SIGNALLING, OPENS = 0.02, 0.08, 0.0005
SERVER: Address = ("203.0.113.11", 3478)
CHECK, ANSWER = b"\x00check", b"\x01answer"
EVERY_PORT = range(1024, 65536)


@dataclass
class Nat:
    """One side's router. `biased`: as Linux draws; `busy`: ports that other hosts behind it take a second.

    `carried`: before it is a carrier's, which filters by address: what comes to a port in use and is not expected there
    goes astray for good, and so does what is sent from there to where it came from. A call before has used every port.
    """

    outer: str
    mapping: str = "endpoint-independent"
    filtering: str = "address-and-port-dependent"
    allocation: str = "preserving"
    ports: range = EVERY_PORT
    biased: bool = False
    busy: float = 0.0
    carried: bool = False
    rng: random.Random = field(default_factory=random.Random)
    started: float = field(init=False)
    given: int = 0
    out: dict[tuple[int, object], int] = field(default_factory=dict)
    back: dict[tuple[int, object], int] = field(default_factory=dict)
    contacted: dict[int, set[object]] = field(default_factory=dict)
    astray: set[tuple[int, Address]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.started = self.rng.random() / (self.busy or 1.0)
        if self.carried:
            self.contacted = {port: set() for port in self.ports}

    @property
    def network(self) -> Network:
        """What its client finds out about it."""
        few = (self.ports.start, self.ports.stop - 1) if len(self.ports) <= 2048 else None
        return Network(True, self.mapping, self.filtering, self.allocation, outer=self.outer, ports=few)

    def translate(self, local: int, remote: Address, now: float) -> Address:
        key = (local, _part(self.mapping, remote))
        if key not in self.out:
            port = self._next(local, now)
            self.out[key] = port
            self.back[port, key[1]] = local
        self.contacted.setdefault(self.out[key], set()).add(_part(self.filtering, remote))
        return self.outer, self.out[key]

    def admit(self, remote: Address, port: int) -> int | None:
        """The inner port that a datagram of `remote` to an outer port comes to, if any."""
        if _part(self.filtering, remote) not in self.contacted.get(port, ()):
            if self.carried and port in self.contacted:
                self.astray.add((port, remote))
            return None
        return self.back.get((port, _part(self.mapping, remote)))

    def _next(self, local: int, now: float) -> int:
        if self.allocation == "preserving":
            return local
        if self.allocation == "sequential":
            others = max(0, int((now - self.started) * self.busy))
            self.given += 1
            return self.ports.start + (self.given + others) % len(self.ports)
        for _ in range(12):
            drawn = self.rng.getrandbits(16) % len(self.ports) if self.biased else self.rng.randrange(len(self.ports))
            port = self.ports.start + drawn
            if port not in self.contacted:
                break
        return port


def _part(behaviour: str, remote: Address) -> object:
    if behaviour == "address-and-port-dependent":
        return remote
    return remote[0] if behaviour == "address-dependent" else None


class Side:
    """One end: its guessing, what it has sent, and when a path proved to work."""

    def __init__(self, world: "World", nat: Nat, controlling: bool, first_port: int) -> None:
        self.world, self.nat, self.controlling = world, nat, controlling
        self.actions = Actions()
        self.media = MediaSocket(self.actions, [SERVER], world.rng, Whereabouts(("192.168.1.10",)))
        self.local: dict[int, int] = {}
        self.free = itertools.count(first_port)
        self.sent: list[tuple[float, Address]] = []
        self.works_at: float | None = None
        self.used: set[int] = set()
        self.willing = True
        means = Means(
            lambda: True, lambda remote: CHECK, lambda: self.works_at is not None, lambda: self.used, self.heard,
            self.tell, lambda now: None,
        )  # fmt: skip
        self.guessing = Guessing(self.actions, self.media, world.rng, means)
        self.media.open(0.0)
        self.flush()
        self.media.port = self.local[self.media.socket]
        self.media.mapped[SERVER] = nat.translate(self.media.port, SERVER, 0.0)

    @property
    def other(self) -> "Side":
        one, two = self.world.sides
        return two if one is self else one

    def flush(self) -> None:
        if not self.actions.pending:
            return
        for action in self.actions.take():
            if isinstance(action, OpenUdp):
                self.local[action.socket] = next(self.free)
                self.world.after(OPENS, lambda number=action.socket: self.up(number))
            elif isinstance(action, CloseUdp):
                self.local.pop(action.socket, None)
            elif isinstance(action, SendTo):
                self.send(action.socket, action.address, action.data, action.hops)

    def up(self, number: int) -> None:
        if number in self.guessing.sockets and number in self.local:
            self.guessing.udp_up(number, ("0.0.0.0", self.local[number]), self.world.now)
            self.flush()

    def send(self, socket: int, remote: Address, data: bytes, hops: int | None = None) -> None:
        world = self.world
        outer = self.nat.translate(self.local[socket], remote, world.now)
        if (outer[1], remote) in self.nat.astray:
            return
        if remote == SERVER:
            asked = StunMessage.parse(data)
            answer = StunMessage(Method.BINDING, Kind.SUCCESS, asked.transaction_id, xor_mapped=outer).encode()
            world.after(2 * DELAY, lambda: self.arrive(SERVER, outer[1], answer))
            return
        if data == CHECK:
            self.sent.append((world.now, remote))
        if remote[0] == self.other.nat.outer and hops is None:
            world.after(DELAY, lambda: self.other.arrive(outer, remote[1], data))

    def arrive(self, source: Address, port: int, data: bytes) -> None:
        local = self.nat.admit(source, port)
        if local is None:
            return
        socket = next((number for number, at in self.local.items() if at == local), None)
        if socket is None:
            return
        if socket == self.media.socket:
            self.heard(data, source, self.world.now, socket)
        else:
            self.guessing.datagram(socket, data, source, self.world.now)
        self.flush()

    def heard(self, data: bytes, source: Address, now: float, socket: int) -> None:
        if is_stun(data) or not self.willing:
            return
        self.used.add(socket)
        if data == CHECK:
            self.send(socket, source, ANSWER)
            if self.works_at is None:
                self.world.after(0.0, lambda: self.send(socket, source, CHECK))
        elif self.works_at is None:
            self.works_at = now

    def tell(self, candidates: Sequence[Candidate], now: float) -> None:
        def arrives() -> None:
            self.other.guessing.learn(candidates, self.world.now)
            self.other.flush()

        self.world.after(SIGNALLING, arrives)


class World:
    """One try: the caller invites at 0 s; what one says, the other knows SIGNALLING later."""

    def __init__(self, caller: Nat, callee: Nat, seed: int, relay: bool = True) -> None:
        self.rng = random.Random(seed)
        self.now = 0.0
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.relay = relay
        caller.rng.seed(seed * 2 + 1)
        callee.rng.seed(seed * 2 + 2)
        self.sides: list[Side] = []
        self.sides = [Side(self, caller, True, 20_000), Side(self, callee, False, 30_000)]

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + seconds, next(self.order), what))

    def call(self, ring: float = 0.5) -> None:
        """The caller invites at 0 s; the callee knows it SIGNALLING later, and answers after `ring` seconds."""
        caller, callee = self.sides
        for side, late in ((callee, SIGNALLING), (caller, 2 * SIGNALLING)):
            self.after(late, lambda side=side: self._meet(side))
        self.after(SIGNALLING + ring, lambda: callee.guessing.answered(self.now))
        self.after(2 * SIGNALLING + ring, lambda: caller.guessing.answered(self.now))
        self.answered = SIGNALLING + ring
        if self.relay:
            self.after(0.1, self._say)

    def _meet(self, side: Side) -> None:
        other = side.other
        side.guessing.learn([Candidate("server-reflexive", "udp", other.media.mapped[SERVER])], self.now)
        side.guessing.meet(side.nat.network, other.nat.network, side.controlling, self.now)

    def _say(self) -> None:
        """The checks over the relay."""
        for side in self.sides:
            if side.other.guessing.under_way and side.other.willing:
                side.guessing.word(self.now)
        self.after(0.1, self._say)

    def run(self, until: float) -> None:
        """To a time, or until a path works for both sides."""
        one, two = self.sides
        while self.now < until:
            alarm, side = one.guessing.deadline(), one
            later = two.guessing.deadline()
            if alarm is None or (later is not None and later < alarm):
                alarm, side = later, two
            if alarm is None:
                alarm = until
            if self.queue and self.queue[0][0] <= min(alarm, until):
                at, _, what = heapq.heappop(self.queue)
                self.now = max(self.now, at)
                what()
                one.flush()
                two.flush()
            elif alarm >= until:
                self.now = until
            else:
                self.now = max(self.now, alarm)
                side.guessing.poll(self.now)
                side.flush()
            if one.works_at is not None and two.works_at is not None:
                return

    @property
    def took(self) -> float | None:
        """Seconds from the answer until a path worked for both, 0 at least; None if none did."""
        times = [side.works_at for side in self.sides]
        return None if None in times else max(0.0, max(at for at in times if at is not None) - self.answered)
