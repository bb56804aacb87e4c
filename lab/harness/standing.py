"""How things stand now: what routers and core say of themselves, put over what the engine's labels say was started.

Belongs here: asking, and the topology as it is at this moment. Never: changing anything.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from lab.errors import LabError
from lab.harness.passing import Losing
from lab.links.notation import heard
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World
from lab.topology.model import Node, Role, Topology

Json = dict[str, Any]


def order(engine: Engine, world: World, node: str, order: str, **fields: Any) -> Json:
    """Give one order to one node and return its answer, when it has taken effect.

    Raises RuntimeUnavailable where the node is stopped or does not answer, LabError where it says no.
    """
    with ControlChannel(engine, world.running(node).id, node) as channel:
        return channel.order(order, **fields)


def core(engine: Engine, world: World) -> Json:
    """What core says: how links are shaped, and each site's link."""
    (node,) = world.topology.by_role(Role.CORE)
    return order(engine, world, node.name, "status")


def links(engine: Engine, world: World, said: dict[str, Json]) -> dict[str, Json]:
    """Site -> its access link, in the words of the hop where it ends: core, or the carrier that it sits behind.

    `said`: what routers say, of those sites and their carriers. Sites that no link has been given are not in it.
    """
    return ended_at(world.topology, core(engine, world), said)


def ended_at(topology: Topology, core: Json, said: dict[str, Json]) -> dict[str, Json]:
    """The same from what core says of itself, or {} where it does not."""
    found: dict[str, Json] = dict((core.get("shaping") or {}).get("links", {}))
    for site in said:
        if line := _line(said.get(topology.behind(site) or ""), site):
            found[site] = line
    return found


def losing(topology: Topology, said: dict[str, Json]) -> Losing:
    """The lines of carriers' sites that may lose packets, each way at the router that holds them back."""
    found: set[tuple[str, str]] = set()
    for site in said:
        if (carrier := topology.behind(site)) is None:
            continue
        own, up, down = topology.router_of(site), _line(said.get(carrier), site), _line(said[site], site)
        ways = {
            topology.router_of(carrier).name: [up.get("up", ""), *up.get("toward", {}).values()],
            own.name: [down.get("down", "")],
        }
        for hop, words in ways.items():
            if any(heard(one).loses for one in words):
                found |= {(hop, str(address)) for address in own.addresses}
    return frozenset(found)


def _line(said: Json | None, site: str) -> Json:
    """A site's link by the word of one router."""
    shaped = (said or {}).get("shaping") or {}
    return dict(shaped.get("links", {}).get(site, {}))


def seed(engine: Engine, world: World) -> int | None:
    """What all that the links leave to chance begins with; None where core is not there to say."""
    try:
        return int(core(engine, world)["shaping"]["seed"])
    except LabError:
        return None


def line_seeds(topology: Topology, said: dict[str, Json]) -> dict[str, int]:
    """Router -> what all that it leaves to chance begins with, of the routers at which carriers' lines end.

    `said`: site -> what its router says."""
    shaped = {topology.router_of(site).name: answer.get("shaping") for site, answer in said.items()}
    return {router: int(one["seed"]) for router, one in shaped.items() if one}


def lined(topology: Topology) -> set[str]:
    """The sites behind carriers, and those carriers: at their routers lines end."""
    behind = {site: topology.behind(site) for site in topology.sites()}
    return {one for site, carrier in behind.items() if carrier for one in (site, carrier)}


def routers(engine: Engine, world: World, sites: Iterable[str] | None = None) -> dict[str, Json]:
    """Site -> what its router says, for those sites (None: all) whose routers run."""
    wanted = None if sites is None else set(sites)
    nodes = [
        node
        for node in world.topology.by_role(Role.ROUTER)
        if (wanted is None or node.site in wanted) and world.containers[node.name].running
    ]
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="routers") as pool:
        said = pool.map(lambda node: order(engine, world, node.name, "status"), nodes)
        return {str(node.site): answer for node, answer in zip(nodes, said, strict=True)}


def concerned(topology: Topology, names: Iterable[str]) -> set[str]:
    """The sites through whose routers these nodes' packets pass: their own, and the carriers that those sit behind."""
    return {
        str(router.site) for name in names for router in topology.routers_outward(topology.node(name)) if router.site
    }


def both(before: Topology, after: Topology) -> Topology:
    """The topology before, in which each client also has the addresses that it came to have since: it moved."""
    now = {node.name: node.attachments for node in after.clients()}
    nodes = (
        replace(node, attachments=tuple(dict.fromkeys((*node.attachments, *now.get(node.name, ())))))
        if node.role is Role.CLIENT
        else node
        for node in before.nodes
    )
    return replace(before, nodes=tuple(nodes))


def live(topology: Topology, said: dict[str, Json]) -> Topology:
    """The topology with the addresses, profiles and firewalls that are true now, by what the routers say."""
    return replace(topology, nodes=tuple(_live(topology, node, said) for node in topology.nodes))


def _live(topology: Topology, node: Node, said: dict[str, Json]) -> Node:
    answer = said.get(node.site or "")
    if answer is None or node.role not in (Role.ROUTER, Role.CLIENT):
        return node
    changed = replace(
        node,
        profile=answer["profile"],
        firewall=answer["firewall"],
        axes=answer.get("axes") or None,
        profile6=answer.get("profile6"),
        portmap=answer.get("portmap"),
    )
    outer = [IPv4Address(address) for address in answer.get("outer") or ()]
    if node.role is not Role.ROUTER or not outer:
        return changed
    lan = topology.lan_of(str(node.site)).name
    attachments = tuple(
        attachment
        if attachment.network == lan
        else replace(attachment, address=IPv4Interface(f"{outer[0]}/{attachment.address.network.prefixlen}"))
        for attachment in node.attachments
    )
    return replace(changed, attachments=attachments, outer=tuple(outer[1:]))
