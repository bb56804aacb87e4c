"""How far each relay is from a supernode, by round trips that it measures, and from the others, by their word.

Pure. Belongs here: measuring, and what is told of it. Never: which relay is offered, which is roster.py's.

A supernode stands in for its clients: what they measure themselves, at the relays that they are offered, decides last.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.overlay.actions import earliest
from lab.overlay.reach import ROOM
from lab.wire.addresses import Address
from lab.wire.messages import Near, RelayEntry
from lab.wire.stun import Kind, Method, StunMessage, is_stun, peek_method

EVERY = 60.0
"""Seconds between two measurings of one relay; jittered."""
PAUSE = 0.1
"""Seconds between two measurings, of whichever relay: ten small packets a second at the most."""
ANSWER_LIMIT = 2.0
"""Seconds in which an answer counts."""
NEW = 0.3
"""The weight of a round trip among those measured before, as of RFC 6298's smoothing and a little more."""
MOST = 500
"""Relays that are measured."""
TOLD = 16
"""Relays that others are told of: the nearest."""
TELL_EVERY = 30.0
"""Seconds between two words to the mesh about it, where something has changed."""
CHANGED = 0.25
"""The share by which a round trip has to change for that, and MILLISECONDS by which it has to."""
MILLISECONDS = 5
LOOK_AGAIN = 5.0
"""Seconds after which relays that have become known are looked for."""
SUCCESS = b"\x01\x01"
"""The type of a Binding success response (RFC 8489, 5)."""


@dataclass
class _Asked:
    relay: str
    source: Address
    at: float


class Nearness:
    """One supernode's. `relays` are those that it knows, those that count most first; `send` sends a datagram; `tell`
    tells all others something; `changed` is called when one has answered for the first time, or is known no more.
    """

    def __init__(
        self,
        rng: random.Random,
        relays: Callable[[], Mapping[str, RelayEntry]],
        reachable: Callable[[Sequence[str]], Sequence[str]],
        send: Callable[[Address, bytes], object],
        tell: Callable[[Near], object],
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        self.rng, self.relays, self.reachable, self.send, self.tell = rng, relays, reachable, send, tell
        self.changed = changed
        self.rtt: dict[str, float] = {}
        """Seconds to each relay and back, from here."""
        self.elsewhere: dict[str, dict[str, float]] = {}
        """The same from other supernodes, by their name: of the relays that are nearest to each."""
        self.places: dict[str, Address] = {}
        """Where each of those has answered."""
        self.due: dict[str, float] = {}
        self.asked: dict[bytes, _Asked] = {}
        self.next = self.next_word = 0.0
        self.last = float("-inf")
        self.told = Near(())

    # -- what is known ---------------------------------------------------------------------------------------------

    def both(self, relay: str, other: str | None) -> float | None:
        """Seconds from this supernode over a relay to another and back; without another, or a word of it, between two
        clients of this one. Who has not named a relay among its nearest is as far from it as from the farthest that it
        has named, at the least. None where this one has not measured it."""
        near = self.rtt.get(relay)
        if near is None:
            return None
        told = self.elsewhere.get(other or "")
        return near + (told.get(relay, max(told.values())) if told else near)

    def has_measured(self, relay: RelayEntry) -> bool:
        """Whether it has answered where this word of it says that it is."""
        place = self.places.get(relay.name)
        return place is not None and place[1] == relay.udp_port and place[0] in relay.hosts

    def word(self, supernode: str, message: Near) -> None:
        """What another supernode has measured."""
        self.elsewhere[supernode] = {name: rtt / 1000 for name, rtt in message.relays}

    def forget(self, supernode: str) -> None:
        self.elsewhere.pop(supernode, None)

    # -- measuring -------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        return earliest(self.next, self.next_word)

    def poll(self, now: float) -> None:
        if now >= self.next:
            self._measure(now)
        if now >= self.next_word:  # also where there is no word: what luck is drawn is not to hang on who is measured
            self.next_word = now + TELL_EVERY * self.rng.uniform(0.5, 1.0)
            self._say()

    def look(self, relays: Iterable[RelayEntry]) -> None:
        """Somebody has told of these: what is new, or stands elsewhere now, is measured as soon as may be."""
        if any(
            relay.name in self.places or relay.name not in self.due for relay in relays if not self.has_measured(relay)
        ):
            self.next = min(self.next, self.last + PAUSE)

    def _forget(self, name: str) -> None:
        self.due.pop(name, None)
        self.rtt.pop(name, None)
        if self.places.pop(name, None) is not None:
            self.changed()

    def _measure(self, now: float) -> None:
        """The relay that is due, and when the next one is; those that are known no more are forgotten."""
        self.last = now
        known = self.relays()
        if len(known) > MOST:
            known = dict(itertools.islice(known.items(), MOST))
        for name in [name for name in self.due if name not in known]:
            self._forget(name)
        for name in [name for name in self.places if not self.has_measured(known[name])]:
            self._forget(name)
        for name in known:
            self.due.setdefault(name, now)
        for transaction, asked in list(self.asked.items()):
            if now >= asked.at + ANSWER_LIMIT:
                del self.asked[transaction]
        due = min(self.due, key=lambda name: self.due[name], default=None)
        if due is not None and now >= self.due[due]:
            self.due[due] = now + EVERY * self.rng.uniform(0.5, 1.0)
            for host in self.reachable(known[due].hosts)[:1]:
                transaction = self.rng.randbytes(12)
                self.asked[transaction] = _Asked(due, (host, known[due].udp_port), now)
                request = StunMessage(Method.BINDING, Kind.REQUEST, transaction, padding=ROOM)
                self.send((host, known[due].udp_port), request.encode())
        following = min(self.due.values(), default=float("inf"))
        self.next = max(now + PAUSE, min(following, now + LOOK_AGAIN))

    def answered(self, data: bytes, source: Address, now: float) -> bool:
        """Whether a datagram is the answer to a question of this; raises nothing."""
        if not is_stun(data) or peek_method(data) != Method.BINDING or data[:2] != SUCCESS:
            return False
        asked = self.asked.get(data[8:20])
        if asked is None or asked.source[0] != source[0]:
            return False
        del self.asked[data[8:20]]
        rtt, before = now - asked.at, self.rtt.get(asked.relay)
        if asked.relay in self.due:
            self.rtt[asked.relay] = rtt if before is None else (1 - NEW) * before + NEW * rtt
            if self.places.get(asked.relay) != asked.source:
                self.places[asked.relay] = asked.source
                self.changed()
        return True

    def _say(self) -> None:
        """Tells all others of the nearest, if it is not much what they know."""
        nearest = sorted(self.rtt, key=lambda name: (self.rtt[name], name))[:TOLD]
        now = {name: min(round(self.rtt[name] * 1000), 60_000) for name in nearest}
        before = dict(self.told.relays)
        moved = any(
            abs(rtt - before.get(name, -60_000)) > max(MILLISECONDS, CHANGED * rtt) for name, rtt in now.items()
        )
        if moved or set(before) - set(self.rtt):
            self.told = Near(tuple(now.items()))
            self.tell(self.told)
