"""Commands about a lab as a whole: up, down, status, timeline, doctor.

Belongs here: options and what is printed. Never: work.
"""

import sys
import time
from pathlib import Path

import click

from lab.cli.program import AS_JSON, commands, document, example, own_name, progress, the_lab


@commands.command(**example("lab up", "lab up compose/reference.yml"))
@click.argument("file", required=False, type=click.Path(path_type=Path))
def up(file: Path | None) -> None:
    """Bring the topology of FILE up and wait until every node is ready.

    Without FILE, the one that runs is put back as its file says; where none does, it is compose/reference.yml. Another
    topology that runs is taken down first.
    """
    from lab.report import sites
    from lab.report.console import out

    lab, began = the_lab(), time.monotonic()
    with progress() as say:
        done = lab.up(file or lab.file_that_runs(), say)
    console, topology = out(), done.world.topology
    title = f"{sites.shown(done.file)}: {len(topology.nodes)} nodes ready in {time.monotonic() - began:.1f} s"
    console.print(sites.tree(topology, title))
    console.print()
    console.print(sites.next_steps(topology, own_name()))


@commands.command(**example("lab down"))
def down() -> None:
    """Take the lab down and leave nothing behind: no container, network or volume."""
    lab, began = the_lab(), time.monotonic()
    with progress() as say:
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
    found = the_lab().status()
    if as_json:
        document(found.to_json())
        return
    from lab.report import tables
    from lab.report.console import out

    console = out()
    console.print(tables.status(found, console.width))


@commands.command(**example("lab settle"))
def settle() -> None:
    """Wait until every client sits at a supernode and has found out its network anew, as after a change of it."""
    lab, began = the_lab(), time.monotonic()
    with progress() as say:
        say("waiting for the clients")
        lab.settle()
        lab.find_out()
    click.echo(f"every client is signed in and knows its network, after {time.monotonic() - began:.1f} s")


@commands.command(**example("lab timeline", "lab timeline --json"))
@AS_JSON
def timeline(as_json: bool) -> None:
    """What was done to the lab, and when."""
    events = the_lab().timeline.read()
    if as_json:
        document({"events": events})
        return
    from lab.report.console import out
    from lab.report.timeline import timeline as shown

    out().print(shown(events))


@commands.command(**example("lab doctor"))
@AS_JSON
def doctor(as_json: bool) -> None:
    """Check what the lab needs: Docker, Compose, kernel features, subnets, disk; and say how to mend each."""
    with progress() as say:
        found = the_lab().doctor(lambda what: say(f"looking at {what}"))
    if as_json:
        document(found.to_json())
    else:
        from lab.report import tables
        from lab.report.console import out

        out().print(tables.diagnosis(found))
    if not found.healthy:
        sys.exit(2)
