"""Commands that call, judge and explain: call, matrix, explain, certify.

Belongs here: options, exit codes and what is printed. Never: work.
"""

import sys
from pathlib import Path

import click

from lab.cli.program import (
    AS_JSON,
    CAPTURE,
    KEYS,
    PAGE,
    Within,
    closed,
    commands,
    document,
    example,
    say,
    secret,
    the_lab,
    written,
)
from lab.errors import Interrupted
from lab.path_names import PATHS, checked

SECONDS = "How long they talk at least: up to 22 s more while a better path may still be found."
HOLD = "On hold from and to so many seconds after the answer; beside --seconds of talk. May be given again."
RING = click.option(
    "--ring", type=Within(0, 30_000, "ms", whole=True), default=500, show_default=True, help="How many ms it rings."
)


def _kind_and_transport(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else checked(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


class Times(click.ParamType):  # type: ignore[type-arg]  # generic in later versions alone
    """FROM:TO, two numbers of seconds."""

    name = "from:to"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        """Both numbers; anything else is refused in one sentence."""
        second = Within(0, 3600, "seconds")
        begin, _, end = value.partition(":")
        try:
            return second.convert(begin, param, ctx), second.convert(end, param, ctx)
        except click.BadParameter:
            self.fail(f"expected FROM:TO in seconds since the answer, as 5:65, got {value}", param, ctx)


@commands.command(
    **example(
        "lab call alice bob",
        "lab call bob carol --seconds 10 --expect relayed/udp --json",
        "lab call bob frank --seconds 6 --hold 3:63",
        "lab call bob frank --capture call.pcapng",
        "lab call dave erin --capture call.pcapng --keys keys.txt",
    )
)
@click.argument("caller")
@click.argument("callee")
@click.option("--seconds", type=Within(1, 3600, "seconds"), default=3, show_default=True, help=SECONDS)
@RING
@click.option("--hold", "holds", type=Times(), metavar="FROM:TO", multiple=True, help=HOLD)
@click.option("--expect", metavar="KIND/TRANSPORT", callback=_kind_and_transport, help=f"One of {', '.join(PATHS)}.")
@click.option(
    "--capture", type=CAPTURE, help="Write every place's packets to this one pcapng; a former capture is replaced."
)
@click.option(
    "--keys",
    type=KEYS,
    help="Write the keys of its TLS connections to this file, in place of former ones, and into --capture.",
)
@AS_JSON
def call(
    caller: str,
    callee: str,
    seconds: float,
    ring: int,
    holds: tuple[tuple[float, float], ...],
    expect: str | None,
    capture: Path | None,
    keys: Path | None,
    as_json: bool,
) -> None:
    """Place a voice call, and say from the packets which path it took.

    With --capture, Wireshark shows the call from every place at once; `lab verdict` judges it anywhere. --keys takes a
    lab that was started with LAB_KEYLOG=1; both ends sign in anew before they call, for a TLS connection can be read
    from its beginning alone.

    Exit status: 0 when it connected, the packets agree with the clients, and --expect holds; 1 when not;
    2 when the request or the lab was wrong.
    """
    from lab.report.console import err, out
    from lab.report.progress import CallProgress
    from lab.report.result import result

    lab = the_lab()
    try:
        with CallProgress(err(), caller, callee, seconds, quiet=as_json) as progress:
            report = lab.call(
                caller, callee, seconds=seconds, ring_ms=ring, holds=holds, keys=bool(keys), follow=progress.follow
            )
    except Interrupted as stopped:
        if capture and stopped.call:
            if keys:
                closed(capture)
            lab.one_file(stopped.call, capture)
        raise
    if as_json:
        document(report.to_json())
        if missed := report.missed(expect):
            say(missed, 1)
    else:
        topology = lab.running_world().topology
        out().print(result(report, topology, lab.checkout.call_folder(report.call), expect))
    if keys:
        secret(keys, lab.keys(report.call))
    if capture:
        if keys:
            closed(capture)
        packets = lab.one_file(report.call, capture)
        if not as_json:
            out().print(f"  capture: {capture}, {packets} packets", style="dim", markup=False)
    if not report.holds(expect):
        sys.exit(1)


@commands.command(**example("lab matrix", "lab matrix --sites home,office,hotel --html matrix.html"))
@click.option("--sites", metavar="SITE,...", help="These sites alone.  [default: all that have a client]")
@click.option("--seconds", type=Within(1, 60, "seconds"), default=1, show_default=True, help=SECONDS)
@RING
@click.option("--at-once", type=Within(1, 64, "calls", whole=True), help="Calls at the same time.  [default: 2 a core]")
@click.option("--html", type=PAGE, help="Write a heat map to this file, in place of a former page.")
@AS_JSON
def matrix(sites: str | None, seconds: float, ring: int, at_once: int | None, html: Path | None, as_json: bool) -> None:
    """Call every pair of sites in both directions, and show which paths the packets took.

    A site is called by its first client; where it has two, these call each other as well. A call lasts until its
    checklists are finished. Each keeps its evidence under .lab/matrices; `lab explain` reads it.

    Exit status: 0 when every call connected and the packets agree with the clients; 1 when not; 2 when the request or
    the lab was wrong.
    """
    from lab.report.console import err, out
    from lab.report.matrix import Calling
    from lab.report.matrix import matrix as shown

    wanted = [site.strip() for site in (sites or "").split(",") if site.strip()]
    with Calling(err()) as calling:
        found = the_lab().matrix(wanted, seconds=seconds, ring_ms=ring, at_once=at_once, follow=calling.follow)
    if html:
        from lab.report.heatmap import page

        html.write_text(page(found))
        written(html)
    if as_json:
        document(found.to_json())
    else:
        out().print(shown(found, out().width))
    if found.failed:
        sys.exit(1)


@commands.command(**example("lab explain c17", "lab explain m2-41 --json"))
@click.argument("call")
@AS_JSON
def explain(call: str, as_json: bool) -> None:
    """Say why a call that is over took its path: candidates, checks, and what ruled out each better path."""
    found = the_lab().explain(call)
    if as_json:
        document(found.to_json())
        return
    from lab.report.console import out
    from lab.report.explanation import explanation

    out().print(explanation(found))


@commands.command(**example("lab certify", "lab certify office", "lab certify home office --json"))
@click.argument("sites", metavar="[SITE]...", nargs=-1)
@AS_JSON
def certify(sites: tuple[str, ...], as_json: bool) -> None:
    """Measure by crafted packets what each site's network does, and hold it against what it claims to be.

    Exit status: 0 when every site is what it claims; 1 when one is not, or could not be measured; 2 when the request or
    the lab was wrong.
    """
    from lab.report.certification import Certifying, certification
    from lab.report.console import err, out

    lab = the_lab()
    with Certifying(err()) as shown:
        found = lab.certify(sites, shown.say, shown.follow)
    if as_json:
        document(found.to_json())
    else:
        out().print(certification(found))
    if not found.agrees:
        sys.exit(1)
