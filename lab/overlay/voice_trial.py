"""Whether UDP carries as much as a voice, found out before a call has to: some networks let small talk through alone.

Belongs here: packets at the rate of a voice, and what their answers say. Never: what follows for a call.
"""

import random
from collections.abc import Callable

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, earliest
from lab.wire.addresses import Address
from lab.wire.stun import Kind, Method, StunMessage, is_stun

PAUSE = 1.5
"""Seconds of silence first: what was asked before may have used up what a throttle lets through at once."""
PACKETS, PACE = 60, 0.02
"""As many as a voice sends in 1.2 s: a throttle that lets a second's worth of its rate through at once shows itself."""
PADDING = bytes(86)
"""Makes a request as long as a packet of voice with its headers and tag: 110 bytes."""
PATIENCE = 1.0
"""Seconds after the last packet for which answers count."""
FIRST, LAST = 4, 30
"""Packets at the beginning, all answered by a throttle that was at rest, and at the end, when it holds to its rate."""
NARROW = 15
"""Answers to the last below which most are lost: with 25 % lost at random each way that comes together with a whole
beginning once in 50 times, with 10 % in no time at all."""
SURE = 2
"""Trials in a row that say so before a network is called narrow: it is for minutes, and a machine that stumbles for a
second loses a voice just so."""
LATE = 0.2
"""Seconds by which a packet may leave late: a machine that stood still for longer has tried itself and no network."""
SPOILT = 5
"""Trials in a row that may come to nothing by that; then the network is taken for one that carries a voice."""
DOUBT, DOUBTED_LESS, LONGEST_DOUBT = 10.0, 3.0, 300.0
"""Seconds until a network that was called narrow is tried again, and how many times as long it is until the next time:
a supernode that stood still must not keep calls from UDP for minutes, and what a throttle lets through is little."""
LATER = 5.0
"""Seconds after which it is tried again where a call has come between."""
STALE = 30.0
"""Seconds after which a call that had to take its voice's way by what was found is a reason to look again after it."""


class VoiceTrial:
    """One client's, from a socket of its own; `told` hears the outcome, and `busy` says whether there is a call."""

    def __init__(self, actions: Actions, rng: random.Random) -> None:
        self.actions, self.rng = actions, rng
        self.busy: Callable[[], bool] = lambda: False
        self.told: Callable[[bool, float], None] = lambda carries, now: None
        self.server: Address = ("", 0)
        self.socket: int | None = None
        self.begins: float | None = None
        self.next_at: float | None = None
        self.sent: dict[bytes, int] = {}
        self.answered: set[int] = set()
        self.narrow = self.spoilt = 0
        self.late = self.doubting = self.throttled = False
        self.found_at = float("-inf")
        self.doubted_at: float | None = None
        self.doubt = DOUBT

    def begin(self, server: Address, now: float) -> None:
        """Tries `server`, a supernode that has answered over UDP."""
        self.stop()
        self.server, self.doubted_at = server, None
        self._anew(now + PAUSE)

    def forget(self) -> None:
        """The client stands elsewhere."""
        self.stop()
        self.found_at, self.doubted_at, self.doubt = float("-inf"), None, DOUBT
        self.throttled = False

    def call_over(self, narrow: bool, now: float) -> None:
        """A call is over that found UDP too narrow for it, or knew so: by the next one that may have ended."""
        if narrow and self.server[1] and now >= self.found_at + STALE and not self.under_way:
            self._anew(now + LATER)

    def _anew(self, begins: float, doubting: bool = False) -> None:
        self.begins, self.narrow, self.spoilt, self.doubting = begins, 0, 0, doubting

    def stop(self) -> None:
        """Nothing is to be found out here any more."""
        if self.socket is not None:
            self.actions.close_udp(self.socket)
        self.socket = self.begins = self.next_at = None
        self.late = False
        self.sent.clear()
        self.answered.clear()

    @property
    def under_way(self) -> bool:
        """Whether its outcome is to come."""
        return self.begins is not None or self.socket is not None

    @property
    def awaited(self) -> bool:
        """Whether there is no outcome yet that may be gone by; one that is doubted holds until another has come."""
        return self.under_way and not self.doubting

    def deadline(self) -> float | None:
        return earliest(self.begins, self.next_at, self.doubted_at)

    def poll(self, now: float) -> None:
        if self.doubted_at is not None and now >= self.doubted_at:
            self.doubted_at = None
            if not self.under_way:
                self._anew(now, doubting=True)
        if not self.under_way:
            return
        if self.busy():
            self.stop()
            self.begins = now + LATER
        elif self.begins is not None and now >= self.begins:
            self.begins, self.socket = None, self.actions.open_udp(self)
        elif self.next_at is not None and now >= self.next_at:
            self._next(now)

    def udp_up(self, socket: int, local: Address, now: float) -> None:
        if socket == self.socket:
            self.next_at = now

    def _next(self, now: float) -> None:
        assert self.socket is not None and self.next_at is not None, "it has come up"
        self.late = self.late or now > self.next_at + LATE
        if len(self.sent) == PACKETS:
            self._judge(now)
            return
        transaction = self.rng.randbytes(12)
        self.sent[transaction] = len(self.sent)
        request = StunMessage(Method.BINDING, Kind.REQUEST, transaction, padding=PADDING)
        self.actions.send_to(self.socket, self.server, request.encode())
        self.next_at = now + PATIENCE if len(self.sent) == PACKETS else self.next_at + PACE

    def _judge(self, now: float) -> None:
        first = sum(number < FIRST for number in self.answered)
        last = sum(number >= PACKETS - LAST for number in self.answered)
        carries, late = last >= NARROW, self.late
        narrow = first == FIRST and not carries and not late
        self.stop()
        self.narrow = self.narrow + 1 if narrow else 0
        self.spoilt = self.spoilt + 1 if late and not carries else 0
        if 0 < self.narrow < SURE or 0 < self.spoilt <= SPOILT:
            self.begins = now + PAUSE
            return
        self.found_at = now
        # a throttle that others had used up before lets no beginning through, and is no less of one for that
        self.throttled = narrow or (self.throttled and not carries)
        if self.throttled:
            self.doubted_at, self.doubt = now + self.doubt, min(DOUBTED_LESS * self.doubt, LONGEST_DOUBT)
        else:
            self.doubted_at, self.doubt = None, DOUBT
        self.told(not self.throttled, now)

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        if socket != self.socket or source != self.server or not is_stun(data):
            return
        try:
            number = self.sent.get(StunMessage.parse(data).transaction_id)
        except ProtocolError:
            return
        if number is not None:
            self.answered.add(number)
