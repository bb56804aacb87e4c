"""Events at run time that change a site: its profile, firewall and link, its outer address, its mappings.

Belongs here: what each asks of whom, in which order, and what is refused before anything has changed. Never: how a
router or core does it; each returns when it has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any, Literal

from lab import nat
from lab.errors import ConfigError, RuntimeUnavailable
from lab.harness import standing
from lab.links.axes import FULL_MTU
from lab.links.notation import AXES, read
from lab.runtime.cables import addresses_in_use
from lab.runtime.connection import Engine
from lab.runtime.control import Refused
from lab.runtime.world import World
from lab.topology.fitting import router_fits
from lab.topology.model import Network, Node, Role, Topology

Json = dict[str, Any]
Direction = Literal["up", "down", "both"]


@dataclass(frozen=True)
class SiteChange:
    """What `lab set` asks of one site; None: leave it. `link` are link axes by name, as text with units."""

    profile: str | None = None
    firewall: str | None = None
    axes: str | None = None
    profile6: str | None = None
    portmap: str | None = None
    link: Mapping[str, str] = field(default_factory=dict)
    direction: Direction = "both"
    toward: str | None = None

    @property
    def router(self) -> dict[str, str]:
        """What the router has to be told."""
        told = {"profile": self.profile, "firewall": self.firewall, "axes": self.axes}
        told |= {"profile6": self.profile6, "portmap": self.portmap}
        return {key: value for key, value in told.items() if value is not None}

    def told(self) -> dict[str, Any]:
        """The change as the timeline shows it."""
        link = {"link": dict(self.link), "direction": self.direction} if self.link else {}
        return {**self.router, **link, **({"toward": self.toward} if self.toward else {})}


def check(topology: Topology, site: str, change: SiteChange) -> None:
    """Whether the change makes sense by itself. Raises ConfigError naming the value and the ones allowed."""
    router = topology.router_of(site)
    if not change.router and not change.link:
        raise ConfigError(f"nothing to set at {site}: give --profile, --firewall, or a figure of its link")
    told: dict[str, Any] = {**change.router, "axes": _axes(router, change)}
    router_fits(replace(router, **told), topology.nodes, topology.networks)
    for axis, text in change.link.items():
        if axis in AXES:
            _option(axis, text)
    if change.toward is not None:
        topology.router_of(change.toward)
        if change.toward == site:
            raise ConfigError(f"--toward names another site than {site} itself")
        if change.direction != "both":
            raise ConfigError("--toward is a direction by itself; leave --up and --down away")
    carrier = topology.behind(site)
    if change.link and carrier:
        raise ConfigError(f"{site} sits behind {carrier} and has no link of its own to the internet; set {carrier}'s")


def _option(axis: str, text: str) -> None:
    try:
        read(axis, text)
    except ConfigError as error:
        raise ConfigError(f"--{axis}: {str(error).removeprefix(f'{axis}: ')}") from None


def _axes(router: Node, change: SiteChange) -> str:
    """The site's axes stay over another profile, as shortened timeouts do, unless that one has no axes at all."""
    if change.axes is not None:
        return change.axes
    return "" if nat.TRANSLATIONS.get(change.profile or "", ...) is None else router.axes or ""


def set_site(engine: Engine, world: World, site: str, change: SiteChange) -> Json:
    """Carry the change out and return what stands now; each part holds when this returns.

    Raises ConfigError where the request or the site's addresses do not allow it; nothing has changed then.
    """
    topology = standing.live(world.topology, standing.routers(engine, world, [site]))
    check(topology, site, change)
    router = topology.router_of(site).name
    (core,) = topology.by_role(Role.CORE)
    link = {
        "site": site,
        "direction": "toward" if change.toward else change.direction,
        "toward": change.toward,
        "changes": dict(change.link),
    }
    said: Json = {}
    if change.link and change.router:
        _order(engine, world, site, core.name, "link", **link, dry=True)
    if change.router:
        told = {**change.router, "axes": _axes(topology.router_of(site), change)}
        said["router"] = _order(engine, world, site, router, "set", **told)
    if change.link:
        said["link"] = _order(engine, world, site, core.name, "link", **link)
        if {"mtu", "blackhole"} & change.link.keys():
            tell_mtu(engine, world, router, said["link"])
    return said


def _order(engine: Engine, world: World, about: str, node: str, order: str, **fields: Any) -> Json:
    """What a node refuses `about` a site is wrong with the request, whichever node it is that knows."""
    try:
        return standing.order(engine, world, node, order, **fields)
    except Refused as refusal:
        raise ConfigError(f"{about}: {refusal.reason}") from refusal


def tell_mtu(engine: Engine, world: World, router: str, link: Json) -> None:
    """What leaves a site meets the MTU of its link at its own router; in a black hole it passes there and vanishes."""
    standing.order(engine, world, router, "mtu", mtu=FULL_MTU if link["blackhole"] else link["mtu"])


def forget(engine: Engine, world: World, site: str) -> None:
    """Let a site's router lose every mapping, a carrier's every subscriber's. Raises ConfigError where it has none."""
    router = world.topology.router_of(site).name
    now = standing.order(engine, world, router, "status")
    translates = nat.profile(now["profile"], now.get("axes") or "").translation is not None
    if not translates and now["firewall"] == "none":
        raise ConfigError(f"{site} translates nothing and lets everything pass, so its router has nothing to forget")
    standing.order(engine, world, router, "forget")


def renew(engine: Engine, world: World, site: str, wanted: str | None) -> tuple[str, str]:
    """Give a site another outer address, the wanted one or the next that is free; returns the former and the new one.

    Raises ConfigError where the site has no outer address of its own, or the wanted one is taken or of elsewhere.
    """
    topology = world.topology
    router = topology.router_of(site)
    now = standing.order(engine, world, router.name, "status")
    if nat.profile(now["profile"], now.get("axes") or "").translation is None:
        raise ConfigError(
            f"{site} translates nothing, so its clients' own addresses are its outer ones; "
            f"`lab move CLIENT SITE` gives a client another"
        )
    outside = _outside(topology, site)
    taken = _taken(engine, world, outside)
    before = str(now["outer"][0])
    address = _free(outside, taken) if wanted is None else _wanted(site, outside, taken, wanted, before)
    standing.order(engine, world, router.name, "renew", outer=str(address))
    if topology.behind(site) is None:
        (core,) = topology.by_role(Role.CORE)
        standing.order(engine, world, core.name, "address", site=site, old=before, new=str(address))
    return before, str(address)


def _outside(topology: Topology, site: str) -> Network:
    lan = topology.lan_of(site).name
    names = [attachment.network for attachment in topology.router_of(site).attachments if attachment.network != lan]
    return next(network for network in topology.networks if network.name in names)


def _taken(engine: Engine, world: World, network: Network) -> set[IPv4Address]:
    """Addresses that somebody holds, or that the file gave to somebody, or that routers have renewed to."""
    topology = standing.live(world.topology, standing.routers(engine, world))
    held = {
        attachment.address.ip
        for nodes in (topology.nodes, world.topology.nodes)
        for node in nodes
        for attachment in node.attachments
    }
    extra = {address for node in topology.nodes for address in node.outer}
    engine_s = {IPv4Address(one) for one in addresses_in_use(engine, world.name, network.name) if ":" not in one}
    ends = {network.subnet[0], network.subnet[1], network.subnet[-2], network.subnet[-1]}
    return held | extra | engine_s | ends


def _free(network: Network, taken: set[IPv4Address]) -> IPv4Address:
    for address in reversed(list(network.subnet.hosts())):
        if address not in taken:
            return address
    raise RuntimeUnavailable(f"network {network.name} ({network.subnet}) has no free address left")


def _wanted(site: str, network: Network, taken: set[IPv4Address], wanted: str, before: str) -> IPv4Address:
    try:
        address = IPv4Address(wanted)
    except ValueError:
        raise ConfigError(f"expected an IPv4 address of {network.subnet} for {site}, got {wanted!r}") from None
    if address not in network.subnet:
        raise ConfigError(f"expected an address of {network.name} ({network.subnet}) for {site}, got {address}")
    if str(address) == before:
        raise ConfigError(f"{site} has the address {address} already; name another, or none for the next free one")
    if address in taken:
        raise ConfigError(f"the address {address} is taken; name another, or none for the next free one")
    return address
