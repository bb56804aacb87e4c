"""What a relay knows of one call: where its two legs are bound, what they carried, what they may still send.

Belongs here: one session's own sums. Never: who may have one, and how its packets are passed on.
"""

from dataclasses import dataclass, field

from lab.wire.addresses import Address

IDLE_LIMIT = 30.0
"""Seconds without a packet or a refresh after which a session is gone; clients refresh every ten."""
CALL_RATE, CALL_BURST = 50_000.0, 50_000.0
"""Bytes a second, and at once, that one call may send through; voice both ways takes about 12,000."""


@dataclass
class Leg:
    """Where one end of a session is bound: an address of UDP, or a link of TCP. `asked` is the transaction of its last
    bind; `heard`: it has said in one that it knows that the relay is about to end."""

    session: "Session"
    index: int
    address: Address
    link: int | None
    asked: bytes = b""
    heard: bool = False


@dataclass
class Session:
    """One call's two legs. `had` and `sent` are datagrams by leg; `packets` and `bytes` went through, both ways."""

    call: str
    number: int
    last: float
    issuer: str = ""
    """Whose token it began with."""
    legs: list[Leg | None] = field(default_factory=lambda: [None, None])
    tokens: list[bytes] = field(default_factory=list)
    budget: float = CALL_BURST
    paid: float = 0.0
    had: list[int] = field(default_factory=lambda: [0, 0])
    sent: list[int] = field(default_factory=lambda: [0, 0])
    packets: int = 0
    bytes: int = 0
    complete: bool = True
    """Whether these are all: what a kernel counted is lost where it is not there to be asked."""

    def counts(self, index: int) -> int | None:
        """Datagrams had from a leg and sent to it, as an answer to a bind tells them; voice and checks, no binds.

        None where it cannot be told: a client would take what was not counted for lost.
        """
        if not self.complete:
            return None
        return (self.had[index] & 0xFFFF_FFFF) << 32 | self.sent[index] & 0xFFFF_FFFF

    def may_send(self, size: int, now: float, packets: int = 1) -> bool:
        """Token bucket over both directions together; `size` is in bytes, of all those packets."""
        self.budget = min(CALL_BURST, self.budget + (now - self.paid) * CALL_RATE)
        self.last = self.paid = now
        if self.budget < size:
            return False
        self.budget -= size
        self.packets += packets
        self.bytes += size
        return True
