"""The frames of voice that an end says it has sent and heard, held against the packets that left it and came to it.

By UDP a frame is a packet. Inside TCP and TLS frames are joined and cut, and nothing is compared: not of an end whose
voice went so for any part of a call, nor where an end claims such a part and the packets do not show how it went.

Bounds are as wide as those of other counters. The upper ones are held against every packet of a voice's size between
an end and anybody; the lower ones against those of the call's paths alone, each content once.
Belongs here: the comparison. Never: whether the lab was changed meanwhile (lab.harness.frames).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.evidence.claims import FRAME, Claim
from lab.evidence.counters import FEW, LEAST_COUNTED, MOST_COUNTED, Compared
from lab.evidence.flows import Captures, Flow, Stream
from lab.evidence.media import voice
from lab.evidence.scene import Scene
from lab.evidence.translation import addresses_of, views
from lab.topology.model import Topology

IN_HAND = 1.0
"""Seconds before an end's last word in which what came need not have been played: a jitter buffer holds as much."""


@dataclass(frozen=True)
class Counted:
    """What an end says: frames sent, heard (decoded as they came) and lost, for whatever reason.

    `since` and `until`, epoch seconds: when it had its first path, and when it said so. `astray`: seconds for which it
    spoke and had no path; what is said then is counted, and leaves nobody.
    """

    node: str
    sent: int
    heard: int
    lost: int
    since: float
    until: float
    astray: float = 0.0


def frames(
    topology: Topology, captures: Captures, scene: Scene, counted: Counted, claims: Iterable[Claim], start: float
) -> Compared | None:
    """Hold what an end has counted against its packets; `claims` are both ends', `start` (epoch s) is the call's.

    What came and was not heard has to be among the lost: late, beside a full buffer, or before the answer. Packets that
    a capture lost may have been of either way, and widen what an end can have sent or heard. None where the packets
    cannot tell: no path is seen, a part of the voice went by TCP, or a capture is cut short.
    """
    ends = [end for path in scene.paths for end in (*path.former, path.caller, path.callee) if end.node == counted.node]
    shown = {str(path) for path in scene.paths}
    if (
        not ends
        or any(end.protocol == "tcp" for end in ends)
        or any(stray.protocol == "tcp" for stray in scene.strays if stray.node == counted.node)
        or any(claim.transport != "udp" and str(claim) not in shown for claim in claims)
    ):
        return None
    node = topology.node(counted.node)
    seen = [(address, view) for address in addresses_of(node) for view in views(topology, captures, node, address)]
    places = {view.table.capture.place for _, view in seen}
    if any(place in captures.truncated for place in places):
        return None
    flows = [
        flow
        for address, view in seen
        for flow in view.table.flows(address, view.forward, view.backward)
        if flow.protocol == "udp"
    ]
    left, came = (
        sum(_packets(stream, start, counted.until + IN_HAND) for stream in streams)
        for streams in ([flow.forward for flow in flows], [flow.backward for flow in flows])
    )
    spoken, brought = _of_call(flows, {(end.inside, end.remote) for end in ends}, counted)
    missed = sum(captures.dropped.get(place, 0) for place in places)
    said = (
        f"sent {counted.sent:,} frames and heard {counted.heard:,}, "
        f"where {left:,} packets of voice left it and {came:,} came to it"
    )
    most_sent = MOST_COUNTED * left + FEW + missed + counted.astray / FRAME
    sent = LEAST_COUNTED * spoken - FEW <= counted.sent <= most_sent
    accounted = LEAST_COUNTED * brought - FEW <= counted.heard + counted.lost
    return Compared(said, sent and accounted and counted.heard <= MOST_COUNTED * came + FEW + missed)


def _packets(stream: Stream | None, start: float, end: float) -> int:
    return len(voice(stream, start, end)) if stream is not None else 0


def _of_call(flows: Iterable[Flow], paths: set[tuple[object, object]], counted: Counted) -> tuple[int, int]:
    """Different packets that an end sent on the call's paths, and that came on them in time to be played."""
    sent = brought = 0
    for flow in flows:
        if (flow.local, flow.remote) in paths:
            sent += _different(flow.forward, counted.since, counted.until)
            brought += _different(flow.backward, counted.since, counted.until - IN_HAND)
    return sent, brought


def _different(stream: Stream | None, start: float, end: float) -> int:
    return len({packet.payload for packet in voice(stream, start, end)}) if stream is not None else 0
