"""How a call sounded while it went on: the grade, jitter and loss of both ends, each a small chart over time.

Belongs here: drawing what clients said once a second. Never: judging it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

Line = Mapping[str, Any]
WIDE, HIGH, LEFT = 320, 96, 34
"""Pixels of the drawing, and those at its left for the figures."""
_ENDS = ("one", "two")

Point = tuple[float, float]


def curves(lines: Iterable[Line], ends: tuple[str, str]) -> str:
    """Three charts side by side; empty where no client has said anything of its voice."""
    lines = [line for line in lines if "at" in line]
    began = next((float(line["at"]) for line in lines if line.get("event") == "dialled"), None)
    said = [[one for one in lines if one.get("event") == "progress" and one.get("node") == end] for end in ends]
    if began is None:
        began = min((float(one["at"]) for of_end in said for one in of_end), default=0.0)
    if not any(said):
        return ""
    until = max(float(one["at"]) - began for of_end in said for one in of_end)
    charts: list[tuple[str, float, float, Callable[[Sequence[Line], float], list[Point]]]] = [
        ("MOS", 1.0, 4.5, lambda own, at: _plain(own, at, "mos")),
        ("jitter, ms", 0.0, 5.0, lambda own, at: _plain(own, at, "jitter_ms")),
        ("lost, %", 0.0, 5.0, _lost),
    ]
    drawn = [
        _chart(name, least, most, [of(own, began) for own in said], ends, until) for name, least, most, of in charts
    ]
    key = "".join(f'<span class="{kind}">{escape(end)}</span>' for kind, end in zip(_ENDS, ends, strict=True))
    return f'<p class="key">{key}</p><div class="charts">{"".join(drawn)}</div>'


def _plain(own: Sequence[Line], began: float, key: str) -> list[Point]:
    return [(float(one["at"]) - began, float(one[key])) for one in own if one.get(key) is not None]


def _lost(own: Sequence[Line], began: float) -> list[Point]:
    """The share of the frames since the line before that were never heard, in percent."""
    points, before = [], (0, 0)
    for one in own:
        now = int(one.get("lost") or 0), int(one.get("received") or 0)
        lost, heard = (max(0, new - old) for new, old in zip(now, before, strict=True))
        if lost + heard:
            points.append((float(one["at"]) - began, 100 * lost / (lost + heard)))
        before = now
    return points


def _chart(
    name: str, least: float, most: float, both: Sequence[Sequence[Point]], ends: tuple[str, str], until: float
) -> str:
    most = max([most, *(value for points in both for _, value in points)])
    span = max(until, 0.001)

    def place(point: Point) -> tuple[float, float]:
        return LEFT + point[0] / span * (WIDE - LEFT - 8), 8 + (most - point[1]) / (most - least) * (HIGH - 8)

    parts = []
    for number, (kind, end, points) in enumerate(zip(_ENDS, ends, both, strict=True)):
        places = [place(point) for point in points]
        if len(places) > 1:
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline class="{kind}" points="{line}"/>')
        for (x, y), (at, value) in zip(places, points, strict=True):
            told = f"{end}, {at:.1f} s: {value:.2f}"
            parts.append(
                f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{3.5 - number}">'
                f"<title>{escape(told)}</title></circle>"
            )
    axis = f'<path class="axis" d="M{LEFT} 4V{HIGH}H{WIDE}"/>'
    figures = (
        f'<text x="{LEFT - 5}" y="14" text-anchor="end">{most:g}</text>'
        if most == int(most)
        else (f'<text x="{LEFT - 5}" y="14" text-anchor="end">{most:.1f}</text>')
    )
    figures += f'<text x="{LEFT - 5}" y="{HIGH}" text-anchor="end">{least:g}</text>'
    figures += f'<text x="{LEFT}" y="{HIGH + 14}">dialled</text>'
    figures += f'<text x="{WIDE - 4}" y="{HIGH + 14}" text-anchor="end">{until:.1f} s</text>'
    return (
        f"<figure><figcaption>{escape(name)}</figcaption>"
        f'<svg class="quality" viewBox="0 0 {WIDE} {HIGH + 20}" role="img" aria-label="{escape(name)}">{axis}{figures}'
        f"{''.join(parts)}</svg></figure>"
    )
