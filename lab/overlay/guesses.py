"""How ports are guessed: one class a part, each a small machine on the ground that Guessing gives it.

A guess is an ordinary check that no path waits for: whoever it reaches answers it, and then there is a path.
The figures were measured through Linux routers (iptables MASQUERADE --random-fully, nft numgen), without added delay.
"""

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from lab.overlay.actions import earliest
from lab.overlay.prospects import Part, block, ports_to_try
from lab.wire.addresses import Address
from lab.wire.messages import Network

ROUND = 1.0
"""Seconds for which a prediction is tried before the next one is made."""
AGAIN = (0.1, 0.2, 0.35, 0.6)
"""Seconds after the first at which a prediction's checks are repeated: word of it may reach one side later."""
ASK_AGAIN = 0.25
"""Seconds until a server that has not said under which port it sees a socket is asked again."""
WINDOW = 16
"""Ports between two that were measured, at the most; more, and the router does not count, or is too busy."""
MOST_DUE = 256
"""Checks that wait to be repeated: four times what a prediction has. Of more that are told, the first are dropped."""
AHEAD, ROW = 8, 16
"""Two sides that count: each aims ROW sockets at the peer's last port + AHEAD, so that one of its own has the port
that the peer aims at although others took some meanwhile: 30 of 30, also with competing flows."""
OPENING = 0.01
"""Seconds between two new sockets of a side whose ports are drawn, and between two that are kept alive."""
MOST_SOCKETS = 600
"""Open at the most: beside 160 ports a second that is a chance of 1.5 in every further second, and few descriptors."""
SHARE_OF_BLOCK = 16
"""One port in so many of a block that a carrier has dealt out: others live in it."""
REFRESH = 8.0
"""Seconds after which a mapping is kept alive; routers were seen to forget unanswered ones after 10 s. That is
another timer than that of answered ones, which a client finds out (lifetime.py), and guessing is over in 20 s."""
TRYING = 1 / 160
"""Seconds between two ports tried: with the other packets of a call less than 200 a second."""
TRYING_BOTH = 1 / 185
"""The same where both sides' ports are drawn: every check counts twice, for what it opens and for whom it meets."""
HOPS = 3
"""Routers that a check passes which only opens the way out: a site's and its carrier's, and one on the internet."""
BURST = 12
"""Ports tried at once where the clock has jumped, as it does on a busy machine: no second has more than 200 for it."""


class Ground(Protocol):
    """What a guess stands on. `check` and `may` are False while the peer has not shown that it takes part."""

    rng: random.Random
    own: Network
    peer: Network
    controlling: bool

    @property
    def media_socket(self) -> int: ...

    @property
    def target(self) -> Address:
        """Where the peer is seen by others, or stands if nothing translates."""
        ...

    @property
    def hosts(self) -> list[str]:
        """The peer's outer addresses."""
        ...

    def may(self, now: float) -> bool: ...
    def check(self, socket: int, address: Address, now: float, hops: int | None = None) -> bool: ...
    def open(self) -> int: ...
    def ask(self, socket: int) -> None: ...
    def tell(self, addresses: Sequence[Address], now: float) -> None: ...
    def close_losers(self, sockets: Sequence[int]) -> None: ...


class Guess:
    """One side's part. Inputs: a socket is up, a server says under which address it is seen, the peer tells ports."""

    def __init__(self, ground: Ground, now: float) -> None:
        self.ground, self.next = ground, now

    def deadline(self) -> float | None:
        return self.next

    def poll(self, now: float) -> None:
        raise NotImplementedError

    def up(self, socket: int, now: float) -> None:
        """A socket that `open` promised is there."""

    def seen(self, socket: int, outer: Address, now: float) -> None:
        """What `ask` asked for."""

    def told(self, addresses: Sequence[Address], now: float) -> None:
        """The peer's prediction of its own ports."""


class _Rounds(Guess):
    """Predictions, one after the other: sockets are opened, a server is asked, checks are sent and sent again."""

    def __init__(self, ground: Ground, now: float) -> None:
        super().__init__(ground, now)
        self.round_ends = now
        self.asked: dict[int, float] = {}
        self.checks: deque[tuple[float, int, Address]] = deque(maxlen=MOST_DUE)
        self.opened: list[int] = []
        self.before: list[int] = []

    def deadline(self) -> float | None:
        return earliest(self.round_ends, *self.asked.values(), *(at for at, _, _ in self.checks))

    def poll(self, now: float) -> None:
        if now >= self.round_ends:
            self.ground.close_losers(self.before)
            self.before, self.opened = self.opened, []
            self.asked.clear()
            self.round_ends = now + ROUND
            self.begin(now)
        for socket, due in list(self.asked.items()):
            if now >= due:
                self.ask(socket, now)
        for _ in range(len(self.checks)):
            due, socket, address = self.checks.popleft()
            if now < due:
                self.checks.append((due, socket, address))
            else:
                self.ground.check(socket, address, now)

    def begin(self, now: float) -> None:
        """A new prediction."""

    def open(self) -> int:
        socket = self.ground.open()
        self.opened.append(socket)
        return socket

    def ask(self, socket: int, now: float) -> None:
        self.asked[socket] = now + ASK_AGAIN
        self.ground.ask(socket)

    def check(self, socket: int, address: Address, now: float) -> None:
        self.ground.check(socket, address, now)
        self.checks.extend((now + later, socket, address) for later in AGAIN)


class Telling(_Rounds):
    """The router counts, the peer's address is known: of three sockets used in a row the outer two ask a server, and
    the port that the one between them has got towards the peer lies between theirs."""

    def begin(self, now: float) -> None:
        self.row = [self.open() for _ in range(3)]
        self.waiting = set(self.row)
        self.outer: dict[int, Address] = {}

    def up(self, socket: int, now: float) -> None:
        self.waiting.discard(socket)
        if socket in self.row and not self.waiting:
            first, middle, last = self.row
            self.ask(first, now)
            self.check(middle, self.ground.target, now)
            self.ask(last, now)

    def seen(self, socket: int, outer: Address, now: float) -> None:
        self.asked.pop(socket, None)
        self.outer[socket] = outer
        first, last = self.outer.get(self.row[0]), self.outer.get(self.row[2])
        if socket in self.row and first and last and first[0] == last[0]:
            between = range(first[1] + 1, last[1])
            if 0 < len(between) <= WINDOW:
                self.ground.tell([(first[0], port) for port in between], now)


class TryingTold(_Rounds):
    """The peer's router counts, and it tells which ports come into question."""

    def deadline(self) -> float | None:
        return earliest(*(at for at, _, _ in self.checks))

    def told(self, addresses: Sequence[Address], now: float) -> None:
        for address in addresses[:WINDOW]:
            self.check(self.ground.media_socket, address, now)


class Meeting(_Rounds):
    """Both routers count: each side tells the port that it will come to soon, and aims a row of sockets at the other's.

    A round begins with the ports that both have measured for it, so that neither aims at a prediction of long ago.
    """

    theirs: Address | None = None
    ours = False

    def begin(self, now: float) -> None:
        self.ours = False
        self.probe, self.row = self.open(), set[int]()

    def up(self, socket: int, now: float) -> None:
        if socket == self.probe:
            self.ask(socket, now)
        elif socket in self.row and self.aim is not None:
            self.check(socket, self.aim, now)

    def seen(self, socket: int, outer: Address, now: float) -> None:
        self.asked.pop(socket, None)
        if socket == self.probe and outer[1] + AHEAD < 65536 and not self.ours:
            self.ours = True
            self.ground.tell([(outer[0], outer[1] + AHEAD)], now)
            self._go(now)

    def told(self, addresses: Sequence[Address], now: float) -> None:
        self.theirs = addresses[0]
        self._go(now)

    def _go(self, now: float) -> None:
        if not self.ours or self.theirs is None or self.row:
            return
        self.aim, self.theirs = self.theirs, None
        self.row = {self.open() for _ in range(ROW)}
        self.round_ends = now + ROUND

    aim: Address | None = None


class Opening(Guess):
    """The router draws a port for every socket: one after the other is opened and shows itself to the peer, so that any
    port that the peer tries is more and more likely to be one of them."""

    def __init__(self, ground: Ground, now: float) -> None:
        super().__init__(ground, now)
        few = block(ground.own)
        self.left = MOST_SOCKETS if few is None else len(few) // SHARE_OF_BLOCK
        self.kept: deque[tuple[float, int]] = deque()

    def poll(self, now: float) -> None:
        if now < self.next:
            return
        self.next = now + OPENING
        if not self.ground.may(now):
            return
        if self.left > 0:
            self.left -= 1
            self.ground.open()
        if self.kept and now >= self.kept[0][0]:
            self.up(self.kept.popleft()[1], now)

    def up(self, socket: int, now: float) -> None:
        self.ground.check(socket, self.ground.target, now)
        self.kept.append((now + REFRESH, socket))


class Trying(Guess):
    """The peer opens sockets: ports are tried from the call's own socket, whose outer address the peer knows."""

    pace = TRYING

    def __init__(self, ground: Ground, now: float) -> None:
        super().__init__(ground, now)
        self.ports = ports_to_try(ground.peer, ground.rng)
        self.waiting: deque[Address] = deque()

    def poll(self, now: float) -> None:
        if not self.ground.may(now):
            self.next = max(self.next, now + self.pace)
        for _ in range(BURST):
            if now < self.next:
                return
            self.next += self.pace
            self.attempt(now)
        self.next = max(self.next, now)

    def attempt(self, now: float) -> None:
        """One port of one host: the pace is that of all hosts together."""
        if not self.waiting:
            port = next(self.ports)
            self.waiting.extend((host, port) for host in self.ground.hosts)
        self.ground.check(self.ground.media_socket, self.waiting.popleft(), now)


class Both(Trying):
    """Both routers draw, from blocks: each port of the peer's is tried once from one socket, which has got another
    outer port for each, then from the next socket; all stay open. A try is lucky if it goes from a port to one that the
    peer has tried from, to that very port.

    The caller's tries go out of its own routers and not into the peer's: a carrier that filters by address would let
    them in to some other port of the peer's router, and remember that they belong there.
    """

    pace = TRYING_BOTH

    def __init__(self, ground: Ground, now: float) -> None:
        super().__init__(ground, now)
        self.size = len(block(ground.peer) or ())
        self.tried = 0
        self.socket: int | None = None
        self.ready = False

    def poll(self, now: float) -> None:
        if self.socket is None:
            self.socket = self.ground.open()
        if self.ready:
            super().poll(now)
        else:
            self.next = now + self.pace

    def up(self, socket: int, now: float) -> None:
        self.ready = True

    def attempt(self, now: float) -> None:
        assert self.socket is not None
        hops = HOPS if self.ground.controlling else None
        if self.ground.check(self.socket, (self.ground.hosts[0], next(self.ports)), now, hops):
            self.tried += 1
            if self.tried % self.size == 0:
                self.socket, self.ready = self.ground.open(), False


GUESSES: Mapping[Part, Callable[[Ground, float], Guess]] = MappingProxyType(
    {
        Part.TELL: Telling,
        Part.TRY_TOLD: TryingTold,
        Part.MEET: Meeting,
        Part.OPEN: Opening,
        Part.TRY: Trying,
        Part.BOTH: Both,
    }
)
