"""Bringing a whole lab up, replacing another, taking it down; each step said as it begins.

Belongs here: the order of steps and what is checked before anything changes. Never: how a step is done.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from docker import DockerClient

from lab.errors import ConfigError, RuntimeUnavailable
from lab.harness.checkout import Checkout
from lab.harness.settling import settle
from lab.runtime import lifecycle
from lab.runtime.engine import compose_command, ensure_engine
from lab.runtime.images import ensure_images
from lab.runtime.readiness import Readiness
from lab.runtime.subnets import subnets_in_use
from lab.runtime.world import World, discover
from lab.topology import conflicts, parse
from lab.topology.model import Topology

Say = Callable[[str], None]


@dataclass(frozen=True)
class Up:
    """What `bring_up` did. `replaced` is the file that another running lab of this name was started from."""

    world: World
    file: Path
    replaced: Path | None


def bring_up(checkout: Checkout, name: str, file: Path, say: Say) -> Up:
    """Start the topology of `file` and return when every node of it is ready.

    Raises ConfigError where the file is wrong or its subnets are taken, before anything is changed;
    RuntimeUnavailable where the world does not come up. What an interrupted one left behind is cleared by the next.
    """
    topology = parse(file)
    with checkout.alone():
        client = ensure_engine(say)
        ensure_images(client, say)
        _subnets_free(client, name, topology)
        running = discover(client, name)
        replaced = running.file if running and running.file and running.file != file else None
        if running and not _fits(running, topology):
            what = f"another topology, {_shown(running.file)}," if replaced else "another or an incomplete lab"
            say(f"taking down {what} that runs here")
            lifecycle.take_down(client, name)
        elif not running:
            lifecycle.take_down(client, name)  # networks of an interrupted `up`; nothing, otherwise
        say(f"starting {_shown(file)}: {len(topology.nodes)} nodes, {len(topology.networks)} networks")
        lifecycle.compose_up(compose_command(), name, file, checkout.state / "compose.log")
        world = discover(client, name)
        if world is None:
            raise RuntimeUnavailable(f"Compose started {file} but no container carries its labels")
        Readiness(client, say).wait(world.containers.values())
        settle(client, world)  # clients that ran before this may have lost their supernode
    return Up(world, file, replaced)


def _fits(running: World, topology: Topology) -> bool:
    """Whether Compose can go from what runs to the topology by starting or changing containers alone."""
    if any(container.state not in ("running", "exited") for container in running.containers.values()):
        return False
    networks = set(running.topology.networks) == set(topology.networks)
    return networks and {node.name for node in running.topology.nodes} == {node.name for node in topology.nodes}


def _subnets_free(client: DockerClient, name: str, topology: Topology) -> None:
    used = subnets_in_use(client, name)
    clashes = conflicts(topology, used)
    if clashes:
        users = sorted(
            {
                f"{subnet} is of {who}"
                for subnet, who in used.items()
                if any(subnet.overlaps(network.subnet) for network in topology.networks)
            }
        )
        raise ConfigError(f"{'; '.join(clashes)} ({'; '.join(users)}): free it, or change the subnet in the file")


def _shown(file: Path | None) -> str:
    if file is None:
        return "of unknown origin"
    try:
        return str(file.relative_to(Path.cwd()))
    except ValueError:
        return str(file)
