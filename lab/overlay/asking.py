"""Binding requests from fresh sockets: sent one after the other, repeated while nothing comes, each answered once.

Belongs here: transactions, repetition, when silence is believed. Never: conclusions.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, earliest
from lab.wire.addresses import Address
from lab.wire.stun import Change, Kind, Method, StunMessage, is_stun

STRAIGHT = Change(0)
PACE = 0.015
"""Seconds between two requests, so that a router makes mappings in the order in which they are asked for."""
TRIES, RETRY = 4, 0.25
"""Requests without an answer, and seconds between them: where 5 % are lost each way, silence lies once in 10,000."""
PATIENCE = 0.6
"""Seconds after the last request for which an answer is awaited, twice the round trip if that is longer."""
ROOM = bytes(36)
"""Padding of requests that are answered from elsewhere: the answer is not to be longer (RFC 5780, 7.6)."""


@dataclass
class Question:
    """One thing asked of `server` from one socket; `sent` are its transactions with their places in the order."""

    socket: int
    server: Address
    change: Change = STRAIGHT
    response_port: int | None = None
    due: float = 0.0
    tries: int = 0
    asked_at: float = 0.0
    sent: dict[bytes, int] = field(default_factory=dict)
    outer: Address | None = None
    other: Address | None = None
    place: int = 0
    refused: bool = False
    silent: bool = False

    @property
    def over(self) -> bool:
        """Whether it is answered, refused, or will not be answered any more."""
        return self.outer is not None or self.refused or self.silent

    def fits(self, source: Address) -> bool:
        """Whether an answer comes from where it was to come from; servers that ignore the wish do not count."""
        if self.change & Change.IP:
            return source[0] != self.server[0]
        return source == self.server if not self.change else source[0] == self.server[0] and source != self.server


class Asking:
    """Sockets of its own and the questions asked from them. `settled` is told when no socket or question is open."""

    def __init__(self, actions: Actions, rng: random.Random, settled: Callable[[float], None]) -> None:
        self.actions, self.rng, self.settled = actions, rng, settled
        self.ports: dict[int, int] = {}
        self.questions: list[Question] = []
        self.order = 0
        self.rtt = 0.0
        self.next_send = 0.0

    def open(self, count: int) -> list[int]:
        """Opens sockets; `settled` is told when they are all up."""
        fresh = [self.actions.open_udp(self) for _ in range(count)]
        self.ports.update(dict.fromkeys(fresh, 0))
        return fresh

    def close(self) -> None:
        """Forgets everything that was asked."""
        for socket in self.ports:
            self.actions.close_udp(socket)
        self.ports.clear()
        self.questions.clear()
        self.order, self.rtt, self.next_send = 0, 0.0, 0.0

    def ask(self, question: Question, now: float) -> Question:
        """Puts a question at the end of the row."""
        question.due = self.next_send = max(now, self.next_send + PACE)
        self.questions.append(question)
        return question

    def deadline(self) -> float | None:
        return earliest(*(question.due for question in self.questions if not question.over))

    def poll(self, now: float) -> None:
        ended = False
        for question in self.questions:
            if question.over or now < question.due:
                continue
            if question.tries == TRIES:
                question.silent = ended = True
            else:
                self._send(question, now)
        if ended:
            self._settle(now)

    def _send(self, question: Question, now: float) -> None:
        transaction = self.rng.randbytes(12)
        question.sent[transaction] = self.order
        self.order += 1
        elsewhere = bool(question.change) or question.response_port is not None
        request = StunMessage(
            Method.BINDING,
            Kind.REQUEST,
            transaction,
            change_request=question.change or None,
            response_port=question.response_port,
            padding=ROOM if elsewhere else None,
        )
        self.actions.send_to(question.socket, question.server, request.encode())
        question.tries += 1
        question.asked_at = now
        question.due = now + (RETRY if question.tries < TRIES else max(PATIENCE, 2 * self.rtt))

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        if socket in self.ports:
            self.ports[socket] = local[1]
            self._settle(now)

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        if not is_stun(data):
            return
        try:
            message = StunMessage.parse(data)
        except ProtocolError:
            return
        question = next((each for each in self.questions if message.transaction_id in each.sent), None)
        if question is None or question.over:
            return
        if message.kind is Kind.ERROR and source == question.server:
            question.refused = True
        elif message.kind is Kind.SUCCESS and message.xor_mapped is not None and self._meant(question, socket, source):
            question.outer, question.other = message.xor_mapped, message.other_address
            question.place = question.sent[message.transaction_id]
            self.rtt = max(self.rtt, now - question.asked_at)
        self._settle(now)

    def _meant(self, question: Question, socket: int, source: Address) -> bool:
        """An answer to another port of the same host comes to the socket that has that port."""
        return question.fits(source) and (socket == question.socket or question.response_port is not None)

    def _settle(self, now: float) -> None:
        if all(self.ports.values()) and all(question.over for question in self.questions):
            self.settled(now)
