"""How much is sent to hosts that a peer has named and where it has not shown itself: its words may name a third party.

A host is heard when it has answered a check under the call's key, which nobody can who forges where it sends from; it
is the peer's, then, and counts no more.
Belongs here: counting by host, within a call and over all of a client's, and how fast ports are guessed. Never: what is
sent.
"""

from collections import Counter, deque

from lab.overlay.limits import Limiter, Rate

CHECKS, SYNS = 64, 96
"""Checks over UDP, and connections begun, to one host in one call. A candidate is checked 17 times (RETRIES and GIVE_UP
of checklist.py), and two or three of a peer's are at one host; simultaneous open takes four ports 16 times each."""
HANDFUL = 24
"""The same to a host that nobody but the peer says to be the peer's: its candidates may name others."""
SUSPECT = Rate(0.5, 640)
"""The same, over all calls: a victim sees one packet in two seconds, whoever calls, and however often."""
GUESSES = Rate(1.0, 6_400)
"""Guessed ports of a host that the peer's supernode has seen the peer under: two whole guesses of 20 s at once, and an
hour's worth of one a second. It bounds what a supernode that lies, in league with a peer, can have sent to a victim."""
MOST_A_SECOND = 200
"""Guesses that leave a client in any second, as promised: most parts keep below it by their own pace (guesses.py); what
a peer tells, it may tell as often as it likes, and there may be several calls."""


class Pace:
    """How fast a client guesses, in all of its calls. Each call that has sent a guess, or wanted to, within the last
    second may have its share of the MOST_A_SECOND: a short prediction is not kept waiting by a long search."""

    def __init__(self) -> None:
        self.latest: deque[tuple[float, object]] = deque()
        self.wanted: dict[object, float] = {}

    def free(self, call: object, now: float) -> bool:
        """Whether a call may send one more guess."""
        while self.latest and now - self.latest[0][0] >= 1.0:
            self.latest.popleft()
        self.wanted = {one: at for one, at in self.wanted.items() if now - at < 1.0}
        others = len(self.wanted.keys() - {call})
        free = len(self.latest) < MOST_A_SECOND
        if free and others:
            free = sum(one is call for _, one in self.latest) < MOST_A_SECOND // (others + 1)
        if not free:
            self.wanted[call] = now
        return free

    def take(self, call: object, now: float) -> None:
        """It has sent one."""
        self.latest.append((now, call))
        self.wanted[call] = now


class Share:
    """One call's, of its client's Pace."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace

    def free(self, now: float) -> bool:
        """Whether one more guess may be sent."""
        return self.pace.free(self, now)

    def take(self, now: float) -> None:
        """One is sent."""
        self.pace.take(self, now)


class Courtesy:
    """A client's, over all of its calls."""

    def __init__(self) -> None:
        self.pace = Pace()
        self.checks, self.syns, self.guesses = Limiter(SUSPECT), Limiter(SUSPECT), Limiter(GUESSES)

    def forget(self, host: str) -> None:
        """What was sent to a host was welcome there."""
        for limiter in (self.checks, self.syns, self.guesses):
            limiter.forget(host)


class Manners:
    """One call's. `vouched` are the hosts that the peer's supernode has seen it under."""

    def __init__(self, courtesy: Courtesy) -> None:
        self.courtesy = courtesy
        self.share = Share(courtesy.pace)
        self.heard: set[str] = set()
        self.vouched: set[str] = set()
        self.checks: Counter[str] = Counter()
        self.syns: Counter[str] = Counter()

    def hear(self, host: str) -> None:
        """The peer has answered from there."""
        if host not in self.heard:
            self.heard.add(host)
            self.courtesy.forget(host)

    def check(self, host: str, now: float) -> bool:
        """Whether one more check may be sent; it counts if so."""
        most = CHECKS if host in self.vouched else HANDFUL
        return host in self.heard or _count(self.checks, most, self.courtesy.checks, host, now)

    def syn(self, host: str, now: float) -> bool:
        """Whether one more connection may be begun; it counts if so."""
        most = SYNS if host in self.vouched else HANDFUL
        return host in self.heard or _count(self.syns, most, self.courtesy.syns, host, now)

    def knows(self, host: str) -> bool:
        """Whether ports of a host may be guessed."""
        return host in self.heard or host in self.vouched

    def guess(self, host: str, now: float) -> bool:
        """Whether one more port of a host that it knows may be guessed; it counts if so."""
        return host in self.heard or self.courtesy.guesses.allows(host, now)

    def moved(self) -> None:
        """This end stands elsewhere, and everything is tried anew: nothing that a peer can bring about."""
        self.checks.clear()
        self.syns.clear()


def _count(counted: Counter[str], most: int, limiter: Limiter, host: str, now: float) -> bool:
    if counted[host] >= most or not limiter.allows(host, now):
        return False
    counted[host] += 1
    return True
