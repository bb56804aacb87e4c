"""The report of a call: what its two ends say, held against each other and against the packets.

Belongs here: putting claims and evidence into one report. Never: placing calls, reading packets.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lab import evidence
from lab.errors import EvidenceError
from lab.harness.call_report import CallReport, Hold, Media, MediaPath, Observed, Stretch, Witness
from lab.harness.claims import ALWAYS, Interval, held_too, same_path, setup_times, supports
from lab.harness.events import Ended, parse_key_changed
from lab.harness.frames import Frames, counted
from lab.harness.placing import Placed
from lab.harness.testimony import NOBODY, Asking, heard, missing
from lab.topology.model import Topology

PACKETS = "packets"
"""The first witness: those of core and of the routers."""
SILENT = "it has said nothing at the end of a call that the other says was one"


@dataclass(frozen=True)
class _Judged:
    """What comes of two reports and the packets."""

    observed: Observed | None
    history: tuple[Stretch, ...]
    disagreements: tuple[str, ...]
    error: str | None
    on_hold: tuple[Hold, ...] = ()
    witnesses: tuple[Witness, ...] = ()


def report(topology: Topology, placed: Placed, folder: Path = Path(), asking: Asking = NOBODY) -> CallReport:
    """One report of a call that is over; a call that failed says why, and has neither path nor observed one.

    Its routers are asked now, while they remember it.
    """
    request = placed.request
    caller, callee = (placed.reports.get(name) for name in (request.caller, request.callee))
    ends = [end for end in (caller, callee) if end]
    times = setup_times(request.caller, placed.events, ends)
    media = {end.node: end.media for end in ends if end.media}
    if len(media) == 2 and not all(end.ok for end in ends):
        one, two = media
        media = {one: _cut_off(media[one], media[two]), two: _cut_off(media[two], media[one])}
    dropped = {one.node: one.dropped for one in placed.captured if one.dropped}
    wrong = next((end.reason for end in ends if not end.ok), None) or placed.trouble
    judged = _Judged(None, (), (), wrong or "the call never connected")
    connected = caller is not None and callee is not None and caller.connected and callee.connected
    if connected and caller and callee:
        judged = _judge(topology, placed, caller, callee, wrong, asking)
    elif any(end.connected for end in ends):
        silent = [missing(name, SILENT) for name in (request.caller, request.callee) if name not in placed.reports]
        told = tuple(f"{one.name} {one.said}" for one in silent)
        judged = replace(judged, disagreements=told, witnesses=tuple(silent))
    failed = judged.error is not None  # what it was before it failed stands in the history
    return CallReport(
        call=placed.call,
        caller=request.caller,
        callee=request.callee,
        connected=connected,
        error=judged.error,
        path=caller.path if caller and not failed else None,
        observed=None if failed else judged.observed,
        agrees=not failed and judged.observed is not None and not judged.disagreements,
        disagreements=judged.disagreements,
        history=judged.history,
        setup_ms=times,
        media=media,
        dropped_by_captures=dropped,
        evidence=folder,
        seed=placed.seed,
        line_seeds=placed.line_seeds,
        on_hold=judged.on_hold,
        witnesses=judged.witnesses,
        keys_changed=tuple(parse_key_changed(event) for event in placed.events if event.event == "key-changed"),
    )


def _cut_off(own: Media, peers: Media) -> Media:
    """An end's figures in a call that broke off: what the peer sent into the void is lost, and no figure of quality
    tells of that."""
    never = peers.sent - own.received
    return own if never <= own.lost else replace(own, lost=never, mos=None)


def _judge(
    topology: Topology, placed: Placed, caller: Ended, callee: Ended, wrong: str | None, asking: Asking
) -> _Judged:
    files = {one.node: one.file for one in placed.captured}
    dropped = {one.node: one.dropped for one in placed.captured}
    claims, far = (
        [evidence.Claim(one.start, one.end, one.path.kind, one.path.transport, one.path.via) for one in end.history]
        for end in (caller, callee)
    )
    start, end = placed.started, max(caller.at, callee.at)
    dialled = next((event.at for event in placed.events if event.event == "dialled"), start)
    try:
        captures = evidence.Captures.read(files, dropped)
        silences = caller.holds, callee.holds
        verdict = evidence.hold(topology, captures, caller.node, callee.node, claims, start, end, far, silences)
    except EvidenceError as error:
        return _Judged(None, (), (), wrong or str(error), witnesses=(Witness(PACKETS, str(error), False),))
    disagreements = list(verdict.reasons)
    passed = _both_ways(verdict.scene.paths) or ALWAYS
    history = []
    for one, held in zip(caller.history, verdict.stretches, strict=True):
        shared = supports(one, callee.history, verdict.flight, passed)
        if not shared:
            disagreements.append(f"{caller.node} claims {one.path} where {callee.node} claims something else")
        begin, over = _ms(one.start, dialled), _ms(one.end, dialled)
        history.append(Stretch(one.path.kind, one.path.transport, one.path.via, begin, over, held.agrees and shared))
    holds = []
    for (begin_at, end_at), silent in zip(caller.holds, verdict.silent, strict=True):
        shared = held_too((begin_at, end_at), callee.holds, verdict.flight)
        begin, over = _ms(begin_at, dialled), _ms(end_at, dialled)
        holds.append(Hold(begin, over, silent and shared))
        if not shared:
            disagreements.append(f"{caller.node} was on hold from {begin} to {over} ms, and {callee.node} was not")
    if len(callee.holds) > len(caller.holds):
        disagreements.append(f"{callee.node} was on hold more often than {caller.node}")
    if not same_path(caller, callee):
        disagreements.append(f"{caller.node} ended on {caller.path}, {callee.node} on {callee.path}")
    seen = verdict.observed
    observed = None
    if seen.kind is not None and seen.transport is not None:
        observed = Observed(seen.kind, seen.transport, seen.via, seen.packets)
    elif wrong is None:
        wrong = f"the packets name no path: {seen.reason}"
    witnesses = [Witness(PACKETS, seen.reason, verdict.agrees)]
    for one_end in (caller, callee):
        frames = counted(topology, placed, captures, verdict.scene, one_end, (*claims, *far), asking)
        witnesses.append(_client(one_end, observed, frames))
        if not frames.agree:
            disagreements.append(f"{one_end.node} says that it {frames.said}")
    others = heard(topology, placed, captures, verdict.scene, end, asking)
    disagreements += [f"{one.name} {one.said}" for one in others if one.agrees is False]
    return _Judged(
        observed, tuple(history), tuple(dict.fromkeys(disagreements)), wrong, tuple(holds), (*witnesses, *others)
    )


def _both_ways(paths: Sequence[evidence.MediaPath]) -> list[Interval]:
    """When media went both ways, on whatever paths: where it goes one way alone, it goes to nobody for all its sender
    knows."""
    there, back = (
        _merged((span.start, span.end) for way in ways if way is not None for span in way.spans)
        for ways in ([path.to_callee for path in paths], [path.to_caller for path in paths])
    )
    shared = [(max(one[0], two[0]), min(one[1], two[1])) for one in there for two in back]
    return [(begin, over) for begin, over in shared if begin < over]


def _merged(spans: Iterable[Interval]) -> list[Interval]:
    """The same time, each moment of it once."""
    found: list[Interval] = []
    for begin, over in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(over, found[-1][1]))
        else:
            found.append((begin, over))
    return found


def _client(end: Ended, observed: Observed | None, frames: Frames) -> Witness:
    """What an end claims, beside what the packets showed last, and how many frames it has counted, beside all."""
    told = f"claims {end.path}; {frames.said}" if frames.said else f"claims {end.path}"
    shown = MediaPath(observed.kind, observed.transport, observed.via) if observed else None
    return Witness(end.node, told, end.path is not None and end.path == shown and frames.agree)


def _ms(at: float, dialled: float) -> int:
    return max(0, round((at - dialled) * 1000))
