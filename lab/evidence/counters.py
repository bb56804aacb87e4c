"""What others have counted of a call, held against the packets: a relay's bytes, and the flows of a router's kernel.

Bounds are wide, for what is counted is not the same: a relay counts what it passed on, without binds, frames and TLS; a
kernel counts a flow from its first packet on. They tell a witness that lies or saw nothing from one that was there.
Belongs here: the comparison. Never: asking anybody, and whether it was in order to ask.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Literal

from lab.evidence.claims import DYING
from lab.evidence.flows import Captures, Stream, Table
from lab.evidence.pcap import FIN, RST, SYN, Direction, Endpoint, Packet
from lab.evidence.scene import End, MediaPath, Scene, Way
from lab.evidence.translation import core_of, routers_before
from lab.topology.model import Role, Topology

AROUND = 1.0
"""Seconds around a call in which its packets may pass a relay: checks while it rings."""
LEAST, MOST, SOME = 0.3, 1.1, 2_000
"""Parts of the bytes that came to a relay which it has passed on at least and at most, and bytes either way: a voice of
a few bytes a frame inside TLS is half overhead, and binds come to it and go no further."""
LEAST_COUNTED, MOST_COUNTED, FEW = 0.8, 1.2, 20
"""The same for the packets of a flow. Also what a relay has passed on at least of what left it while voice did, but for
TLS: RFC 4571 adds two bytes to frames of thirty or more, and answers to binds, once a second, add a packet to fifty."""
IDLE = 20.0
"""Seconds without anything from either end after which a relay may have forgotten a call, and begins it anew."""
HEADERS = 72
"""Bytes of IPv6 and TCP with its timestamps (RFC 8200, 3; RFC 9293, 3.1; RFC 7323, 3.2), which a kernel counts with
each segment; IPv4's are 20 fewer."""
FULL = 1_500
"""Bytes of a full packet on Ethernet. One that a capture lost may have been as large, or as the largest that it saw."""
UNANSWERED = 4
"""Packets of a connection that nobody answers, in the moment until its router is asked: a SYN, again, a refusal."""


@dataclass(frozen=True)
class Compared:
    """What a counter says beside what the packets do, in words, and whether they agree."""

    said: str
    agrees: bool


def _can_tell(captures: Captures, place: str) -> bool:
    """Whether the capture of a place saw something, and was not cut short. What it lost widens the bounds."""
    return captures.saw_anything(place) and not captures.truncated.get(place)


def _held(said: str, agrees: bool, seen: int, lost: int) -> Compared | None:
    """What a counter says beside what a capture saw, and lost, in packets. What it lost excuses no contradiction; but
    where it lost more than it saw, that nothing contradicts means nothing."""
    if lost:
        said += f", and the capture lost {lost:,} more"
    return None if agrees and lost > seen else Compared(said, agrees)


def relayed(
    topology: Topology,
    captures: Captures,
    scene: Scene,
    relay: str,
    counted: tuple[int, int],
    window: tuple[float, float],
) -> Compared | None:
    """Packets and bytes that a relay says it has passed on in a call, which lay in a window of epoch seconds.

    A client that relays is not captured: core's packets stand for its own. Each packet that the capture lost may have
    come to the relay, and from anybody. None where the capture cannot tell: it saw nothing, was cut short, or has lost
    more than it saw.
    """
    place = relay if topology.node(relay).role is Role.RELAY else core_of(topology).name
    if not _can_tell(captures, place):
        return None
    table, own = captures.need(place), {str(address) for address in topology.node(relay).addresses}
    start, end = window[0] - AROUND, window[1] + AROUND
    into = [(stream, stream.figures(start, end)) for address in own for stream in table.reaching(address, Direction.IN)]
    paths = [path for path in scene.paths if path.via == relay]
    legs = {(one.protocol, one.outside) for path in paths for one in (path.caller, path.callee)}
    of_call = [(stream, came) for stream, came in into if (stream.protocol, stream.source) in legs]
    came_of_call = sum(came.bytes for _, came in of_call)
    lost = captures.dropped.get(place, 0)
    everything = sum(came.bytes for _, came in into) + _unseen(table, lost)
    since = _anew([stream for stream, _ in of_call], start, end, IDLE)
    left = _voice_out(table, place == relay, paths, since)
    least = sum((LEAST if in_tls else LEAST_COUNTED) * gone for gone, in_tls in left)
    packets, size = counted
    said = (
        f"passed on {size:,} bytes in {packets:,} packets, where {came_of_call:,} came to it from the two and "
        f"{sum(gone for gone, _ in left):,} left it for them with voice"
    )
    agrees = max(LEAST * came_of_call, least) - SOME <= size <= MOST * everything + SOME
    return _held(said, agrees, sum(came.packets for _, came in into), lost)


def _voice_out(table: Table, own: bool, paths: Iterable[MediaPath], since: float) -> list[tuple[int, bool]]:
    """Bytes that left a relay for an end while voice was on its way there, from `since` on, by stream, and whether that
    may be TLS; `own`: the relay itself was captured, else core."""
    spans: dict[Stream, list[tuple[float, float]]] = {}
    in_tls: dict[Stream, bool] = {}
    for path in paths:
        for way, receiver in ((path.to_callee, path.callee), (path.to_caller, path.caller)):
            if way is None or not receiver.trail:
                continue
            outermost, direction = receiver.trail[-1], Direction.OUT if own else Direction.IN
            stream = table.stream(receiver.protocol, outermost.remote, outermost.local, direction)
            if stream is not None:
                spans.setdefault(stream, []).extend((span.start, span.end + way.flight) for span in way.spans)
                in_tls[stream] = in_tls.get(stream, False) or (path.sealed and receiver.protocol == "tcp")
    found = []
    for stream, on_its_way in spans.items():
        size, at = 0, since
        for begin, until in sorted(on_its_way):
            if until > at:
                size += stream.figures(max(begin, at), until).bytes
                at = until
        found.append((size, in_tls[stream]))
    return found


@dataclass(frozen=True)
class Tracked:
    """A flow of a call as a router's kernel tracks it: `inner` is on its LAN side, as it is written there.

    `out` and `back` are the packets of voice from and to the inside, from `since` on, epoch seconds, where the call was
    on hold before; `last` when the latest was. `own`: the router was captured; else core's packets stand for its own.
    """

    router: str
    protocol: Literal["udp", "tcp"]
    inner: Endpoint
    remote: Endpoint
    out: int
    back: int
    since: float
    last: float
    own: bool = True

    def asked(self) -> dict[str, object]:
        """The flow in the words of an order to its router."""
        return {"protocol": self.protocol, "inner": list(self.inner), "remote": list(self.remote)}


def on_routers(topology: Topology, paths: Iterable[MediaPath], *, held: bool) -> list[Tracked]:
    """Every flow of these paths at every router that it passes: those before each end, nearest first, and those before
    a client that relays. `held`: the call was on hold, and what is told is of the time after."""
    found: dict[tuple[str, str, Endpoint, Endpoint], Tracked] = {}
    for path in paths:
        for end, own, far in (
            (path.caller, path.to_callee, path.to_caller),
            (path.callee, path.to_caller, path.to_callee),
        ):
            for one in _of_end(topology, path, end, _lately(own, held), _lately(far, held)):
                key = one.router, one.protocol, one.inner, one.remote
                if (other := found.get(key)) is not None:
                    one = replace(
                        one,
                        out=one.out + other.out,
                        back=one.back + other.back,
                        since=min(one.since, other.since),
                        last=max(one.last, other.last),
                    )
                found[key] = one
    return list(found.values())


def _of_end(topology: Topology, path: MediaPath, end: End, own: "_Lately", far: "_Lately") -> Iterator[Tracked]:
    since, last = min(own.since, far.since), max(own.last, far.last)
    sent = own.sent
    for before, at in pairwise(end.trail):
        if topology.node(at.place).role is Role.ROUTER:
            yield Tracked(at.place, end.protocol, before.local, before.remote, sent, far.arrived, since, last)
            sent = own.arrived  # what the line to a carrier loses, its router does not track
    if path.via is not None and end.trail:
        outermost = end.trail[-1]
        for router in routers_before(topology, topology.node(path.via), outermost.remote.address)[:1]:
            flow = outermost.remote, outermost.local
            yield Tracked(router.name, end.protocol, *flow, far.arrived, own.arrived, since, last, own=False)


@dataclass(frozen=True)
class _Lately:
    """Of one way: packets sent and arrived, from when, until when."""

    sent: int
    arrived: int
    since: float
    last: float


def _lately(way: Way | None, held: bool) -> _Lately:
    if way is None or not way.spans:
        return _Lately(0, 0, inf, 0.0)
    first, last = way.spans[0], way.spans[-1]
    if not held:
        return _Lately(way.sent, way.arrived, first.start, last.end)
    return _Lately(last.packets, way.arrived * last.packets // max(1, way.sent), last.start, last.end)


def tracked(
    topology: Topology,
    captures: Captures,
    flow: Tracked,
    counted: Mapping[str, object],
    window: tuple[float, float],
    remembers: float = inf,
) -> Compared | None:
    """What a router's kernel has `counted` of a flow, `packets` and `bytes`, each [out, in].

    Of UDP packets, at least as many as were voice; of TCP, whose segments are cut and joined on their way, bytes, at
    least those of the call. At most all that came to the router, whether or not it let them through; of a connection
    that is older than the capture nobody knows how many those were. Each packet that the capture lost may have been the
    flow's. None where the packets cannot tell, as of a relay, or nothing was counted.

    The voice of a path may be more than that of this flow: another router may have given the far end another address in
    mid-call. After a silence longer than the router `remembers`, seconds, its kernel has begun anew.
    """
    place = flow.router if flow.own else core_of(topology).name
    if not _can_tell(captures, place):
        return None
    table, end = captures.need(place), window[1] + AROUND
    passed = table.stream(flow.protocol, flow.inner, flow.remote, Direction.IN)
    came = table.stream(flow.protocol, flow.remote, flow.inner, Direction.OUT if flow.own else Direction.IN)
    since = _anew((passed, came), flow.since, end, remembers)
    lately = [one.figures(since, end) if one else None for one in (passed, came)]
    seen, lost = sum(one.packets for one in lately if one), captures.dropped.get(place, 0)
    what = "bytes" if flow.protocol == "tcp" else "packets"
    found = _pair(counted.get(what))
    if found is None:
        return None
    behind_core = not topology.routers_outward(topology.node(flow.router))
    most = _most(table, flow, window[0] - AROUND, end, lost) if flow.own or behind_core else (inf, inf)
    if flow.protocol == "tcp":
        least, some = [one.bytes if one else 0 for one in lately], SOME
        said = (
            f"counted {found[0]:,} bytes out and {found[1]:,} in, where the call's were {least[0]:,} and {least[1]:,}"
        )
    else:
        least, some = (
            [
                min(told, one.packets) if one else 0 if lost else told
                for told, one in zip((flow.out, flow.back), lately, strict=True)
            ],
            FEW,
        )
        said = f"counted {found[0]:,} packets out and {found[1]:,} in, where {least[0]:,} and {least[1]:,} were voice"
    agrees = all(
        LEAST_COUNTED * low - some <= number <= MOST_COUNTED * high + some
        for number, low, high in zip(found, least, most, strict=True)
    )
    return _held(said, agrees, seen, lost)


def _most(table: Table, flow: Tracked, start: float, end: float, lost: int) -> tuple[float, float]:
    """What a router's kernel can have counted of a flow at most, out and in: packets of UDP, bytes of TCP.

    It counts what comes to it, before any rule and any line: from the far side that is what its WAN side shows, to
    whichever address the flow had there. Of a neighbour to which it turns packets back the own address is not known
    here: then it is what came from all others. Core stands for the router of a relay where nothing is lost between.
    """
    out, beyond, others, turned = list[Packet](), list[Packet](), list[Packet](), False
    for packet in table.capture.packets:
        if packet.protocol != flow.protocol or packet.time > end:
            continue
        if packet.direction is not Direction.IN:
            turned = turned or (packet.source, packet.destination) == (flow.remote, flow.inner)
        elif packet.source == flow.remote:
            if flow.own or packet.destination == flow.inner:
                beyond.append(packet)
        elif packet.source != flow.inner:
            others.append(packet)
        elif packet.destination == flow.remote:
            out.append(packet)
    ways = out, beyond or (others if turned else [])
    if flow.protocol == "udp":
        there, back = (lost + sum(packet.time >= start for packet in way) for way in ways)
        return there, back
    first = min((way[0] for way in ways if way), key=lambda packet: packet.time, default=None)
    if first is None or not first.flags & SYN:
        return inf, inf
    there, back = (_unseen(table, lost) + sum(packet.length + HEADERS for packet in way) for way in ways)
    return there, back


def _unseen(table: Table, lost: int) -> int:
    """Bytes in packets that a capture lost, at most."""
    return lost * max(FULL, *(packet.length for packet in table.capture.packets)) if lost else 0


def begun_again(topology: Topology, captures: Captures, flow: Tracked, counted: Mapping[str, object] | None) -> bool:
    """Whether a router may have lost what it had counted of a TCP connection to another one between the same ports.

    The end that hears last that a call is over dials again when its connection ends. A SYN makes connection tracking
    drop the entry of a connection that has ended, and one that goes unanswered is all that it has counted then. It is
    tracked where it comes in, so it is seen there, from either side; what a capture lost, or was cut short before, may
    have been that. An end alone makes no router forget, at once.
    """
    place = flow.router if flow.own else core_of(topology).name
    if flow.protocol != "tcp" or not captures.saw_anything(place):
        return False
    packets = _pair(counted.get("packets")) if counted is not None else (0, 0)
    if packets is None or sum(packets) > UNANSWERED:
        return False
    return place in captures.dropped or place in captures.truncated or _dialled_again(captures.need(place), flow)


def _dialled_again(table: Table, flow: Tracked) -> bool:
    """Whether a SYN came after a connection of voice had ended, and no sooner than one end may have noticed that before
    the other."""
    ended = False
    for packet in table.capture.packets:
        ends = packet.source, packet.destination
        if packet.time < flow.since or (not _comes(packet, flow) and ends != (flow.remote, flow.inner)):
            continue
        ended = ended or bool(packet.flags & (FIN | RST))
        if ended and packet.flags & SYN and packet.time >= flow.last - DYING:
            return True
    return False


def _comes(packet: Packet, flow: Tracked) -> bool:
    """Whether a packet came to a router as one of a flow: from its host, or from the far side to whichever address that
    has there."""
    ends = packet.source, packet.destination
    from_far = packet.source == flow.remote and (flow.own or packet.destination == flow.inner)
    return packet.direction is Direction.IN and (ends == (flow.inner, flow.remote) or from_far)


def _anew(streams: Iterable[Stream | None], since: float, end: float, remembers: float) -> float:
    """From when on a router has one and the same entry for a flow, which packets of either way keep alive."""
    times = sorted(time for one in streams if one for time in one.times[one.between(since, end)])
    return next((later for before, later in reversed(list(pairwise(times))) if later - before > remembers), since)


def _pair(said: object) -> tuple[int, int] | None:
    return (int(said[0]), int(said[1])) if isinstance(said, list) and len(said) == 2 else None
