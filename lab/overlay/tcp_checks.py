"""The TCP connections of one call: which are opened to the peer, when, and the frames that they carry (RFC 6544).

Belongs here: opening, accepting, framing, giving up. Never: which path is used; each connection is one of the
checklist's.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.ladder import Route
from lab.overlay.leg import MEDIA_FRAME_LIMIT
from lab.overlay.passage import Passage
from lab.overlay.tcp_port import TcpPort
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address, family
from lab.wire.framing import LengthPrefixed

TCP_HEADSTART = 0.25
"""Seconds that UDP is given before TCP is tried beside it (RFC 8305, 5)."""
SIMULTANEOUS_LIMIT = 4.0
"""Seconds for which simultaneous open is tried with one address."""
FRESH_SYN = 0.25
"""Seconds between two SYNs of simultaneous open: the kernel's own timer begins at one second, and a SYN that reached a
router too early is lost. Longer than the round trip, or the answer to one would meet the next."""
ROUND_TRIPS = 3
"""How many round trips to a supernode a SYN is given: the way to the peer may be twice as long, and vary."""
REFUSED_PAUSE = 0.05
"""Seconds before the next SYN to an address that has refused one: somebody is there, and not ready."""
NOBODY = 9
"""The discard port (RFC 863): a SYN to it opens this end's own router for the host that it goes to; it meets nobody."""
MOST_EXPECTED = 4
"""Hosts of the peer for which the router is opened."""
MOST_TARGETS = 8
"""Addresses of the peer that simultaneous open is tried with, the last told; whoever stands there is sent a handful of
SYNs. From one place it tells six at the most: one a family, or the next ports of a router that counts."""
MOST_ACCEPTED = 16
"""Connections of the peer's in one call: it opens a few to each address and port that it was told. A check with the
right key may be shown again by somebody else; the oldest make room, those on which nobody has ever answered first."""
REOPEN, SELDOM = 1.0, 5.0
"""Seconds between two connections to where one has worked before, with a SYN of its own each: while nothing of the peer
comes, and while a relay brings it. The kernel would send the SYN of one connection again after 1, 3, 7, 15 and 31 s."""
TCP_LIMIT = 5.0
"""Seconds that a TCP connection may take; a firewall that drops in silence never says no."""


@dataclass
class _Connecting:
    """A TCP connection to the peer: on its way while `info` is None, then a stream of RFC 4571 frames."""

    remote: Address
    expires: float
    info: LinkInfo | None = None
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(2, MEDIA_FRAME_LIMIT))
    route: Route | None = None
    accepted: bool = False
    works: bool = False


@dataclass
class _Target:
    """An address that is met by simultaneous open: the attempt under way, when to make the next, when to give up."""

    remote: Address
    due: float
    until: float | None = None
    link: int | None = None


@dataclass(frozen=True)
class Streams:
    """Whom the connections tell: that one is up, a frame came, one is lost; that an address is tried, and that it has
    not answered in time. `enough` says that no more are wanted, `pressed` that nothing of the peer comes, `may` whether
    a host that may be no peer's is tried once more."""

    up: Callable[[int, LinkInfo, float], None]
    frame: Callable[[int, bytes, float], None]
    lost: Callable[[int, float], None]
    enough: Callable[[float], bool]
    tried: Callable[[Address, float], None]
    silent: Callable[[Address, float], None]
    pressed: Callable[[float], bool] = lambda now: False
    may: Callable[[str, float], bool] = lambda host, now: True


class TcpChecks:
    """The connections of one call, from one side."""

    def __init__(self, actions: Actions, own: Whereabouts, passage: Passage, streams: Streams) -> None:
        self.actions, self.own, self.passage, self.streams = actions, own, passage, streams
        self.routes: list[Route] = []
        self.listening: list[Address] = []
        self.next_route: float | None = None
        self.links: dict[int, _Connecting] = {}
        self.port: TcpPort | None = None
        self.targets: dict[Address, _Target] = {}
        self.worked: dict[Route | Address, None] = {}
        self.reopen_at = 0.0
        self.expected: list[str] = []
        self.opening: dict[int, float] = {}

    def add(self, listening: Sequence[Address], at_once: bool, now: float) -> None:
        """Addresses where the peer accepts connections; tried `at_once` where UDP cannot be had, else a bit later."""
        listening = [address for address in listening if address not in self.listening]
        self.listening += listening
        self.routes += self.passage.likely(listening)
        if self.routes and self.next_route is None:
            self.next_route = now if at_once else now + TCP_HEADSTART

    def meet(self, remotes: Iterable[Address], now: float) -> None:
        """Addresses from which the peer opens connections too (RFC 6544, simultaneous-open)."""
        for remote in remotes:
            if remote not in self.targets:
                if len(self.targets) >= MOST_TARGETS:
                    self._make_room()
                self.targets[remote] = _Target(remote, now)

    def _make_room(self) -> None:
        """The peer may have moved: the address that was told longest ago goes, one at which nobody was met first."""
        target = min(self.targets.values(), key=lambda one: (one.remote in self.worked, one.due != float("inf")))
        del self.targets[target.remote]
        if target.link is not None and (attempt := self.links.get(target.link)) is not None and attempt.info is None:
            del self.links[target.link]
            self.actions.close(target.link)

    def expect(self, hosts: Iterable[str]) -> None:
        """Hosts that the peer will come from, of a port that it cannot name: this end's router is to let it in."""
        fresh = self.own.reachable(host for host in hosts if family(host) == 4)
        self.expected += [host for host in fresh if host not in self.expected][: MOST_EXPECTED - len(self.expected)]

    def _open_for(self, now: float) -> None:
        """One SYN each, which the kernel sends again as long as the connection is tried."""
        assert self.port is not None
        for host in self.expected:
            if self.streams.may(host, now):
                link = self.actions.connect(self, (host, NOBODY), secure=False, local_port=self.port.port)
                self.opening[link] = now + SIMULTANEOUS_LIMIT
        self.expected = []

    def _stop_opening(self, link: int) -> bool:
        if self.opening.pop(link, None) is None:
            return False
        self.actions.close(link)
        return True

    def try_again(self, now: float) -> None:
        """UDP between the two is no good: every connection is worth a try."""
        self.routes, self.next_route = self.passage.likely(self.listening), now
        self.reopen_at = now + REOPEN

    def works(self, link: int) -> None:
        """The peer is at the other end of a connection: what led there is worth a try for as long as the call lives."""
        if (connecting := self.links.get(link)) is None:
            return
        connecting.works = True
        if connecting.route is not None:
            self.worked[connecting.route] = None
        elif connecting.remote in self.targets:
            self.worked[connecting.remote] = None

    def _reopen(self, now: float) -> None:
        """Opens again what has worked, as often as it takes."""
        self.reopen_at = now + (REOPEN if self.streams.pressed(now) else SELDOM)
        for way in self.worked:
            if isinstance(way, Route):
                self._open(way, now)
            elif (target := self.targets.get(way)) is not None and target.due > now + REOPEN:
                target.due, target.until = now, None

    def restart(self, now: float) -> None:
        """This end stands elsewhere: connections from addresses that are gone are closed, the peer's are told anew."""
        for link, connecting in list(self.links.items()):
            if connecting.info is None or connecting.info.local[0] not in self.own.addresses:
                self.actions.close(link)
                self.link_down(link, "its address is gone", now)
        for link in list(self.opening):
            self._stop_opening(link)
        self.routes, self.listening, self.next_route = [], [], None
        self.targets.clear()
        self.worked.clear()

    def close(self) -> None:
        """The call is over."""
        for link in self.links:
            self.actions.close(link)
        for link in list(self.opening):
            self._stop_opening(link)
        self.links.clear()
        self.targets.clear()

    # -- time ----------------------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a connection is on its way, or will be tried."""
        return self.next_route is not None or any(link.info is None for link in self.links.values())

    def deadline(self) -> float | None:
        unfinished = (link.expires for link in self.links.values() if link.info is None)
        meeting = (target.due for target in self.targets.values()) if self._may_meet() else ()
        return earliest(self.next_route, *unfinished, *meeting, *self.opening.values())

    def poll(self, now: float) -> None:
        for link, connecting in list(self.links.items()):
            if connecting.info is None and now >= connecting.expires:
                del self.links[link]
                self.actions.close(link)
                self.streams.silent(connecting.remote, now)
        for link, until in list(self.opening.items()):
            if now >= until:
                self._stop_opening(link)
        if self.expected and self._may_meet():
            self._open_for(now)
        if self.next_route is not None and now >= self.next_route:
            self._connect(now)
        for target in list(self.targets.values()) if self._may_meet() else ():
            if now >= target.due:
                self._send_syn(target, now)
        if self.worked and now >= self.reopen_at and not self.streams.enough(now):
            self._reopen(now)

    def _may_meet(self) -> bool:
        """A router that counts must have given the ports that are told before it gives those that are used."""
        return self.port is not None and self.port.settled

    def _send_syn(self, target: _Target, now: float) -> None:
        """A fresh SYN in place of one that has not been answered."""
        assert self.port is not None
        if target.link is not None:
            self.links.pop(target.link, None)
            self.actions.close(target.link)
        if target.until is None:
            target.until = now + SIMULTANEOUS_LIMIT
            self.streams.tried(target.remote, now)
        if now >= target.until or self.streams.enough(now) or not self.streams.may(target.remote[0], now):
            self.streams.silent(target.remote, now)
            target.link, target.due = None, float("inf")
            return
        target.link = self.actions.connect(self, target.remote, secure=False, local_port=self.port.port)
        target.due = now + max(FRESH_SYN, ROUND_TRIPS * self.port.rtt)
        self.links[target.link] = _Connecting(target.remote, now + TCP_LIMIT)

    def _connect(self, now: float) -> None:
        """Opens the next connection, unless a clean path between the two has been found in the meantime."""
        if self.streams.enough(now) or not self.routes:
            self.next_route = None
            return
        self._open(self.routes.pop(0), now)
        self.next_route = now + TCP_HEADSTART

    def _open(self, route: Route, now: float) -> None:
        if not self.streams.may(route.address[0], now):
            return
        link = self.actions.connect(self, route.address, route.secure, route.proxied)
        self.links[link] = _Connecting(route.address, now + TCP_LIMIT, route=route)
        self.streams.tried(route.address, now)

    # -- links ---------------------------------------------------------------------------------------------------

    def adopt(self, link: int, info: LinkInfo, frames: Sequence[bytes], deframer: LengthPrefixed, now: float) -> None:
        """A connection that the peer opened, and what it has said on it."""
        accepted = [other for other, connecting in self.links.items() if connecting.accepted]
        if len(accepted) >= MOST_ACCEPTED:
            oldest = min(accepted, key=lambda other: self.links[other].works)
            self.actions.close(oldest)
            self.link_down(oldest, "the peer has opened others since", now)
        self.actions.links[link] = self
        self.links[link] = _Connecting(info.peer, now, info, deframer, accepted=True)
        self.streams.up(link, info, now)
        for body in frames:
            self.streams.frame(link, body, now)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        if self._stop_opening(link):
            return  # whoever answers there is not the peer
        connecting = self.links.get(link)
        if connecting is not None:
            connecting.info = info
            self._close_others(link, connecting.route)
            for target in self.targets.values():
                if target.link == link:
                    target.due = float("inf")
            self.streams.up(link, info, now)

    def _close_others(self, link: int, route: Route | None) -> None:
        """Attempts at what another has led to meanwhile."""
        for other, attempt in list(self.links.items()):
            if route is not None and other != link and attempt.route == route and attempt.info is None:
                del self.links[other]
                self.actions.close(other)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        connecting = self.links.get(link)
        if connecting is None:
            return
        try:
            for body in connecting.deframer.feed(data):
                self.streams.frame(link, body, now)
        except ProtocolError as error:
            self.actions.cut_off(link, connecting.remote[0], error, now)
            self.link_down(link, str(error), now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if self.opening.pop(link, None) is not None:
            return
        self.links.pop(link, None)
        for target in self.targets.values():
            if target.link == link:  # refused; or up, while the peer was giving up the SYN that this one met
                on_time = target.until is not None and now < target.until
                target.link, target.due = None, now + REFUSED_PAUSE if on_time else float("inf")
        self.streams.lost(link, now)
