"""The command that hands out what is kept: report.

Belongs here: options, exit codes and what is printed. Never: work.
"""

from pathlib import Path

import click

from lab.cli.program import commands, example, the_lab


@commands.command(**example("lab report report", "lab report /tmp/zoo --no-captures"))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--no-captures", is_flag=True, help="Leave the packets out: half a megabyte a call.")
def report(folder: Path, no_captures: bool) -> None:
    """Write all that is kept of the lab as one HTML page into DIR: topology, certification, matrix, calls.

    DIR is new, empty, or holds a report of before, which is replaced. The page needs no server and no network; each
    call's ladder, timeline and quality are in it, its capture a file beside it. No lab has to run, but to make what is
    to be reported: `lab matrix`, `lab call`, `lab certify`.

    Exit status: 0 when it is written; 2 when DIR holds something else, or nothing is kept.
    """
    from lab.harness.handing import Handout
    from lab.report.console import err, out
    from lab.report.handout import make
    from lab.report.making import Making

    lab, target = the_lab(), Handout(folder)
    found = lab.kept()
    with Making(err()) as making:
        made = make(lab.checkout, found, target, not no_captures, making.follow)
    beside = f", captures {_size(made.captures_bytes)}" if made.captures_bytes else ""
    calls = f"{made.calls:,} calls, {made.ladders:,} of them with a ladder" if made.calls else "no calls"
    out().print(f"{target.page}: {calls}; page {_size(made.page_bytes)}{beside}", markup=False, soft_wrap=True)
    if (others := found.left_out) is not None:
        err().print(others, markup=False, soft_wrap=True)


def _size(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{max(1, round(count / 1e3))} kB"
