"""How long the router keeps a mapping that nothing uses, and how often one is therefore used (RFC 5780, 4.6).

Several mappings are left alone for different times, each on a socket of its own. Then another socket asks the supernode
to answer to the idle one's outer port: what arrives is alive. Asking again from the idle socket would tell nothing, for
many routers give back the same port.
"""

import random
from collections.abc import Callable

from lab.overlay.actions import Actions, earliest
from lab.overlay.asking import Asking, Question
from lab.wire.addresses import Address

IDLE = (3.0, 7.0, 14.0, 24.0, 34.0, 64.0, 124.0)
"""Seconds for which a mapping is left alone: 20 to 30 are often seen of routers, RFC 4787, REQ-5 wants 120 of them.
Each is known as soon as it has passed, so that the last one costs a socket and two minutes in which nobody waits."""
SAFE_SHARE = 0.75
"""Of the longest idle time that a mapping has survived: a refreshment that is lost is sent again in time."""
LEAST, START, MOST = 2.0, 10.0, 90.0
"""Seconds between refreshments: at the least, while nothing is known, and at the most, where a router does as RFC 4787
asks; what it has lost meanwhile is asked for when a call begins, and when its voice stops."""

TCP_AT_FIRST, TCP_LEAST = 10.0, 2.0
"""Seconds between refreshments of a TCP connection that nothing else uses: a relay forgets first, after 30 s, and not a
router, which takes hours (RFC 5382, REQ-5), unless it is found to; and never less than this."""
TCP_SHARE = 0.5
"""Of the idle time at whose end a connection was found broken: how long the next one is left alone."""


class TcpLifetime:
    """How long a client leaves a TCP connection alone: hours are not tried out, so it is learnt from what breaks.

    A connection that has broken for another reason costs a few packets; one place is forgotten for the next.
    """

    def __init__(self) -> None:
        self.keepalive = TCP_AT_FIRST

    def broke(self, idle: float) -> None:
        """A connection that had been left alone for so many seconds was gone when it was used again."""
        if idle > TCP_LEAST:
            self.keepalive = max(TCP_LEAST, min(self.keepalive, TCP_SHARE * idle))

    def forget(self) -> None:
        """The client stands elsewhere."""
        self.keepalive = TCP_AT_FIRST


class Lifetime:
    """What is known of the router's patience; `longest` and `shortest` bracket it, seconds, None while not known."""

    def __init__(self, actions: Actions, rng: random.Random) -> None:
        self.asking = Asking(actions, rng, self._settled)
        self.server: Address = ("", 0)
        self.idle: dict[float, int] = {}
        self.asker = 0
        self.mapped: dict[int, Question] = {}
        self.probes: dict[float, Question] = {}
        self.due: dict[float, float] = {}
        self.survived: dict[float, bool] = {}
        self.found: Callable[[float], None] = lambda now: None

    @property
    def longest(self) -> float | None:
        """The longest idle time that a mapping has survived."""
        return max((idle for idle, alive in self.survived.items() if alive), default=None)

    @property
    def shortest(self) -> float | None:
        """The shortest idle time, beyond that, which one has not survived."""
        longest = self.longest or 0.0
        return min((idle for idle, alive in self.survived.items() if not alive and idle > longest), default=None)

    def keepalive(self) -> float:
        """Seconds between refreshments of a mapping that is to live."""
        if self.longest is not None:
            return min(MOST, max(LEAST, SAFE_SHARE * self.longest))
        return START if self.shortest is None else LEAST

    @property
    def under_way(self) -> bool:
        """Whether more will be known by itself."""
        return bool(self.idle)

    def begin(self, server: Address, now: float) -> None:
        """Finds out anew; what is known holds until then."""
        self.stop()
        self.server = server
        *sockets, self.asker = self.asking.open(len(IDLE) + 1)
        self.idle = dict(zip(IDLE, sockets, strict=True))

    def forget(self) -> None:
        """The client stands elsewhere."""
        self.stop()
        self.survived.clear()

    def stop(self) -> None:
        """What is being found out is worth nothing: the router may have lost its mappings before their time."""
        self.asking.close()
        self.idle.clear()
        self.mapped.clear()
        self.probes.clear()
        self.due.clear()

    def deadline(self) -> float | None:
        return earliest(self.asking.deadline(), *self.due.values())

    def poll(self, now: float) -> None:
        self.asking.poll(now)
        for idle, due in list(self.due.items()):
            if now >= due:
                del self.due[idle]
                outer = self.mapped[self.idle[idle]].outer
                assert outer is not None, "what has no outer address is not left alone"
                self.probes[idle] = self.asking.ask(Question(self.asker, self.server, response_port=outer[1]), now)
        self.asking.poll(now)

    def _settled(self, now: float) -> None:
        if self.idle and not self.mapped:
            sockets = (*self.idle.values(), self.asker)
            self.mapped = {number: self.asking.ask(Question(number, self.server), now) for number in sockets}
        elif self.mapped and not self.probes and not self.due:
            self._leave_alone(now)
        else:
            self._conclude(now)

    def _leave_alone(self, now: float) -> None:
        """Where the outer address is the same for all: an answer is never sent to another host than the asking one."""
        outers = {question.outer[0] if question.outer else None for question in self.mapped.values()}
        if len(outers) != 1 or None in outers:
            self.stop()
            return
        self.due = {idle: self.mapped[number].asked_at + self.asking.rtt + idle for idle, number in self.idle.items()}

    def _conclude(self, now: float) -> None:
        for idle, probe in list(self.probes.items()):
            if probe.over and not probe.refused:
                self.survived[idle] = probe.outer is not None
        if len(self.probes) == len(IDLE) and not self.due:
            self.stop()
        self.found(now)
