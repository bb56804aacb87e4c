"""Commands about one node: logs, metrics, shell, stop, kill, start, restart, unplug, plug, move.

Belongs here: options and what is printed. Never: work.
"""

import sys

import click

from lab.cli.program import commands, example, progress, the_lab


@commands.command(**example("lab logs bob", "lab logs supernode-1 -f"))
@click.argument("node")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is printed from now on, until Ctrl-C.")
def logs(node: str, follow: bool) -> None:
    """Print what a node has logged, one JSON object a line."""
    for line in the_lab().logs(node, follow):
        click.echo(line)


@commands.command(**example("lab metrics supernode-1", "lab metrics home-router"))
@click.argument("node")
def metrics(node: str) -> None:
    """Print a node's counters as Prometheus reads them; routers, core and proxies have some too."""
    click.echo(the_lab().metrics(node), nl=False)


@commands.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    **example("lab shell bob", "lab shell home-router -- iptables -t nat -nvL"),
)
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def shell(node: str, command: tuple[str, ...]) -> None:
    """Open a shell inside a node, or run one COMMAND there and leave with its exit status."""
    words = command[1:] if command[:1] == ("--",) else command
    sys.exit(the_lab().shell(node, words))


@commands.command(
    "run",
    **example("lab run home -- python3 -m http.server 8000", "lab run office --image debian:13 -- bash"),
)
@click.argument("site")
@click.option("--image", help="Run it in this image, which the engine must have.  [default: the lab's own]")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run_(site: str, image: str | None, command: tuple[str, ...]) -> None:
    """Run any COMMAND behind the router of SITE, as one more host of its LAN, and leave with its exit status.

    Its address is told on standard error; `lab verdict --live` judges what flows. The container has no capability, and
    is gone when the command ends, or at Ctrl-C.
    """
    sys.exit(the_lab().run(site, command, image, lambda text: click.echo(f"lab: {text}", err=True)))


@commands.command(**example("lab stop supernode-1"))
@click.argument("node")
def stop(node: str) -> None:
    """Ask a node to end, and wait until it has: a supernode hands its clients over first."""
    with progress() as say:
        say(f"stopping {node}")
        stopped = the_lab().stop(node)
    click.echo(f"{node} is stopped" if stopped else f"{node} was stopped already")


@commands.command(**example("lab kill supernode-1"))
@click.argument("node")
def kill(node: str) -> None:
    """Stop a node at once, without a goodbye."""
    click.echo(f"{node} is stopped" if the_lab().kill(node) else f"{node} was stopped already")


@commands.command(**example("lab start supernode-1"))
@click.argument("node")
def start(node: str) -> None:
    """Start a stopped node and wait until it is ready."""
    with progress() as say:
        started = the_lab().start(node, say)
    click.echo(f"{node} is ready" if started else f"{node} runs already")


@commands.command(**example("lab restart home-router"))
@click.argument("node")
def restart(node: str) -> None:
    """Kill a node, start it again, and wait until it is ready; a router loses all its mappings."""
    with progress() as say:
        the_lab().restart(node, say)
    click.echo(f"{node} is ready")


@commands.command(**example("lab unplug bob"))
@click.argument("node")
def unplug(node: str) -> None:
    """Pull a node's network cables; its programs go on running."""
    click.echo(f"{node} is unplugged" if the_lab().unplug(node) else f"{node} was unplugged already")


@commands.command(**example("lab plug bob"))
@click.argument("node")
def plug(node: str) -> None:
    """Put a node's network cables back in."""
    click.echo(f"{node} is plugged in" if the_lab().plug(node) else f"{node} was plugged in already")


@commands.command(**example("lab move bob office"))
@click.argument("client")
@click.argument("site")
def move(client: str, site: str) -> None:
    """Take a client to another site, as somebody who carries a laptop from home to the office."""
    left, entered = the_lab().move(client, site)
    click.echo(f"{client} has gone from {left} to {entered}")
