"""One packet from its sender to whom it is for, relays between them included: what each router made of it, by name.

Belongs here: journeys put together across a relay, and the words that a newcomer reads. Never: following a packet from
place to place (journeys.py), what it is (sorts.py), verdicts, or how it looks.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lab.evidence.drops import Cause
from lab.evidence.journeys import Journey
from lab.evidence.naming import Names
from lab.evidence.pcap import Direction, Packet, Protocol
from lab.evidence.sorts import Sort, Told
from lab.topology.model import Role, Topology

TURN = 0.9
"""Seconds within which a relay passes on what has come; the same bytes later are another packet."""
_WORDS = {
    Sort.QUESTION: "STUN question",
    Sort.CHECK: "STUN check",
    Sort.ANSWER: "STUN answer",
    Sort.REFUSAL: "STUN refusal",
    Sort.BIND: "request for a leg",
    Sort.BOUND: "leg granted",
    Sort.VOICE: "voice",
    Sort.REPORT: "report of voice",
    Sort.SYN: "TCP SYN",
    Sort.SYN_ACK: "TCP SYN, ACK",
    Sort.RESET: "TCP RST",
    Sort.END: "TCP FIN",
    Sort.HANDSHAKE: "TLS handshake",
    Sort.SEALED: "TCP data",
}


@dataclass(frozen=True)
class Step:
    """What a router did: it let a packet pass, as `source` to `destination`, or dropped it (both None)."""

    router: str
    source: str | None
    destination: str | None


@dataclass(frozen=True)
class Passage:
    """One packet, `at` epoch seconds: `source` and `destination` as it was first seen, endpoints by name; `what` it is.

    `ends`: who sent it, and who has the address that it is for, by name. `dropped_at`: the router that did not let it
    through, None: it arrived, or was last seen on the internet (`lost`: and nobody there has that address). `cause`:
    what is known of why it went no further.
    """

    at: float
    what: str
    source: str
    destination: str
    ends: tuple[str, str]
    steps: tuple[Step, ...]
    dropped_at: str | None
    lost: bool
    length: int
    cause: Cause | None = None


def passages(
    topology: Topology, journeys: Iterable[Journey], causes: Mapping[int, Cause] = MappingProxyType({})
) -> list[Passage]:
    """Every packet that was followed, in the order of time; `causes`: what is known of drops (drops.py)."""
    names, routers = Names(topology), {node.name for node in topology.by_role(Role.ROUTER)}
    relays = {node.name for node in topology.by_role(Role.RELAY)}
    return [
        _passage(told, [packet for one in way for packet in one.sightings], names, routers, causes.get(id(way[-1])))
        for told, way in _joined(journeys, relays)
    ]


def what(told: Told, protocol: Protocol) -> str:
    """What a packet is, in words."""
    return _WORDS.get(told.sort) or ("UDP" if protocol == "udp" else "TCP data")


def _joined(journeys: Iterable[Journey], relays: set[str]) -> list[tuple[Told, list[Journey]]]:
    """The journeys of each packet: a relay leaves the bytes of a datagram as they are, and nothing else."""
    ways: list[tuple[Told, list[Journey]]] = []
    at_relays: defaultdict[object, list[list[Journey]]] = defaultdict(list)
    for journey in sorted(journeys, key=lambda one: one.at):
        first = journey.first
        came = at_relays[journey.sender, first.payload, first.length] if journey.sender in relays else []
        way = next((one for one in came if 0 <= journey.at - one[-1].last.time <= TURN), None)
        if way is None or first.protocol == "tcp":
            ways.append((journey.told, way := []))
        else:
            came.remove(way)
        way.append(journey)
        if journey.receiver in relays and not journey.dropped:
            at_relays[journey.receiver, first.payload, first.length].append(way)
    return ways


def _passage(told: Told, way: Sequence[Packet], names: Names, routers: set[str], cause: Cause | None) -> Passage:
    first, last = way[0], way[-1]
    steps: list[Step] = []
    dropped_at = None
    for number, packet in enumerate(way):
        if packet.place not in routers or packet.direction is not Direction.IN:
            continue
        out = next((one for one in way[number + 1 :] if _leaves(one, packet)), None)
        if out is None:
            dropped_at = packet.place
            steps.append(Step(packet.place, None, None))
        else:
            steps.append(Step(packet.place, names.endpoint(*out.source), names.endpoint(*out.destination)))
    lost = dropped_at is None and last.place not in routers and names.private(last.destination.address)
    return Passage(
        at=first.time,
        what=what(told, first.protocol),
        source=names.endpoint(*first.source),
        destination=names.endpoint(*first.destination),
        ends=(names.host(first.source.address), names.host(first.destination.address)),
        steps=tuple(steps),
        dropped_at=dropped_at,
        lost=lost,
        length=first.length,
        cause=cause,
    )


def _leaves(out: Packet, came: Packet) -> bool:
    return out.place == came.place and out.direction is Direction.OUT


@dataclass(frozen=True)
class Kind:
    """Packets that are alike: of the same sort, between the same two, with the same fate; `first`, and how many."""

    first: Passage
    number: int


def kinds(found: Iterable[Passage], wanted: Callable[[Passage], bool]) -> list[Kind]:
    """The first of each kind among those that are wanted, in the order of time."""
    groups: dict[object, list[Passage]] = {}
    for one in found:
        if wanted(one):
            groups.setdefault((one.what, one.ends, one.dropped_at, one.lost, one.cause), []).append(one)
    return [Kind(group[0], len(group)) for group in groups.values()]
