"""What a client finds out about the network that it stands in, between two supernodes (RFC 5780).

Results only: who acts on them is the checklist. Nothing here waits for a call, and no call waits for it; it has sockets
of its own, for one that has talked to a supernode proves nothing about who else may talk to it.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

import msgspec

from lab.overlay import behaviours
from lab.overlay.actions import Actions, Event, earliest
from lab.overlay.asking import STRAIGHT, Asking, Question
from lab.overlay.behaviours import Heard, Sample
from lab.overlay.lifetime import Lifetime
from lab.overlay.passage import STUN_PORT
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.tcp_port import TcpPort
from lab.overlay.voice_trial import VoiceTrial
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address, family
from lab.wire.messages import Behaviour, Network
from lab.wire.stun import Change

FRESH = 6
"""Sockets of the first round: one for the mapping, one for the filtering, the others for how ports are chosen."""
ENOUGH = behaviours.BLOCK_EVIDENCE + 2
"""Mappings that are looked at where ports are random, to find out whether they come from a block."""

AGAIN = 300.0
"""Seconds after which a client that has not moved looks again: a router may be configured anew and break nothing."""
SOON = 5.0
"""Seconds before it looks again where not all was found out; doubled each time. A supernode may have been away."""


@dataclass(frozen=True, slots=True)
class NetworkFound(Event):
    """The client has found out what it could."""

    mapping: str | None
    filtering: str | None
    allocation: str | None
    tcp_mapping: str | None
    outer: str | None
    ports: tuple[int, int] | None


_SHOWN = ("mapping", "filtering", "allocation", "ports", "outer", "tcp_mapping")


class _Stage(Enum):
    IDLE = auto()
    OPENING = auto()
    ASKING = auto()
    OPENING_MORE = auto()
    ASKING_MORE = auto()
    AWAITING_TCP = auto()


class Discovery:
    """One client's knowledge of its own network, forgotten when its address changes. It is asked for over IPv4, whose
    routers translate, and over IPv6 where the client has nothing else: a firewall lets in and forgets as a router does.

    `supernodes` gives those that are known, each with its addresses. What is not known is None: a supernode that is
    silent, errs or lies makes less known, and nothing false where another contradicts it.
    """

    def __init__(
        self,
        actions: Actions,
        own: Whereabouts,
        rng: random.Random,
        supernodes: Callable[[], Sequence[tuple[str, ...]]],
    ) -> None:
        self.actions, self.own, self.supernodes = actions, own, supernodes
        self.network = Network()
        self.lifetime = Lifetime(actions, rng)
        self.trial = VoiceTrial(actions, rng)
        self.rng = rng
        self.asking = Asking(actions, rng, self._settled)
        self.tcp: TcpPort | None = None
        self.stage = _Stage.IDLE
        self.hosts: list[str] = []
        self.sockets: list[int] = []
        self.hub = ""
        self.again_at: float | None = None
        self.soon = SOON

    def to_json(self) -> dict[str, object]:
        """For `lab status`: each thing that can be found out, None while it is not known."""
        known = msgspec.to_builtins(self.network)
        return {name: known[name] for name in _SHOWN}

    @property
    def under_way(self) -> bool:
        """Whether more will be known soon."""
        return self.stage is not _Stage.IDLE or self.trial.awaited

    # -- when ----------------------------------------------------------------------------------------------------

    def begin(self, hub: str, now: float) -> None:
        """Finds out anew, asking the supernode at `hub` first; what is known holds until then."""
        self.soon = SOON
        self.lifetime.stop()
        self._look(hub, now)

    def _look(self, hub: str, now: float) -> None:
        self._stop()
        self.hub, self.again_at = hub, now + AGAIN
        machines = sorted(self.supernodes(), key=lambda hosts: hub not in hosts)
        kind = 4 if 4 in self.own.families else 6
        hosts = [next((host for host in hosts if family(host) == kind), None) for hosts in machines]
        self.hosts = [host for host in hosts if host is not None and kind in self.own.families]
        if self.hosts:
            self.stage, self.sockets = _Stage.OPENING, self.asking.open(FRESH)
            self._look_over_tcp(now)

    def _look_over_tcp(self, now: float) -> None:
        servers = [*((host, STUN_PORT) for host in self.hosts[:2]), (self.hosts[0], ALTERNATE_PORT)]
        self.tcp = TcpPort(self.actions, servers, self.rng, self.own)
        self.tcp.learnt = self._settled_over_tcp
        self.tcp.open(now)

    def forget(self) -> None:
        """The client stands elsewhere: nothing is known."""
        self._stop()
        self.again_at = None
        self.lifetime.forget()
        self.trial.forget()
        self.network = Network()

    def _stop(self) -> None:
        self.asking.close()
        if self.tcp is not None:
            self.tcp.close()
            self.tcp = None
        self.stage = _Stage.IDLE

    def deadline(self) -> float | None:
        parts = (self.asking, self.tcp, self.lifetime, self.trial)
        return earliest(self.again_at, *(part.deadline() for part in parts if part is not None))

    def poll(self, now: float) -> None:
        self.asking.poll(now)
        if self.tcp is not None:
            self.tcp.poll(now)
        self.lifetime.poll(now)
        self.trial.poll(now)
        if self.again_at is not None and now >= self.again_at:
            self._look(self.hub, now)

    # -- what is asked -------------------------------------------------------------------------------------------

    def _settled(self, now: float) -> None:
        if self.stage is _Stage.OPENING:
            self.stage = _Stage.ASKING
            self._ask_first(now)
        elif self.stage is _Stage.OPENING_MORE:
            self.stage = _Stage.ASKING_MORE
            for number, socket in enumerate(self.sockets[FRESH:]):
                self.asking.ask(Question(socket, (self.hosts[number % min(2, len(self.hosts))], STUN_PORT)), now)
        elif self.stage is _Stage.ASKING and self._wants_more():
            self.stage = _Stage.OPENING_MORE
            self.sockets += self.asking.open(ENOUGH - len(self._samples()))
        elif self.stage is not _Stage.IDLE:
            self.stage = _Stage.AWAITING_TCP
            self._settled_over_tcp(now)

    def _settled_over_tcp(self, now: float) -> None:
        if self.stage is _Stage.AWAITING_TCP and (self.tcp is None or self.tcp.settled):
            self._conclude(now)

    def _ask_first(self, now: float) -> None:
        first, *others = self.hosts
        mapping, filtering, *fresh = self.sockets
        for server in ((first, STUN_PORT), *((host, STUN_PORT) for host in others[:2]), (first, ALTERNATE_PORT)):
            self.asking.ask(Question(mapping, server), now)
        for change in (STRAIGHT, Change.IP | Change.PORT, Change.PORT):
            self.asking.ask(Question(filtering, (first, STUN_PORT), change), now)
        for socket, host in zip(fresh, [*others[:1] * 2, *[first] * 4], strict=False):
            self.asking.ask(Question(socket, (host, STUN_PORT)), now)

    # -- what follows from it ------------------------------------------------------------------------------------

    def _samples(self) -> list[Sample]:
        """The mappings in the order in which they were made, each once."""
        found: dict[tuple[int, Address], Sample] = {}
        for question in sorted(self.asking.questions, key=lambda each: each.place):
            if question.outer is not None and not question.change:
                port = self.asking.ports[question.socket]
                sample = Sample(port, question.server[0], question.outer)
                found.setdefault((question.socket, question.outer), sample)
        return list(found.values())

    def _firsts(self) -> list[Sample]:
        """Those of `_samples` that were each its socket's first."""
        return list({sample.port: sample for sample in reversed(self._samples())}.values())

    def _wants_more(self) -> bool:
        samples = self._samples()
        trusted = not behaviours.contradicts(self._firsts()) and behaviours.outer_host(samples) is not None
        return trusted and behaviours.allocation(samples) == "random" and len(samples) < ENOUGH

    def _conclude(self, now: float) -> None:
        samples, mapping = self._samples(), None
        outer = behaviours.outer_host(samples)
        trusted = outer is not None and not behaviours.contradicts(self._firsts())
        seen = {
            each.server: each.outer for each in self.asking.questions if each.socket == self.sockets[0] and each.outer
        }
        if trusted:
            own = [(host, self.asking.ports[self.sockets[0]]) for host in self.own.addresses]
            mapping = behaviours.mapping(own, outer, seen, (self.hosts[0], ALTERNATE_PORT))
        allocation = behaviours.allocation(samples) if trusted and mapping != "none" else None
        found = Network(
            mapping=mapping,
            filtering=behaviours.filtering(self._heard(seen), mapping),
            tcp_mapping=self._tcp_mapping(),
            allocation=allocation,
            outer=outer,
            ports=behaviours.block([sample.outer[1] for sample in samples]) if allocation == "random" else None,
        )
        self._found(found)
        answered = next((each.server for each in self.asking.questions if each.outer and not each.change), None)
        self._stop()
        if answered is not None:
            if not self.lifetime.under_way:
                self.lifetime.begin(answered, now)
            self.trial.begin(answered, now)
        known = self.network
        few = known.allocation == "random" and known.ports is None and len(samples) < behaviours.BLOCK_EVIDENCE
        if None in (known.mapping, known.filtering, known.tcp_mapping) or few:
            self.again_at, self.soon = now + self.soon, min(2 * self.soon, AGAIN)

    def _tcp_mapping(self) -> Behaviour | None:
        if self.tcp is None:
            return None
        seen = self.tcp.mapped
        outer = behaviours.outer_host([Sample(self.tcp.port, server[0], at) for server, at in seen.items()])
        own = [(host, self.tcp.port) for host in self.own.addresses]
        return behaviours.mapping(own, outer, seen, (self.hosts[0], ALTERNATE_PORT))

    def _heard(self, seen: dict[Address, Address]) -> Heard:
        straight, both, port = (each for each in self.asking.questions if each.socket == self.sockets[1])
        other = straight.other
        return Heard(
            straight=straight.outer is not None,
            other_port=port.outer is not None,
            other_address=both.outer is not None,
            other_answers=other is not None and not both.refused and (other[0], STUN_PORT) in seen,
        )

    def _found(self, found: Network) -> None:
        """Takes in what was found; what could not be found out this time, and was before, is true in the same place."""
        if found.outer is not None and found.outer == self.network.outer:
            kept = {
                name: getattr(self.network, name) for name in found.__struct_fields__ if getattr(found, name) is None
            }
            if found.allocation is not None and found.allocation != "random":
                kept.pop("ports", None)
            found = msgspec.structs.replace(found, **kept)
        self.network = found
        self.actions.emit(
            NetworkFound(found.mapping, found.filtering, found.allocation, found.tcp_mapping, found.outer, found.ports)
        )
