"""The frames that each end of a call has counted, beside the packets; and what was done to the lab that excuses it.

Belongs here: what of an end's last word is a count, and when it is compared. Never: the comparison (lab.evidence).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from lab.evidence import Captures, Claim
from lab.evidence.frames import Counted, frames
from lab.evidence.scene import Scene
from lab.harness.events import Ended
from lab.harness.placing import Placed
from lab.harness.testimony import RESTARTING, Asking, told
from lab.topology.model import Topology

LEAVE = 1.0
"""Seconds between an end's last frame and its last word: it hears out what is in flight."""
PARTING = (*RESTARTING, "unplug", "plug", "move")
"""Events at an end, or at the router before it, after which its frames do not all pass where packets are captured."""


@dataclass(frozen=True)
class Frames:
    """Of one end: its counts in words, and whether the packets bear them out."""

    said: str = ""
    agree: bool = True


def counted(
    topology: Topology,
    placed: Placed,
    captures: Captures,
    scene: Scene,
    end: Ended,
    claims: Iterable[Claim],
    asking: Asking,
) -> Frames:
    """What an end says of its voice. It is not compared where its call broke off, nor where it was set apart from its
    packets by an event at either end, or at its router."""
    if end.media is None:
        return Frames()
    words = f"sent {end.media.sent:,} frames, heard {end.media.received:,}"
    if not (end.ok and end.history and scene.paths):
        return Frames(words)
    media, since = end.media, end.history[0].start
    own = Counted(end.node, media.sent, media.received, media.lost, since, end.at, _astray(end))
    compared = frames(topology, captures, scene, own, claims, placed.started)
    if compared is None or compared.agrees:
        return Frames(words)
    near = [placed.request.caller, placed.request.callee]
    near += [router.name for router in topology.routers_outward(topology.node(end.node))[:1]]
    for line in asking.changes(placed.started):
        if line["event"] in PARTING and line.get("node") in (*near, None):
            return Frames(f"{words}, which is not compared with its packets: {told(line, placed.started)}")
    return Frames(compared.said, False)


def _astray(end: Ended) -> float:
    """Seconds for which an end had no path, and was not on hold."""
    until, seconds = end.history[0].start, 0.0
    for begin, over in sorted([*((one.start, one.end) for one in end.history), *end.holds]):
        seconds += max(0.0, begin - until)
        until = max(until, over)
    return seconds + max(0.0, end.at - LEAVE - until)
