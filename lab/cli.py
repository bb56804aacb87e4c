"""The command line: each command is one step of the harness, shown by the report room.

Belongs here: options, help, exit codes. Never: work; and nothing heavy is imported before a command needs it.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.errors import LabError

if TYPE_CHECKING:
    from lab.harness import Lab

PATHS = ("direct/udp", "punched/udp", "direct/tcp", "punched/tcp", "relayed/udp", "relayed/mixed", "relayed/tcp")
INTERRUPTED = 130
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on standard output.")


def example(*lines: str) -> dict[str, Any]:
    """The example at the end of a command's help; click leaves the block after \\b as it is."""
    return {"epilog": "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="supernode-lab", prog_name="lab")
@click.option(
    "--lab", "name", metavar="NAME", envvar="LAB_NAME", help="Which lab, of several side by side.  [default: lab]"
)
def commands(name: str | None) -> None:
    """A small internet of real NATs and firewalls on this machine, and calls whose paths are proven by packets.

    A lab with another NAME has subnets of its own, and runs beside the first.

    \b
    Example:
      lab up
      lab call alice bob
      lab down
    """


@commands.command(**example("lab up", "lab up compose/reference.yml"))
@click.argument("file", required=False, type=click.Path(path_type=Path))
def up(file: Path | None) -> None:
    """Bring a topology up (compose/reference.yml unless FILE is given) and wait until every node is ready.

    Another topology that runs is taken down first.
    """
    from lab.report import sites
    from lab.report.console import out

    lab, began = _lab(), time.monotonic()
    with _progress() as say:
        done = lab.up(file, say)
    console, topology = out(), done.world.topology
    title = f"{sites.shown(done.file)}: {len(topology.nodes)} nodes ready in {time.monotonic() - began:.1f} s"
    console.print(sites.tree(topology, title))
    console.print()
    console.print(sites.next_steps(topology, _own_name()))


@commands.command(**example("lab down"))
def down() -> None:
    """Take the lab down and leave nothing behind: no container, network or volume."""
    lab, began = _lab(), time.monotonic()
    with _progress() as say:
        say("taking the lab down")
        gone = lab.down()
    if not gone.containers and not gone.networks and not gone.volumes:
        click.echo("the lab was not up")
        return
    what = f"{gone.containers} containers with their volumes, {gone.networks} networks"
    click.echo(f"gone in {time.monotonic() - began:.1f} s: {what}; images and the engine stay")


@commands.command(**example("lab status", "lab status --json"))
@AS_JSON
def status(as_json: bool) -> None:
    """Ask every node what it is doing now."""
    found = _lab().status()
    if as_json:
        _document(found.to_json())
        return
    from lab.report import tables
    from lab.report.console import out

    out().print(tables.status(found))


def _kind_and_transport(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    if value is not None and value not in PATHS:
        raise click.BadParameter(f"{value!r} is no path; it is one of {', '.join(PATHS)}")
    return value


@commands.command(**example("lab call alice bob", "lab call bob carol --seconds 10 --expect relayed/udp --json"))
@click.argument("caller")
@click.argument("callee")
@click.option("--seconds", type=click.FloatRange(1, 3600), default=3, show_default=True, help="How long they talk.")
@click.option("--ring", type=click.IntRange(0, 30_000), default=500, show_default=True, help="How many ms it rings.")
@click.option("--expect", metavar="KIND/TRANSPORT", callback=_kind_and_transport, help=f"One of {', '.join(PATHS)}.")
@AS_JSON
def call(caller: str, callee: str, seconds: float, ring: int, expect: str | None, as_json: bool) -> None:
    """Place a voice call, and say from the packets which path it took.

    Exit status: 0 when it connected, the packets agree with the clients, and --expect holds; 1 when not;
    2 when the request or the lab was wrong.
    """
    from lab.report.console import err, out
    from lab.report.progress import CallProgress
    from lab.report.result import result

    lab = _lab()
    with CallProgress(err(), caller, callee, seconds, quiet=as_json) as progress:
        report = lab.call(caller, callee, seconds=seconds, ring_ms=ring, follow=progress.follow)
    if as_json:
        _document(report.to_json())
        if missed := report.missed(expect):
            _say(missed, 1)
    else:
        topology = lab.running_world().topology
        out().print(result(report, topology, lab.checkout.call_folder(report.call), expect))
    if not report.holds(expect):
        sys.exit(1)


@commands.command(**example("lab matrix", "lab matrix --sites home,office,hotel --html matrix.html"))
@click.option("--sites", metavar="SITE,...", help="These sites alone.  [default: all that have a client]")
@click.option("--seconds", type=click.FloatRange(1, 60), default=1, show_default=True, help="How long they talk.")
@click.option("--ring", type=click.IntRange(0, 30_000), default=500, show_default=True, help="How many ms it rings.")
@click.option("--at-once", type=click.IntRange(1, 64), default=8, show_default=True, help="Calls at the same time.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a heat map to this file.")
@AS_JSON
def matrix(sites: str | None, seconds: float, ring: int, at_once: int, html: Path | None, as_json: bool) -> None:
    """Call every pair of sites in both directions, and show which paths the packets took.

    A site is called by its first client; where it has two, these call each other as well. A call lasts until its
    checklists are finished. Each keeps its evidence under .lab/matrices; `lab explain` reads it.

    Exit status: 0 when every call connected and the packets agree with the clients; 1 when not; 2 when the request or
    the lab was wrong.
    """
    from lab.report.console import err, out
    from lab.report.matrix import Calling
    from lab.report.matrix import matrix as shown

    if html and not html.resolve().parent.is_dir():
        raise click.BadParameter(f"there is no folder {html.parent}", param_hint="--html")
    wanted = [site.strip() for site in (sites or "").split(",") if site.strip()]
    with Calling(err()) as calling:
        found = _lab().matrix(wanted, seconds=seconds, ring_ms=ring, at_once=at_once, follow=calling.follow)
    if html:
        from lab.report.heatmap import page

        html.write_text(page(found))
    if as_json:
        _document(found.to_json())
    else:
        out().print(shown(found, out().width))
    if found.failed:
        sys.exit(1)


@commands.command(**example("lab explain c17", "lab explain m2-41 --json"))
@click.argument("call")
@AS_JSON
def explain(call: str, as_json: bool) -> None:
    """Say why a call that is over took its path: candidates, checks, and what ruled out each better path."""
    found = _lab().explain(call)
    if as_json:
        _document(found.to_json())
        return
    from lab.report.console import out
    from lab.report.explanation import explanation

    out().print(explanation(found))


@commands.command(**example("lab certify", "lab certify office", "lab certify home office --json"))
@click.argument("sites", metavar="[SITE]...", nargs=-1)
@AS_JSON
def certify(sites: tuple[str, ...], as_json: bool) -> None:
    """Measure by crafted packets what each site's network does, and hold it against what it claims to be.

    Exit status: 0 when every site is what it claims; 1 when one is not; 2 when the request or the lab was wrong.
    """
    from lab.report.certification import Certifying, certification
    from lab.report.console import err, out

    lab = _lab()
    with Certifying(err()) as shown:
        found = lab.certify(sites, shown.say, shown.follow)
    if as_json:
        _document(found.to_json())
    else:
        out().print(certification(found))
    if not found.agrees:
        sys.exit(1)


@commands.command(**example("lab logs bob", "lab logs supernode-1 -f"))
@click.argument("node")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on, until Ctrl-C.")
def logs(node: str, follow: bool) -> None:
    """Print what a node has logged, one JSON object a line."""
    for line in _lab().logs(node, follow):
        click.echo(line)


@commands.command(**example("lab shell bob", "echo 'ip route' | lab shell home-router"))
@click.argument("node")
def shell(node: str) -> None:
    """Open a shell inside a node."""
    sys.exit(_lab().shell(node))


@commands.command("set", **example("lab set home --profile symmetric", "lab set home --delay 50ms --loss 5% --up"))
@click.argument("site")
@click.option("--profile", help="What its router does to addresses: a preset's name.")
@click.option("--axes", help='Axes that differ from the preset\'s, as "udp-timeout=20 hairpinning=yes".')
@click.option("--profile6", help="What its router does to IPv6 addresses: open or nptv6.")
@click.option("--firewall", help="What may be opened through its router.")
@click.option("--delay", help="One-way delay of its link, as 50ms.")
@click.option("--jitter", help="How far a packet's delay may be from that, as 5ms.")
@click.option("--loss", help="Share of packets lost, each by itself, as 5%.")
@click.option(
    "--burst", help="Loss in bursts (Gilbert-Elliott), as 1%,30%: shares of packets that begin and that end a burst."
)
@click.option("--rate", help="Most bits a second, as 1mbit.")
@click.option("--queue", help="What may wait for that rate, as 200ms or 64kB; what is more is dropped.")
@click.option("--mtu", help="Longest packet of its link in bytes, as 1492.")
@click.option("--blackhole/--no-blackhole", default=None, help="Whether packets above the MTU vanish without a word.")
@click.option("--up", is_flag=True, help="Only what its clients send.")
@click.option("--down", is_flag=True, help="Only what they are sent.")
@click.option("--toward", metavar="SITE", help="Only what they send to that other site.")
@AS_JSON
def set_(site: str, up: bool, down: bool, toward: str | None, as_json: bool, **figures: Any) -> None:
    """Change a site while the lab runs: its NAT, its firewall, its link. Holds when the command returns.

    Without --up or --down, or with both, a figure of the link goes for each direction. `lab up` restores what the
    file says.
    """
    from lab.harness.changing import SiteChange

    router = {name: figures.pop(name) for name in ("profile", "axes", "profile6", "firewall")}
    if (blackhole := figures.pop("blackhole")) is not None:
        figures["blackhole"] = "yes" if blackhole else "no"
    link = {name: value for name, value in figures.items() if value is not None}
    direction: Any = "both" if up == down else "up" if up else "down"
    change = SiteChange(**router, link=link, direction=direction, toward=toward)
    now = _lab().set(site, change)
    if as_json:
        _document(now)
        return
    click.echo(f"{site} is {_standing(now)}")


def _standing(now: dict[str, Any]) -> str:
    """What a site's router and link are, in a few words."""
    router, link = now.get("router"), now.get("link")
    words = []
    if router:
        axes = f" ({router['axes']})" if router.get("axes") else ""
        words.append(f"{router['profile']}{axes}, firewall {router['firewall']}")
    if link:
        words.append("; ".join(f"{way}: {text or 'unimpaired'}" for way, text in link["ways"].items()))
    return "; ".join(words)


@commands.command(**example("lab renew home", "lab renew home 203.0.113.99"))
@click.argument("site")
@click.argument("address", required=False)
def renew(site: str, address: str | None) -> None:
    """Give a site a new outer address (the next free one, or ADDRESS), as a provider does overnight."""
    before, after = _lab().renew(site, address)
    click.echo(f"{site} was {before} and is {after}")


@commands.command(**example("lab forget home"))
@click.argument("site")
def forget(site: str) -> None:
    """Let a site's router lose all its mappings, as one that is overrun or reset does."""
    _lab().forget(site)
    click.echo(f"the router of {site} has forgotten its mappings")


@commands.command(**example("lab unplug bob"))
@click.argument("node")
def unplug(node: str) -> None:
    """Pull a node's network cables; its programs go on running."""
    click.echo(f"{node} is unplugged" if _lab().unplug(node) else f"{node} was unplugged already")


@commands.command(**example("lab plug bob"))
@click.argument("node")
def plug(node: str) -> None:
    """Put a node's network cables back in."""
    click.echo(f"{node} is plugged in" if _lab().plug(node) else f"{node} was plugged in already")


@commands.command(**example("lab move bob office"))
@click.argument("client")
@click.argument("site")
def move(client: str, site: str) -> None:
    """Take a client to another site, as somebody who carries a laptop from home to the office."""
    left, entered = _lab().move(client, site)
    click.echo(f"{client} has gone from {left} to {entered}")


@commands.command(**example("lab timeline", "lab timeline --json"))
@AS_JSON
def timeline(as_json: bool) -> None:
    """What was done to the lab, and when."""
    events = _lab().timeline.read()
    if as_json:
        _document({"events": events})
        return
    from lab.report import tables
    from lab.report.console import out

    out().print(tables.timeline(events))


@commands.command(**example("lab kill supernode-1"))
@click.argument("node")
def kill(node: str) -> None:
    """Stop a node at once, without a goodbye."""
    click.echo(f"{node} is stopped" if _lab().kill(node) else f"{node} was stopped already")


@commands.command(**example("lab start supernode-1"))
@click.argument("node")
def start(node: str) -> None:
    """Start a stopped node and wait until it is ready."""
    with _progress() as say:
        started = _lab().start(node, say)
    click.echo(f"{node} is ready" if started else f"{node} runs already")


@commands.command(**example("lab restart home-router"))
@click.argument("node")
def restart(node: str) -> None:
    """Kill a node, start it again, and wait until it is ready; a router loses all its mappings."""
    with _progress() as say:
        _lab().restart(node, say)
    click.echo(f"{node} is ready")


@commands.command(**example("lab doctor"))
@AS_JSON
def doctor(as_json: bool) -> None:
    """Check what the lab needs: Docker, Compose, kernel features, subnets, disk; and say how to mend each."""
    with _progress() as say:
        found = _lab().doctor(lambda what: say(f"looking at {what}"))
    if as_json:
        _document(found.to_json())
    else:
        from lab.report import tables
        from lab.report.console import out

        out().print(tables.diagnosis(found))
    if not found.healthy:
        sys.exit(2)


def _lab() -> "Lab":
    from lab.harness import Lab

    return Lab(name=_lab_name())


def _lab_name() -> str | None:
    return click.get_current_context().find_root().params.get("name")


def _document(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=2 if sys.stdout.isatty() else None))


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """Says each step: on a terminal one changing line that leaves behind what took long, elsewhere a line each."""
    from lab.report.console import err
    from lab.report.steps import Steps

    console = err()
    if not console.is_terminal:
        yield lambda text: console.print(text, markup=False)
        return
    with Steps(console) as steps:
        yield steps.begin


def _own_name() -> str:
    """How the user would call this program from here."""
    own = Path(sys.argv[0])
    found = shutil.which("lab")
    if found and Path(found).resolve() == own.resolve():
        own_name = "lab"
    else:
        own_name = os.path.relpath(own) if own.is_absolute() and own.is_relative_to(Path.cwd()) else str(own)
    name = _lab_name()
    return own_name if name is None or os.environ.get("LAB_NAME") == name else f"{own_name} --lab {name}"


def _unexpected(error: Exception) -> str:
    """Where the details of a defect are kept, in one sentence."""
    log = Path(".lab") / "errors.log" if Path(".lab").is_dir() else Path.home() / ".lab-errors.log"
    try:
        with log.open("a") as file:
            file.write(f"{time.strftime('%F %T')} {' '.join(sys.argv)}\n{traceback.format_exc()}\n")
    except OSError:
        traceback.print_exc()
    return f"unexpected {type(error).__name__}: {error} (the details are in {log})"


def _terminated(number: int, frame: object) -> None:
    raise KeyboardInterrupt  # as Ctrl-C: hang up, end the captures, leave


def _run() -> int:
    signal.signal(signal.SIGTERM, _terminated)
    try:
        done = commands.main(prog_name="lab", standalone_mode=False)
        return done if isinstance(done, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.UsageError as error:
        hint = f" (see `{error.ctx.command_path} --help`)" if error.ctx else ""
        return _say(f"{error.format_message()}{hint}", error.exit_code)
    except click.ClickException as error:
        return _say(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", INTERRUPTED)
    except LabError as error:
        return _say(str(error), error.exit_code)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _say(_unexpected(error), LabError.exit_code)


def _say(sentence: str, status: int) -> int:
    click.echo(f"lab: {sentence}", err=True)
    return status


def main() -> None:
    """Entry point of the program `lab`."""
    sys.exit(_run())


if __name__ == "__main__":
    main()
