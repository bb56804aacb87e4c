"""Back to what the file says: what events at run time have changed in a lab that `lab up` found running.

Belongs here: finding what differs, and undoing it. Never: starting containers.
"""

from collections.abc import Callable, Iterable

from lab.harness import changing, roaming, standing
from lab.links.axes import FULL_MTU
from lab.runtime import cables
from lab.runtime.connection import Engine
from lab.runtime.world import World
from lab.topology.model import Node, Role, Topology

Say = Callable[[str], None]


def plugged_in(engine: Engine, world: World, unplugged: Iterable[str], say: Say) -> None:
    """Put the cables back into these nodes, which were unplugged since the lab was started, by its timeline."""
    for name in unplugged:
        if _plugged(engine, world, name):
            say(f"{name} is plugged in")


def bring_home(engine: Engine, world: World, file: Topology, say: Say) -> None:
    """Put each stopped client back on the LAN that the file gives it, before Compose starts it."""
    for node in file.clients():
        if not world.containers[node.name].running and (word := _at_home(engine, world, node)):
            say(word)


def restore(engine: Engine, world: World, file: Topology, say: Say) -> list[str]:
    """Undo every event but cables; returns a word about each thing that was not as the file says."""
    undone = [word for node in file.clients() if (word := _at_home(engine, world, node))]
    for site, said in standing.routers(engine, world).items():
        if said.get("changed"):
            standing.order(engine, world, world.topology.router_of(site).name, "restore")
            undone.append(f"{site} is as in the file")
    (core,) = world.topology.by_role(Role.CORE)
    if standing.order(engine, world, core.name, "restore").get("changed"):
        undone.append("links are as in the file")
    for word in undone:
        say(word)
    return undone


def mtus(engine: Engine, world: World) -> None:
    """Let each router have the MTU of its site's link, where it has another; where the link ends it is known, and
    limits the way down."""
    routers = standing.routers(engine, world)
    links = standing.links(engine, world, routers)
    for site, said in routers.items():
        wanted = changing.refused_above(links[site]["up"]) if site in links else FULL_MTU
        if said["mtu"] != wanted:
            standing.order(engine, world, world.topology.router_of(site).name, "mtu", mtu=wanted)


def _plugged(engine: Engine, world: World, name: str) -> bool:
    container = world.containers.get(name)
    return container is not None and container.running and cables.plug(engine, container)


def _at_home(engine: Engine, world: World, wanted: Node) -> str | None:
    """A client back on the LAN that the file gives it, under the addresses that it has there; one that is stopped as
    well: Compose would add the LAN that it lacks."""
    found = world.topology.node(wanted.name)
    (home,) = wanted.attachments
    if found.attachments == (home,):
        return None
    container = world.containers[wanted.name]
    lans = {network.name: network for network in world.topology.networks}
    away = lans[found.attachments[0].network] if found.attachments else None  # None: an interrupted move has left it so
    address6 = home.address6.ip if home.address6 else None
    if container.running:
        roaming.tell_proxy(engine, world.topology, container, str(wanted.site))
    cables.reattach(engine, container, world.name, away, lans[home.network], home.address.ip, address6)
    where = f"at {home.address.ip}" if away == lans[home.network] else f"at {wanted.site}"
    return f"{wanted.name} is back {where}"
