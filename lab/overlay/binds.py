"""The words between a leg and its relay: binds with the token, and which answer belongs to which of them.

Belongs here: writing and reading them. Never: when a leg binds, and what an answer means for it (leg.py).
"""

import random
from collections import OrderedDict

from lab.errors import ProtocolError
from lab.wire.stun import Kind, Method, StunMessage, is_stun, peek_method

MOST_ASKED = 32
"""Binds whose answers are known again; what answers none of them is a stranger's, or came too late."""
MOST_ANSWERED = 8
"""Binds that were answered and are still known: a relay that is about to end says so in the name of the last."""


class Binds:
    """One leg's. `rtt` is the last round trip to the relay, seconds; `refused` what it said against the token;
    `leaving`: it has said that it is about to end, which every further bind confirms."""

    def __init__(self, token: bytes, rng: random.Random) -> None:
        self.token, self.rng = token, rng
        self.asked: OrderedDict[bytes, float] = OrderedDict()
        self.answered: OrderedDict[bytes, None] = OrderedDict()
        self.rtt = 0.0
        self.refused: str | None = None
        self.leaving = False

    def ask(self, now: float, transaction: bytes = b"") -> bytes:
        """A bind."""
        identifier = transaction or self.rng.randbytes(12)
        self.asked[identifier] = now
        if len(self.asked) > MOST_ASKED:
            self.asked.popitem(last=False)
        return StunMessage(Method.BIND, Kind.REQUEST, identifier, token=self.token, leaving=self.leaving).encode()

    def answer(self, data: bytes, now: float) -> StunMessage | None:
        """The relay's answer, a success or an error, to a bind that was asked, or its word in the name of one that was;
        None for what is none: who has not seen a bind cannot guess its 96 bits."""
        try:
            message = StunMessage.parse(data)
        except ProtocolError:
            return None
        identifier = message.transaction_id
        if message.kind is Kind.INDICATION:
            return message if identifier in self.asked or identifier in self.answered else None
        asked = self.asked.pop(identifier, None)
        if asked is None or message.kind not in (Kind.SUCCESS, Kind.ERROR):
            return None
        self.answered[identifier] = None
        if len(self.answered) > MOST_ANSWERED:
            self.answered.popitem(last=False)
        self.rtt, self.refused = now - asked, None
        if message.kind is Kind.ERROR:
            self.refused = message.error[1] if message.error is not None else "no reason"
        return message


def is_bind(data: bytes) -> bool:
    """Whether bytes from the relay are its own words and not the peer's: by the method alone, without parsing."""
    return is_stun(data) and peek_method(data) == Method.BIND
