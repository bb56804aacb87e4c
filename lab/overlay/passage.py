"""What a client's network lets out, found by trying, right after sign-in, so that no call has to find out.

Belongs here: which ways over TCP and whether UDP pass, and what to try first. Never: firewalls' names, the calls.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.ladder import TLS_PORT, Route, Way
from lab.overlay.lifetime import TcpLifetime
from lab.overlay.reflexive import MediaSocket
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address
from lab.wire.stun import Kind, Method, StunMessage, StunStream

STUN_PORT = 3478
"""RFC 8489, 18.6; what a hub answers there, and on its TLS ports to those who speak plainly."""
ANY = Way(None)
PROXY = Way(TLS_PORT, secure=True, proxied=True)
WAYS = (ANY, Way(443), Way(80), Way(443, secure=True), Way(80, secure=True), PROXY)
"""The ways of media, best first: no wrapping where none is needed, no detour where there is a straight way."""
STAGGER = 0.15
"""Seconds before the next way is tried beside one that has not answered; all are under way within a second."""
LIMIT = 2.0
"""Seconds without an answer, which takes two round trips, three inside TLS, after which a way counts as closed."""
LONGEST = 512
"""Bytes of the longest answer to a Binding request that is read."""
THROTTLED_FOR = 60.0
"""Seconds for which UDP that lost voice between this client and a relay is not believed to carry the next call's."""


@dataclass
class _Trial:
    way: Way
    expires: float
    stream: StunStream = field(default_factory=lambda: StunStream(LONGEST))


class Passage:
    """What passes, for one client where it stands. Each way is tried against the hub that has let the client in."""

    def __init__(self, actions: Actions, own: Whereabouts, rng: random.Random) -> None:
        self.actions, self.own, self.rng = actions, own, rng
        self.known: dict[Way, bool] = {}
        self.udp: bool | None = None
        self.throttled_until = float("-inf")
        self.voice: bool | None = None
        self.tcp_lifetime = TcpLifetime()
        self.trials: dict[int, _Trial] = {}
        self.waiting: list[Way] = []
        self.found: set[Way] = set()
        self.host = ""
        self.next_trial: float | None = None

    # -- finding out ---------------------------------------------------------------------------------------------

    def measure(self, signed_in: Route, now: float) -> None:
        """Tries every way that may be better than the one that let the client in; what was known holds until then."""
        self._abandon()
        self.host = signed_in.address[0]
        self.found = {way for way in WAYS if way == _way(signed_in)}
        self.known |= dict.fromkeys(self.found, True)
        self.waiting = [way for way in WAYS if not way.proxied or self.own.proxied(self.host)]
        self.next_trial = now
        self.poll(now)

    def forget(self) -> None:
        """The client stands elsewhere."""
        self._abandon()
        self.known.clear()
        self.udp, self.voice, self.throttled_until = None, None, float("-inf")
        self.tcp_lifetime.forget()

    def passed(self, route: Route) -> None:
        """A connection that was of use: its way is open."""
        self.known[_way(route)] = True

    def remember_udp(self, media: MediaSocket, now: float) -> None:
        """A socket that has had time to find out whether UDP passes is about to be used up."""
        known = media.udp_lets_out(now)
        self.udp = self.udp if known is None else known

    def throttles(self, now: float) -> None:
        """UDP between this client and a relay carried small talk and lost voice."""
        self.throttled_until = max(self.throttled_until, now + THROTTLED_FOR)

    def tried(self, carries_voice: bool, now: float) -> None:
        """Packets at the rate of a voice were sent over UDP while there was no call: believed until the next trial,
        which a client that is always in calls may not come to for long."""
        self.voice, self.throttled_until = carries_voice, float("-inf") if carries_voice else float("inf")

    def throttled(self, now: float) -> bool:
        """Whether UDP has lost voice of late."""
        return now < self.throttled_until

    def _abandon(self) -> None:
        for link in list(self.trials):
            self.actions.close(link)
        self.trials.clear()
        self.waiting, self.next_trial = [], None

    # -- what is known -------------------------------------------------------------------------------------------

    def passes(self, way: Way) -> bool | None:
        """Whether connections of a kind get through; None while nobody can know."""
        if not way.secure and self.known.get(ANY):
            return True  # what lets out plain words to any port knows no exceptions
        return self.known.get(way)

    def lets_udp_out(self, media: MediaSocket, now: float) -> bool | None:
        """Whether UDP may carry voice, as far as this socket or an earlier one could tell."""
        if self.throttled(now):
            return False
        known = media.udp_lets_out(now)
        return self.udp if known is None else known

    def routes(self, addresses: Iterable[Address]) -> list[Route]:
        """Every way to the addresses of one machine, what is known to pass first, then the better ways first."""
        found = [
            (self._doubt(way), place, order, Route(address, way.secure, way.proxied))
            for order, address in enumerate(addresses)
            for place, way in enumerate(WAYS)
            if _fits(way, address) and (not way.proxied or self.own.proxied(address[0]))
        ]
        return [route for *_, route in sorted(found, key=lambda each: each[:3])]

    def likely(self, addresses: Iterable[Address]) -> list[Route]:
        """Those of `routes` that are worth trying at a machine that may not be reachable at all."""
        routes = self.routes(addresses)
        least = min((self._doubt(_way(route)) for route in routes), default=0)
        return [route for route in routes if self._doubt(_way(route)) <= least]

    def _doubt(self, way: Way) -> int:
        passes = self.passes(way)
        return 1 if passes is None else 0 if passes else 2

    def to_json(self, udp: bool | None) -> dict[str, object]:
        """For `lab status`: UDP, whether as much of it as a voice is, where TCP gets out to, whether only TLS passes,
        whether by the proxy alone; None: not known."""
        passing = [way for way in WAYS if self.passes(way)]
        straight = [way for way in passing if not way.proxied]
        ports = ["any"] if self.known.get(ANY) else sorted({way.port for way in straight if way.port}, reverse=True)
        return {
            "udp": udp,
            "voice_by_udp": self.voice,
            "tcp": ports,
            "tls_only": bool(passing) and all(way.secure for way in passing),
            "proxy": passing == [PROXY],
        }

    # -- time and links ------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        return earliest(self.next_trial, *(trial.expires for trial in self.trials.values()))

    def poll(self, now: float) -> None:
        for link, trial in list(self.trials.items()):
            if now >= trial.expires:
                self._closed(link, trial)
        if self.next_trial is not None and now >= self.next_trial:
            self._try_next(now)

    def _try_next(self, now: float) -> None:
        """Begins with the next way, unless it has been found to pass, or a better kind of way, whatever its port."""
        self.next_trial = None
        if not self.waiting:
            return
        way = self.waiting.pop(0)
        if any(found in (way, ANY) or _wrapping(found) < _wrapping(way) for found in self.found):
            self._try_next(now)
            return
        address = (self.host, STUN_PORT if way.port is None else way.port)
        link = self.actions.connect(self, address, way.secure, way.proxied)
        self.trials[link] = _Trial(way, now + LIMIT)
        self.next_trial = now + STAGGER if self.waiting else None

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        if (trial := self.trials.get(link)) is None:
            return
        if trial.way.secure:
            self._open(link, trial)  # the hub has answered the handshake: it is through
        else:
            # a firewall may let the handshake of TCP pass and look at what follows
            self.actions.write(link, StunMessage(Method.BINDING, Kind.REQUEST, self.rng.randbytes(12)).encode())

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if (trial := self.trials.get(link)) is None:
            return
        try:
            if trial.stream.feed(data):
                self._open(link, trial)
        except ProtocolError:
            self._closed(link, trial)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if (trial := self.trials.get(link)) is not None:
            self._closed(link, trial)
            if self.next_trial is not None:
                self._try_next(now)  # a clear no: the next way need not wait its turn

    def _open(self, link: int, trial: _Trial) -> None:
        self.found.add(trial.way)
        self.known[trial.way] = True
        self._over(link)

    def _closed(self, link: int, trial: _Trial) -> None:
        self.known[trial.way] = False
        self._over(link)

    def _over(self, link: int) -> None:
        del self.trials[link]
        self.actions.close(link)


def _wrapping(way: Way) -> tuple[bool, bool]:
    return way.proxied, way.secure


def _fits(way: Way, address: Address) -> bool:
    """Whether a way leads to a port; TLS is only spoken where firewalls expect it."""
    return address[1] == way.port if way.port is not None else address[1] not in (443, 80)


def _way(route: Route) -> Way:
    port = route.address[1]
    return Way(port if port in (443, 80) else None, route.secure, route.proxied)
