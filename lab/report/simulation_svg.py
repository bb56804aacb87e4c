"""A simulated story's charts as SVG, and all of them as one picture.

Belongs here: lines, bars and marks. Never: figures and words, which are those of simulation.py; the page around them
stands in simulation_page.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from lab.report.simulation import Course, courses, crests, load, seconds, shown, size, span
from lab.simulation import Outcome

WIDE, HIGH, ABOVE, BELOW = 480, 150, 6, 20
"""Of the area that is drawn in, and of what stands above and below it."""
_POINTS = 480
_COLUMNS, _CELL, _ROW, _MARGIN, _HEAD = 2, 520, 216, 28, 112
_STYLE = """
    .paper { fill: #ffffff } .ink { fill: #1b2430 } .dim { fill: #5b6878 } .name { font-weight: 600 }
    .axis { stroke: #c3ccd8 } .area { fill: #2c7fb8; opacity: .25 } .bar { fill: #2c7fb8 }
    .draw { fill: none; stroke: #2c7fb8; stroke-width: 1.5 } .blow { stroke: #b2182b }
    .limit { stroke: #b2182b; stroke-dasharray: 5 3 }
    .axis-text { fill: #5b6878; font-size: 12px } .good { fill: #1a7f3c } .bad { fill: #b2182b }
    @media (prefers-color-scheme: dark) {
      .paper { fill: #10151c } .ink { fill: #e6edf5 } .dim, .axis-text { fill: #98a6b8 } .axis { stroke: #3a4656 }
      .area { fill: #6db3de } .draw { stroke: #6db3de } .bar { fill: #6db3de } .blow, .limit { stroke: #f0776c }
      .good { fill: #57c278 } .bad { fill: #f0776c }
    }
"""


@dataclass(frozen=True)
class Chart:
    """`name` and `told` are its heading; `drawn` is SVG, ABOVE over and BELOW under an area of WIDE by HIGH."""

    name: str
    told: str
    drawn: str


def charts(found: Outcome) -> list[Chart]:
    """What happened over time, and the load of each supernode in the end."""
    moments = shown(found)
    first, last = (moments[0].at, moments[-1].at) if moments else (0, 0)
    over_time = [_course(course, first, last, found) for course in courses(found)]
    return [*over_time, _loads(found)]


def picture(found: Outcome) -> str:
    """All charts as one file: no network needed, in light and dark."""
    drawn = charts(found)
    rows = -(-len(drawn) // _COLUMNS)
    wide, high = 2 * _MARGIN + _COLUMNS * _CELL - (_CELL - WIDE), _HEAD + rows * _ROW
    title = f"{found.story}: {size(found)}"
    end, how = (f"healed after {seconds(found.time_to_heal_s)}", "good") if found.healed else ("not healed", "bad")
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" role="img" aria-labelledby="title" '
            'font-family="system-ui, sans-serif" font-size="14">',
            f'<title id="title">{escape(title)}: {escape(found.what)}</title>',
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{wide}" height="{high}"/>',
            f'<text class="ink name" x="{_MARGIN}" y="36" font-size="18">{escape(title)}</text>',
            f'<text class="dim" x="{_MARGIN}" y="60">{escape(found.what)}: <tspan class="{how}">{end}</tspan></text>',
            f'<g transform="translate({wide - _MARGIN - 240},30)">{_key()}</g>',
            *_placed(drawn),
            "</svg>\n",
        )
    )


def _placed(drawn: Sequence[Chart]) -> Iterator[str]:
    for number, chart in enumerate(drawn):
        row, column = divmod(number, _COLUMNS)
        yield (
            f'<g transform="translate({_MARGIN + column * _CELL},{_HEAD + row * _ROW})">'
            f'<text y="-14"><tspan class="ink name">{escape(chart.name)}</tspan>'
            f'<tspan class="dim" dx="8">{escape(chart.told)}</tspan></text>{chart.drawn}</g>'
        )


def _key() -> str:
    """What the marks mean."""
    return (
        '<line class="blow" x1="8" x2="8" y1="-8" y2="6"/><text class="dim" x="24" y="4">supernodes are struck</text>'
        '<line class="limit" x1="0" x2="17" y1="24" y2="24"/>'
        '<text class="dim" x="24" y="29">what a supernode has stated</text>'
    )


def _course(course: Course, first: int, last: int, found: Outcome) -> Chart:
    """A line over time, with the blows marked. Of many seconds that fall on one point, the highest is drawn."""
    values = course.values or [0.0]
    highest = crests(values, min(_POINTS, len(values)))
    top = max(*highest, course.limit or 0) or 1
    step = WIDE / max(1, len(highest) - 1)
    line = " ".join(f"{at * step:.1f},{HIGH - value * HIGH / top:.1f}" for at, value in enumerate(highest))
    drawn = f'<polygon class="area" points="0,{HIGH} {line} {WIDE},{HIGH}"/><polyline class="draw" points="{line}"/>'
    if course.limit is not None:
        drawn += _limit(HIGH - course.limit * HIGH / top)
    for at in [found.since + blow.after_s for blow in found.blows] or [found.since]:
        blow = (at - first) * WIDE / max(1, last - first)
        drawn += f'<line class="blow" x1="{blow:.1f}" x2="{blow:.1f}" y1="0" y2="{HIGH}"/>'
    ends = f'<text class="axis-text" x="0" y="{HIGH + 16}">-{span(found.since - first)}</text>'
    ends += f'<text class="axis-text" x="{WIDE}" y="{HIGH + 16}" text-anchor="end">+{span(last - found.since)}</text>'
    return Chart(course.name, course.told, _axis() + drawn + ends)


def _loads(found: Outcome) -> Chart:
    """A bar for each supernode, the emptiest first, and how many it has room for."""
    room = found.load_per_supernode.room
    top = max(found.load_per_supernode.most, room or 0) or 1
    wide = WIDE / max(1, len(found.loads))
    drawn = "".join(
        f'<rect class="bar" x="{at * wide:.1f}" width="{wide * 0.85:.1f}" '
        f'y="{HIGH - count * HIGH / top:.1f}" height="{count * HIGH / top:.1f}"/>'
        for at, count in enumerate(found.loads)
    )
    if room is not None:
        drawn += _limit(HIGH - room * HIGH / top)
    ends = f'<text class="axis-text" x="0" y="{HIGH + 16}">the emptiest first</text>'
    return Chart("clients at each supernode in the end", load(found), _axis() + drawn + ends)


def _limit(high: float) -> str:
    return f'<line class="limit" x1="0" x2="{WIDE}" y1="{high:.1f}" y2="{high:.1f}"/>'


def _axis() -> str:
    return f'<line class="axis" x1="0" x2="{WIDE}" y1="{HIGH}" y2="{HIGH}"/>'
