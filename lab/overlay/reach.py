"""Whether somebody can be reached from here: dialled anew on TCP and UDP, as who knows nothing of it would.

Belongs here: one such measurement. Never: what follows from it.
"""

import random
from collections.abc import Callable, Sequence

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.identity import check_credential, check_signature
from lab.overlay.leg import MEDIA_FRAME_LIMIT
from lab.overlay.member import RELAY_TCP_PORTS, RELAY_UDP_PORT, SIGNALLING_PORTS
from lab.overlay.passage import STUN_PORT
from lab.overlay.wallclock import WallClock
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import FRAME_LIMIT, Challenge, Dial, Role, decode_hub
from lab.wire.stun import Kind, Method, StunMessage

REACH_LIMIT = 3.0
"""Seconds that a measurement takes at the most."""
AGAIN = 0.4
"""Seconds after which a datagram is sent again that has not been answered."""
MOST_DATAGRAMS = 4
PORTS: dict[Role, tuple[int, int]] = {
    "supernode": (SIGNALLING_PORTS[0], STUN_PORT),
    "relay": (RELAY_TCP_PORTS[0], RELAY_UDP_PORT),
}
"""Of each role, where it answers over TCP and over UDP."""
PRESENCE = "lab relay presence"
"""What a relay signs a question for, to show that it is the one that is meant."""
ROOM = bytes(96)
"""Padding of a question to a relay: the answer, with its signature, is not to be longer."""


class Reach:
    """Dials one machine that says who it is, at each of its addresses that this node could reach; calls `done` with
    whether TCP and UDP got there. A supernode answers with its greeting, inside TLS, and with STUN; a relay with STUN
    over both, signed.

    Nobody is sent more than MOST_DATAGRAMS and a connection at an address.
    """

    def __init__(
        self,
        actions: Actions,
        wanted: Dial,
        authority: bytes,
        own: Whereabouts,
        rng: random.Random,
        wall: WallClock,
        done: Callable[[Dial, bool, bool, float], None],
    ) -> None:
        self.actions, self.wanted, self.authority = actions, wanted, authority
        self.tcp_port, self.udp_port = PORTS[wanted.role]
        self.signed = wanted.role == "relay"
        self.rng, self.wall, self.done = rng, wall, done
        self.hosts: Sequence[str] = own.reachable(wanted.hosts)
        self.links: dict[int, LengthPrefixed] = {}
        self.keys: dict[int, bytes] = {}
        self.asked: dict[int, bytes] = {}
        self.reached: dict[str, set[str]] = {"tcp": set(), "udp": set()}
        self.answering: dict[int, str] = {}
        self.transactions: dict[bytes, str] = {}
        self.socket: int | None = None
        self.up = False
        self.sent = 0
        self.next_datagram: float | None = None
        self.until = 0.0
        self.over = False

    def start(self, now: float) -> None:
        self.until = now + REACH_LIMIT
        if not self.hosts:
            self._end(now)
            return
        for host in self.hosts:
            hub = not self.signed
            link = self.actions.connect(self, (host, self.tcp_port), secure=hub, hub=hub)
            self.links[link] = LengthPrefixed(4, FRAME_LIMIT) if hub else LengthPrefixed(2, MEDIA_FRAME_LIMIT)
            self.answering[link] = host
        self.transactions = {self.rng.randbytes(12): host for host in self.hosts}
        self.socket = self.actions.open_udp(self)

    def deadline(self) -> float | None:
        return None if self.over else earliest(self.until, self.next_datagram)

    def poll(self, now: float) -> None:
        if self.over:
            return
        if now >= self.until:
            self._end(now)
        elif self.next_datagram is not None and now >= self.next_datagram:
            self._ask(now)

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        self._ask(now)

    def _ask(self, now: float) -> None:
        assert self.socket is not None
        for transaction, host in self.transactions.items():
            self.actions.send_to(self.socket, (host, self.udp_port), self._question(transaction))
        self.sent += 1
        self.next_datagram = now + AGAIN if self.sent < MOST_DATAGRAMS else None

    def _question(self, transaction: bytes) -> bytes:
        padding = ROOM if self.signed else None
        return StunMessage(Method.BINDING, Kind.REQUEST, transaction, padding=padding).encode()

    def _answered(self, data: bytes) -> bytes:
        """Which question somebody has answered, and may answer; raises ProtocolError."""
        answer = StunMessage.parse(data)
        if answer.kind is Kind.REQUEST or (self.signed and answer.kind is not Kind.SUCCESS):
            raise ProtocolError(f"{self.wanted.name} does not answer what was asked")
        if self.signed:
            check_signature(self.wanted.key, answer.token or b"", PRESENCE, answer.transaction_id)
        return answer.transaction_id

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        try:
            transaction = self._answered(data)
        except ProtocolError:
            return
        host = self.transactions.get(transaction)
        if host == source[0] and source[1] == self.udp_port:
            del self.transactions[transaction]
            self._got("udp", host, now)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        self.keys[link] = info.peer_key or b""
        if self.signed and link in self.links:
            self.asked[link] = self.rng.randbytes(12)
            self.actions.write(link, frame(self._question(self.asked[link]), 2))

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if link not in self.links:
            return
        try:
            for body in self.links[link].feed(data):
                self._check(link, body, now)
                self._drop(link)
                self._got("tcp", self.answering[link], now)
                return
        except ProtocolError as error:
            self.actions.cut_off(link, self.answering[link], error, now)
            self.link_down(link, str(error), now)

    def _check(self, link: int, body: bytes, now: float) -> None:
        """The first word on a connection; raises ProtocolError where it is not that of whom this was meant for."""
        if self.signed:
            if self._answered(body) != self.asked.get(link):
                raise ProtocolError(f"{self.wanted.name} answers what was not asked")
            return
        message = decode_hub(body)
        if not isinstance(message, Challenge):
            raise ProtocolError(f"{self.wanted.name} greets with {type(message).__name__}")
        check_credential(message.credential, self.authority, now + self.wall.offset)
        if not message.credential.key == self.wanted.key == self.keys.get(link):
            raise ProtocolError(f"{self.wanted.name} was dialled, and it is {message.credential.name}")

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.links.pop(link, None)
        if not self.links and not self.transactions:
            self._end(now)

    def _drop(self, link: int) -> None:
        self.links.pop(link, None)
        self.actions.close(link)

    def _got(self, how: str, host: str, now: float) -> None:
        self.reached[how].add(host)
        if not self.links and not self.transactions:
            self._end(now)

    def stop(self) -> None:
        """Measures no more; `done` is not called."""
        self.over = True
        for link in list(self.links):
            self._drop(link)
        if self.socket is not None:
            self.actions.close_udp(self.socket)
            self.socket = None

    def _end(self, now: float) -> None:
        if self.over:
            return
        self.stop()
        everywhere = set(self.hosts)
        tcp, udp = (bool(everywhere) and self.reached[how] == everywhere for how in ("tcp", "udp"))
        self.done(self.wanted, tcp, udp, now)
