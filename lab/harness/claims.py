"""What the two ends of a call say, put together: paths, stretches, times. Pure.

Belongs here: comparing the clients with each other. Never: packets; they are the judge's.
"""

from collections.abc import Iterable, Sequence

from lab.harness.call_report import SetupTimes
from lab.harness.events import CallEvent, Claim, Ended

GRACE = 0.25
"""Seconds around a move in which the two ends may still name different paths, beside those that a word takes."""
LOST_WORD = 0.5
"""Seconds after which what is said in a check is said again."""
FRAME = 0.02
"""Seconds between two packets of a voice."""


def same_path(caller: Ended, callee: Ended) -> bool:
    """Whether both ends name the same final path."""
    return caller.path is not None and caller.path == callee.path


Interval = tuple[float, float]
ALWAYS: Sequence[Interval] = ((float("-inf"), float("inf")),)


def supports(claim: Claim, others: Sequence[Claim], flight: float = 0.0, passed: Sequence[Interval] = ALWAYS) -> bool:
    """Whether the other end's stretches tell the same about the time of this one, but for the grace at its ends.

    `flight` is how long packets take from end to end, seconds: as much later the other end may have heard of a move.
    `passed`: from when to when media passed between the two, both ways and on whatever paths. What it did not pass in
    is not compared: each end tries by itself what may lead to the other.
    A stretch that is shorter than its two graces needs only one stretch of the other end that touches it and agrees,
    if anything passed in it; one that was over before a word of it, or a frame, could be there needs none.
    """
    if claim.end - claim.start < max(flight, FRAME):
        return True
    grace = GRACE + flight
    start, end = claim.start + grace, claim.end - grace
    if start >= end:
        return all(over <= claim.start or begin >= claim.end for begin, over in passed) or any(
            other.path == claim.path and _overlap(other, claim.start, claim.end) > -grace for other in others
        )
    pieces = [(max(start, begin), min(end, over)) for begin, over in passed if begin < end and over > start]
    if not pieces:
        return True
    shared = [(other, sum(max(0.0, _overlap(other, *piece)) for piece in pieces)) for other in others]
    touching = [other for other, seconds in shared if seconds > GRACE]
    if not touching:  # the other end sent for a shorter time than the grace takes away
        touching = [other for other, seconds in shared if seconds > 0]
    return bool(touching) and all(other.path == claim.path for other in touching)


def _overlap(claim: Claim, start: float, end: float) -> float:
    return min(claim.end, end) - max(claim.start, start)


def held_too(hold: tuple[float, float], others: Iterable[tuple[float, float]], flight: float = 0.0) -> bool:
    """Whether the other end was on hold at the same time, epoch seconds, but for the time that a word about it takes:
    `flight` seconds, and LOST_WORD where the first is lost."""
    grace = GRACE + flight + LOST_WORD
    return any(all(abs(one - other) <= grace for one, other in zip(hold, each, strict=True)) for each in others)


def setup_times(caller: str, events: Iterable[CallEvent], reports: Sequence[Ended]) -> SetupTimes:
    """Milliseconds since the caller dialled; `answered` is the callee's own time, the last two the worse end's."""
    first: dict[tuple[str, str], float] = {}
    for event in events:
        first.setdefault((event.event, "caller" if event.node == caller else "callee"), event.at)
    dialled = first.get(("dialled", "caller"))
    if dialled is None:
        return SetupTimes(None, None, None, None)

    def since(at: float | None) -> int | None:
        return None if at is None else max(0, round((at - dialled) * 1000))

    heard = [first.get(("first-media", end)) for end in ("caller", "callee")]
    first_media = None if None in heard else max(at for at in heard if at is not None)
    moves = [_settled(report.history) for report in reports if report.history]
    best_path = max([*moves, first_media]) if moves and first_media is not None else None
    return SetupTimes(
        ringing=since(first.get(("ringing", "caller"))),
        answered=since(first.get(("answered", "callee"))),
        first_media=since(first_media),
        best_path=since(best_path),
    )


def _settled(history: Sequence[Claim]) -> float:
    """Since when voice has been on its last path, epoch seconds; a hold in between is no move."""
    last = history[-1]
    for claim in reversed(history):
        if claim.path != last.path:
            break
        since = claim.start
    return since
