"""What others have counted of a call, held against the packets: a relay's bytes, and the flows of a router's kernel.

Bounds are wide, for what is counted is not the same: a relay counts what it passed on, without binds, frames and TLS; a
kernel counts a flow from its first packet on. They tell a witness that lies or saw nothing from one that was there.
Belongs here: the comparison. Never: asking anybody, and whether it was in order to ask.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.evidence.flows import Captures
from lab.evidence.pcap import Direction, Endpoint
from lab.evidence.scene import End, MediaPath, Scene, Way
from lab.topology.model import Topology

AROUND = 1.0
"""Seconds around a call in which its packets may pass a relay: checks while it rings."""
LEAST, MOST, SOME = 0.3, 1.1, 2_000
"""Parts of the bytes that came to a relay which it has passed on at least and at most, and bytes either way: a voice of
a few bytes a frame inside TLS is half overhead."""
LEAST_COUNTED, MOST_COUNTED, FEW = 0.8, 1.2, 20
"""The same for the packets of a flow."""


@dataclass(frozen=True)
class Compared:
    """What a counter says beside what the packets do, in words, and whether they agree."""

    said: str
    agrees: bool


def relayed(
    topology: Topology,
    captures: Captures,
    scene: Scene,
    relay: str,
    counted: tuple[int, int],
    window: tuple[float, float],
) -> Compared | None:
    """Packets and bytes that a relay says it has passed on in a call, which lay in a window of epoch seconds.

    None where its own capture cannot tell: it is not there, or has lost packets.
    """
    if not captures.saw_anything(relay) or captures.dropped.get(relay) or captures.truncated.get(relay):
        return None
    table, own = captures.need(relay), {str(address) for address in topology.node(relay).addresses}
    start, end = window[0] - AROUND, window[1] + AROUND
    into = [
        (stream, stream.figures(start, end).bytes)
        for address in own
        for stream in table.reaching(address, Direction.IN)
    ]
    legs = {
        (one.protocol, one.outside) for path in scene.paths if path.via == relay for one in (path.caller, path.callee)
    }
    of_call = sum(size for stream, size in into if (stream.protocol, stream.source) in legs)
    everything = sum(size for _, size in into)
    packets, size = counted
    said = f"passed on {size:,} bytes in {packets:,} packets, where {of_call:,} came to it from the two"
    return Compared(said, LEAST * of_call - SOME <= size <= MOST * everything + SOME)


def tracked(
    captures: Captures, router: str, path: MediaPath, end: End, counted: tuple[int, int], window: tuple[float, float]
) -> Compared | None:
    """Packets out and in that a router's kernel has counted of the flow of one end of a path of UDP.

    None where the router's capture cannot tell.
    """
    if not captures.saw_anything(router) or captures.dropped.get(router) or captures.truncated.get(router):
        return None
    own, far = (path.to_callee, path.to_caller) if end is path.caller else (path.to_caller, path.to_callee)
    passed = captures.need(router).stream("udp", end.inside, end.remote, Direction.IN)
    most = passed.figures(window[0] - AROUND, window[1] + AROUND).packets if passed else 0
    out, back = counted
    sent, came = _sent(own), _arrived(far)
    said = f"counted {out:,} packets out and {back:,} in, where {sent:,} and {came:,} were voice"
    enough = out >= LEAST_COUNTED * sent - FEW and back >= LEAST_COUNTED * came - FEW
    return Compared(said, enough and out <= MOST_COUNTED * most + FEW)


def flow_of(rows: Iterable[dict[str, object]], inside: Endpoint, remote: Endpoint) -> tuple[int, int] | None:
    """The packets out and in of one flow of UDP among a router's rows; None where it is not there, or not counted."""
    for row in rows:
        if (row["protocol"], row["inner"], row["remote"]) == ("udp", list(inside), list(remote)):
            packets = row["packets"]
            return (int(packets[0]), int(packets[1])) if isinstance(packets, list) else None
    return None


def _sent(way: Way | None) -> int:
    return way.sent if way else 0


def _arrived(way: Way | None) -> int:
    return way.arrived if way else 0
