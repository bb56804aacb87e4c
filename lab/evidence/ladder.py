"""A call as a ladder: a column a node, a row for what one sent another, equal packets folded into one row.

Belongs here: which rows and columns there are. Never: how they look, and what packets mean (sorts.py, moments.py).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from lab.evidence.drops import CUT, NO_GAPS, Cause, unseen
from lab.evidence.gaps import Gaps
from lab.evidence.journeys import Journey
from lab.evidence.moments import Moment
from lab.evidence.sorts import Sort
from lab.evidence.unsealed import Names
from lab.topology.model import Node, Role, Topology

PAUSE = 2.0
"""Seconds without voice after which it has a row of its own again: the shortest hold."""
SHORTEST = 8
"""Letters of what a packet is that are left at the least: `first c…`."""
SIGNALLING = ("invite", "ringing", "answer")
"""The moments that are inside TLS to a supernode."""
_LEFT_OUT = (Sort.END, Sort.SYN_ACK, Sort.HANDSHAKE)
_ANSWERS = (Sort.ANSWER, Sort.BOUND)
_VOICE = (Sort.VOICE, Sort.SEALED)


@dataclass(frozen=True)
class Column:
    """One lifeline: its name, and the nodes that it stands for."""

    name: str
    nodes: tuple[str, ...]


@dataclass
class Row:
    """Packets that one node sent another, `count` of them from `at_ms` to `until_ms` after the call was dialled.

    `sender` and `receiver` are numbers of columns; `dropped` is the place that passed them on to nobody: the arrow ends
    there. `answered`: one of them was. `moment`: one of the packets that matter. `why`: the rule that counted what was
    dropped, or that it was lost on the line, where that is known.
    """

    at_ms: float
    until_ms: float
    sender: int
    receiver: int
    what: str
    protocol: str
    count: int
    dropped: str | None
    answered: bool
    moment: bool
    why: str | None = None

    @property
    def label(self) -> str:
        """`first voice + 147 more`; what was answered has a tick, and what was dropped says why."""
        more = f" + {self.count - 1:,} more" if self.count > 1 else ""
        return f"{self.what}{more}{self._outcome}"

    def within(self, letters: int) -> str:
        """The label in so many letters: first the count is cut, then what it is, and last why it was dropped."""
        if len(self.label) <= letters:
            return self.label
        count = f" + {self.count - 1:,}" if self.count > 1 else ""
        rest = f"{count}{self._outcome}"
        return _cut(_cut(self.what, max(SHORTEST, letters - len(rest))) + rest, letters)

    @property
    def _outcome(self) -> str:
        return f"{' ✓' if self.answered else ''}{f' ✗ {self.why}' if self.why else ''}"


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


@dataclass(frozen=True)
class Ladder:
    """The whole of it: rows by time. `path` is what the packets showed of the call, None where they showed none; `gaps`
    are sentences of places whose captures lack something."""

    call: str
    caller: str
    callee: str
    path: str | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    gaps: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The document of `lab ladder --json`."""
        return {
            "call": self.call,
            "caller": self.caller,
            "callee": self.callee,
            "path": self.path,
            "columns": [asdict(column) for column in self.columns],
            "rows": [asdict(row) for row in self.rows],
            "gaps": list(self.gaps),
        }


def ladder(
    topology: Topology,
    call: str,
    ends: tuple[str, str],
    path: str | None,
    journeys: Sequence[Journey],
    moments: Iterable[Moment],
    dialled: float,
    causes: Mapping[int, Cause] = MappingProxyType({}),
    signalled: Names = MappingProxyType({}),
    relays: Collection[str] = (),
    gaps: Gaps = NO_GAPS,
) -> Ladder:
    """The ladder of a call; `dialled` is the epoch second that its times begin with, `causes` what is known of drops
    (drops.py), `signalled` of what is inside TLS (unsealed.py), `relays` of clients that relayed it (moments.py),
    `gaps` of what captures lack (gaps.py)."""
    drawn = _Drawing(topology, ends, moments, causes, signalled, relays)
    known = drawn.concerned(journeys, dialled, unseen(topology, journeys, gaps))
    rows = list(drawn.folded(sorted(known, key=lambda one: one.at)))
    columns = drawn.columns({name for row in rows for name in row.names})
    place = {name: number for number, column in enumerate(columns) for name in column.nodes}
    lines = tuple(row.drawn(place, dialled) for row in rows)
    return Ladder(call, *ends, path, columns, lines, gaps.sentences(dialled))


@dataclass
class _Group:
    """Journeys that are one row."""

    first: Journey
    sender: str
    until: float
    receiver: str
    what: str
    count: int
    answered: bool
    moment: bool
    why: str | None

    @property
    def names(self) -> tuple[str, str]:
        return self.sender, self.receiver

    def drawn(self, place: Mapping[str, int], dialled: float) -> Row:
        at, until = (round((time - dialled) * 1000, 1) for time in (self.first.at, self.until))
        sender, receiver = place[self.sender], place[self.receiver]
        protocol, dropped = self.first.first.protocol, self.first.dropped
        told = self.what, protocol, self.count, dropped, self.answered, self.moment, self.why
        return Row(at, until, sender, receiver, *told)


class _Drawing:
    def __init__(
        self,
        topology: Topology,
        ends: tuple[str, str],
        moments: Iterable[Moment],
        causes: Mapping[int, Cause],
        signalled: Names,
        relays: Collection[str],
    ) -> None:
        self._causes, self._signalled = causes, signalled
        self._topology, self._ends = topology, [topology.node(name) for name in ends]
        self._roles = {node.name: node.role for node in topology.nodes}
        self._routers = [topology.routers_outward(end) for end in self._ends]
        self._proxies = [topology.proxy_of(end.site) if end.site else None for end in self._ends]
        self._own = {*ends, *(proxy.name for proxy in self._proxies if proxy)}
        self._hubs = {node.name for node in topology.by_role(Role.SUPERNODE)}
        self._relays = {*relays, *(node.name for node in topology.by_role(Role.RELAY))}
        self._moments: defaultdict[int, list[Moment]] = defaultdict(list)
        for moment in moments:
            self._moments[id(moment.journey)].append(moment)
            if moment.what in SIGNALLING:  # a client may be a supernode as well
                found = {moment.journey.sender, moment.journey.receiver or ""} - self._own
                self._hubs |= found & self._roles.keys()

    # --- rows

    def concerned(self, journeys: Sequence[Journey], dialled: float, unseen: Collection[int]) -> Iterator[Journey]:
        """What an end sent or was sent; other calls at the same relay, or behind the same carrier, are left out.

        So is what an end asks supernodes about its network: it is of no call; and the `unseen`, which may have arrived.
        """
        sites = {router.name for routers in self._routers for router in routers[:1]}
        over = max((journey.last.time for journey in journeys), default=0.0) - CUT
        for journey in journeys:
            ends = {journey.sender, journey.receiver}
            lost = journey.dropped in sites and journey.sender in self._relays
            asks = journey.first.protocol == "udp" and ends & self._hubs - self._relays
            part = (ends & self._own or lost) and journey.told.sort not in _LEFT_OUT and not asks
            cut = journey.dropped and (journey.last.time >= over or id(journey) in unseen)
            if id(journey) in self._moments or (part and not cut and journey.at >= dialled):
                yield journey

    def folded(self, journeys: Iterable[Journey]) -> Iterator[_Group]:
        """Equal ones in one group, which begins with the first of them, or with one that matters."""
        groups: list[_Group] = []
        going: dict[tuple[object, ...], _Group] = {}
        voices: set[tuple[object, object]] = set()
        asked: defaultdict[bytes, list[_Group]] = defaultdict(list)
        for journey in journeys:
            told = self._moments.get(id(journey), ())
            if journey.told.sort in _ANSWERS and not journey.dropped and journey.told.transaction in asked:
                for group in asked[journey.told.transaction]:  # a check that passes a relay is on two rows
                    group.answered = group.answered or group.sender == journey.receiver
                continue
            flow = (journey.first.source, journey.first.destination)
            if any(moment.what in ("first voice", "path moved") for moment in told):
                voices.add(flow)
            sender, receiver = self._end(journey.sender), self._end(journey.dropped or journey.receiver)
            if sender is None or receiver is None or sender == receiver:
                continue
            what = self._what(journey, flow in voices)
            why = str(cause) if (cause := self._causes.get(id(journey))) else None
            key = (sender, receiver, journey.receiver if journey.dropped else None, what, journey.first.protocol, why)
            same = going.get(key)
            if told or same is None or (journey.told.sort in _VOICE and journey.at - same.until > PAUSE):
                words = self._words(journey, told) if told else what
                group = _Group(journey, sender, journey.at, receiver, words, 0, False, bool(told), why)
                groups.append(group)
                if not any(moment.what in SIGNALLING for moment in told):  # others inside TLS may be anything
                    going[key] = group
            else:
                group = same
            group.count += 1
            group.until = journey.at
            if journey.told.sort in (Sort.QUESTION, Sort.CHECK, Sort.BIND):
                asked[journey.told.transaction].append(group)
        yield from groups

    def _words(self, journey: Journey, told: Iterable[Moment]) -> str:
        words = ", ".join(dict.fromkeys(_word(moment) for moment in told))
        names = [name for name in (journey.sender, journey.receiver) if name and name not in self._own]
        if len(names) == 2:
            return f"{words}, {names[0]} to {names[1]}"
        named = names and names[0] in self._hubs | self._relays
        return f"{words} {names[0]}" if named and "via" not in words else words

    def _end(self, name: str | None) -> str | None:
        """The node of a column; None for one that has no part in the call."""
        if name is None or name not in self._roles:
            return None
        routers = (router.name for outward in self._routers for router in outward)
        known = {*self._own, *self._hubs, *self._relays, *routers}
        return name if name in known or self._roles[name] is Role.CORE else None

    def _what(self, journey: Journey, voice: bool) -> str:
        """What it is, and with whom where that is not to be seen from the columns alone."""
        sort = journey.told.sort
        other = journey.receiver if journey.sender in self._own else journey.sender
        name = f" {other}" if other in self._hubs | self._relays else ""
        if other in self._hubs and sort in (Sort.SEALED, Sort.DATA):
            told = (word for one in journey.sightings for word in self._signalled.get((one.place, one.offset), ()))
            return f"{', '.join(dict.fromkeys(told)) or 'signalling'}{name}"
        if sort is Sort.SEALED:
            return f"voice in TLS{name}" if voice else f"TLS{name}"
        return f"{sort}{name}"

    # --- columns

    def columns(self, used: set[str]) -> tuple[Column, ...]:
        """From the caller to the callee; nodes of one role on the internet share a column."""
        sides = [self._side(number, used) for number in (0, 1)]
        core = [node.name for node in self._topology.by_role(Role.CORE) if node.name in used]
        passing = self._relays - self._hubs
        relays = [node.name for node in self._topology.nodes if node.name in passing and node.name in used]
        hubs = [node.name for node in self._topology.nodes if node.name in self._hubs and node.name in used]
        middle = [(core, "core"), (hubs, "supernodes"), (relays, "relays")]
        shared = [Column(names[0] if len(names) == 1 else many, tuple(names)) for names, many in middle if names]
        before = [Column(name, (name,)) for name in sides[0]]
        after = [Column(name, (name,)) for name in reversed(sides[1]) if name not in sides[0]]
        return (*before, *shared, *after)

    def _side(self, number: int, used: set[str]) -> list[str]:
        proxy = self._proxies[number]
        nodes: list[Node] = [*([proxy] if proxy and proxy.name in used else []), *self._routers[number]]
        return [self._ends[number].name, *(node.name for node in nodes)]


def _word(moment: Moment) -> str:
    """What a row of the ladder says of it."""
    if moment.what == "path moved":
        return f"moved to {moment.sentence.rpartition(' for ')[2]}"
    return moment.what
