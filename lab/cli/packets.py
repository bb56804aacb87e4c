"""Commands that read packets of a call that is over: verdict, ladder.

Belongs here: options, exit codes and what is printed. Never: work.
"""

import re
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import click

from lab.cli.program import AS_JSON, CAPTURE, SVG, Within, commands, document, example, one_file, say, the_lab, written

WATCHED = 5
"""Seconds that --live watches unless told."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


class Whom(click.ParamType):  # type: ignore[type-arg]  # generic in later versions alone
    """An IPv4 or IPv6 address, or else a node's name."""

    name = "name or address"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> IPv4Address | IPv6Address | str:
        """The address, or the name as it is; what can be neither is refused in one sentence."""
        text = str(value)
        try:
            return ip_address(text)
        except ValueError:
            if _NAME.fullmatch(text):
                return text
            self.fail(f"expected a node's name or an IPv4 or IPv6 address, got {text}", param, ctx)


@commands.command(
    **example(
        "lab verdict call.pcapng",
        "lab verdict call.pcapng --json",
        "lab verdict packets.pcapng --caller bob --callee frank",
        "lab verdict other.pcap --caller 192.0.2.7 --callee 198.51.100.9",
        "lab verdict --live home flat --seconds 10",
        "lab verdict call.pcapng --voice voice.pcapng",
    )
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--live", nargs=2, metavar="SITE SITE", help="Judge what flows between two sites of the lab now instead.")
@click.option("--seconds", type=Within(1, 600, "seconds"), help=f"How long --live watches.  [default: {WATCHED}]")
@click.option("--caller", type=Whom(), help="Of a capture that is of no call: an end's name, or its address.")
@click.option("--callee", type=Whom(), help="The other end's.")
@click.option("--relay", type=Whom(), help="A relay's between them.")
@click.option(
    "--voice",
    type=CAPTURE,
    help="Write its voice in the clear to this pcapng, in place of a former capture, of a file that has its keys.",
)
@AS_JSON
def verdict(
    file: Path | None,
    live: tuple[str, str] | None,
    seconds: float | None,
    caller: IPv4Address | IPv6Address | str | None,
    callee: IPv4Address | IPv6Address | str | None,
    relay: IPv4Address | IPv6Address | str | None,
    voice: Path | None,
    as_json: bool,
) -> None:
    """Say from a capture file alone which path its call took, and why; it needs no lab.

    A file of `lab call --capture` holds all that is needed. Of one of `lab capture`, name the two ends; of a capture
    that is no lab's, the addresses that they have in it.
    With --live it takes the packets of whatever program of two sites, from both routers, core and the relays.

    Exit status: 0 when the packets name a path; 1 when they do not; 2 when the file cannot be read, or is not whole.
    """
    if (file is None) == (live is None):
        raise click.UsageError("name a capture file, or two sites with --live")
    named = None
    if caller or callee or relay:
        if caller is None or callee is None:
            raise click.UsageError("a capture that is of no call needs both --caller and --callee")
        if len({caller, callee, relay}) < 3:
            raise click.UsageError(
                "the two ends and a relay have addresses of their own; two of those given are the same"
            )
        named = (caller, callee, relay)
    if live is not None and named:
        raise click.UsageError("--live knows the addresses of its sites; leave them out")
    if voice is not None and file is None:
        raise click.UsageError("--voice takes a capture file; --live has no keys")
    if seconds is not None and file is not None:
        raise click.UsageError("--seconds is how long --live watches; a capture file is judged as a whole")
    if file is None:
        assert live is not None
        found, what = the_lab().watch_between(*live, WATCHED if seconds is None else seconds), "the packets seen"
    else:
        from lab.evidence import filed, opened

        if voice is not None and one_file(voice, file):
            raise click.UsageError(f"--voice {voice} is the capture itself, which stays as it is; name another file")
        if voice is not None:
            packets = opened.write(file, voice)
            say(f"{packets:,} packets of voice are in {voice}", 0)
        found, what = filed.verdict(file, named), f"the packets of {file}"
    if as_json:
        document(found.to_json())
    else:
        from lab.report.console import out
        from lab.report.filed import filed as shown

        out().print(shown(found))
    if found.observed.kind is None:
        sys.exit(say(f"{what} name no path: {found.observed.reason}", 1))


@commands.command(**example("lab ladder c1", "lab ladder m2-41 --svg ladder.svg"))
@click.argument("call")
@click.option("--svg", type=SVG, help="Write it to this file instead, as an SVG, in place of a former one.")
@AS_JSON
def ladder(call: str, svg: Path | None, as_json: bool) -> None:
    """Draw who sent what to whom in a call that is over, and what was dropped where.

    One column a node, one row for each of the packets that matter; equal packets are one row. Read from the call's
    evidence folder.
    """
    found = the_lab().ladder(call)
    if svg:
        from lab.report.ladder_svg import svg as drawn

        svg.write_text(drawn(found))
        written(svg)
    if as_json:
        document(found.to_json())
    elif not svg:
        from lab.report.console import out, room
        from lab.report.ladder import ladder as shown

        console = out()
        console.print(shown(found, room(console)))
