"""What the live lab claims: each router is asked what it does now, core what the links do.

Belongs here: asking, and the shape of the answers. Never: what follows from them (lab.certify).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from lab import nat
from lab.certify.claimed import LinkClaim, Router, in_series, link_claim
from lab.errors import ConfigError
from lab.harness import standing
from lab.links import Link
from lab.links.notation import describe, heard
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World
from lab.topology.model import Node


@dataclass(frozen=True)
class SiteClaim:
    """One site: its names, its routers outward (the nearest first), the links on the way, its families inside, and
    whether it has a proxy. `rated`: of it and of the carriers that it sits behind, those whose link has a rate."""

    site: str
    profile: str
    firewall: str
    behind: str | None
    routers: tuple[Router, ...]
    link: LinkClaim
    families: tuple[int, ...]
    proxy: bool = False
    rated: tuple[str, ...] = ()
    toward: tuple[tuple[str, str, str], ...] = ()
    """What the links on the way do to packets for one other site alone: whose link, that site, and the words of it."""
    seed: int | None = None
    """What the links at core leave to chance begins with."""
    line_seeds: Mapping[str, int] = field(default_factory=dict)
    """The same of carriers' lines on the way, by the router at which they end."""


def claims(engine: Engine, world: World, sites: Sequence[str]) -> tuple[SiteClaim, ...]:
    """What each site says of itself now. Raises RuntimeUnavailable where a router of it, or core, does not answer."""
    core = standing.core(engine, world)
    return tuple(_claim(engine, world, site, core) for site in sites)


def _claim(engine: Engine, world: World, site: str, core: Mapping[str, Any]) -> SiteClaim:
    own = world.topology.router_of(site)
    nodes = (own, *world.topology.routers_outward(own))
    said = [_ask(engine, world, node) for node in nodes]
    by_site = {str(node.site): dict(answer) for node, answer in zip(nodes, said, strict=True)}
    links = _links(world, by_site, core)
    return SiteClaim(
        site=site,
        profile=str(said[0]["profile"]),
        firewall=str(said[0]["firewall"]),
        behind=world.topology.behind(site),
        routers=tuple(_router(node, answer) for node, answer in zip(nodes, said, strict=True)),
        link=reduce(in_series, map(link_claim, links.values()), LinkClaim()),
        families=tuple(family for family, name in ((4, "lan"), (6, "lan6")) if said[0].get(name, name == "lan")),
        proxy=world.topology.proxy_of(site) is not None,
        rated=tuple(one for one, link in links.items() if link.up.rate is not None or link.down.rate is not None),
        toward=tuple(
            (one, other, describe(there)) for one, link in links.items() for other, there in link.toward.items()
        ),
        seed=(core.get("shaping") or {}).get("seed"),
        line_seeds=standing.line_seeds(world.topology, by_site),
    )


def _router(node: Node, said: Mapping[str, Any]) -> Router:
    axes, profile6, portmap = (str(said.get(name) or "") for name in ("axes", "profile6", "portmap"))
    profile = nat.profile(str(said["profile"]), axes, profile6 or "open", portmap or "off")
    return Router(node.name, profile, nat.firewall(str(said["firewall"])), max(1, len(said.get("outer") or ())))


def _ask(engine: Engine, world: World, node: Node) -> Mapping[str, Any]:
    with ControlChannel(engine, world.running(node.name).id, node.name) as channel:
        return channel.order("status")


def _links(world: World, said: dict[str, dict[str, Any]], core: Mapping[str, Any]) -> dict[str, Link]:
    """Those of a site and of the carriers that it sits behind, `said` by their routers, the nearest first."""
    links = standing.ended_at(world.topology, dict(core), said)
    return {site: _link(site, links[site]) for site in said if site in links}


def _link(site: str, said: Mapping[str, Any]) -> Link:
    """A link as its hop describes it, read as `lab set` would read it. Raises ConfigError."""
    try:
        toward = {other: heard(str(words)) for other, words in said.get("toward", {}).items()}
        return Link(up=heard(str(said["up"])), down=heard(str(said["down"])), toward=toward)
    except (KeyError, ConfigError) as error:
        raise ConfigError(f"what is said of the link of {site} is not understood ({error!r}): {dict(said)}") from None
