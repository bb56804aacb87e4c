"""The command that needs no lab: simulate.

Belongs here: options, exit codes and what is printed. Never: work.
"""

import sys
from pathlib import Path

import click

from lab.cli.program import AS_JSON, PAGE, SVG, Within, commands, document, example, written

STORIES = ("outage-2007", "outage-2010", "outage-cascade", "churn")
"""As in lab/simulation/stories.py, which is not imported before it is needed."""


def _known(context: click.Context, option: click.Parameter, value: str) -> str:
    if value not in STORIES:
        raise click.BadParameter(f"expected {', '.join(STORIES[:-1])} or {STORIES[-1]}, got {value}")
    return value


@commands.command(**example("lab simulate outage-2010", "lab simulate churn --clients 1000 --html churn.html"))
@click.argument("story", callback=_known)
@click.option(
    "--clients", type=Within(10, 1_000_000, "clients", whole=True), default=10_000, show_default=True, help="How many."
)
@click.option(
    "--seed", type=Within(0, 2**63, "a seed", whole=True), default=1, show_default=True, help="The same, the same run."
)
@click.option("--html", type=PAGE, help="Write a page of drawings to this file, in place of a former page.")
@click.option("--svg", type=SVG, help="Write the drawings alone to this file, in place of a former SVG.")
@AS_JSON
def simulate(story: str, clients: int, seed: int, html: Path | None, svg: Path | None, as_json: bool) -> None:
    """Let a crowd live through STORY, on a model network and with a clock that jumps; no lab is needed.

    The machines are those that run in the containers. outage-2007: most clients restart at once while supernodes are
    missing; outage-2010: three in ten supernodes crash; outage-cascade: half of the supernodes go at once, then all but
    one, then everything restarts; churn: six hours of coming and going.

    Exit status: 0 when it healed: every client that is up sits at a supernode, a sample of names is found, no supernode
    let in more than it says, and, in outage-cascade, all were in in time and no call ended; 1 when not; 2 when the
    request was wrong.
    """
    from lab.report.console import err, out
    from lab.report.simulation import Simulating
    from lab.report.simulation import simulation as shown
    from lab.simulation import STORIES as TOLD
    from lab.simulation import simulate as run

    with Simulating(err(), quiet=as_json) as simulating:
        found = run(TOLD[story], clients, seed, simulating.follow)
    if html:
        from lab.report.simulation_page import page

        html.write_text(page(found))
        written(html)
    if svg:
        from lab.report.simulation_svg import picture

        svg.write_text(picture(found))
        written(svg)
    if as_json:
        document(found.to_json())
    else:
        out().print(shown(found, out().width))
    if not found.healed:
        sys.exit(1)
