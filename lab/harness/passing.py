"""Packets as they come, from many places at once, to rows: when, where, from whom to whom, what, and what became of it.

A router's two sides are one row: what came in and left again was translated or passed on, what did not leave within a
moment was dropped. Rows come out in the order of time, whatever place was quicker to tell. What is neither UDP nor TCP
is a row at each place.

Pure: packets and a clock in, rows out. Belongs here: order, the two sides of a router, what is the first of its kind in
a call. Never: captures, and how it looks.
"""

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import count
from math import inf
from typing import Literal

from lab.evidence.naming import Names, holders
from lab.evidence.others import End, Other
from lab.evidence.pcap import Direction, Endpoint, Packet
from lab.evidence.sorts import Sort, tell
from lab.harness.blocking import Gate, Remembered
from lab.topology.model import Role, Topology

SETTLE = 0.25
"""Seconds for which a packet waits for earlier ones of other places, whose captures are slower to tell."""
PROMPT = 0.01
"""Seconds within which a router that holds nothing back has let a packet out: of equal ones rather one of these."""
MOMENT = 0.25
"""Seconds of the router's own packets after which one that has not left was dropped."""
MOMENT_OF_A_LINE = 2.0
"""The same where a carrier's line to a site ends, which holds packets back in the router itself."""
LONGEST = 2.0
"""Seconds for which it waits at the most, where a place has turned out to be slower than that."""
PATIENCE = 1.0
"""Seconds after which that holds where the router is silent, since the packet was heard."""
QUIET = 5.0
"""Seconds without a packet of a kind after which the next one is the first of another call."""
SIGNALLING = 33033
"""The port on which supernodes listen that is nobody else's; a client that was made one does as well."""

Losing = frozenset[tuple[str, str]]
"""(A router, an address of a site's) where the line of that site ends at that router and may lose what is held back."""
NO_LINE: Losing = frozenset()

Fate = Literal["", "translated", "passed", "dropped", "lost", "own", "note"]

_WORDS = {
    Sort.QUESTION: "STUN question",
    Sort.CHECK: "STUN check",
    Sort.ANSWER: "STUN answer",
    Sort.REFUSAL: "STUN refusal",
    Sort.REPORT: "RTCP",
    Sort.BIND: "relay bind",
    Sort.BOUND: "relay bound",
    Sort.SYN: "TCP SYN",
    Sort.SYN_ACK: "TCP SYN ACK",
    Sort.RESET: "TCP RST",
    Sort.END: "TCP FIN",
    Sort.HANDSHAKE: "TLS handshake",
    Sort.SEALED: "TLS",
}


@dataclass(frozen=True)
class Row:
    """One packet at one place, or a note (`what`, at no place). `at`: epoch seconds; endpoints by name.

    `became`: what the router made of it, or what an ICMP error is about, in words that stand by themselves, `brief` in
    fewer. `event`: what it is in a
    call where it is the first of its kind.
    """

    at: float
    place: str
    source: str
    destination: str
    what: str
    fate: Fate = ""
    became: str = ""
    brief: str = ""
    event: str | None = None


@dataclass(eq=False)
class _Sighting:
    """A packet at a place, and the one that left there for it. `heard`: by the clock, when it came to be known. `why`:
    what it falls to if none leaves, by what its router had in mind when it came."""

    packet: Packet
    heard: float
    waits: bool
    out: Packet | None = None
    why: str | None = None


@dataclass(eq=False)
class _Aside:
    """A packet of which nothing is to be found out."""

    packet: Other


class Passing:
    """Hear packets of any places, in any order; `due` gives the rows whose turn it is."""

    def __init__(self, topology: Topology, losing: Losing = NO_LINE, *, judged: bool = True) -> None:
        """`judged`: whether what was seen on one side of a router alone says that it went no further."""
        self._judged = judged
        self._order = count()
        self._heap: list[tuple[float, int, Packet | Other, float]] = []
        self._line: deque[_Sighting | _Aside] = deque()
        self._waiting: defaultdict[tuple[object, ...], deque[_Sighting]] = defaultdict(deque)
        self._settle, self._told = SETTLE, 0.0
        self._reached: dict[str, float] = {}
        self._notes: list[tuple[float, float, Row]] = []
        self._firsts: dict[tuple[str, ...], float] = {}
        self._spoken: dict[tuple[str, bytes], tuple[float, int, tuple[str, str]]] = {}  # when, number, and where to
        self._gates: dict[str, Gate] = {}
        self.dropped: Counter[str] = Counter()
        """Packets that went no further, by router."""
        self.marked: list[tuple[Packet, str]] = []
        """The packets of the rows so far that are an event of a call, and which: whoever wants them takes them away."""
        self.know(topology, losing)

    def know(
        self, topology: Topology, losing: Losing = NO_LINE, remembered: Mapping[str, Remembered] | None = None
    ) -> None:
        """How the world stands from now on: names, profiles and firewalls, which lines lose packets, and what routers
        have in mind. Of those that do not tell, what was seen so far holds."""
        self._losing = losing
        self._names = Names(topology)
        self._roles = {address: node.role for address, node in holders(topology).items()}
        self._nodes = {node.name: node for node in topology.nodes}
        self._moments = dict.fromkeys(_line_ends(topology), MOMENT_OF_A_LINE)
        former, told = self._gates, remembered or {}
        self._gates = {
            node.name: Gate(topology, node) for node in topology.by_role(Role.ROUTER) if node.site is not None
        }
        for name, gate in self._gates.items():
            what = told.get(name)
            if what is not None:
                gate.recall(what)
            if name in former:
                gate.go_on(former[name], what.at if what is not None and what.whole else -inf)

    def hear(self, packet: Packet | Other, now: float) -> None:
        """Take in a packet at `now`, the clock's seconds, which need not be those of the packets."""
        if packet.direction is not Direction.OTHER and _address(packet.source) not in ("127.0.0.1", "::1"):
            heapq.heappush(self._heap, (packet.time, next(self._order), packet, now))
            if packet.time < self._told:  # too late for its turn; those after it need not be
                self._settle = min(LONGEST, max(self._settle, SETTLE + self._told - packet.time))

    def note(self, at: float, text: str, now: float, event: str | None = None) -> None:
        """Something that is no packet, at its place in time."""
        self._notes.append((at, now, Row(at, "", "", "", text, "note", event=event)))

    @property
    def pending(self) -> float:
        """The time of the first packet that has no row yet; infinite where all have one."""
        first = min((one.packet.time for one in self._line), default=inf)
        return min(first, self._heap[0][0]) if self._heap else first

    def due(self, now: float, *, over: bool = False) -> list[Row]:
        """The rows that nothing can come before any more; with `over` all, for nothing comes after them."""
        while self._heap and (over or now - self._heap[0][3] >= self._settle):
            _, _, packet, heard = heapq.heappop(self._heap)
            self._told = max(self._told, packet.time)
            self._take(packet, heard)
        rows: list[Row] = []
        while self._line and (over or self._decided(self._line[0], now)):
            sighting = self._line.popleft()
            if isinstance(sighting, _Aside):
                rows.append(self._aside(sighting.packet))
                continue
            if sighting.waits:
                waiting = self._waiting[_key(sighting.packet)]
                waiting.remove(sighting)
                if not waiting:
                    del self._waiting[_key(sighting.packet)]
            rows.append(self._row(sighting))
        held = self._line[0].packet.time if self._line else None
        ripe = [
            one for one in self._notes if over or (now - one[1] >= self._settle and (held is None or one[0] <= held))
        ]
        if ripe:
            self._notes = [one for one in self._notes if one not in ripe]
            rows = sorted([*rows, *(row for _, _, row in ripe)], key=lambda row: row.at)
        return rows

    # -- inside --------------------------------------------------------------------------------------------------

    def _take(self, packet: Packet | Other, heard: float) -> None:
        """The next packet by time."""
        self._reached[packet.place] = max(packet.time, self._reached.get(packet.place, 0.0))
        if isinstance(packet, Other):
            self._line.append(_Aside(packet))
            return
        gate = self._gates.get(packet.place)
        if gate is not None and packet.direction is Direction.OUT:
            if not gate.inside(packet.destination.address):
                gate.remember(packet)
            if (came := self._came(packet, gate)) is not None:
                came.out, came.waits = packet, False
                self._waiting[_key(packet)].remove(came)
                if not self._waiting[_key(packet)]:
                    del self._waiting[_key(packet)]
                return
        forwards = gate is not None and packet.direction is Direction.IN and not self._for_itself(gate, packet)
        sighting = _Sighting(packet, heard, forwards)
        self._line.append(sighting)
        if forwards:
            assert gate is not None
            sighting.why = gate.why(packet, gate.inside(packet.source.address))
            self._waiting[_key(packet)].append(sighting)

    def _came(self, out: Packet, gate: Gate) -> _Sighting | None:
        """What waits and has now left: the one most alike. Of several rather one that no rule would have dropped, then
        rather one that came within PROMPT, then the earliest."""
        moment = self._moments.get(out.place, MOMENT)
        prompt = PROMPT if moment == MOMENT else moment  # a line holds all back, and keeps their order
        found, best = None, (0, False, False)
        for one in self._waiting.get(_key(out), ()):
            since = out.time - one.packet.time
            surely = (_alike(one.packet, out, gate), one.why is None, since <= prompt)
            if since <= moment and surely[0] and surely > best:
                found, best = one, surely
        return found

    def _for_itself(self, gate: Gate, packet: Packet) -> bool:
        """Whether a packet is for the router that has it, or for a whole LAN."""
        address = ip_address(packet.destination.address)
        if address.is_multicast or (address.version == 6 and address.is_link_local):
            return True
        return packet.destination.address in gate.own and gate.inside(packet.destination.address)

    def _decided(self, one: _Sighting | _Aside, now: float) -> bool:
        if isinstance(one, _Aside) or not one.waits:
            return True
        moment = self._moments.get(one.packet.place, MOMENT)
        return self._reached[one.packet.place] - one.packet.time > moment or now - one.heard >= max(PATIENCE, moment)

    def _row(self, one: _Sighting) -> Row:
        packet, out = one.packet, one.out
        what, sort = self._what(packet)
        fate, became, brief = self._fate(one)
        if (event := self._event(packet, out, sort)) is not None:
            self.marked.append((packet, event))
        return Row(
            packet.time,
            self.place(packet),
            self._names.endpoint(*packet.source),
            self._names.endpoint(*packet.destination),
            what,
            fate,
            became,
            brief,
            event,
        )

    def _aside(self, packet: Other) -> Row:
        names = self._names.host(packet.source), self._names.host(packet.destination)
        became = brief = ""
        if packet.about is not None:
            sender, receiver = packet.about
            became = f"about {self._names.endpoint(*sender)} → {self._names.endpoint(*receiver)}"
            brief = f"{self._short(sender, packet.destination)} → {self._short(receiver, packet.source)}"
        return Row(packet.time, self.place(packet), *names, packet.what, "", became, brief)

    def _short(self, end: End, known: str) -> str:
        """An end of the packet that an error is about, where the error's own end beside it says which host that is."""
        address, port = end
        return f":{port}" if address == known and port is not None else self._names.endpoint(address, port)

    def place(self, packet: Packet | Other) -> str:
        """Where a packet was seen, as the file has it: a router's side, or the node."""
        gate = self._gates.get(packet.place)
        if gate is None:
            return packet.place
        near = packet.source if packet.direction is Direction.IN else packet.destination
        return f"{self._nodes[packet.place].site} {'lan' if gate.inside(_address(near)) else 'wan'}"

    def _what(self, packet: Packet) -> tuple[str, Sort | None]:
        told = tell(packet)
        if told is None:
            return "TCP ACK", None
        roles = {self._roles.get(packet.source.address), self._roles.get(packet.destination.address)}
        hub = bool(roles & {Role.SUPERNODE, Role.AUTHORITY})
        if told.sort is Sort.VOICE:
            return f"RTP {told.sequence}", Sort.VOICE
        if told.sort is Sort.CHECK and hub:
            return _WORDS[Sort.QUESTION], None
        if told.sort is Sort.CHECK and told.nominates:
            return "STUN nominates", Sort.CHECK
        if told.sort is Sort.DATA:
            return "UDP" if packet.protocol == "udp" else "TCP data", None
        if told.sort is Sort.SEALED:
            ports = {packet.source.port, packet.destination.port}
            return "signalling" if hub or SIGNALLING in ports else "TLS", None
        return _WORDS[told.sort], told.sort

    def _fate(self, one: _Sighting) -> tuple[Fate, str, str]:
        packet, out, gate = one.packet, one.out, self._gates.get(one.packet.place)
        if gate is None:
            return self._fate_between(packet)
        if out is not None:
            words, brief = [], []
            if out.source != packet.source:
                words.append(f"as {self._names.endpoint(*out.source)}")
                same = self._names.host(out.source.address) == f"{self._nodes[packet.place].site} wan"
                brief.append(f"as :{out.source.port}" if same else words[-1])
            if out.destination != packet.destination:
                words.append(f"to {self._names.endpoint(*out.destination)}")
                brief.append(words[-1])
            if not words:
                return "passed", "passed on", "passed on"
            return "translated", " ".join(words), " ".join(brief)
        if not self._judged:
            return "", "", ""
        if packet.direction is Direction.OUT:
            return "own", "the router's own", "its own"
        if not one.waits:
            return "own", "for the router itself", "for itself"
        outward = gate.inside(packet.source.address)
        why = one.why
        losing = (packet.place, (packet.source if outward else packet.destination).address) in self._losing
        if losing and why is None:
            return "lost", "lost on the line", "✗ lost on the line"
        self.dropped[packet.place] += 1
        told = f"dropped: {why}" if why else "dropped"
        short = why.removeprefix("firewall ") if why else "dropped"
        if losing:  # the capture sees a packet before its line holds it back: nobody knows whether it came to the rules
            return "dropped", f"lost on the line, or {told}", f"✗ lost, or {short}"
        return "dropped", told, f"✗ {short}"

    def _fate_between(self, packet: Packet) -> tuple[Fate, str, str]:
        if self._nodes[packet.place].role is not Role.CORE:
            return "", "", ""
        if self._names.private(packet.destination.address):
            return "lost", "lost: out there nobody has that address", "✗ nobody's address"
        return "", "", ""

    # -- events --------------------------------------------------------------------------------------------------

    def _event(self, packet: Packet, out: Packet | None, sort: Sort | None) -> str | None:
        """What a packet is in a call, where it is the first of its kind: told by the router of the client that it is
        of, or for; between two of one LAN, whose packets cross no router, by themselves."""
        sender, receiver = packet.source.address, (out or packet).destination.address
        leaves, gate = self._roles.get(sender) is Role.CLIENT, self._gates.get(packet.place)
        if gate is None:
            here = self._nodes[packet.place].role is Role.CLIENT
            near = here and leaves and self._roles.get(receiver) is Role.CLIENT
            leaves, comes = near and packet.direction is Direction.OUT, near and packet.direction is Direction.IN
        elif packet.direction is not Direction.IN:
            return None
        else:
            comes = out is not None and self._roles.get(receiver) is Role.CLIENT and gate.inside(receiver)
        if not (leaves or comes):
            return None
        name = self._names.host(sender if leaves else receiver)
        found = None
        if sort is Sort.CHECK and leaves:
            found = self._first("first check", packet.time, name)
            nominates = (told := tell(packet)) is not None and told.nominates
            if nominates and self._first("nominated", packet.time, name, str(packet.destination)):
                found = "nominated"
        elif sort is Sort.CHECK and comes:
            relayed = self._roles.get(sender) is Role.RELAY
            found = self._first("first through a relay" if relayed else "first through", packet.time, name)
        elif sort is Sort.BIND and leaves:
            found = self._first("first bind", packet.time, name)
        elif sort is Sort.VOICE and leaves:
            found = self._voice(packet, name)
        link = "by" if found == "nominated" else "of" if leaves else "to"
        return f"{found} {link} {name}" if found else None

    def _voice(self, packet: Packet, name: str) -> str | None:
        """What a packet of voice is, by where the one before it went: also where it goes back to a former path. Each
        source of RTP (RFC 3550, 5.1) by itself, for who relays for others sends two, and what is sent a second time
        elsewhere is no move."""
        at, path = packet.time, (packet.protocol, packet.destination.address)
        rtp = packet.payload[2:] if packet.protocol == "tcp" else packet.payload  # RFC 4571, 2: its length
        source, number = (name, rtp[8:12]), int.from_bytes(rtp[2:4])
        first = self._first("first voice", at, name)
        before = self._spoken.get(source)
        if before is None:
            self._spoken = {one: last for one, last in self._spoken.items() if at - last[0] <= QUIET}
        elif not 0 < (number - before[1] & 0xFFFF) < 0x8000:
            return first
        self._spoken[source] = at, number, path
        moved = before is not None and path != before[2] and not first
        return "path moved" if moved else first

    def _first(self, what: str, at: float, *whose: str) -> str | None:
        """`what`, where the last of its kind was more than QUIET ago."""
        kind = (what, *whose)
        before = self._firsts.get(kind)
        self._firsts[kind] = at
        return what if before is None or at - before > QUIET else None


def _address(end: Endpoint | str) -> str:
    return end if isinstance(end, str) else end.address


def _key(packet: Packet) -> tuple[object, ...]:
    """What a router leaves as it is."""
    return packet.place, packet.protocol, packet.payload, packet.length, packet.sequence, packet.flags


def _line_ends(topology: Topology) -> set[str]:
    """The routers between which the lines of carriers to their sites are."""
    behind = {site: carrier for site in topology.sites() if (carrier := topology.behind(site))}
    return {topology.router_of(site).name for site in (*behind, *behind.values())}


def _alike(came: Packet, out: Packet, gate: Gate) -> int:
    """How surely what left a router is what came in, as where journeys are followed: 0 where it cannot be."""
    if came.destination == out.destination:
        return 4 if came.source == out.source else 3
    if came.source == out.source:
        return 2
    # Only of a packet that is turned back into the LAN do both addresses change.
    return 1 if gate.inside(came.source.address) and gate.inside(out.destination.address) else 0


def all_rows(topology: Topology, packets: Iterable[Packet]) -> list[Row]:
    """Those of packets that are all there: of captures that are over."""
    passing = Passing(topology)
    for packet in packets:
        passing.hear(packet, packet.time)
    return passing.due(0.0, over=True)


def all_marks(topology: Topology, packets: Iterable[Packet]) -> list[tuple[Packet, str]]:
    """Of the same, those that are an event of a call, and which. They may come a few at a time, out of order by no more
    than SETTLE; no more are kept than wait for their turn."""
    passing, now = Passing(topology), 0.0
    for packet in packets:
        now = max(now, packet.time)
        passing.hear(packet, now)
        passing.due(now)
    passing.due(now, over=True)
    return passing.marked
