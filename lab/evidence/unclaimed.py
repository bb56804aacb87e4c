"""The path of what nobody claims anything about: of programs that nobody knows, and in a file that is of no call.

Several voices at once contradict nothing there, nor does one that goes elsewhere. Where none is told by its rhythm,
single packets of any size are enough, one way as well: what flows is no call, and nobody claims that it is.
Belongs here: what is named of all that flows. Never: who the two ends are (live.py, filed.py), the verdict on a call.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from lab.evidence.claims import conclude
from lab.evidence.flows import Captures
from lab.evidence.media import SIZES
from lab.evidence.paths import survey
from lab.evidence.pcap import Packet
from lab.evidence.scene import MediaPath, Scene
from lab.evidence.turn import forwarded
from lab.evidence.verdict import Finding, Observed, silent, together
from lab.topology.model import Topology

NO_VOICE = "by its rate and sizes it is no voice: single packets tell the path"
ONE_WAY = "one way alone has the rate and sizes of a voice"


def unclaimed(
    topology: Topology, captures: Captures, caller: str, callee: str, start: float, end: float
) -> tuple[Observed, Scene, str | None]:
    """The path of what flows between two nodes in a window of epoch seconds, all of it, and what limits that, None
    where nothing does. Of several paths at once it is the one with most packets, and the note has the others.

    Raises EvidenceError as `judge` does.
    """
    observed, scene = conclude(topology, captures, caller, callee, start, end)
    if observed.kind is not None:
        return observed, scene, None
    elsewhere = [str(stray) for stray in scene.strays if stray.relay] if observed.finding is Finding.AT_RELAY else []
    if scene.paths:
        seen = sorted(observed.paths or scene.paths, key=lambda path: path.last)
        named, others = _most(scene, [path for path in seen if path is seen[-1] or together(path, seen[-1])])
        limit = ONE_WAY if silent(*named) else None
    else:
        traced = survey(topology, captures.changed(_of_a_voice), caller, callee, start, end, trace=True)
        if not traced.paths:
            if observed.finding is Finding.NO_MEDIA:
                observed = replace(observed, reason=f"no flow between {caller} and {callee}")
            return observed, scene, None
        scene, limit = traced, NO_VOICE
        named, others = _most(scene, scene.paths)
    return _of(observed, scene, named), scene, _note(limit, [*others, *elsewhere])


def _of_a_voice(packet: Packet) -> Packet:
    """A datagram as if a voice's packets had its size, so that a trace does not pass it over."""
    packet = forwarded(packet)
    if packet.protocol != "udp" or not packet.length or packet.length in SIZES:
        return packet
    return packet._replace(length=min(max(packet.length, SIZES[0]), SIZES[-1]))


def _most(scene: Scene, paths: Sequence[MediaPath]) -> tuple[list[MediaPath], list[str]]:
    """Those of some paths that are called alike and have most packets in all, and what the others are, in words."""
    packets = _packets(scene)
    names = sorted({str(path): path for path in paths}, key=lambda name: -packets[name])
    return (
        [path for path in paths if str(path) == names[0]],
        [f"{packets[name]} packets of {name}" for name in names[1:]],
    )


def _packets(scene: Scene) -> Counter[str]:
    """How many there are on all paths that are called so."""
    found = Counter[str]()
    for path in scene.paths:
        found[str(path)] += path.packets
    return found


def _of(observed: Observed, scene: Scene, named: Sequence[MediaPath]) -> Observed:
    """The same where these paths, which are called alike, are what there is."""
    path = max(named, key=lambda one: one.packets)
    ends = f"between {path.caller} and {path.callee}"
    reason = f"{path.transport.upper()} {ends}" if path.via is None else f"through {path.via}, {ends}"
    if len(named) > 1:
        reason += f", the most of {len(named)} flows that are alike"
    return replace(
        observed, finding=Finding.PATH, kind=path.kind, transport=path.transport, via=path.via,
        packets=_packets(scene)[str(path)], reason=reason, paths=tuple(named),
    )  # fmt: skip


def _note(limit: str | None, beside: Sequence[str]) -> str | None:
    parts = [limit] if limit else []
    if beside:
        parts.append(f"beside it there are {', '.join(beside)}")
    return "; ".join(parts) or None
