"""The command that shows a newcomer around: tour.

Belongs here: waiting for keys, exit codes and what is printed. Never: texts, or work.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from lab.cli.program import commands, example, the_lab
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.harness import Lab
    from lab.harness.call_report import CallReport
    from lab.report.tour import Stop
    from lab.topology.model import Topology

STOPS = ("direct", "punched", "blocked", "outgoing-tcp", "relayed")
"""As in lab/report/tour.py, which is not imported before it is needed."""
SECONDS = 3
_LEAVE = ("q", "Q", "\x1b")


@commands.command(**example("lab tour", "lab tour punched blocked", "lab tour | less"))
@click.argument("stops", metavar="[STOP]...", nargs=-1, type=click.Choice(STOPS))
def tour(stops: tuple[str, ...]) -> None:
    """Show a newcomer around: five calls of the reference lab, and what becomes of their packets; ten minutes.

    The packets that matter are told while they pass. Goes on at a key, q ends it; without a terminal it does not wait.
    STOPs are direct, punched, blocked, outgoing-tcp and relayed.  [default: all of them]

    Exit status: 0 when every call connected and the packets agree with the clients; 1 when not; 2 when the lab that
    runs is another.
    """
    from lab.report import tour as told
    from lab.report.console import out
    from lab.report.story import timeline

    lab, console = the_lab(), out()
    topology = lab.may_tour()

    def show(content: Any) -> None:
        console.print(content, width=min(console.width, told.WIDTH))

    failed = False
    chosen = [stop for stop in told.STOPS if not stops or stop.name in stops]
    show(told.welcome())
    for number, stop in enumerate(chosen, 1):
        if not _goes_on("to go on"):
            break
        show(told.before(stop, number, len(chosen)))
        if not _goes_on("to place this call"):
            break
        report, seen = _placed(lab, stop, topology, show)
        failed = failed or not report.holds()
        folder = lab.checkout.call_folder(report.call)
        found = None if seen else lab.trace(report.call)
        show(told.packets(stop, report, topology, folder, timeline(report.evidence), found))
        if not _goes_on("for what that means"):
            break
        show(told.after(stop, report))
    else:
        show(told.goodbye())
    if failed:
        sys.exit(1)


def _placed(lab: "Lab", stop: "Stop", topology: "Topology", show: Callable[[Any], None]) -> "tuple[CallReport, bool]":
    """The call of a stop, and whether its packets were told while they passed: where captures fail, they are not."""
    from rich.text import Text

    from lab.harness.beside import accompanied
    from lab.report.remarks import LEGEND, Remarks

    try:
        session = lab.capture(call=(stop.caller, stop.callee))
    except LabError as error:
        show(Text(f"The packets are told after the call: {error}", "dim"))
        return _unaccompanied(lab, stop), False
    remarks, heading = Remarks(topology, stop.caller, stop.callee), [Text(LEGEND, "dim")]

    def tell(rows: Any) -> None:
        if lines := remarks.hear(rows):
            for line in (*heading, *lines):
                show(line)
            heading.clear()

    report, trouble = accompanied(
        session, lambda follow: lab.call(stop.caller, stop.callee, seconds=SECONDS, follow=follow), tell
    )
    if trouble is not None:
        show(Text(f"The rest is told from here on, after the call: {trouble}", "dim"))
    show(Text())
    return report, trouble is None and remarks.talking


def _unaccompanied(lab: "Lab", stop: "Stop") -> "CallReport":
    """The same, and how far it is."""
    from lab.report.console import err
    from lab.report.progress import CallProgress

    with CallProgress(err(), stop.caller, stop.callee, SECONDS, quiet=True) as progress:
        follow = progress.follow if _terminal() else _silent  # a pager has the terminal to itself
        return lab.call(stop.caller, stop.callee, seconds=SECONDS, follow=follow)


def _goes_on(what: str) -> bool:
    """Wait for a key where there is a terminal; False where it says to leave."""
    if not _terminal():
        click.echo()
        return True
    prompt = f"any key {what}, q to leave"
    click.echo(f"\n{prompt}", nl=False)
    key = click.getchar()
    click.echo(f"\r{' ' * len(prompt)}\r", nl=False)
    return key not in _LEAVE


def _terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _silent(event: object) -> None:
    pass
