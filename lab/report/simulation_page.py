"""A simulated story as one HTML page of drawings: no network needed, in light and dark, on wide screens and telephones.

Belongs here: the page. Never: figures and words, which are those of simulation.py.
"""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

from lab.report.simulation import courses, crests, figures, load, seconds, shown, span
from lab.simulation import Outcome

_TEMPLATE = Path(__file__).with_name("simulation.html")
_WIDE, _HIGH, _POINTS = 480, 150, 480


def page(found: Outcome) -> str:
    """The whole page: what happened over time, the load of each supernode, and every figure."""
    moments = shown(found)
    first, last = (moments[0].at, moments[-1].at) if moments else (0, 0)
    charts = [_course(name, values, most, first, last, found.since) for name, values, most in courses(found)]
    charts.append(_loads(found))
    end = f"healed after {seconds(found.time_to_heal_s)}" if found.healed else "not healed"
    size = f"{found.clients:,} clients, {found.supernodes} supernodes, seed {found.seed}; {found.what}: "
    rows = (f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in figures(found))
    return Template(_TEMPLATE.read_text()).substitute(
        title=escape(found.story),
        summary=f'{escape(size)}<b class="{"good" if found.healed else "bad"}">{end}</b>.',
        charts="".join(charts),
        figures="".join(rows),
    )


def _course(name: str, values: Sequence[int], most: str, first: int, last: int, since: float) -> str:
    """A line over time, with the blow marked. Of many seconds that fall on one point, the highest is drawn."""
    highest = crests(values, min(_POINTS, len(values)) or 1)
    top = max(highest, default=0) or 1
    step = _WIDE / max(1, len(highest) - 1)
    points = [(at * step, _HIGH - value * _HIGH / top) for at, value in enumerate(highest)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    blow = (since - first) * _WIDE / max(1, last - first)
    drawn = f'<polygon class="area" points="0,{_HIGH} {line} {_WIDE},{_HIGH}"/><polyline class="draw" points="{line}"/>'
    marks = f'<line class="blow" x1="{blow:.1f}" x2="{blow:.1f}" y1="0" y2="{_HIGH}"/>'
    ends = f'<text x="0" y="{_HIGH + 14}">-{span(since - first)}</text>'
    ends += f'<text x="{_WIDE}" y="{_HIGH + 14}" text-anchor="end">+{span(last - since)}</text>'
    return _chart(name, most, drawn + marks + ends)


def _loads(found: Outcome) -> str:
    """A bar for each supernode, the emptiest first, and how many it has room for."""
    room = found.load_per_supernode.room
    top = max(found.load_per_supernode.most, room or 0) or 1
    wide = _WIDE / max(1, len(found.loads))
    drawn = "".join(
        f'<rect class="bar" x="{at * wide:.1f}" width="{wide * 0.85:.1f}" '
        f'y="{_HIGH - count * _HIGH / top:.1f}" height="{count * _HIGH / top:.1f}"/>'
        for at, count in enumerate(found.loads)
    )
    if room is not None:
        high = _HIGH - room * _HIGH / top
        drawn += f'<line class="room" x1="0" x2="{_WIDE}" y1="{high:.1f}" y2="{high:.1f}"/>'
    return _chart("clients at each supernode in the end", load(found), drawn)


def _chart(name: str, told: str, drawn: str) -> str:
    axis = f'<line class="axis" x1="0" x2="{_WIDE}" y1="{_HIGH}" y2="{_HIGH}"/>'
    return (
        f"<section><h2>{escape(name)} <span>{escape(told)}</span></h2>"
        f'<svg viewBox="0 -4 {_WIDE} {_HIGH + 22}" role="img" aria-label="{escape(name)}">{axis}{drawn}</svg></section>'
    )
