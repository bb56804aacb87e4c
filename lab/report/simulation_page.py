"""A simulated story as one HTML page of drawings: no network needed, in light and dark, on wide screens and telephones.

Belongs here: the page. Never: figures and words, which are those of simulation.py; nor charts, which are
simulation_svg.py's.
"""

from html import escape
from pathlib import Path
from string import Template

from lab.report.simulation import figures, seconds
from lab.report.simulation_svg import ABOVE, BELOW, HIGH, WIDE, Chart, charts
from lab.simulation import Outcome

_TEMPLATE = Path(__file__).with_name("simulation.html")


def page(found: Outcome) -> str:
    """The whole page: what happened over time, the load of each supernode, and every figure."""
    end = f"healed after {seconds(found.time_to_heal_s)}" if found.healed else "not healed"
    size = f"{found.clients:,} clients, {found.supernodes} supernodes, seed {found.seed}; {found.what}: "
    rows = (f"<tr><th scope='row'>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in figures(found))
    return Template(_TEMPLATE.read_text()).substitute(
        title=escape(found.story),
        summary=f'{escape(size)}<b class="{"good" if found.healed else "bad"}">{end}</b>.',
        charts="".join(map(_chart, charts(found))),
        figures="".join(rows),
    )


def _chart(chart: Chart) -> str:
    return (
        f"<section><h2>{escape(chart.name)} <span>{escape(chart.told)}</span></h2>"
        f'<svg viewBox="0 -{ABOVE} {WIDE} {ABOVE + HIGH + BELOW}" role="img" aria-label="{escape(chart.name)}">'
        f"{chart.drawn}</svg></section>"
    )
