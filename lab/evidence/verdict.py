"""The verdict on a window: which path the media between two nodes took, or why no path can be named.

Belongs here: what one window of packets proves. Never: reading files, and what the clients claim.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations

from lab.evidence.flows import Captures
from lab.evidence.paths import survey
from lab.evidence.scene import Kind, MediaPath, Scene, Stray, Transport
from lab.topology.model import Topology

NOWHERE: Mapping[str, Sequence[tuple[float, float]]] = {}
GRACE = 0.25
"""Seconds of grace at a move (design): so long may media be on the old path and on the new one."""
ONE_WAY = 0.5
"""A path on which one way has media for less than this part of the other's time is one-way, unless as much arrived of
either: an end whose router is down is not seen to send, and the other sends on into what leads nowhere."""
BRIEF = 0.1
"""Seconds of media that count as such: five frames are no remnant of a handshake, nor of a path left behind."""
BRIEF_IN_TLS = 0.25
"""The same inside TLS, where nothing is claimed: checks at the end of a voice look like it."""


class Finding(StrEnum):
    """What a window shows. Only PATH and MOVED name a path; every other is a finding against the call."""

    PATH = "path"
    MOVED = "moved"
    TWO_PATHS = "two-paths"
    ONE_WAY = "one-way"
    AT_RELAY = "at-relay"
    NO_MEDIA = "no-media"


@dataclass(frozen=True)
class Observed:
    """What the packets of a window say.

    `kind`, `transport` and `via` are those of the path, of the later one where the media moved, and None with any
    other finding. `packets` are the call's media packets at core, of both legs of a relayed path, retransmissions
    not counted; of a call that does not cross the internet, as they were sent. `reason` is one sentence. `paths` and
    `strays` are all that was seen. `dropped` and `truncated` are what the captures themselves lost, by place.
    """

    finding: Finding
    kind: Kind | None
    transport: Transport | None
    via: str | None
    packets: int
    reason: str
    start: float
    end: float
    paths: tuple[MediaPath, ...]
    strays: tuple[Stray, ...]
    dropped: dict[str, int]
    truncated: dict[str, str]


def judge(
    topology: Topology,
    captures: Captures,
    caller: str,
    callee: str,
    start: float,
    end: float,
    elsewhere: Mapping[str, Sequence[tuple[float, float]]] = NOWHERE,
) -> Observed:
    """The path of the media between two clients in a window of epoch seconds, from packets alone.

    `elsewhere`: when which end says that it was at a relay, so that what it sent there in vain is no finding here.
    Kind follows translation alone: punched where a router translated both ends, relayed through a relay, else direct.
    Raises EvidenceError where a place that must have seen the call was not captured, is empty, or contradicts another;
    ConfigError where a node is unknown.
    """
    scene = survey(topology, captures, caller, callee, start, end)
    strays = tuple(
        stray
        for stray in scene.strays
        if not stray.relay
        or not all(
            any(low <= span.start and span.end <= high for low, high in elsewhere.get(stray.node, ()))
            for span in stray.spans
        )
    )
    return _weigh(replace(scene, strays=strays), captures, caller, callee, start, end)


def _weigh(scene: Scene, captures: Captures, caller: str, callee: str, start: float, end: float) -> Observed:
    least = min(BRIEF, (end - start) / 2)
    paths = tuple(path for path in scene.paths if max(way.seconds for way in path.ways) >= least)
    paths = tuple(sorted(paths, key=lambda path: path.last))
    at_relay = tuple(s for s in scene.strays if s.relay and sum(span.seconds for span in s.spans) >= least)
    finding, reason = _find(paths, at_relay, scene, caller, callee)
    seen = Observed(
        finding, None, None, None, sum(path.packets for path in paths), reason, start, end, paths, scene.strays,
        captures.dropped, captures.truncated,
    )  # fmt: skip
    if finding in (Finding.PATH, Finding.MOVED):
        return replace(seen, kind=paths[-1].kind, transport=paths[-1].transport, via=paths[-1].via)
    return seen


def _find(
    paths: tuple[MediaPath, ...], at_relay: tuple[Stray, ...], scene: Scene, caller: str, callee: str
) -> tuple[Finding, str]:
    if at_relay:
        beside = f"beside {paths[-1]}" if paths else "that never reached the other end"
        return Finding.AT_RELAY, f"{at_relay[0]}, {beside}"
    if not paths:
        stray = f": {scene.strays[0]} never reached the other end" if scene.strays else ""
        return Finding.NO_MEDIA, f"no media between {caller} and {callee}{stray}"
    pair = next((pair for pair in combinations(paths, 2) if together(*pair)), None)
    if pair:
        return Finding.TWO_PATHS, f"media on two paths at the same time: {pair[0]} and {pair[1]}"
    path = paths[-1]
    one_way = silent(path)
    if one_way:
        return Finding.ONE_WAY, f"media on {path} from {one_way[0]} to {one_way[1]} only"
    reason = _described(path)
    before = [str(path) for path in paths[:-1] if str(path) != str(paths[-1])]
    if before:
        return Finding.MOVED, f"{reason}; before that {', '.join(before)}"
    return Finding.PATH, reason


def together(one: MediaPath, two: MediaPath) -> bool:
    """Whether media was on both at once for longer than a move takes: its grace, and the flight of a word about it."""
    grace = GRACE + max(one.flight, two.flight)
    return any(min(a.end, b.end) - max(a.start, b.start) > grace for a in one.spans for b in two.spans)


def silent(*paths: MediaPath) -> tuple[str, str] | None:
    """From whom to whom media goes, where it goes only one way on these paths together."""
    there = sum(path.to_callee.seconds for path in paths if path.to_callee)
    back = sum(path.to_caller.seconds for path in paths if path.to_caller)
    if min(there, back) >= ONE_WAY * max(there, back):
        return None
    arrived = [sum(way.arrived for path in paths if (way := getattr(path, of))) for of in ("to_callee", "to_caller")]
    if min(arrived) >= max(1.0, ONE_WAY * max(arrived)):
        return None
    names = (paths[0].caller.node, paths[0].callee.node)
    return names if there > back else (names[1], names[0])


def _described(path: MediaPath) -> str:
    if path.via is None:
        return f"{path.transport.upper()} media between {path.caller} and {path.callee}"
    legs = ", ".join(f"{end} by {end.protocol.upper()}" for end in (path.caller, path.callee))
    return f"media through {path.via}, legs of {legs}"
