"""One TCP port of one call: the peer may connect to it, connections to the peer are opened from it, and supernodes say
under which address it is seen (STUN over TCP, RFC 8489, 6.2.2).

Simultaneous open (RFC 6544, 5.2) needs all three on one port. Belongs here: the port and its outer addresses. Never:
the connections to the peer.
"""

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.lifetime import TcpLifetime
from lab.overlay.paths import is_local
from lab.overlay.whereabouts import Whereabouts
from lab.wire.addresses import Address, family
from lab.wire.messages import Candidate
from lab.wire.stun import Kind, Method, StunMessage, StunStream

KEEPALIVE = 15.0
"""Seconds between questions on a connection that answers, at the most: the supernode forgets it after 30 s
(stunserver.py). A router takes hours (RFC 5382, REQ-5); of one that takes less it is learnt (lifetime.py)."""
LIMIT = 2.0
"""Seconds that a supernode has to answer; then it counts as out of reach, and its connection as gone."""
LONGEST = 512
"""Bytes of the longest answer that is read."""
PREDICTED = 4
"""Outer ports that are told where a router gives one after the other; measured: 30 of 30 with four."""
SEQUENTIAL_STEP = 8
"""Ports that two connections in a row may lie apart where a router counts: others connect through it, too."""


@dataclass
class _Question:
    server: Address
    began: float
    due: float
    up: bool = False
    answered: bool = False
    waits: bool = False
    """Whether it has been asked again and has not answered since."""
    heard: float = 0.0
    left_alone: float = 0.0
    stream: StunStream = field(default_factory=lambda: StunStream(LONGEST))


class TcpPort:
    """A listening TCP port and its outer addresses; `learnt` is told when they are all known. `lifetime`: what is known
    of how long the router remembers a connection."""

    def __init__(
        self,
        actions: Actions,
        servers: Sequence[Address],
        rng: random.Random,
        own: Whereabouts,
        lifetime: TcpLifetime | None = None,
    ) -> None:
        self.actions, self.servers, self.rng, self.own = actions, servers, rng, own
        self.lifetime = lifetime or TcpLifetime()
        self.learnt: Callable[[float], None] | None = None
        self.number = self.port = 0
        self.mapped: dict[Address, Address] = {}
        self.questions: dict[int, _Question] = {}
        self.rtt = 0.0

    def open(self, now: float) -> None:
        self.number = self.actions.open_tcp(self)

    def close(self) -> None:
        for link in self.questions:
            self.actions.close(link)
        self.questions.clear()
        self.actions.close_tcp(self.number)

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def forgotten(self) -> bool:
        """Whether outer addresses are known that nobody keeps alive any more."""
        return bool(self.mapped) and not self.questions

    @property
    def settled(self) -> bool:
        """Whether every supernode has answered, or will not."""
        return self.port != 0 and all(question.answered for question in self.questions.values())

    @property
    def reflexive(self) -> list[Address]:
        """The distinct outer addresses that are not this host's own, in the order in which they were given."""
        return [outer for outer in dict.fromkeys(self.mapped.values()) if outer[0] not in self.own.addresses]

    @property
    def endpoint_independent(self) -> bool:
        """Whether one outer address of a family serves every destination, as far as is known."""
        return all(len(outers) < 2 for outers in self._by_family())

    def candidates(self) -> list[Candidate]:
        """Where the peer may meet this end; none before it is settled, for a router that counts goes on counting."""
        if not self.settled:
            return []
        hosts = [(host, self.port) for host in self.own.addresses if not is_local(host)]
        found = [Candidate("host", "tcp", address, "simultaneous-open") for address in hosts]
        for outers in self._by_family():
            if len(outers) == 1:
                found.append(Candidate("server-reflexive", "tcp", outers[0], "simultaneous-open"))
            else:
                found += [Candidate("predicted", "tcp", outer, "simultaneous-open") for outer in _following(outers)]
        return found

    def _by_family(self) -> list[list[Address]]:
        outers = self.reflexive
        return [own for kind in (6, 4) if (own := [outer for outer in outers if family(outer[0]) == kind])]

    # -- time and links ------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        return earliest(*(question.due for question in self.questions.values()))

    def poll(self, now: float) -> None:
        for link, question in list(self.questions.items()):
            if now < question.due:
                continue
            if question.answered and not question.waits:
                question.waits, question.left_alone = True, now - question.heard
                self._ask(link, question, now + LIMIT)
            else:
                self.actions.close(link)
                self.link_down(link, "no answer", now)

    def tcp_up(self, number: int, local: Address, now: float) -> None:
        self.port = local[1]
        reachable = self.own.reachable(host for host, _ in self.servers)
        for server in self.servers:
            if server[0] in reachable:
                link = self.actions.connect(self, server, secure=False, local_port=self.port)
                self.questions[link] = _Question(server, now, now + LIMIT)
        self._tell(now)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        if (question := self.questions.get(link)) is not None:
            question.up = True
            self.rtt = max(self.rtt, now - question.began)
            self._ask(link, question, question.due)

    def _ask(self, link: int, question: _Question, due: float) -> None:
        self.actions.write(link, StunMessage(Method.BINDING, Kind.REQUEST, self.rng.randbytes(12)).encode())
        question.due = due

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if (question := self.questions.get(link)) is None:
            return
        try:
            answers = [StunMessage.parse(message) for message in question.stream.feed(data)]
        except ProtocolError as error:
            self.actions.cut_off(link, question.server[0], error, now)
            self._over(link, now)
            return
        for answer in answers:
            if answer.kind is not Kind.SUCCESS or answer.xor_mapped is None:
                continue
            question.waits, question.heard = False, now
            question.due = now + min(KEEPALIVE, self.lifetime.keepalive)
            if not question.answered:
                self.mapped[question.server] = answer.xor_mapped
                question.answered = True
                self._tell(now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        question = self.questions.get(link)
        if question is not None and question.waits:
            self.lifetime.broke(question.left_alone)
        self._over(link, now)

    def _over(self, link: int, now: float) -> None:
        """One supernode less to ask; what it has said stays true while the port is used."""
        if self.questions.pop(link, None) is not None:
            self._tell(now)

    def _tell(self, now: float) -> None:
        if self.settled and self.learnt is not None:
            self.learnt(now)


def _following(outers: Sequence[Address]) -> list[Address]:
    """The next outer addresses of a router that gives ports one after the other; none of one that does not."""
    ports = sorted(port for _, port in outers)
    steps = [after - before for before, after in itertools.pairwise(ports)]
    if len({host for host, _ in outers}) > 1 or any(step > SEQUENTIAL_STEP for step in steps):
        return []
    return [(outers[0][0], port) for port in range(ports[-1] + 1, min(ports[-1] + PREDICTED, 65535) + 1)]
