"""Bringing a whole lab up, replacing another, taking it down; each step said as it begins.

Belongs here: the order of steps and what is checked before anything changes. Never: how a step is done.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from lab.errors import ConfigError, Interrupted, RuntimeUnavailable
from lab.harness import standing, subnetting
from lab.harness.checkout import Checkout
from lab.harness.restoring import bring_home, mtus, plugged_in, restore
from lab.harness.settling import settle
from lab.harness.status import ask
from lab.harness.timeline import Timeline
from lab.runtime import lifecycle
from lab.runtime.connection import Engine, still_there
from lab.runtime.engine import compose_command, ensure_engine
from lab.runtime.images import ensure_images
from lab.runtime.readiness import wait_until_ready
from lab.runtime.subnets import subnets_in_use
from lab.runtime.world import Container, World, discover
from lab.topology import conflicts, parse
from lab.topology.model import Topology

Say = Callable[[str], None]

_SETTLED = ("running", "exited")
"""States of containers that Compose goes on from; in all others something was cut short."""


@dataclass(frozen=True)
class Up:
    """What stands, the file that it was started from, and what all that its links leave to chance begins with: of those
    that end at core, and of carriers' lines by the router at which they end."""

    world: World
    file: Path
    seed: int | None
    line_seeds: Mapping[str, int]


def bring_up(checkout: Checkout, name: str, file: Path, timeline: Timeline, say: Say) -> Up:
    """Start the topology of `file` and return when every node of it is ready.

    Raises ConfigError where the file is wrong or its subnets are taken, before anything is changed;
    RuntimeUnavailable where the world does not come up. An interrupt takes away what has been started, unless something
    ran before from which it went on; it goes on as Interrupted.
    """
    parse(file)
    with checkout.alone():
        engine = ensure_engine(say)
        used = subnets_in_use(engine, name)
        variables = subnetting.variables(checkout.state, name, file, used)
        topology = parse(file, {**os.environ, **variables})
        _subnets_free(used, topology)
        subnetting.remember(checkout.state, name, variables)
        ensure_images(engine, say)
        running = discover(engine, name)
        reason = _misfit(running, topology, file) if running else None
        if reason:
            say(reason)
        if reason or not running:  # not running: networks of an interrupted `up`; nothing, otherwise
            lifecycle.take_down(engine, name)
        say(f"starting {_shown(file)}: {len(topology.nodes)} nodes, {len(topology.networks)} networks")
        before = None if reason else running
        try:
            if before:
                bring_home(engine, before, topology, say)
            _compose_up(engine, name, topology, file, checkout.state / "compose.log", variables, say)
            world = _settled(engine, name, file, topology, before, timeline, say)
        except KeyboardInterrupt as error:
            if before:
                raise Interrupted("interrupted; `lab up` goes on from here, `lab down` takes the lab away") from error
            say("taking away what has been started")
            lifecycle.take_down(engine, name)
            raise Interrupted("interrupted; what had been started is gone again") from error
        said = standing.routers(engine, world, standing.lined(world.topology))
        return Up(world, file, standing.seed(engine, world), standing.line_seeds(world.topology, said))


def _compose_up(
    engine: Engine, name: str, topology: Topology, file: Path, log: Path, variables: Mapping[str, str], say: Say
) -> None:
    nodes = [node.name for node in topology.nodes]

    def started(number: int) -> None:
        say(f"starting {_shown(file)}: {number} of {len(nodes)} nodes are there")

    try:
        lifecycle.compose_up(compose_command(), name, file, nodes, log, variables, started)
    except RuntimeUnavailable:
        still_there(engine, "start the lab's containers")  # it may be the engine that failed
        raise


def _settled(
    engine: Engine, name: str, file: Path, topology: Topology, before: World | None, timeline: Timeline, say: Say
) -> World:
    """What Compose has started, when all of it is ready and as the file says."""
    world = discover(engine, name)
    if world is None:
        raise RuntimeUnavailable(f"Compose started {file} but no container carries its labels")
    if before:
        plugged_in(engine, world, timeline.unplugged(), say)  # before anybody waits for who is behind them
    wait_until_ready(engine, _awaited(engine, world, before), say)
    if before:
        restore(engine, world, topology, say)
    mtus(engine, world)
    settle(engine, world)  # clients that ran before this may have lost their supernode
    return world


def _misfit(running: World, topology: Topology, file: Path) -> str | None:
    """Why what runs must go first, or None where Compose can go on from it by starting or changing containers alone."""
    if running.file and running.file != file:
        return f"taking down {_shown(running.file)}, which runs here, for {_shown(file)}"
    names = {node.name for node in topology.nodes}
    if set(running.topology.networks) != set(topology.networks) or not names.issuperset(running.containers):
        return f"taking down what runs here: the networks or nodes of {_shown(file)} have changed"
    if len(running.containers) < len(names) or any(one.state not in _SETTLED for one in running.containers.values()):
        return "taking down what an interrupted `lab up` has left"
    return None


def _awaited(engine: Engine, world: World, before: World | None) -> list[Container]:
    """Whose word is still to come: all but those that ran before and say now that they are ready, with a cable or not.

    A node's log does not keep its first lines for ever.
    """
    known = set(before.containers.values()) if before else set()
    old = [name for name, one in world.containers.items() if one.running and one in known]
    said = {node.name: node.state for node in ask(engine, world.only(old)).nodes}
    return [one for name, one in world.containers.items() if said.get(name) not in ("ready", "unplugged")]


def _subnets_free(used: Mapping[IPv4Network, str], topology: Topology) -> None:
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
