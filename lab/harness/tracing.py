"""One packet on its way: what each place of a call's captures saw of it, put together, and what became of it.

From the captures of a call's folder alone. Belongs here: recognising a packet at several places, and by its first bytes
what it is. Never: verdicts (lab.evidence), or how it looks.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.errors import EvidenceError
from lab.evidence.pcap import SYN, Direction, Packet, read
from lab.harness.naming import Names
from lab.topology.model import Role, Topology

TWINS = 0.9
"""Seconds within which the same bytes are the same packet: TCP sends a SYN again after one (RFC 6298, 2.1)."""
_COOKIE = bytes.fromhex("2112a442")  # RFC 8489, 5
_STUN = {
    0x0001: "STUN check",
    0x0101: "STUN answer",
    0x02E0: "request for a leg",
    0x03E0: "leg granted",
}
_QUESTION = "STUN question"
_SHORT = 36
"""Bytes of a binding request that names nobody: a question for one's own address."""
_ACK, _RST, _FIN = 0x10, 0x04, 0x01


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
    through, None: it arrived, or was last seen on the internet (`lost`: and nobody there has that address).
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


def traced(folder: Path, topology: Topology) -> list[Passage]:
    """Every packet that the captures of a call have, in the order of time; of captures that are torn, what is whole."""
    seen: list[Packet] = []
    for file in sorted(folder.glob("*.pcap")):
        try:
            seen += read(file, file.stem).packets
        except EvidenceError:  # the verdict has said so
            continue
    return passages(seen, topology)


def passages(seen: Iterable[Packet], topology: Topology) -> list[Passage]:
    """The same of packets as the places saw them."""
    names, routers = Names(topology), {node.name for node in topology.by_role(Role.ROUTER)}
    under_way: dict[object, list[Packet]] = {}
    done: list[list[Packet]] = []
    for packet in sorted(seen, key=lambda each: each.time):
        key = _same(packet)
        sightings = under_way.get(key)
        if sightings is None or packet.time - sightings[0].time > TWINS:
            under_way[key] = sightings = []
            done.append(sightings)
        sightings.append(packet)
    return [_passage(sightings, names, routers) for sightings in done]


def _same(packet: Packet) -> object:
    """What a router leaves as it is."""
    if packet.protocol == "tcp":
        return packet.sequence, packet.flags, packet.length, packet.payload[:64]
    return packet.payload, packet.length


def _passage(sightings: Sequence[Packet], names: Names, routers: set[str]) -> Passage:
    first = sightings[0]
    steps: list[Step] = []
    dropped_at = None
    for number, packet in enumerate(sightings):
        if packet.place not in routers or packet.direction is not Direction.IN:
            continue
        out = next((one for one in sightings[number + 1 :] if _leaves(one, packet)), None)
        if out is None:
            dropped_at = packet.place
            steps.append(Step(packet.place, None, None))
        else:
            steps.append(Step(packet.place, names.endpoint(*out.source), names.endpoint(*out.destination)))
    last = sightings[-1]
    lost = dropped_at is None and last.place not in routers and names.private(last.destination.address)
    return Passage(
        at=first.time,
        what=what(first),
        source=names.endpoint(*first.source),
        destination=names.endpoint(*first.destination),
        ends=(names.host(first.source.address), names.host(first.destination.address)),
        steps=tuple(steps),
        dropped_at=dropped_at,
        lost=lost,
        length=first.length,
    )


def _leaves(out: Packet, came: Packet) -> bool:
    return out.place == came.place and out.direction is Direction.OUT


def what(packet: Packet) -> str:
    """What a packet is, by its first bytes."""
    return _udp(packet) if packet.protocol == "udp" else _tcp(packet)


def _udp(packet: Packet) -> str:
    head = packet.payload
    if head[4:8] == _COOKIE:
        kind = int.from_bytes(head[:2], "big")
        if kind == 0x0001 and packet.length <= _SHORT:
            return _QUESTION
        return _STUN.get(kind, f"STUN {kind:#06x}")
    if len(head) >= 12 and head[0] >> 6 == 2:  # RFC 3550, 5.1: version 2
        return "report of voice" if 200 <= head[1] <= 207 else "voice"
    return "UDP"


def _tcp(packet: Packet) -> str:
    if packet.flags & SYN:
        return "TCP SYN, ACK" if packet.flags & _ACK else "TCP SYN"
    if packet.flags & _RST:
        return "TCP RST"
    if not packet.length:
        return "TCP FIN" if packet.flags & _FIN else "TCP ACK"
    hello = packet.payload[:2] == b"\x16\x03" and packet.payload[5:6] in (b"\x01", b"\x02")  # RFC 8446, 4 and 5.1
    return "TLS hello" if hello else "TCP data"


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
            groups.setdefault((one.what, one.ends, one.dropped_at, one.lost), []).append(one)
    return [Kind(group[0], len(group)) for group in groups.values()]
