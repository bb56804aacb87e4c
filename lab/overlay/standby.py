"""Connections to relays that wait for a call, kept by a client that knows that its network lets no UDP out.

A call that takes one over binds in one round trip, whatever handshakes its firewall made necessary before. Belongs
here: asking for relays, connecting, staying. Never: calls; once taken, a connection is a leg's.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.ladder import Route
from lab.overlay.leg import MEDIA_FRAME_LIMIT
from lab.overlay.passage import Passage
from lab.overlay.whereabouts import Whereabouts
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import RelayOffer
from lab.wire.stun import Kind, Method, StunMessage

ASK_AGAIN = 5.0
"""Seconds between two questions for relays while a connection is lacking."""
REPLACE_AFTER = 1.0
"""Seconds after a connection was taken for a call before another is made for the next."""
MOST_WAITING = 4
"""Connections that are kept, whatever relays the hub names; an honest one names two."""
ATTEMPT_LIMIT = 2.0
"""Seconds that one way to a relay may take; there is no hurry before a call."""


@dataclass
class Waiting:
    """One connection to a relay, on its way or waiting there for a call."""

    link: int
    offer: RelayOffer
    route: Route
    expires: float
    others: list[Route]
    bound: bool = False
    asked: float = 0.0
    """When the relay was last written to."""
    left_alone: float = 0.0
    """Seconds, before the last bind, if that has not been answered."""
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(2, MEDIA_FRAME_LIMIT))


class Standby:
    """The connections of one client, one for each relay that its hub names; `ask` puts the question to the hub."""

    def __init__(
        self, actions: Actions, own: Whereabouts, passage: Passage, rng: random.Random, ask: Callable[[], object]
    ) -> None:
        self.actions, self.own, self.passage, self.rng, self.ask = actions, own, passage, rng, ask
        self.connections: dict[int, Waiting] = {}
        self.ask_at: float | None = None
        self.wanted = False

    def want(self, wanted: bool, now: float) -> None:
        """Whether relays can be reached over TCP alone, as far as is known."""
        if wanted and not self.wanted:
            self.ask_at = now
        elif self.wanted and not wanted:
            self.drop()
        self.wanted = wanted
        self.poll(now)

    def drop(self) -> None:
        """Gives up every connection: they are not wanted any more, or begin where the client is no longer."""
        for link in self.connections:
            self.actions.close(link)
        self.connections.clear()
        self.wanted, self.ask_at = False, None

    def offered(self, offers: Sequence[RelayOffer], now: float) -> None:
        """The hub's answer: where to wait, and with what token."""
        kept = {waiting.offer.relay for waiting in self.connections.values()}
        for offer in offers if self.wanted else ():
            hosts = self.own.reachable(offer.hosts)
            routes = self.passage.routes((host, port) for port in offer.tcp_ports for host in hosts)
            if offer.relay not in kept and routes and len(self.connections) < MOST_WAITING:
                kept.add(offer.relay)
                self._connect(offer, routes, now)

    def take(self, relay: str, now: float) -> Waiting | None:
        """The connection that waits at a relay, for a call; another one is made for the next call."""
        found = next((each for each in self.connections.values() if each.bound and each.offer.relay == relay), None)
        if found is not None:
            del self.connections[found.link]
            self.ask_at = now + REPLACE_AFTER
        return found

    # -- time and links ------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        return earliest(self.ask_at, *(waiting.expires for waiting in self.connections.values()))

    def poll(self, now: float) -> None:
        if self.ask_at is not None and now >= self.ask_at:
            self.ask_at = None if self.ask() else now + ASK_AGAIN
        for waiting in [waiting for waiting in self.connections.values() if now >= waiting.expires]:
            if waiting.bound and waiting.left_alone:
                self._next(waiting, now)
            elif waiting.bound:
                waiting.left_alone = now - waiting.asked
                self._bind(waiting, now)
            else:
                self._next(waiting, now)

    def _connect(self, offer: RelayOffer, routes: Sequence[Route], now: float) -> None:
        route, *others = routes
        link = self.actions.connect(self, route.address, route.secure, route.proxied)
        self.connections[link] = Waiting(link, offer, route, now + ATTEMPT_LIMIT, others)

    def _next(self, waiting: Waiting, now: float) -> None:
        """A way did not lead to the relay: the next one, or after a while all of them again."""
        if waiting.left_alone:
            self.passage.tcp_lifetime.broke(waiting.left_alone)
        del self.connections[waiting.link]
        self.actions.close(waiting.link)
        if waiting.others and not waiting.bound:
            self._connect(waiting.offer, waiting.others, now)
        else:
            self.ask_at = now + ASK_AGAIN

    def _bind(self, waiting: Waiting, now: float) -> None:
        request = StunMessage(Method.BIND, Kind.REQUEST, self.rng.randbytes(12), token=waiting.offer.token)
        self.actions.write(waiting.link, frame(request.encode(), 2))
        waiting.asked = now
        waiting.expires = now + (self.passage.tcp_lifetime.keepalive if waiting.bound else ATTEMPT_LIMIT)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        if (waiting := self.connections.get(link)) is not None:
            self._bind(waiting, now)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if (waiting := self.connections.get(link)) is None:
            return
        try:
            answers = [StunMessage.parse(body) for body in waiting.deframer.feed(data)]
        except ProtocolError as error:
            self.actions.cut_off(link, waiting.route.address[0], error, now)
            self._next(waiting, now)
            return
        for answer in answers:
            if answer.kind is not Kind.SUCCESS:
                self._next(waiting, now)
                return
            waiting.left_alone = 0.0
            if not waiting.bound:
                waiting.bound, waiting.expires = True, now + self.passage.tcp_lifetime.keepalive
                self.passage.passed(waiting.route)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if (waiting := self.connections.get(link)) is not None:
            self._next(waiting, now)
