"""A client's leg at a relay: bind with the token, over UDP where the firewall allows it, else over TCP; stay bound.

Once bound, whatever is sent comes out of the other leg unchanged; what the bytes mean is no business of this file.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.ladder import Route
from lab.overlay.loss import ATTENTIVE, COUNTING, LegMeter
from lab.overlay.passage import Passage
from lab.overlay.paths import Transport
from lab.overlay.reflexive import MediaSocket
from lab.wire.addresses import Address
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import RelayOffer
from lab.wire.stun import Kind, Method, StunMessage, is_stun, peek_method

if TYPE_CHECKING:
    from lab.overlay.standby import Waiting

UDP_RETRIES = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between the tries of a UDP bind; after the last, this leg does without UDP until it is built again."""
OTHER_FAMILY_FROM = 2
"""Tries over the better family, 0.3 s, before the relay's other address is tried as well (RFC 8305, 5)."""
TCP_HEADSTART = 0.25
"""Seconds that UDP is given before TCP is tried beside it, and between two TCP ports (RFC 8305, 5)."""
REFRESH = 10.0
"""Seconds between binds that keep a session alive over TCP: it is not the router that forgets first, which takes hours
(RFC 5382, REQ-5), but the relay, after 30 s."""
LONGEST_REFRESH = 15.0
"""The same over UDP, where the router would let a mapping live longer: a relay forgets a session after 30 s, and a bind
may be lost."""
MISSED_REFRESHES = 3
SUSPICIOUS_BINDS, SUSPICIOUS_PAUSE = 4, 0.2
"""Binds, and seconds between them, that a leg under suspicion sends; before the last one an answer must have come."""
HURRIED = 2
"""Unanswered binds in a hurry after which the leg is built anew: over UDP and TCP at once."""
REBUILD = 0.5
"""Seconds before a leg that broke is built again."""
MEDIA_FRAME_LIMIT = 4096
"""Longest frame in bytes on a media connection; an RTP packet of voice has about 120."""


@dataclass
class _Tcp:
    route: Route
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(2, MEDIA_FRAME_LIMIT))


class RelayLeg:
    """One leg of one relay session, from the client's side; a Carrier once it is bound."""

    def __init__(
        self,
        actions: Actions,
        offer: RelayOffer,
        media: MediaSocket,
        rng: random.Random,
        received: Callable[["RelayLeg", bytes, float], None],
        passage: Passage,
    ) -> None:
        self.actions, self.offer, self.media, self.rng = actions, offer, media, rng
        self.received, self.passage = received, passage
        self.udp_addresses: tuple[Address, ...] = tuple((host, offer.udp_port) for host in offer.hosts)
        self.udp_address: Address = self.udp_addresses[0]
        self.reachable: list[str] = []
        self.routes: list[Route] = []
        self.udp_bound = False
        self.udp_tries = 0
        self.next_udp: float | None = None
        self.unanswered = 0
        self.next_tcp: float | None = None
        self.links: dict[int, _Tcp] = {}
        self.tcp_bound: int | None = None
        self.meter = LegMeter()
        self.last_udp = 0.0
        self.flowed, self.attentive_until = False, float("-inf")
        self.drowning = False
        self.suspicion = 0
        self.hurried = 0
        self.last_bound = Transport.TCP
        self.refused: str | None = None

    # -- as a carrier --------------------------------------------------------------------------------------------

    @property
    def transport(self) -> Transport:
        """What it is bound over; while it is not, what it was bound over last."""
        if self.ready:
            self.last_bound = Transport.UDP if self.udp_bound else Transport.TCP
        return self.last_bound

    @property
    def ready(self) -> bool:
        return self.udp_bound or self.tcp_bound is not None

    def send(self, data: bytes) -> None:
        if self.udp_bound:
            self.meter.sent += 1
            self.actions.send_to(self.media.socket, self.udp_address, data)
            if self.next_udp is not None and self.meter.flows and self._counts(self.last_udp + COUNTING):
                self.next_udp = min(self.next_udp, self.last_udp + COUNTING)
        elif self.tcp_bound is not None:
            self.actions.write(self.tcp_bound, frame(data, 2), media=True)

    # -- time ----------------------------------------------------------------------------------------------------

    def start(self, now: float, waiting: "Waiting | None" = None) -> None:
        """Begins to bind; a connection that was `waiting` at the relay is tried before any other over TCP."""
        lets_out = self.passage.lets_udp_out(self.media, now)
        hosts = self.media.own.reachable(self.offer.hosts)
        self.reachable = sorted(hosts, key=lambda host: not self.media.answered_over(host))  # stable: IPv6 first
        self.udp_tries = 0
        self.next_udp = now if self.reachable and not self.passage.throttled(now) else None
        self._list_tcp()
        self.next_tcp = now if lets_out is False and waiting is None else now + TCP_HEADSTART
        if waiting is not None:
            self.actions.links[waiting.link] = self
            self.links[waiting.link] = _Tcp(waiting.route, waiting.deframer)
            self.actions.write(waiting.link, frame(self._bind(), 2))
        self.poll(now)

    def relocated(self, now: float) -> None:
        """This end stands elsewhere: the relay has to hear it from there."""
        self._close_tcp(keep=None)
        self.udp_bound, self.unanswered, self.drowning, self.meter = False, 0, False, LegMeter()
        self.start(now)

    def rerouted(self, now: float) -> None:
        """The way to the relay may be another: makes sure that it still hears this end."""
        if self.ready:
            self.next_udp, self.next_tcp = (now, None) if self.udp_bound else (None, now)
            self.poll(now)
        else:
            self.start(now)

    def hurry(self, now: float) -> None:
        """The peer's voice has stopped: the relay may hear this end no longer, or from another outer address.

        What is asked here counts for no share of loss.
        """
        self.hurried += 1
        if self.ready and self.hurried > HURRIED:
            self.last_bound = self.transport
            self._close_tcp(keep=None)
            self.udp_bound, self.unanswered, self.hurried = False, 0, 0
            self.start(now)
        elif self.udp_bound:
            self.actions.send_to(self.media.socket, self.udp_address, self._bind())
        elif self.tcp_bound is not None:
            self.actions.write(self.tcp_bound, frame(self._bind(), 2))
        elif self.next_udp is None and not self.links:
            self.start(now)

    def _list_tcp(self) -> None:
        self.routes = self.passage.routes((host, port) for port in self.offer.tcp_ports for host in self.reachable)

    def stop(self) -> None:
        for link in self.links:
            self.actions.close(link)
        self.links.clear()
        self.next_udp = self.next_tcp = self.tcp_bound = None
        self.udp_bound = False

    def deadline(self) -> float | None:
        return None if self.refused else earliest(self.next_udp, self.next_tcp)

    def poll(self, now: float) -> None:
        if self.refused:
            return
        if self.next_udp is not None and now >= self.next_udp:
            self._try_udp(now)
        if self.next_tcp is not None and now >= self.next_tcp:
            self._try_tcp(now)

    @property
    def _refresh(self) -> float:
        """Seconds between two binds over UDP; the mapping at the router lives longer."""
        return min(self.media.keepalive(), LONGEST_REFRESH)

    def _bind(self, transaction: bytes = b"") -> bytes:
        identifier = transaction or self.rng.randbytes(12)
        return StunMessage(Method.BIND, Kind.REQUEST, identifier, token=self.offer.token).encode()

    def _try_udp(self, now: float) -> None:
        doubted = self.suspicion or self.drowning or self.meter.flows
        if self.udp_bound and self.unanswered >= MISSED_REFRESHES and not doubted:
            self.udp_bound, self.unanswered = False, 0
            self.start(now)
            return
        if self.udp_bound:
            self._refresh_udp(now)
            return
        # RFC 8305: the better family alone at first, then the other beside it; the first to answer is kept
        for host in self.reachable[: 1 if self.udp_tries < OTHER_FAMILY_FROM else None]:
            self.actions.send_to(self.media.socket, (host, self.offer.udp_port), self._bind())
        if self.udp_tries < len(UDP_RETRIES):
            self.next_udp = now + UDP_RETRIES[self.udp_tries]
            self.udp_tries += 1
        else:
            self.next_udp = None

    def _counts(self, now: float) -> bool:
        """Whether what it carries is to be counted closely: voice that has only begun to flow, or that is missed."""
        return self.meter.flows and (not self.flowed or now < self.attentive_until)

    def doubt(self, now: float) -> None:
        """Voice of this call is missed by either end: if it came this way, it may be this leg that loses it."""
        self.attentive_until = now + ATTENTIVE
        if self.udp_bound and self.next_udp is not None and self.meter.flows:
            self.next_udp = min(self.next_udp, max(now, self.last_udp + COUNTING))

    def suspect(self, now: float) -> None:
        """Voice drowns on another UDP path: if this leg's binds drown beside it, this end's network is to blame."""
        if self.udp_bound and not self.drowning:
            self.suspicion, self.next_udp = SUSPICIOUS_BINDS, now
            self.poll(now)

    def _refresh_udp(self, now: float) -> None:
        if self.suspicion == 1:
            self._leave_udp(now)
        transaction, flows = self.rng.randbytes(12), self.meter.flows
        if flows and not self.flowed:
            self.attentive_until = max(self.attentive_until, now + ATTENTIVE)
        self.flowed, counts = flows, self._counts(now)
        self.actions.send_to(self.media.socket, self.udp_address, self._bind(transaction))
        self.unanswered += 1
        self.last_udp = now
        self.next_udp = now + (COUNTING if counts else REFRESH / 10 if self.unanswered > 1 else self._refresh)
        if self.suspicion:
            self.suspicion -= 1
            self.next_udp = now + SUSPICIOUS_PAUSE if self.suspicion else now + COUNTING
        if self.meter.ask(transaction):
            self._leave_udp(now)

    def _leave_udp(self, now: float) -> None:
        """UDP to the relay loses voice: goes on over it until TCP is bound."""
        if not self.drowning:
            self.drowning = True
            self.passage.throttles(now)
            self._list_tcp()
            self.next_tcp = now

    def _try_tcp(self, now: float) -> None:
        if self.tcp_bound is not None:
            self.actions.write(self.tcp_bound, frame(self._bind(), 2))
            self.next_tcp = now + REFRESH
        elif (self.udp_bound and not self.drowning) or not self.routes:
            self.next_tcp = None
        else:
            route = self.routes.pop(0)
            link = self.actions.connect(self, route.address, route.secure, route.proxied)
            self.links[link] = _Tcp(route)
            self.next_tcp = now + TCP_HEADSTART

    # -- answers -------------------------------------------------------------------------------------------------

    def datagram(self, data: bytes, source: Address, now: float) -> None:
        """What came from one of the relay's UDP addresses."""
        if not _is_bind(data):
            self.meter.got += 1
            self.received(self, data, now)
            return
        if not self._accepted(data, now):
            return
        if self.drowning:
            return
        if self.udp_bound and source != self.udp_address:  # a late answer: the relay now sends there, call it back
            self.actions.send_to(self.media.socket, self.udp_address, self._bind())
        else:
            self.udp_address = source
            self.udp_bound, self.unanswered = True, 0
            # a bind over TCP may have overtaken this answer, and would leave the relay without a leg when it closes
            self.next_udp = now if self.links else now + (COUNTING if self._counts(now) else self._refresh)
            self._close_tcp(keep=None)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        self.actions.write(link, frame(self._bind(), 2))

    def link_data(self, link: int, data: bytes, now: float) -> None:
        tcp = self.links.get(link)
        if tcp is None:
            return
        try:
            for body in tcp.deframer.feed(data):
                if not _is_bind(body):
                    self.received(self, body, now)
                elif self._accepted(body, now) and self.tcp_bound is None and (self.drowning or not self.udp_bound):
                    self.udp_bound = False
                    if self.drowning:
                        self.next_udp = None
                    self.tcp_bound, self.next_tcp = link, now + REFRESH
                    self.passage.passed(tcp.route)
                    self._close_tcp(keep=link)
        except ProtocolError as error:
            self.actions.close(link)
            self.link_down(link, str(error), now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.links.pop(link, None)
        if link == self.tcp_bound:
            self._list_tcp()
            self.tcp_bound, self.next_tcp = None, now + REBUILD
        elif self.next_tcp is not None and self.tcp_bound is None:
            self.next_tcp = now

    def _close_tcp(self, keep: int | None) -> None:
        for link in [link for link in self.links if link != keep]:
            del self.links[link]
            self.actions.close(link)
        self.tcp_bound = keep
        if keep is None:
            self.next_tcp = None

    def _accepted(self, data: bytes, now: float) -> bool:
        try:
            message = StunMessage.parse(data)
        except ProtocolError:
            return False
        if message.kind is Kind.ERROR and message.error is not None:
            self.refused = f"{self.offer.relay} refused: {message.error[1]}"
        if message.kind is Kind.SUCCESS and self.hurried:
            self.hurried, self.meter = 0, LegMeter()  # what went missing meanwhile was no loss of a path that stands
        if self.udp_bound and message.kind is Kind.SUCCESS:
            self.suspicion = 0
        if self.meter.answer(message.transaction_id, message.counts, now):
            self._leave_udp(now)
        return message.kind is Kind.SUCCESS


def _is_bind(data: bytes) -> bool:
    """Whether bytes from the relay are its own words and not the peer's: by the method alone, without parsing."""
    return is_stun(data) and peek_method(data) == Method.BIND
