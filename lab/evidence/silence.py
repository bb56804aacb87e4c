"""A call on hold, held against packets: who says that it was silent has sent no media meanwhile.

Belongs here: silence that was claimed. Never: the stretches of media around it (claims.py).
"""

from collections.abc import Iterator, Sequence

from lab.evidence.media import Bout
from lab.evidence.scene import Scene
from lab.evidence.verdict import BRIEF, BRIEF_IN_TLS

Interval = tuple[float, float]
Sides = tuple[Sequence[Interval], Sequence[Interval]]
"""Of the caller and of the callee: from when to when each says that the call was on hold, epoch seconds."""


def spoken(
    scene: Scene, names: tuple[str, str], silences: Sides, grace: float
) -> tuple[list[str | None], list[str | None]]:
    """For each hold of each side one sentence where that side sent media in it, None where it was silent.

    `grace` (s) at both ends of a hold is not looked at: packets are timed where they were captured.
    """
    caller, callee = (
        [_spoken(list(_sent(scene, names[side], side)), names[side], one, grace) for one in silences[side]]
        for side in (0, 1)
    )
    return caller, callee


def _sent(scene: Scene, name: str, side: int) -> Iterator[tuple[Bout, str, float]]:
    """The media of one end: its spans, on what, and how much of it is no voice yet."""
    for path in scene.paths:
        way = path.to_caller if side else path.to_callee
        for span in way.spans if way is not None else ():
            yield span, str(path), BRIEF_IN_TLS if path.sealed else BRIEF
    for stray in scene.strays:
        for span in stray.spans if stray.node == name else ():
            yield span, str(stray.remote), BRIEF_IN_TLS


def _spoken(sent: Sequence[tuple[Bout, str, float]], name: str, hold: Interval, grace: float) -> str | None:
    start, end = hold[0] + grace, hold[1] - grace
    for span, where, brief in sent:
        seconds = min(span.end, end) - max(span.start, start)
        if seconds > brief:
            said = f"{name} was on hold for {hold[1] - hold[0]:.1f} s"
            return f"{said}, and sent media on {where} for {seconds:.1f} s of it"
    return None
