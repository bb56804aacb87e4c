"""Claims held against packets: each stretch of a call's history against the packets of that stretch.

Belongs here: what the clients say, as a claim and nothing more. Never: anything learnt from it about what happened.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lab.errors import EvidenceError
from lab.evidence.flows import Captures
from lab.evidence.paths import survey
from lab.evidence.scene import MediaPath, Scene
from lab.evidence.silence import Interval, Sides, spoken
from lab.evidence.verdict import BRIEF, BRIEF_IN_TLS, GRACE, Finding, Observed, judge
from lab.topology.model import Topology

SHORTEST_JUDGED = 0.4
"""Seconds that must be left of a stretch, less its grace, to be judged by rhythm; shorter ones by trace."""
LAST = 1.0
"""Seconds at the end of the media whose path is the call's path (design)."""
FRAME = 0.02
"""Seconds between two packets of a voice (RFC 7587, 4.2: 20 ms by default): in a shorter stretch there need be none."""
DYING = 3.0
"""Seconds within which a client has left a path that died: voice is back within so many, and checks tell it by then."""
UNCLAIMED = 1.0
"""Seconds of media that may lie outside every claimed stretch: a ring's first frames, a round trip at the end."""


@dataclass(frozen=True)
class Claim:
    """One stretch that a client claims: from `start` to `end` (epoch s) its media took this path."""

    start: float
    end: float
    kind: str
    transport: str
    via: str | None

    @classmethod
    def parse(cls, stretch: Mapping[str, Any]) -> "Claim":
        """From a client's history: {"from", "to", "kind", "transport", "via"}. Raises EvidenceError."""
        try:
            start, end = float(stretch["from"]), float(stretch["to"])
            kind, transport, via = stretch["kind"], stretch["transport"], stretch.get("via")
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise EvidenceError(
                f"a claimed stretch needs from, to, kind, transport and via; got {stretch!r}"
            ) from error
        if not (isinstance(kind, str) and isinstance(transport, str) and isinstance(via, str | None) and start <= end):
            raise EvidenceError(f"a claimed stretch runs forward and names its path in words; got {stretch!r}")
        return cls(start, end, kind, transport, via)

    def __str__(self) -> str:
        return f"{self.kind}/{self.transport}" + (f" via {self.via}" if self.via else "")


@dataclass(frozen=True)
class Held:
    """A claim and what its packets say: `observed` is None where the stretch was too short for a rhythm."""

    claim: Claim
    observed: Observed | None
    agrees: bool
    reason: str


@dataclass(frozen=True)
class Verdict:
    """A whole call held against its packets.

    `observed` is the path of the last second of media, with the packets of the whole call. `agrees` when that is the
    path of the last stretch, every stretch agrees, and no media lies where none was claimed; `reasons` says what does
    not. `first` and `last` are the first and last media of the call, epoch seconds, None if there was none. `flight`
    is how long media took from end to end on the slowest path, seconds: a move is known to the other end no sooner.
    `silent`: for each hold of the caller's, whether it sent nothing meanwhile. `scene`: all media of the call.
    """

    observed: Observed
    stretches: tuple[Held, ...]
    agrees: bool
    reasons: tuple[str, ...]
    first: float | None
    last: float | None
    flight: float
    silent: tuple[bool, ...] = ()
    scene: Scene = field(default_factory=lambda: Scene((), ()))


def hold(
    topology: Topology,
    captures: Captures,
    caller: str,
    callee: str,
    history: Sequence[Claim],
    start: float,
    end: float,
    far: Sequence[Claim] = (),
    silences: Sides = ((), ()),
) -> Verdict:
    """Hold what a client claims of a call against its packets; `start` and `end` (epoch s) enclose the call.

    `history` is the caller's, `far` the callee's, which counts for what the callee sent alone: where media may lie.
    `silences` are the times of which either says that the call was on hold, and that it sent nothing.
    Each stretch is judged without its grace at its beginning and at its end: 250 ms and a round trip, as long as
    packets were seen to take: a word about a move there, what was sent until then back. A path that was left is held
    to carry media both ways until it died, `DYING` before that at most: one end goes on sending into what leads
    nowhere until it knows. One that was chosen after it had died, between two others, and left within as much, needs
    no media where there was none at all, and where it is short only what its own end sent that way. What the callee
    sends to a relay that it claims then is no matter of the caller's stretches. Media outside the stretches
    has the half of the round trip, for it is timed where it is sent. Raises EvidenceError as `judge` does.
    """
    whole = survey(topology, captures, caller, callee, start, end)
    flight = max((path.flight for path in whole.paths), default=0.0)
    grace = GRACE + flight
    between = {claim for claim in history[1:-1] if claim.end - claim.start <= DYING}
    held = tuple(
        _hold(
            topology,
            captures,
            caller,
            callee,
            claim,
            grace + flight,
            left=claim.end + DYING < end or claim != history[-1],
            tried=claim in between,
            far=_relayed(far, grace),
        )
        for claim in history
    )
    held = tuple(
        replace(one, agrees=True, reason=f"{one.reason}; nothing passed on any path meanwhile")
        if not one.agrees
        and one.claim in between
        and _silent(topology, captures, caller, callee, one.claim.start, one.claim.end)
        else one
        for one in held
    )
    first = min((path.first for path in whole.paths), default=None)
    last = max((path.last for path in whole.paths), default=None)
    observed = _in_the_end(whole, topology, captures, caller, callee, start, end)
    reasons = [stretch.reason for stretch in held if not stretch.agrees]
    reasons += _final(observed, history)
    reasons += _outside(whole, history, far or history, grace)
    own, others = spoken(whole, (caller, callee), silences, grace)
    reasons += [reason for reason in (*own, *others) if reason is not None]
    silent = tuple(reason is None for reason in own)
    return Verdict(observed, held, not reasons, tuple(reasons), first, last, flight, silent, whole)


def conclude(
    topology: Topology, captures: Captures, caller: str, callee: str, start: float, end: float
) -> tuple[Observed, Scene]:
    """The path of a call that nobody claims anything about: that of the last second of its media, and all of it.

    `start` and `end`, epoch seconds, enclose the call. Raises EvidenceError as `judge` does.
    """
    whole = survey(topology, captures, caller, callee, start, end)
    return _in_the_end(whole, topology, captures, caller, callee, start, end), whole


def _in_the_end(
    whole: Scene, topology: Topology, captures: Captures, caller: str, callee: str, start: float, end: float
) -> Observed:
    """The path of the last second of media, with the packets of the whole call."""
    if not whole.paths:
        return judge(topology, captures, caller, callee, start, end)
    first, last = min(path.first for path in whole.paths), max(path.last for path in whole.paths)
    end = max(last - max(path.flight for path in whole.paths), _both_until(whole.paths))
    observed = judge(topology, captures, caller, callee, max(first, end - LAST), end)
    return replace(observed, packets=sum(path.packets for path in whole.paths))


def _both_until(paths: Iterable[MediaPath]) -> float:
    """Until when the last path had media both ways, epoch s: one end hears of the end a flight after the other."""
    final = max(paths, key=lambda path: path.last)
    return min(way.spans[-1].end for way in final.ways)


def _hold(
    topology: Topology,
    captures: Captures,
    caller: str,
    callee: str,
    claim: Claim,
    grace: float,
    left: bool,
    tried: bool,
    far: Sequence[Interval],
) -> Held:
    """`left`: the path was left, so it may have died; `tried`: for a while between others, so it may have led nowhere;
    `far`: when the callee says that it was at a relay, which of what it sends there is judged by that."""
    start, end = claim.start + grace, claim.end - grace
    if end - start < SHORTEST_JUDGED:
        return _trace(topology, captures, caller, callee, claim, grace, tried)
    observed = judge(topology, captures, caller, callee, start, end, {callee: far})
    if left and observed.finding is Finding.ONE_WAY:
        died = _both_until(observed.paths)
        if end - died <= DYING and len(observed.paths[-1].ways) == 2:
            until_then = replace(claim, end=died + grace)
            return _hold(topology, captures, caller, callee, until_then, grace, False, tried, far)
    same = (observed.kind, observed.transport, observed.via) == (claim.kind, claim.transport, claim.via)
    if observed.finding is Finding.PATH and same:
        return Held(claim, observed, True, observed.reason)
    return Held(
        claim, observed, False, f"claimed {claim} for {end - start:.1f} s, and the packets show: {observed.reason}"
    )


def _silent(topology: Topology, captures: Captures, caller: str, callee: str, start: float, end: float) -> bool:
    """Whether nothing of a voice's size passed between the two, nor went to a relay, in a window."""
    scene = survey(topology, captures, caller, callee, start, end, trace=True)
    return not scene.paths and not scene.strays


def _trace(
    topology: Topology, captures: Captures, caller: str, callee: str, claim: Claim, grace: float, tried: bool
) -> Held:
    """A stretch too short to judge by rhythm agrees if such media existed at all, within its grace, or need not; of one
    that was `tried` between two others, if it was sent that way."""
    scene = survey(topology, captures, caller, callee, claim.start - grace, claim.end + grace, trace=True)
    for path in scene.paths:
        if (path.kind, path.transport, path.via) == (claim.kind, claim.transport, claim.via):
            return Held(claim, None, True, f"{path.packets} packets of {path}")
    if claim.end - claim.start < FRAME:
        return Held(claim, None, True, "shorter than what lies between two frames")
    for stray in scene.lost if tried else ():
        if stray.node == caller and stray.relay == claim.via and claim.transport in (stray.protocol, "mixed"):
            return Held(claim, None, True, f"{stray}, of which nothing reached {callee}")
    seen = ", ".join(str(path) for path in scene.paths) or "no media"
    length = (claim.end - claim.start) * 1000
    return Held(claim, None, False, f"claimed {claim} for {length:.0f} ms, and the packets show {seen}")


def _final(observed: Observed, history: Sequence[Claim]) -> list[str]:
    if observed.kind is None:
        return [observed.reason]
    if not history:
        return [f"no path was claimed, and the packets show: {observed.reason}"]
    claim = history[-1]
    if (claim.kind, claim.transport, claim.via) == (observed.kind, observed.transport, observed.via):
        return []
    return [f"claimed {claim} at the end, and the packets show: {observed.reason}"]


def _outside(whole: Scene, history: Sequence[Claim], far: Sequence[Claim], grace: float) -> list[str]:
    """Media where its sender claimed nothing, or at a relay outside every relayed stretch of its sender."""
    reasons: list[str] = []
    for path in whole.paths:
        for way, claims in ((path.to_callee, history), (path.to_caller, far)):
            if way is None:
                continue
            spans = [(span.start, span.end) for span in way.spans]
            if claims and _longest(_without(spans, _stretches(claims, grace))) > UNCLAIMED:
                reasons.append(f"media on {path} where no stretch was claimed")
            brief = BRIEF_IN_TLS if path.sealed else BRIEF
            if path.kind == "relayed" and _longest(_without(spans, _relayed(claims, grace))) > brief:
                reasons.append(f"media at {path.via} outside every relayed stretch")
    for stray in whole.strays:
        spans = [(span.start, span.end) for span in stray.spans]
        if stray.relay and _longest(_without(spans, _relayed((*history, *far), grace))) > BRIEF:
            reasons.append(f"media at {stray.relay} outside every relayed stretch: {stray}")
    return reasons


def _stretches(claims: Iterable[Claim], grace: float) -> list[Interval]:
    return [(claim.start - grace, claim.end + grace) for claim in claims]


def _relayed(claims: Iterable[Claim], grace: float) -> list[Interval]:
    return _stretches((claim for claim in claims if claim.kind == "relayed"), grace)


def _without(spans: Iterable[Interval], taken: Iterable[Interval]) -> list[Interval]:
    """What is left of some intervals where others cover them."""
    left = list(spans)
    for low, high in taken:
        left = [
            piece
            for start, end in left
            for piece in ((start, min(end, low)), (max(start, high), end))
            if piece[0] < piece[1]
        ]
    return left


def _longest(intervals: Iterable[Interval]) -> float:
    return max((end - start for start, end in intervals), default=0.0)
