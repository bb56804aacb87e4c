"""A client's leg at a relay: bind with the token, over UDP where the firewall allows it, else over TCP; stay bound, and
where that breaks try for as long as the call lives.

Once bound, whatever is sent comes out of the other leg unchanged; what the bytes mean is no business of this file.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.binds import Binds, is_bind
from lab.overlay.ladder import Route
from lab.overlay.loss import ATTENTIVE, COUNTING, LegMeter
from lab.overlay.parting import LEAVING_LIMIT
from lab.overlay.passage import Passage
from lab.overlay.paths import Transport
from lab.overlay.reflexive import MediaSocket
from lab.wire.addresses import Address
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import RelayOffer
from lab.wire.stun import Kind, is_stun

if TYPE_CHECKING:
    from lab.overlay.standby import Waiting

UDP_RETRIES = (0.1, 0.2, 0.4, 0.8)
"""Seconds between the first tries of a UDP bind."""
PRESSED, CALM = 0.5, 5.0
"""Seconds between all further tries, of a UDP bind and of a round of TCP: while the call has no other path that brings
the peer's voice, and while it has. A network may be down for as long as a call lives, and is used soon after."""
SOON, SELDOM = 1.0, 60.0
"""Seconds before a leg on TCP tries to return to UDP, where UDP works elsewhere; twice as long each time, for one that
goes wrong costs the leg a moment, and as soon as at first again once UDP has lasted for SELDOM."""
NOT_YET = 30.0
"""Seconds for which a leg on TCP stays there once the call has lost voice over UDP: whatever answers a bind may drop a
voice."""
PRESSED_FOR = 1.0
"""Seconds for which a word that the call is pressed holds; it is said more often."""
ATTEMPT_LIMIT = 3.0
"""Seconds in which a TCP connection has to come up and be bound: the kernel sends its SYN again after 1, 3, 7, 15 and
31 s, so the next attempt, with a SYN of its own, comes long before."""
OTHER_FAMILY_FROM = 2
"""Tries over the better family, 0.3 s, before the relay's other address is tried as well (RFC 8305, 5)."""
TCP_HEADSTART = 0.25
"""Seconds that UDP is given before TCP is tried beside it, and between two TCP ports (RFC 8305, 5)."""
LONGEST_REFRESH = 15.0
"""Seconds between binds over UDP, where the router would let a mapping live longer: a relay forgets a session after
30 s, and a bind may be lost. Over TCP see lifetime.py."""
SOON_AGAIN = 1.0
"""Seconds between binds over UDP while more than one has gone unanswered."""
MISSED_REFRESHES = 3
SUSPICIOUS_BINDS, SUSPICIOUS_PAUSE = 4, 0.2
"""Binds, and seconds between them, that a leg under suspicion sends; before the last one an answer must have come."""
HURRIED, ROUND_TRIPS = 2, 2
"""Unanswered binds in a hurry after which the leg is built anew, over UDP and TCP at once, if the first of them was
asked longer than ROUND_TRIPS ago."""
ASSENT = 0.1
"""Seconds between two words to a relay that its own, that it is about to end, has been heard."""
REBUILD = 0.5
"""Seconds before a leg that broke is built again."""
MEDIA_FRAME_LIMIT = 4096
"""Longest frame in bytes on a media connection; an RTP packet of voice has about 120."""


@dataclass
class _Tcp:
    """A connection to the relay; until it is bound it `expires`."""

    route: Route
    expires: float
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
        self.udp_bound, self.udp_tries, self.unanswered = False, 0, 0
        self.next_udp: float | None = None
        self.next_tcp: float | None = None
        self.links: dict[int, _Tcp] = {}
        self.tcp_bound: int | None = None
        self.meter = LegMeter()
        self.last_udp = 0.0
        self.used_tcp, self.left_alone, self.voiced = 0.0, 0.0, False
        self.flowed, self.attentive_until = False, float("-inf")
        self.drowning, self.suspicion, self.hurried = False, 0, 0
        self.hurried_since = self.pressed_until = float("-inf")
        self.returns_after, self.udp_since = SOON, 0.0
        self.last_bound = Transport.TCP
        self.assented = self.leaving_since = float("-inf")
        self.turned: Callable[[RelayLeg, float], object] = lambda leg, now: None
        """Called when the relay says that it is about to end, or is there to stay again."""
        self.binds = Binds(offer.token, rng)

    # -- as a carrier --------------------------------------------------------------------------------------------

    @property
    def transport(self) -> Transport:
        """What it is bound over; while it is not, what it was bound over last."""
        if self.ready:
            self.last_bound = Transport.UDP if self.udp_bound else Transport.TCP
        return self.last_bound

    @property
    def refused(self) -> str | None:
        """What the relay says against this leg's token; a fresh one may do better, or the relay knows it later."""
        return self.binds.refused

    @property
    def leaving(self) -> bool:
        """Whether the relay is about to end: it forwards for some seconds more."""
        return self.binds.leaving

    def over(self, now: float) -> bool:
        """Whether the relay has ended, by its own word, and not come back."""
        return self.leaving and now > self.leaving_since + LEAVING_LIMIT

    @property
    def ready(self) -> bool:
        return self.udp_bound or self.tcp_bound is not None

    def send(self, data: bytes) -> None:
        if self.udp_bound:
            self.meter.sent += 1
            self.meter.voice += not is_stun(data)
            self.actions.send_to(self.media.socket, self.udp_address, data)
            if self.next_udp is not None and self.meter.flows and self._counts(self.last_udp + COUNTING):
                self.next_udp = min(self.next_udp, self.last_udp + COUNTING)
        elif self.tcp_bound is not None:
            self.voiced = True
            self.actions.write(self.tcp_bound, frame(data, 2), media=True)

    def heard(self) -> None:
        """What came by it was the peer's voice."""
        self.meter.voice += self.udp_bound

    # -- time ----------------------------------------------------------------------------------------------------

    def start(self, now: float, waiting: "Waiting | None" = None) -> None:
        """Begins to bind; a connection that was `waiting` at the relay is tried before any other over TCP."""
        lets_out = self.passage.lets_udp_out(self.media, now)
        hosts = self.media.own.reachable(self.offer.hosts)
        self.reachable = sorted(hosts, key=lambda host: not self.media.answered_over(host))  # stable: IPv6 first
        self.udp_tries, self.hurried, narrow = 0, 0, self.passage.throttled(now)
        self.drowning = self.drowning and narrow
        self.next_udp = now if self.reachable and not narrow else None
        self._list_tcp()
        self.next_tcp = now if lets_out is False and waiting is None else now + TCP_HEADSTART
        if waiting is not None:
            self.actions.links[waiting.link] = self
            self.links[waiting.link] = _Tcp(waiting.route, now + ATTEMPT_LIMIT, waiting.deframer)
            self.actions.write(waiting.link, frame(self.binds.ask(now), 2))
        self.poll(now)

    def relocated(self, now: float) -> None:
        """This end stands elsewhere: the relay has to hear it from there."""
        self.drowning, self.returns_after = False, SOON
        self._rebuild(now)

    def rerouted(self, now: float) -> None:
        """The way to the relay may be another: makes sure that it still hears this end."""
        if self.ready:
            self.next_udp, self.next_tcp = (now, None) if self.udp_bound else (self.next_udp, now)
            self.poll(now)
        else:
            self.start(now)

    def hurry(self, now: float) -> None:
        """Nothing of the peer comes: the relay may hear this end no longer, or from another outer address.

        What is asked here counts for no share of loss.
        """
        self.pressed_until = now + PRESSED_FOR
        if not self.ready:
            self.next_udp = None if self.next_udp is None else min(self.next_udp, now + PRESSED)
            self.next_tcp = None if self.next_tcp is None else min(self.next_tcp, now + PRESSED)
            return
        self.hurried_since = self.hurried_since if self.hurried else now
        self.hurried += 1
        if self.hurried > HURRIED and now - self.hurried_since > ROUND_TRIPS * self.binds.rtt:
            self._rebuild(now)
        else:
            self._ask(now)

    def _ask(self, now: float) -> None:
        """A bind over what it is bound by, beside those that keep it bound."""
        if self.udp_bound:
            self.actions.send_to(self.media.socket, self.udp_address, self.binds.ask(now))
        elif self.tcp_bound is not None:
            self.actions.write(self.tcp_bound, frame(self.binds.ask(now), 2))

    def renewed(self, offer: RelayOffer, now: float) -> None:
        """A fresh token for the same relay, which may have forgotten the session that the one before had opened."""
        self.offer, self.binds.token, self.binds.refused = offer, offer.token, None
        self.udp_addresses = tuple((host, offer.udp_port) for host in offer.hosts)
        if not self.ready:
            self._rebuild(now)

    def _rebuild(self, now: float) -> None:
        """What it was bound by is no good any more."""
        self.last_bound = self.transport
        if self.udp_bound and now - self.udp_since > SELDOM:
            self.returns_after = SOON
        self._close_tcp(keep=None)
        self.udp_bound, self.unanswered, self.meter = False, 0, LegMeter()
        self.start(now)

    def _pause(self, now: float) -> float:
        return PRESSED if now < self.pressed_until else CALM

    def _list_tcp(self) -> None:
        self.routes = self.passage.routes((host, port) for port in self.offer.tcp_ports for host in self.reachable)

    def stop(self) -> None:
        self._close_tcp(keep=None)
        self.next_udp, self.udp_bound = None, False

    def deadline(self) -> float | None:
        pending = (tcp.expires for link, tcp in self.links.items() if link != self.tcp_bound)
        return earliest(self.next_udp, self.next_tcp, *pending)

    def poll(self, now: float) -> None:
        for link in [link for link, tcp in self.links.items() if link != self.tcp_bound and now >= tcp.expires]:
            del self.links[link]
            self.actions.close(link)
        if self.next_udp is not None and now >= self.next_udp:
            self._try_udp(now)
        if self.next_tcp is not None and now >= self.next_tcp:
            self._try_tcp(now)

    @property
    def _refresh(self) -> float:
        """Seconds between two binds over UDP; the mapping at the router lives longer."""
        return min(self.media.keepalive(), LONGEST_REFRESH)

    def _try_udp(self, now: float) -> None:
        doubted = self.suspicion or self.drowning or self.meter.flows
        if self.udp_bound and self.unanswered >= MISSED_REFRESHES and not doubted:
            self._rebuild(now)
            return
        if self.udp_bound:
            self._refresh_udp(now)
            return
        if self.tcp_bound is not None:
            # a bind over UDP moves the leg at once: only where supernodes say that UDP comes back
            self.next_udp = now + self.returns_after
            if not self.passage.lets_udp_out(self.media, now):
                return
            self.returns_after = min(2 * self.returns_after, SELDOM)
        # RFC 8305: the better family alone at first, then the other beside it; the first to answer is kept
        for host in self.reachable[: 1 if self.udp_tries < OTHER_FAMILY_FROM else None]:
            self.actions.send_to(self.media.socket, (host, self.offer.udp_port), self.binds.ask(now))
        if self.tcp_bound is None:
            early = self.udp_tries < len(UDP_RETRIES)
            self.next_udp = now + (UDP_RETRIES[self.udp_tries] if early else self._pause(now))
            self.udp_tries += 1

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
        elif self.tcp_bound is not None and self.next_udp is not None:
            self.next_udp = max(self.next_udp, now + NOT_YET)

    def _refresh_udp(self, now: float) -> None:
        if self.suspicion == 1:
            self._leave_udp(now)
        transaction, flows = self.rng.randbytes(12), self.meter.flows
        if flows and not self.flowed:
            self.attentive_until = max(self.attentive_until, now + ATTENTIVE)
        self.flowed, counts = flows, self._counts(now)
        self.actions.send_to(self.media.socket, self.udp_address, self.binds.ask(now, transaction))
        self.unanswered += 1
        self.last_udp = now
        self.next_udp = now + (COUNTING if counts else SOON_AGAIN if self.unanswered > 1 else self._refresh)
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
        """Keeps a connection alive, or begins with the next; after the last way to the relay with the first again."""
        if self.tcp_bound is not None:
            if self.unanswered:
                self._found_broken()
                self._rebuild(now)
                return
            self.unanswered += 1
            self.left_alone, self.used_tcp, self.voiced = 0.0 if self.voiced else now - self.used_tcp, now, False
            self.actions.write(self.tcp_bound, frame(self.binds.ask(now), 2))
            self.next_tcp = now + self.passage.tcp_lifetime.keepalive
        elif self.udp_bound and not self.drowning:
            self.next_tcp = None
        elif not self.routes:
            self._list_tcp()
            self.next_tcp = now + self._pause(now) if self.routes else None
        else:
            route = self.routes.pop(0)
            link = self.actions.connect(self, route.address, route.secure, route.proxied)
            self.links[link] = _Tcp(route, now + ATTEMPT_LIMIT)
            self.next_tcp = now + TCP_HEADSTART

    def _found_broken(self) -> None:
        """The connection did not outlive the rest that the last bind over it has ended."""
        if self.unanswered:
            self.passage.tcp_lifetime.broke(self.left_alone)

    # -- answers -------------------------------------------------------------------------------------------------

    def datagram(self, data: bytes, source: Address, now: float) -> None:
        """What came from one of the relay's UDP addresses."""
        if not is_bind(data):
            self.meter.got += 1
            self.received(self, data, now)
            return
        said = self._said(data, now)
        if said is Kind.ERROR and self.udp_bound and source == self.udp_address:
            self._rebuild_later(now)
        if said is not Kind.SUCCESS or self.drowning:
            return
        if self.udp_bound and source != self.udp_address:  # a late answer: the relay now sends there, call it back
            self.actions.send_to(self.media.socket, self.udp_address, self.binds.ask(now))
        else:
            self.udp_since = self.udp_since if self.udp_bound else now
            self.udp_address, self.udp_bound, self.unanswered = source, True, 0
            # a bind over TCP may have overtaken this answer, and would leave the relay without a leg when it closes
            self.next_udp = now if self.links else now + (COUNTING if self._counts(now) else self._refresh)
            self._close_tcp(keep=None)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        self.actions.write(link, frame(self.binds.ask(now), 2))

    def link_data(self, link: int, data: bytes, now: float) -> None:
        tcp = self.links.get(link)
        if tcp is None:
            return
        try:
            for body in tcp.deframer.feed(data):
                if not is_bind(body):
                    self.voiced = True
                    self.received(self, body, now)
                    continue
                said = self._said(body, now)
                if said is Kind.ERROR:
                    self._refused_by(link, now)
                    return
                if said is Kind.SUCCESS and self.tcp_bound is None and (self.drowning or not self.udp_bound):
                    self.udp_bound, self.unanswered = False, 0
                    self.next_udp = None if self.drowning or self.next_udp is None else now + self.returns_after
                    self.tcp_bound, self.next_tcp = link, now + self.passage.tcp_lifetime.keepalive
                    self.used_tcp, self.voiced = now, False
                    self.passage.passed(tcp.route)
                    self._close_tcp(keep=link)
        except ProtocolError as error:
            self.actions.cut_off(link, tcp.route.address[0], error, now)
            self.link_down(link, str(error), now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.links.pop(link, None)
        if link == self.tcp_bound:
            self._found_broken()
            self._list_tcp()
            self.tcp_bound, self.next_tcp = None, now + REBUILD
            self.next_udp = None if self.next_udp is None else now + REBUILD
        elif self.routes and self.next_tcp is not None and self.tcp_bound is None:
            self.next_tcp = now  # a clear no: the next way need not wait its turn; a whole round has to

    def _refused_by(self, link: int, now: float) -> None:
        """The relay does not know the token, or not yet: every other way would lead to the same answer."""
        del self.links[link]
        self.actions.close(link)
        if link == self.tcp_bound:
            self._rebuild_later(now)
        elif not self.udp_bound:
            self.routes, self.next_tcp = [], now + self._pause(now)

    def _rebuild_later(self, now: float) -> None:
        self._rebuild(now)
        pause = now + self._pause(now)
        self.next_udp, self.next_tcp = None if self.next_udp is None else pause, pause

    def _close_tcp(self, keep: int | None) -> None:
        for link in [link for link in self.links if link != keep]:
            del self.links[link]
            self.actions.close(link)
        self.tcp_bound = keep
        if keep is None:
            self.next_tcp = None

    def _said(self, data: bytes, now: float) -> Kind | None:
        """Whether the relay has agreed to a bind, or refused it; None for what answers nothing that was asked."""
        message = self.binds.answer(data, now)
        if message is None:
            return None
        if message.kind is Kind.INDICATION:
            if message.leaving and now >= self.assented + ASSENT:
                self.assented = now
                self._goes(True, now)
                self._ask(now)
            return None
        if message.kind is not Kind.SUCCESS:
            return message.kind
        if self.hurried:
            self.hurried, self.meter = 0, LegMeter()  # what went missing meanwhile was no loss of a path that stands
        if self.tcp_bound is not None:
            self.unanswered = 0
        if self.udp_bound:
            self.suspicion = 0
        if self.meter.answer(message.transaction_id, message.counts, now):
            self._leave_udp(now)
        self._goes(message.leaving, now)
        return message.kind

    def _goes(self, leaving: bool, now: float) -> None:
        if leaving is not self.binds.leaving:
            self.binds.leaving, self.leaving_since = leaving, now
            self.turned(self, now)
