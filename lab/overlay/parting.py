"""How a relay that is about to end hands its calls over: each leg is told until it has heard, and served until the call
is silent.

Belongs here: whom to tell, and when a call has gone elsewhere. Never: what a client does about it (choice.py).
"""

from collections.abc import Callable, Mapping

from lab.overlay.actions import earliest
from lab.overlay.session import Leg, Session
from lab.wire.stun import Kind, Method, StunMessage

LEAVING_LIMIT = 5.0
"""Seconds for which a relay that ends waits for its calls to be elsewhere: who has no other relay needs a supernode's
word, a bind with a handshake before it, and two checks."""
TELL_EVERY = 0.2
"""Seconds between two words to a leg that has not said that it has heard."""
LOOK_EVERY = 0.5
FEW = 10
"""Datagrams of a call between two looks below which it is silent: checks of a path and binds alone are fewer, and voice
of one end is twenty-five."""
DEAF_AFTER = 1.0
"""Seconds after which a silent call is not waited for whose legs have not heard."""


class Parting:
    """One relay's, from the moment on at which it is told to leave. `send` says something to a leg, `count` has counted
    anew what the kernel forwards."""

    def __init__(
        self,
        sessions: Mapping[str, Session],
        send: Callable[[Leg, bytes], object],
        count: Callable[[float], object],
        now: float,
    ) -> None:
        self.sessions, self.send, self.count = sessions, send, count
        self.since, self.until = now, now + LEAVING_LIMIT
        self.next_word, self.next_look = now, now + LOOK_EVERY
        self.had: dict[str, int] = {}
        self.silent: set[str] = set()
        count(now)
        self._note()

    @property
    def waits_for(self) -> list[str]:
        """The calls that are still here: not silent, or not heard of."""
        return [call for call in self.sessions if call not in self.silent]

    def over(self, now: float) -> bool:
        """Whether all calls are elsewhere, or have had time enough."""
        return now >= self.until or not self.waits_for

    def deadline(self) -> float | None:
        return earliest(self.next_word, self.next_look, self.until)

    def poll(self, now: float) -> None:
        if now >= self.next_word:
            self.next_word = now + TELL_EVERY
            for session in self.sessions.values():
                for leg in session.legs:
                    if leg is not None and leg.asked and not leg.heard:
                        self.send(leg, StunMessage(Method.BIND, Kind.INDICATION, leg.asked, leaving=True).encode())
        if now >= self.next_look:
            self.next_look = now + LOOK_EVERY
            self._look(now)
            self.count(now)

    def _look(self, now: float) -> None:
        for call, session in self.sessions.items():
            heard = all(leg is None or leg.heard for leg in session.legs) or now >= self.since + DEAF_AFTER
            if call in self.had and sum(session.had) - self.had[call] < FEW and heard:
                self.silent.add(call)
            else:
                self.silent.discard(call)
        self._note()

    def _note(self) -> None:
        self.had = {call: sum(session.had) for call, session in self.sessions.items()}
