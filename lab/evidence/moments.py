"""The packets of a call that matter: its invite, the first check, the first packet through, what was nominated, first
voice, and where the path moved.

What is inside TLS tells nothing: there the nodes' own words say when, and the packet between the two nodes at that time
is taken. Such a comment helps whoever reads; no verdict rests on it.

Belongs here: finding those packets. Never: files, and how it is shown.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lab.evidence.journeys import Journey
from lab.evidence.media import GAP
from lab.evidence.pcap import Endpoint, Packet, Protocol
from lab.evidence.scene import Scene
from lab.evidence.sorts import Sort
from lab.topology.model import Role, Topology

SAID = 0.005
"""Seconds by which the line of a node may be earlier or later than the packet that it is about."""
WITHIN = 0.5
"""Seconds before and after such a line in which its packet is looked for."""

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Moment:
    """Something that happened: what in a word, and in a sentence, and the journey that it is. `packet` is the one of
    its sightings that tells it: where it left, or where it came through."""

    what: str
    sentence: str
    journey: Journey
    packet: Packet


def moments(
    topology: Topology, ends: tuple[str, str], journeys: Sequence[Journey], scene: Scene | None, lines: Iterable[Line]
) -> list[Moment]:
    """Every moment of a call by time; `lines` are those of its timeline, or none. Without a scene none of voice."""
    call = _Call(topology, ends, journeys, relays(topology, ends, journeys, scene))
    found = [*call.signalling(list(lines)), *call.checks(), *call.nominated(), *(call.voice(scene) if scene else ())]
    return sorted(found, key=lambda moment: moment.packet.time)


def relays(
    topology: Topology, ends: tuple[str, str], journeys: Iterable[Journey], scene: Scene | None
) -> frozenset[str]:
    """Every relay, and each client that was one in a call: an end has sent it a bind, or voice went through it."""
    clients = {node.name for node in topology.clients()} - {*ends}
    bound = {one.receiver for one in journeys if one.told.sort is Sort.BIND and one.sender in ends}
    passed = {path.via for path in scene.paths} if scene else set()
    return frozenset({node.name for node in topology.by_role(Role.RELAY)} | clients & (bound | passed))


def comments(found: Iterable[Moment]) -> dict[tuple[str, int], list[str]]:
    """Their sentences by place and offset of the packet, as a file takes them."""
    said: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for moment in found:
        said[moment.packet.place, moment.packet.offset].append(moment.sentence)
    return said


class _Call:
    def __init__(
        self, topology: Topology, ends: tuple[str, str], journeys: Sequence[Journey], relays: frozenset[str]
    ) -> None:
        self._topology, self._ends, self._relays = topology, ends, relays
        self._journeys = sorted(journeys, key=lambda journey: journey.at)
        self._hubs = {node.name for node in topology.by_role(Role.SUPERNODE)}
        self._proxies = {
            name: proxy.name
            for name in ends
            if (site := topology.node(name).site) and (proxy := topology.proxy_of(site)) is not None
        }
        self._sealed = [
            journey
            for journey in self._journeys
            if journey.first.protocol == "tcp" and journey.told.sort in (Sort.SEALED, Sort.DATA)
        ]
        self._left = [journey.at for journey in self._sealed]

    # --- signalling, by the lines of the supernodes that carried it

    def signalling(self, lines: Sequence[Line]) -> Iterator[Moment]:
        """An invite's way from the caller to the callee, that of the ringing back, and of the answer."""
        answered = min((_at(one) for one in lines if one.get("event") == "answered"), default=float("inf"))
        carried: dict[str, dict[str, Line]] = {"invite": {}, "ringing": {}, "answer": {}}  # word, hub, its first line
        for line in lines:
            if line.get("event") == "carried" and (sender := line.get("sender")) in self._ends:
                word = "invite" if sender == self._ends[0] else "answer" if _at(line) > answered - SAID else "ringing"
                carried[word].setdefault(str(line.get("node")), line)
        taken: set[int] = set()
        for word, by_hub in carried.items():
            later = {str(line.get("toward")) for line in by_hub.values()}
            for hub, line in sorted(by_hub.items(), key=lambda one: (one[0] in later, _at(one[1]))):
                sender, toward = str(line["sender"]), str(line.get("toward"))
                came = None if hub in later else self._before(self._near(sender), {hub}, _at(line), taken)
                went = self._after({hub}, self._near(toward), _at(line), taken)
                for journey in (came, went):
                    if journey is not None:
                        taken.add(id(journey))
                        yield _left(word, f"{word} of {sender} to {line.get('recipient')}: {_way(journey)}", journey)

    def _near(self, name: str) -> set[str]:
        return {name, self._proxies.get(name, name)}

    def _before(self, senders: set[str], receivers: set[str], at: float, taken: set[int]) -> Journey | None:
        """The last packet of TLS between these that has come by then."""
        for number in range(bisect_right(self._left, at + SAID) - 1, bisect_left(self._left, at - WITHIN) - 1, -1):
            one = self._sealed[number]
            if one.sender in senders and one.receiver in receivers and one.last.time <= at and id(one) not in taken:
                return one
        return None

    def _after(self, senders: set[str], receivers: set[str], at: float, taken: set[int]) -> Journey | None:
        """The first that left from then on."""
        for one in self._sealed[bisect_left(self._left, at - SAID) : bisect_right(self._left, at + WITHIN)]:
            if one.sender in senders and one.receiver in receivers and id(one) not in taken:
                return one
        return None

    # --- checks, by what they say themselves

    def checks(self) -> Iterator[Moment]:
        """Each end's first check, and the first packet that came through between the two, and through a relay."""
        tries = [one for one in self._journeys if one.told.sort in (Sort.CHECK, Sort.SYN)]
        for name in self._ends:
            first = next((one for one in tries if self._is_check(one) and one.sender == name), None)
            if first is not None:
                fate = f", dropped at {first.dropped}" if first.dropped else ""
                yield _left("first check", f"first check of {name}: {_way(first)}{fate}", first)
        between = [one for one in tries if (one.sender, one.receiver) in (self._ends, self._ends[::-1])]
        relayed = [one for one in tries if one.sender in self._relays and one.receiver in self._ends]
        for some, how in ((between, "between the two"), ([one for one in relayed if self._is_check(one)], "by relay")):
            through = min((one for one in some if not one.dropped), key=lambda one: one.last.time, default=None)
            if through is not None:
                passed = f"first packet through {how}: {through.told.sort}, {_way(through)}"
                yield Moment("first through", passed, through, through.last)

    def _is_check(self, journey: Journey) -> bool:
        return journey.told.sort is Sort.CHECK and journey.receiver not in self._hubs

    def nominated(self) -> Iterator[Moment]:
        """The first check of each way that nominates it (RFC 8445, 8.1.1), where it came through."""
        seen: set[object] = set()
        for journey in self._journeys:
            if journey.told.nominates and journey.sender == self._ends[0] and not journey.dropped:
                way = (journey.receiver, journey.first.protocol)
                if way not in seen:
                    seen.add(way)
                    yield _left("nominated", f"nominated by {journey.sender}: {_way(journey)}", journey)

    # --- voice, by each packet that says it is, and inside TLS by what the judge has found

    def voice(self, scene: Scene) -> Iterator[Moment]:
        """Each end's first voice, and its first on each path that it moved to, however short it was there: the judge
        wants a rhythm, and for the eye one packet that came through is enough."""
        for name in self._ends:
            own = [one for one in self._journeys if one.sender == name and one.first.length]
            spoken = [*self._single(scene, name, own)]
            flows = {_flow(journey) for journey, _ in spoken}
            sealed = [one for one in self._stretches(scene, name, own) if _flow(one[0]) not in flows]
            before: str | None = None
            for journey, path in sorted((*_runs(spoken), *sealed), key=lambda one: one[0].at):
                if before is None:
                    yield _left("first voice", f"first voice of {name}: {path}", journey)
                elif path != before:
                    yield _left("path moved", f"path moved: the voice of {name} leaves {before} for {path}", journey)
                before = path

    def _single(self, scene: Scene, name: str, own: Sequence[Journey]) -> Iterator["_Spoken"]:
        """Each packet that says it is voice, and its path: by the judge's word, or by where the first of its flow came
        through. One that goes out a second time elsewhere is left out: it is no move."""
        paths: dict[_Flow, str] = {}
        for path in scene.paths:
            for end in (path.caller, path.callee, *path.former):
                if end.node == name:
                    paths.setdefault((end.protocol, end.inside, end.remote), str(path))
        seen: set[bytes] = set()
        for journey in own:
            if journey.told.sort is not Sort.VOICE or (said := _rtp(journey)) in seen:
                continue
            seen.add(said)
            found = paths.get(_flow(journey)) or self._came_through(journey, name)
            if found is not None:
                paths[_flow(journey)] = found
                yield journey, found

    def _came_through(self, journey: Journey, name: str) -> str | None:
        """The path of a packet of voice that the other end had, or a relay that passed it on to there."""
        (other,) = {*self._ends} - {name}
        first, last = journey.first, journey.last
        if journey.dropped:
            return None
        if journey.receiver == other:
            translated = first.source != last.source and first.destination != last.destination
            return f"{'punched' if translated else 'direct'}/{first.protocol}"
        leg = self._passed_on.get((journey.receiver, other, _rtp(journey)))
        if leg is None:
            return None
        return f"relayed/{leg if leg == first.protocol else 'mixed'} via {journey.receiver}"

    @cached_property
    def _passed_on(self) -> dict[tuple[str | None, str | None, bytes], Protocol]:
        """By which protocol: the voice that relays sent, by relay, receiver and content, which a relay leaves as it
        is."""
        return {
            (one.sender, one.receiver, _rtp(one)): one.first.protocol
            for one in self._journeys
            if one.sender in self._relays and one.told.sort is Sort.VOICE
        }

    def _stretches(self, scene: Scene, name: str, own: Sequence[Journey]) -> Iterator["_Spoken"]:
        """The packet that each stretch of one end's media begins with, as the judge has found them, and its path."""
        times, callee = [one.at for one in own], name == self._ends[1]
        for path in scene.paths:
            way, end = (path.to_caller, path.callee) if callee else (path.to_callee, path.caller)
            for span in way.spans if way else ():
                later = own[bisect_left(times, span.start) :]
                flow = (end.protocol, end.inside, end.remote)
                journey = next((one for one in later if _flow(one) == flow), None)
                if journey is not None:
                    yield journey, str(path)


_Spoken = tuple[Journey, str]
"""A packet of voice, and the path that it went."""
_Flow = tuple[Protocol, Endpoint, Endpoint]


def _flow(journey: Journey) -> _Flow:
    first = journey.first
    return first.protocol, first.source, first.destination


def _rtp(journey: Journey) -> bytes:
    """A packet of voice without its length before it (RFC 4571, 2)."""
    return journey.first.payload[2:] if journey.first.protocol == "tcp" else journey.first.payload


def _runs(spoken: Iterable[_Spoken]) -> Iterator[_Spoken]:
    """The first of each stretch on one path: between two of them there was a pause, or voice on another."""
    before: _Spoken | None = None
    for journey, path in spoken:
        paused = before is not None and journey.at - before[0].at > GAP[journey.first.protocol]
        if before is None or paused or path != before[1]:
            yield journey, path
        before = journey, path


def _left(what: str, sentence: str, journey: Journey) -> Moment:
    return Moment(what, sentence, journey, journey.first)


def _way(journey: Journey) -> str:
    return f"{journey.sender} to {journey.receiver or journey.first.destination}"


def _at(line: Line) -> float:
    return float(line.get("at") or 0)
