"""What the live lab claims: each router is asked what it does now, core what the links do.

Belongs here: asking, and the shape of the claim. Never: what follows from it (lab.certify).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lab import nat
from lab.certify.claimed import LinkClaim, Router
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World
from lab.topology.model import Node, Role


@dataclass(frozen=True)
class SiteClaim:
    """One site: its names, its routers outward (the nearest first), and the link of the outermost."""

    site: str
    profile: str
    firewall: str
    behind: str | None
    routers: tuple[Router, ...]
    link: LinkClaim


def claims(engine: Engine, world: World, sites: tuple[str, ...]) -> tuple[SiteClaim, ...]:
    """What each site says of itself now. Raises RuntimeUnavailable where a router of it does not answer."""
    links = _links(engine, world)
    return tuple(_claim(engine, world, site, links) for site in sites)


def _claim(engine: Engine, world: World, site: str, links: Mapping[str, LinkClaim]) -> SiteClaim:
    nodes = (world.topology.router_of(site),)
    said = [_ask(engine, world, node) for node in nodes]
    routers = tuple(_router(node, answer) for node, answer in zip(nodes, said, strict=True))
    return SiteClaim(
        site=site,
        profile=str(said[0].get("profile", nodes[0].profile)),
        firewall=str(said[0].get("firewall", nodes[0].firewall)),
        behind=nodes[1].site if len(nodes) > 1 else None,
        routers=routers,
        link=links.get(str(nodes[-1].site), LinkClaim()),
    )


def _router(node: Node, said: Mapping[str, Any]) -> Router:
    profile = nat.profile(str(said.get("profile", node.profile)))
    firewall = nat.firewall(str(said.get("firewall", node.firewall)))
    return Router(node.name, profile, firewall, max(1, len(said.get("outer") or ())))


def _ask(engine: Engine, world: World, node: Node) -> Mapping[str, Any]:
    with ControlChannel(engine, world.running(node.name).id, node.name) as channel:
        return channel.order("status")


def _links(engine: Engine, world: World) -> Mapping[str, LinkClaim]:
    (core,) = world.topology.by_role(Role.CORE)
    _ask(engine, world, core)
    return {}
