"""One UDP socket for one call's media, and what supernodes say of the address it is seen under (RFC 8489 Binding).

A socket is kept ready before any call asks for it, so that a call need not wait for the answers.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, earliest
from lab.overlay.mapped_port import Gateway, MappedPort
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address, family
from lab.wire.messages import Receipt
from lab.wire.stun import Kind, Method, StunMessage, is_stun

FIRST_RETRY, LONGEST_RETRY = 0.25, 2.0
"""Seconds until an unanswered Binding request is sent again, doubled each time (RFC 8489, 6.2.1 starts at 500 ms)."""
KEEPALIVE = 10.0
"""Seconds between refreshes of the mapping where nothing is known of the router; RFC 8445, 11 wants 15 at the most."""
SILENT = 1.5
"""Seconds without any answer after which the network counts as one that lets no UDP out."""


@dataclass
class _Question:
    server: Address
    transaction_id: bytes = b""
    due: float = 0.0
    retry: float = FIRST_RETRY
    unanswered_since: float | None = None

    def silent(self, now: float) -> bool:
        return self.unanswered_since is not None and now - self.unanswered_since > SILENT


@dataclass
class MediaSocket:
    """A UDP socket, its server-reflexive addresses, and the port that its router gives it if it does so when asked.

    Whoever holds it hears its datagrams through `deliver`.
    """

    actions: Actions
    servers: Sequence[Address]
    rng: random.Random
    own: Whereabouts
    gateway: Gateway | None = None
    deliver: Callable[[bytes, Address, float], None] | None = None
    learnt: Callable[[float], None] | None = None
    keepalive: Callable[[], float] = lambda: KEEPALIVE
    socket: int = 0
    port: int = 0
    opened_at: float = 0.0
    mapped: dict[Address, Address] = field(default_factory=dict)
    questions: dict[Address, _Question] = field(default_factory=dict)
    receipts: dict[Address, Receipt] = field(default_factory=dict)
    """By server: the host that it sees, and its receipt for it (receipts.py)."""

    def __post_init__(self) -> None:
        self.mapping = MappedPort(self.gateway or Gateway(self.actions, self.own), self._learnt)

    def open(self, now: float) -> None:
        self.socket = self.actions.open_udp(self)
        self.opened_at = now

    def close(self) -> None:
        self.mapping.close()
        self.actions.close_udp(self.socket)
        self.questions.clear()

    def udp_lets_out(self, now: float) -> bool | None:
        """Whether UDP gets out and back; None while nobody can know."""
        hopeful = [question for question in self.questions.values() if not question.silent(now)]
        if any(question.server in self.mapped for question in hopeful):
            return True
        return False if not hopeful and now - self.opened_at > SILENT else None

    def answered_over(self, host: str) -> bool:
        """Whether a server has answered over the family of `host`."""
        return any(family(server[0]) == family(host) for server in self.mapped)

    @property
    def own_addresses(self) -> list[Address]:
        """Where the socket can be reached if nothing translates; none before it is open."""
        return [(host, self.port) for host in self.own.addresses] if self.port else []

    @property
    def reflexive(self) -> list[Address]:
        """The distinct outer addresses that differ from the socket's own."""
        return [address for address in dict.fromkeys(self.mapped.values()) if address not in self.own_addresses]

    @property
    def settled(self) -> bool:
        """Whether every server that was asked has answered since."""
        return bool(self.questions) and all(each.unanswered_since is None for each in self.questions.values())

    @property
    def port_mapped(self) -> list[Address]:
        """The outer address that the router was asked for, unless the socket is seen under it anyway."""
        outer = self.mapping.outer
        return [outer] if outer is not None and outer not in self.mapped.values() else []

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        self.port = local[1]
        self.ask(now)
        self.mapping.open(self.port)

    def ask(self, now: float) -> None:
        """Asks every server at once under which address this socket is seen now."""
        reachable = self.own.reachable(host for host, _ in self.servers)
        waited = {server: question.unanswered_since for server, question in self.questions.items()}
        self.questions = {
            server: _Question(server, due=now, unanswered_since=waited.get(server))
            for server in self.servers
            if server[0] in reachable
        }
        self.poll(now)

    def relocated(self, now: float) -> None:
        """The host stands elsewhere: what was known of the socket's outer addresses is worth nothing."""
        self.mapped.clear()
        self.receipts.clear()
        self.questions.clear()
        self.opened_at = now
        if self.port:
            self.ask(now)
        self.mapping.relocated()

    def deadline(self) -> float | None:
        return earliest(self.mapping.deadline(), *(question.due for question in self.questions.values()))

    def poll(self, now: float) -> None:
        self.mapping.poll(now)
        for question in self.questions.values():
            if now < question.due:
                continue
            question.transaction_id = self.rng.randbytes(12)
            if question.unanswered_since is None:
                question.unanswered_since = now
            request = StunMessage(Method.BINDING, Kind.REQUEST, question.transaction_id)
            self.actions.send_to(self.socket, question.server, request.encode())
            question.due = now + question.retry
            question.retry = min(question.retry * 2, LONGEST_RETRY)

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        question = self.questions.get(source)
        if question is not None and is_stun(data):
            self._answered(question, data, now)
        elif self.deliver is not None:
            self.deliver(data, source, now)

    def _answered(self, question: _Question, data: bytes, now: float) -> None:
        try:
            message = StunMessage.parse(data)
        except ProtocolError:
            return
        fits = message.kind is Kind.SUCCESS and message.transaction_id == question.transaction_id
        if not fits or message.xor_mapped is None:
            return
        question.transaction_id = b""  # one answer to one question: a server could go on for ever, each time otherwise
        before = self.mapped.get(question.server)
        self.mapped[question.server] = message.xor_mapped
        if message.token is not None:
            self.receipts[question.server] = message.xor_mapped[0], message.token
        question.due, question.retry, question.unanswered_since = now + self.keepalive(), FIRST_RETRY, None
        if message.xor_mapped != before:
            self._learnt(now)

    def _learnt(self, now: float) -> None:
        if self.learnt is not None:
            self.learnt(now)
