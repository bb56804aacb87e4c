"""The words of one call's connectivity checks (RFC 8445, 7), and which answer belongs to which question.

Belongs here: writing and reading them under the call's key. Never: when a path is checked, and what its answer means.
"""

import random
from dataclasses import asdict, dataclass
from typing import Any

from lab.errors import ProtocolError
from lab.overlay import priority
from lab.overlay.paths import Path, TcpCarrier, UdpCarrier
from lab.wire.addresses import Address
from lab.wire.stun import Kind, Method, StunMessage, is_stun, verify

MOST_WAITING = 256
"""Checks whose answer is waited for; the oldest make room."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A check that was sent, at `time` (monotonic seconds), and the number under which it nominated its path, if it
    did."""

    path: Path
    time: float
    nomination: int | None


@dataclass(frozen=True, slots=True)
class Word:
    """What this end says in every check and every answer: how much it misses of the peer's voice, in thousandths, that
    it guesses ports, that its checklist is finished, and its count of holds (holding.py)."""

    loss: int | None
    guessing: bool
    finished: bool
    holds: int | None


class Checks:
    """One side's."""

    def __init__(self, call: str, controlling: bool, rng: random.Random) -> None:
        self.call, self.controlling, self.rng = call, controlling, rng
        self.tie_breaker = rng.getrandbits(64)
        self.key: bytes | None = None
        self.waiting: dict[bytes, Asked] = {}
        self.said = self.heard = 0
        """How many words this end has said, and the last of the peer's, by its count."""

    def request(self, path: Path, nomination: int | None, word: Word, now: float) -> bytes:
        """A check of a path, which nominates it under that number; None: it does not."""
        transaction = self.rng.randbytes(12)
        self.waiting[transaction] = Asked(path, now, nomination)
        if len(self.waiting) > MOST_WAITING:
            del self.waiting[next(iter(self.waiting))]
        told = {"use_candidate": nomination is not None, "nomination": nomination, "leg": _leg(path)}
        return self._request(path.remote, transaction, order=self._count(), **told, **asdict(word))

    def guess(self, remote: Address) -> bytes:
        """A check that no path waits for, and that says nothing else."""
        return self._request(remote, self.rng.randbytes(12))

    def _request(self, remote: Address, transaction: bytes, **more: Any) -> bytes:
        assert self.key is not None
        message = StunMessage(
            Method.BINDING,
            Kind.REQUEST,
            transaction,
            username=self.call,
            priority=priority.candidate("peer-reflexive", remote[0]),
            controlling=self.tie_breaker if self.controlling else None,
            controlled=None if self.controlling else self.tie_breaker,
            **more,
        )
        return message.encode(self.key)

    def answer(self, path: Path, request: StunMessage, word: Word) -> bytes:
        """The answer to a check of the peer's that came on a path."""
        assert self.key is not None
        answer = StunMessage(
            Method.BINDING,
            Kind.SUCCESS,
            request.transaction_id,
            xor_mapped=_seen(path),
            leg=_leg(path),
            order=self._count(),
            **asdict(word),
        )
        return answer.encode(self.key)

    def _count(self) -> int:
        self.said += 1
        return self.said

    def newest(self, message: StunMessage) -> bool:
        """Whether its word was said after all that have been heard. Words come by several paths at once, and whoever
        has seen a check go by, as a relay has, can keep it back, or show it again, when it says something else."""
        if message.order is None or message.order <= self.heard:
            return False
        self.heard = message.order
        return True

    def genuine(self, data: bytes) -> bool:
        """Whether it is a check, or an answer to one, that the holder of the call's key has written."""
        return self.key is not None and is_stun(data) and verify(data, self.key)

    def read(self, data: bytes) -> StunMessage | None:
        """The message, if it is genuine and makes sense."""
        if not self.genuine(data):
            return None
        try:
            return StunMessage.parse(data)
        except ProtocolError:
            return None

    def asked(self, path: Path, answer: StunMessage) -> Asked | None:
        """What an answer is to; None where it is late, repeated, or not symmetric (RFC 8445, 7.2.5.2.1)."""
        asked = self.waiting.pop(answer.transaction_id, None)
        return asked if asked is not None and asked.path is path else None


def _leg(path: Path) -> str | None:
    return str(path.carrier.transport) if path.via is not None else None


def _seen(path: Path) -> Address | None:
    carrier = path.carrier
    return carrier.remote if isinstance(carrier, UdpCarrier | TcpCarrier) else None
