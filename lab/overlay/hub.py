"""A node's link to its hub: climb the ladder of addresses until one lets it in, keep it alive, come back if it breaks.

The same part serves a client (one hub out of several), a relay and a supernode's mesh (one hub each). What is said over
the link is the owner's business.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, Event, LinkInfo, earliest
from lab.overlay.host_cache import HostCache, Machine
from lab.overlay.identity import CLOCK_TOLERANCE, Identity, check_credential
from lab.overlay.ladder import Route, rungs
from lab.overlay.sealing import SealingKeys
from lab.overlay.short_stays import BACKOFF_FIRST, BACKOFF_MOST, ShortStays
from lab.overlay.wallclock import WallClock
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import (
    FRAME_LIMIT,
    Challenge,
    Credential,
    Demoted,
    Full,
    Hello,
    HubMessage,
    Message,
    Move,
    Ping,
    Pong,
    Refused,
    Renewed,
    Supernodes,
    Wait,
    Welcome,
    decode_hub,
    encode,
)

STAGGER = 0.3
"""Seconds before the next rung is tried beside one that has not answered (RFC 8305, 5: 250 ms is recommended)."""
SILENT = 6
"""Attempts under way, two machines' worth, of which none is answered and none was in this climb, from which on several
are made at a time: of the two hundred that a node knew weeks ago, all but a few may be dead."""
SIDE_BY_SIDE = 8
"""Machines that are tried at a time then."""
MOST_SILENT = 64
"""Attempts that may be under way then: RFC 8305, 5, has nobody flood a network that answers nothing."""
ATTEMPT_LIMIT = 5.0
"""Seconds that one attempt may take: a firewall that drops in silence never says no."""
HEARTBEAT = Ping().within
"""Seconds between pings: 1, as one that says nothing of it means. It has to be that very object, for msgspec leaves out
only what is the default itself, and 16 bytes in every ping of every client are half of it."""
SILENCE = 2.5
"""Heartbeats without a word after which the hub counts as dead: a silent death is noticed within 3 s."""
PROBE_LIMIT = 0.5
"""Seconds that a hub has to answer after the network has changed, or two round trips where that is longer."""
HASTY_LIMIT = 1.5
"""Seconds for an attempt to come up where a call waits for the hub: the kernel's second SYN, and then a fresh one."""
MOST_MORE = 8
"""Hubs that a node takes over at a time from a supernode of the same program."""
MOST_WAITS = 3
"""Hubs at which a client waits to be let in, at a time."""


@dataclass(frozen=True, slots=True)
class HostsLearnt(Event):
    """The supernodes beside the built-in ones that the node knows by now; it keeps them for its next start."""

    machines: tuple[Machine, ...]


class HubListener(Protocol):
    """What the owner of a hub link is told."""

    def signed_in(self, hub: "HubLink", now: float) -> None: ...
    def signed_out(self, hub: "HubLink", reason: str, now: float) -> None: ...
    def hub_message(self, hub: "HubLink", message: HubMessage, now: float) -> None: ...
    def asked_waiting(self, hub: "HubLink", link: int, message: HubMessage, now: float) -> None:
        """A hub at which the node waits, or that does not let it in for what it has measured, says something; an answer
        goes to that link."""

    def expired(self, hub: "HubLink", now: float) -> None:
        """The node's credential does not hold any more, by its own clock or by a hub's word: it has to enrol."""


@dataclass
class Attempt:
    """One rung that is being tried: a link on its way to a Welcome. `waiting`: the hub has told it to wait; `shown` is
    the credential that it has been shown."""

    route: Route
    expires: float
    local: str = ""
    deframer: LengthPrefixed = field(default_factory=lambda: LengthPrefixed(4, FRAME_LIMIT))
    peer_key: bytes = b""
    hub_name: str = ""
    hub_key: bytes = b""
    nonce: bytes | None = None
    greeted: bool = False
    shown: Credential | None = None
    waiting: bool = False
    ahead: int = 0
    """How many waited before this one when the hub last said so."""
    next_ping: float = 0.0


@dataclass
class Greeting:
    """What the node says of itself when it signs in. A client has `sealing` keys, and others have none."""

    role: str
    udp_port: int | None = None
    tcp_ports: tuple[int, ...] = ()
    beside: bool = False
    sealing: SealingKeys | None = None


class HubLink:
    """Keeps one signed-in link to one of `hubs`, each tried on each of `ports` at each of its addresses, then through
    the site's proxy. Who comes back begins with what worked before. A client learns of more hubs from those that let
    it in, or that turn it away because they are full; it waits where it is told to, and tries others meanwhile. A hub
    that asks it to move keeps it until it has.

    `wall` is the host's clock, for the expiry of credentials; `stays` is what is known of the hubs from links before.
    """

    def __init__(
        self,
        actions: Actions,
        listener: HubListener,
        identity: Identity,
        authority: bytes,
        greeting: Greeting,
        hubs: HostCache,
        own: Whereabouts,
        ports: Sequence[int],
        rng: random.Random,
        wall: WallClock,
        stays: ShortStays | None = None,
    ) -> None:
        self.actions, self.listener, self.identity, self.authority = actions, listener, identity, authority
        self.greeting, self.hubs, self.own, self.ports, self.rng = greeting, hubs, own, tuple(ports), rng
        self.wall = wall
        self.attempts: dict[int, Attempt] = {}
        self.rungs: list[Route] = []
        self.listed: set[str] = set()
        self.worked: tuple[int, bool] | None = None
        self.next_rung: float | None = None
        self.retry_at: float | None = None
        self.backoff = BACKOFF_FIRST
        self.longest_pause = BACKOFF_MOST
        """Seconds between two climbs at the most, while no hub answers; who does, and refuses, is left alone longer."""
        self.hasty = False
        self.held = False
        """Whether it climbs only once the node has enrolled anew."""
        self.heartbeat = HEARTBEAT
        self.patience = SILENCE * HEARTBEAT
        """Seconds without a word after which the hub that it sits at counts as dead."""
        self.more: Callable[[], Sequence[Machine]] = tuple
        """Hubs that the same program knows of as a supernode beside, itself among them; asked when a climb begins."""
        self.not_before: dict[Machine, float] = {}
        self.stays = stays or ShortStays(rng)
        self.last_at = 0.0
        self.greeted = False
        """Whether a hub has greeted the node in this climb."""
        self.link: int | None = None
        self.at: Attempt | None = None
        self.since = 0.0
        """When the hub has let the node in."""
        self.asked_to_move = False
        """Whether the hub has asked it to go elsewhere since."""
        self.observed: Address | None = None
        self.named: Sequence[Machine] = ()
        """Other hubs that it named as it let the node in."""
        self.last_hub = ""
        self.load = 0
        self.room: int | None = None
        self.last_heard = self.next_ping = 0.0
        self.pinged_at: float | None = None
        self.probe_by: float | None = None
        self.rtt: float | None = None
        self.last_refusal = ""

    @property
    def hub(self) -> str | None:
        """The name of the hub that has let the node in, or None while it is away."""
        return self.at.hub_name if self.at else None

    @property
    def hub_key(self) -> bytes:
        """The hub's public key; empty while away."""
        return self.at.hub_key if self.at else b""

    @property
    def route(self) -> Route | None:
        """The rung that let the node in: port 443, or a proxy, tells of a firewall that allows little else."""
        return self.at.route if self.at else None

    @property
    def waits_at(self) -> list[str]:
        """The hubs that have told the node to wait."""
        return [attempt.hub_name for attempt in self.attempts.values() if attempt.waiting]

    def start(self, now: float) -> None:
        """Begins to climb the ladder from its first rung, but for the hubs where it waits already, and those that are
        full and have asked it to come back later, or rest. Who has no credential that holds enrols first."""
        self.rungs.clear()
        if self.held or not self._holds(now):
            self.held, self.next_rung, self.retry_at = True, None, None
            self.last_refusal = "its credential has expired and the authority has not given it another yet"
            self.listener.expired(self, now)
            return
        more = list(self.more())
        itself = [machine for machine in more if set(machine) & set(self.own.addresses)]
        others = [machine for machine in more if machine not in itself]
        self._learn(self.rng.sample(others, min(MOST_MORE, len(others))))
        self.not_before = {machine: then for machine, then in self.not_before.items() if then > now}
        self.listed = {host for attempt in self.attempts.values() for host in self._machine(attempt)}
        for machine in self.hubs.machines():
            if machine not in self.not_before:
                self._list_anew(machine)
        for machine in itself:  # the last one left: its user is away no more than its clients are
            self._list_anew(machine)
        self.next_rung, self.retry_at, self.greeted = now, None, False
        if not self.rungs:
            self._come_back(now)
        self.poll(now)

    def _holds(self, now: float) -> bool:
        credential = self.identity.credential
        return credential is not None and credential.expires >= now + self.wall.offset

    def renewed(self, now: float) -> None:
        """The node has a fresh credential: the hubs that it is signed in at, or waits at, are shown it."""
        for link, attempt in self.attempts.items():
            if attempt.waiting:
                self._show_fresh(link, attempt, now)
        if self.link is not None and self.at is not None:
            self._show_fresh(self.link, self.at, now)
        if self.held:
            self.held = False
            self.start(now)

    def _show_fresh(self, link: int, attempt: Attempt, now: float) -> None:
        """Shows a hub that knows an older credential the one of now."""
        credential = self.identity.credential
        if credential is None or credential is attempt.shown:
            return
        attempt.shown = credential
        fresh, keys = Renewed(credential), self.greeting.sealing
        if keys is not None:
            at, sealing = self._since(now), keys.to_sign_in(now)
            fresh = Renewed(credential, at, self.identity.locate(attempt.hub_name, at, sealing), sealing)
            if link == self.link:
                keys.signed_in(now)
        self.actions.write(link, frame(encode(fresh), 4))

    def _since(self, now: float) -> float:
        """The wall clock, later than any time that was signed before and that others believe."""
        wall = now + self.wall.offset
        if self.last_at > wall + CLOCK_TOLERANCE:
            self.last_at = 0.0  # the clock has been put right: nobody believes a time that is so far ahead
        self.last_at = max(wall, self.last_at + 0.001)
        return self.last_at

    def _machine(self, attempt: Attempt) -> Machine:
        return self.hubs.machine_at(attempt.route.address[0])

    def _likelihood(self, route: Route) -> tuple[bool, bool, int]:
        """Which rung of its machine's ladder it is."""
        place = 0 if route.proxied else self.ports.index(route.address[1])
        return _kind(route) != self.worked, route.proxied, place

    def _ladder(self, machine: Machine) -> list[Route]:
        return sorted(rungs(machine, self.ports, self.own), key=lambda route: _kind(route) != self.worked)  # stable

    def relocated(self, now: float) -> None:
        """The node's addresses or routes have changed: signs in anew at once, or makes sure that the link holds."""
        self.backoff, self.worked = BACKOFF_FIRST, None
        self.not_before.clear()
        self.stays.forget()
        if self.at is None:
            for link in self.attempts:
                self.actions.close(link)
            self.attempts.clear()
            self.start(now)
        elif self.at.local not in self.own.addresses:
            self._lost(f"this node's address {self.at.local} is gone", now, at_fault=False)
            self.start(now)
        else:
            self.probe_by = now + max(PROBE_LIMIT, 2 * (self.rtt or 0.0))
            self._ping(now)

    def renew(self, now: float) -> None:
        """Begins the link anew; nothing happens where there is none, for one is under way."""
        if self.at is not None:
            self._lost("a new connection is wanted", now, at_fault=False)
            self.start(now)

    def is_dead(self, reason: str, now: float) -> None:
        """Others have found out that the hub has died: the link ends."""
        if self.at is not None:
            self._lost(reason, now)

    def send(self, message: Message) -> bool:
        """Says something to the hub; False while the node is away."""
        if self.link is None:
            return False
        self.actions.write(self.link, frame(encode(message), 4))
        return True

    def stop(self) -> None:
        """Leaves without a word to the listener."""
        for link in [*self.attempts, *([self.link] if self.link is not None else [])]:
            self.actions.close(link)
        self.attempts.clear()
        self.link = self.at = self.next_rung = self.retry_at = None
        self.held = False

    # -- time ----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        kept = None
        if self.link is not None:
            kept = earliest(self.next_ping, self.last_heard + self.patience, self.probe_by)
        if not self.attempts and self.retry_at is None and not self.rungs:
            return kept
        expiries = (attempt.expires for attempt in self.attempts.values())
        pings = (attempt.next_ping for attempt in self.attempts.values() if attempt.waiting)
        rung = self.next_rung if self._may_climb() else None
        return earliest(kept, rung, self.retry_at, self.stays.deadline(), *expiries, *pings)

    def _may_climb(self) -> bool:
        return bool(self.rungs) and len(self.waits_at) < MOST_WAITS

    def poll(self, now: float) -> None:
        if self.link is not None:
            self._keep(now)
        for link, attempt in list(self.attempts.items()):
            if now >= attempt.expires:
                self._give_up(link, "no answer", now)
            elif attempt.waiting and now >= attempt.next_ping:
                attempt.next_ping = now + self.heartbeat
                self.actions.write(link, frame(encode(Ping()), 4))
        self._list_the_rested(now)
        if self.retry_at is not None and now >= self.retry_at:
            self.start(now)
        if self.next_rung is not None and now >= self.next_rung and self._may_climb():
            for route in self._next_rungs():
                link = self.actions.connect(self, route.address, route.secure, route.proxied, hub=True)
                self.attempts[link] = Attempt(route, now + (HASTY_LIMIT if self.hasty else ATTEMPT_LIMIT))
            self.next_rung = now + STAGGER

    def _next_rungs(self) -> list[Route]:
        """The next one; where nobody has answered so far, the first one to each of several machines. Who answers is not
        asked for more by that: the node says hello to one hub at a time."""
        under_way = self.attempts.values()
        many = 1
        if not self.greeted and len(under_way) >= SILENT and not any(attempt.local for attempt in under_way):
            many = max(0, min(SIDE_BY_SIDE, MOST_SILENT - len(under_way)))
            self.rungs.sort(key=self._likelihood)  # stable
        taken, self.rungs = self.rungs[:many], self.rungs[many:]
        return taken

    def _list_the_rested(self, now: float) -> None:
        """Who has been left alone for long enough has its turn in a climb that is under way."""
        rested = self.stays.rested(now)
        if self.link is not None or self.retry_at is not None or not (self.rungs or self.attempts):
            return
        for machine in rested:
            self._list_anew(machine)
            self.next_rung = earliest(self.next_rung, now)

    def _keep(self, now: float) -> None:
        """The heartbeat of the link that is up."""
        if now >= self.last_heard + self.patience:
            self._lost(f"nothing heard for {self.patience:g} s", now)
        elif self.probe_by is not None and now >= self.probe_by:
            self._lost("no answer after the network changed", now, at_fault=False)
            self.start(now)
        elif now >= self.next_ping:
            self._ping(now)

    # -- links ---------------------------------------------------------------------------------------------------

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        if (attempt := self.attempts.get(link)) is not None:
            attempt.peer_key, attempt.local = info.peer_key or b"", info.local[0]
            attempt.expires = max(attempt.expires, now + ATTEMPT_LIMIT)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if link == self.link:
            self._lost(reason, now)
        else:
            self._give_up(link, reason, now)

    def link_data(self, link: int, data: bytes, now: float) -> None:
        attempt = self.at if link == self.link else self.attempts.get(link)
        if attempt is None:
            return
        try:
            for body in attempt.deframer.feed(data):
                message = decode_hub(body)
                if link != self.link and link not in self.attempts:
                    return  # given up at the word before
                if link == self.link:
                    self._heard(message, now)
                else:
                    self._greet(link, attempt, message, now)
        except ProtocolError as error:
            self.actions.cut_off(link, attempt.route.address[0], error, now)
            self.link_down(link, str(error), now)

    # -- inside --------------------------------------------------------------------------------------------------

    def _greet(self, link: int, attempt: Attempt, message: HubMessage, now: float) -> None:
        if isinstance(message, Challenge) and not attempt.hub_name:
            check_credential(message.credential, self.authority, now + self.wall.offset)
            if message.credential.key != attempt.peer_key:
                raise ProtocolError(f"{message.credential.name} shows a credential that is not its TLS key's")
            attempt.hub_name, attempt.hub_key = message.credential.name, message.credential.key
            attempt.nonce, self.greeted = message.nonce, True
            self._say_hello(now)
        elif isinstance(message, Welcome) and attempt.greeted:
            self._let_in(link, attempt, message, now)
        elif isinstance(message, Wait) and attempt.greeted and self.link is None:
            self._waits(attempt, message, now)
        elif isinstance(message, Pong) and attempt.waiting:
            attempt.expires = now + SILENCE * self.heartbeat
        elif isinstance(message, Wait | Full) and attempt.greeted:
            self._turn_away(link, attempt, message, now)
        elif isinstance(message, Demoted) or (attempt.waiting and not isinstance(message, Refused)):
            self.listener.asked_waiting(self, link, message, now)
        elif isinstance(message, Refused):
            self.last_refusal = message.reason
            self._give_up(link, message.reason, now)
            if message.expired:
                self.listener.expired(self, now)
        else:
            raise ProtocolError(f"a hub greeted with {type(message).__name__} out of turn")

    def _waits(self, attempt: Attempt, message: Wait, now: float) -> None:
        """Stays, and tries where else there may be room."""
        if not attempt.waiting:
            attempt.waiting, attempt.next_ping = True, now + self.heartbeat
            self.last_refusal = f"waits at {attempt.hub_name}"
            self._leave_alone(self._machine(attempt), attempt)
        attempt.expires, attempt.ahead = now + SILENCE * self.heartbeat, message.ahead
        self._go_first(message.others)
        if self.rungs and not self._may_climb():
            self._leave_a_line(attempt)  # somewhere there is room, and too many lines to stand in
        self._say_hello(now)
        if self.rungs:
            self.next_rung = now if self.next_rung is None else min(self.next_rung, now)
        elif self.retry_at is None:
            self._come_back(now)

    def _leave_a_line(self, but: Attempt) -> None:
        """The one in which most wait before this one."""
        lines = [link for link, other in self.attempts.items() if other.waiting and other is not but]
        link = max(lines, key=lambda link: self.attempts[link].ahead)
        self.actions.close(link)
        del self.attempts[link]

    def _leave_alone(self, machine: Machine, attempt: Attempt) -> None:
        """One line to stand in is enough at one machine."""
        self.rungs = [route for route in self.rungs if route.address[0] not in machine]
        for link, other in list(self.attempts.items()):
            if other is not attempt and other.route.address[0] in machine:
                del self.attempts[link]
                self.actions.close(link)

    def _turn_away(self, link: int, attempt: Attempt, message: Full | Wait, now: float) -> None:
        """Goes first where the full hub says that there may be room; in one climb, each machine has one turn."""
        full = self._machine(attempt)
        if self.link is None:
            self._go_first(message.others)
        self.rungs = [route for route in self.rungs if route.address[0] not in full]
        if isinstance(message, Full) and message.after:
            self.not_before[full] = now + message.after
        self.last_refusal = f"{attempt.hub_name} is full"
        self._give_up(link, self.last_refusal, now)

    def _go_first(self, machines: Sequence[Machine]) -> None:
        """Puts machines that another hub has named at the beginning of the climb, in its order."""
        self._learn(machines)
        named = {host: place for place, machine in enumerate(machines) for host in machine}
        for machine in self.hubs.machines():
            if not named.keys().isdisjoint(machine):
                self._list_anew(machine)
        self.rungs.sort(key=lambda route: named.get(route.address[0], len(named)))  # stable

    def _move(self, machines: Sequence[Machine], now: float) -> None:
        """Tries other hubs, and leaves this one for the first that lets the node in."""
        assert self.at is not None
        if self.attempts:
            return
        self.rungs.clear()
        self.listed = set(self._machine(self.at))
        self._go_first(machines)
        self.next_rung = now if self.rungs else None

    def _list_anew(self, machine: Machine) -> None:
        """One more to try, unless it has had its turn in this climb, or rests."""
        if not self.listed.intersection(machine) and not self.stays.rests(machine):
            self.listed.update(machine)
            self.rungs += self._ladder(machine)

    def _learn(self, machines: Sequence[Machine]) -> None:
        if self.greeting.role == "client" and self.hubs.learn(machines, self.own.addresses):
            self.actions.emit(HostsLearnt(tuple(self.hubs.learnt)))

    def _say_hello(self, now: float) -> None:
        """To one hub at a time, but for those where it waits: who signs in twice is thrown out of one place, perhaps of
        the one that it keeps."""
        if any(attempt.greeted and not attempt.waiting for attempt in self.attempts.values()):
            return
        waiting = ((link, attempt) for link, attempt in self.attempts.items() if attempt.nonce and not attempt.greeted)
        for link, attempt in itertools.islice(waiting, 1):
            assert attempt.nonce is not None
            attempt.greeted = True
            credential = self.identity.credential
            assert credential is not None, "a node enrols before it signs in"
            attempt.shown = credential
            signature = self.identity.sign("lab hello", attempt.nonce, attempt.hub_key)
            greeting, keys = self.greeting, self.greeting.sealing
            sealing = keys.to_sign_in(now) if keys is not None else None
            at = self._since(now)
            hello = Hello(
                greeting.role,  # type: ignore[arg-type]
                credential,
                signature,
                greeting.udp_port,
                greeting.tcp_ports,
                self.own.addresses if sealing is None else (),
                at,
                self.identity.locate(attempt.hub_name, at, sealing) if sealing is not None else None,
                greeting.beside,
                sealing,
            )
            self.actions.write(link, frame(encode(hello), 4))

    def _let_in(self, link: int, attempt: Attempt, message: Welcome, now: float) -> None:
        del self.attempts[link]
        for other in (*self.attempts, *((self.link,) if self.link is not None else ())):
            self.actions.close(other)
        self.attempts.clear()
        self.rungs, self.next_rung, self.retry_at = [], None, None
        self.link, self.at, self.observed, self.worked = link, attempt, message.observed, _kind(attempt.route)
        self.backoff, self.last_refusal, self.last_hub = BACKOFF_FIRST, "", attempt.hub_name
        self.since, self.asked_to_move, self.named = now, False, message.others
        self.last_heard = now
        self.next_ping = now + (self.heartbeat if self.heartbeat == HEARTBEAT else 0.0)  # else the hub knows no other
        self.pinged_at = self.probe_by = self.rtt = None
        self.hubs.let_in(attempt.route.address[0])
        if self.greeting.sealing is not None:
            self.greeting.sealing.signed_in(now)
        self._learn(message.others)
        self._show_fresh(link, attempt, now)
        self.listener.signed_in(self, now)

    def _heard(self, message: HubMessage, now: float) -> None:
        self.last_heard, self.probe_by = now, None
        if isinstance(message, Refused):
            if message.expired:
                self.listener.expired(self, now)
            self._lost(f"the hub closed the door: {message.reason}", now)
            return
        if isinstance(message, Pong) and self.pinged_at is not None:
            self.rtt, self.pinged_at = now - self.pinged_at, None
        if isinstance(message, Move):
            self.asked_to_move = True
            self._move(message.others, now)
        elif isinstance(message, Supernodes) and self.greeting.role == "client":
            self._learn(message.machines)
        elif not isinstance(message, Pong):
            self.listener.hub_message(self, message, now)

    def _give_up(self, link: int, reason: str, now: float) -> None:
        self.actions.close(link)
        if self.attempts.pop(link, None) is None:
            return
        self._say_hello(now)
        if self.rungs:
            self.next_rung = now  # a clear no: the next rung need not wait its turn
        elif self.link is None and all(attempt.waiting for attempt in self.attempts.values()):
            self._come_back(now)

    def _come_back(self, now: float) -> None:
        """No rung has let the node in: the ladder again, after a while, or when a full hub has asked it to. Where all
        are full, or rest, their times say when; one that is full keeps nobody from another that may be back sooner."""
        longest = BACKOFF_MOST if self.greeted else self.longest_pause
        self.next_rung, pause = None, min(self.backoff, longest) * self.rng.uniform(0.5, 1.0)
        self.backoff = min(self.backoff * 2, longest)
        left_alone = self.stays.ends() | self.not_before
        asked = min(left_alone.values(), default=None)
        full = all(machine in left_alone for machine in self.hubs.machines())
        self.retry_at = max(now, asked) if full and asked is not None else earliest(now + pause, asked)

    def hurry(self, hasty: bool, now: float) -> None:
        """Whether a call has nothing left to talk over and waits for this link: then it climbs without pauses."""
        if hasty and not self.hasty and self.link is None:
            self.retry_at = None if self.retry_at is None else min(self.retry_at, now + BACKOFF_FIRST)
            self.stays.hurry(now)
            for attempt in self.attempts.values():
                attempt.expires = min(attempt.expires, now + HASTY_LIMIT)
        self.hasty = hasty
        if hasty:
            self.backoff = BACKOFF_FIRST

    def _ping(self, now: float) -> None:
        self.next_ping, self.pinged_at = now + self.heartbeat, now
        self.send(Ping(self.load, self.heartbeat, self.room))

    def tell(self, now: float) -> None:
        """Says at once what the next heartbeat would: load and room have changed in a way that does not wait."""
        if self.link is not None:
            self._ping(now)

    def _lost(self, reason: str, now: float, at_fault: bool = True) -> None:
        assert self.link is not None and self.at is not None
        self.actions.close(self.link)
        if at_fault:
            self.hubs.failed(self.at.route.address[0])
            self.stays.over(self._machine(self.at), now - self.since, self.asked_to_move, now)
            if self.hasty:
                self.stays.hurry(now)
        self.link = self.at = None
        if not self.attempts:
            self.retry_at = now + self.rng.uniform(0.0, 0.25)
        self.listener.signed_out(self, reason, now)


def _kind(route: Route) -> tuple[int, bool]:
    return route.address[1], route.proxied
