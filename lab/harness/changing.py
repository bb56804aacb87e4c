"""Events at run time that change a site: its profile, firewall and link, its outer address, its mappings.

Belongs here: what each asks of whom, in which order, and what is refused before anything has changed. Never: how a
router or core does it; each returns when it has.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from typing import Any, Literal

from lab import nat
from lab.errors import ConfigError, RuntimeUnavailable
from lab.harness import standing
from lab.links.notation import AXES, OF_A_LINE, heard, read
from lab.runtime.cables import addresses_in_use
from lab.runtime.connection import Engine
from lab.runtime.control import Refused
from lab.runtime.world import World
from lab.topology.fitting import router_fits
from lab.topology.model import Network, Node, Role, Topology

Json = dict[str, Any]
Direction = Literal["up", "down", "both"]
OF_THE_ROUTER = ("profile", "firewall", "axes", "profile6", "portmap")
"""What of a change a router is told. Where anything of it becomes another, it forgets every flow."""


@dataclass(frozen=True)
class SiteChange:
    """What `lab set` asks of one site; None: leave it. `link` are link axes by name, as text with units.

    A profile is its own axes and no others, but for the timers: those that lay over the one before stay, for they are
    the lab's pace. `axes` are laid over it, in place of all that lay over it before.
    `direction` None: a figure of the link goes for each.
    """

    profile: str | None = None
    firewall: str | None = None
    axes: str | None = None
    profile6: str | None = None
    portmap: str | None = None
    link: Mapping[str, str] = field(default_factory=dict)
    direction: Direction | None = None
    toward: str | None = None

    @property
    def router(self) -> dict[str, str]:
        """What is asked of the router."""
        told = {key: getattr(self, key) for key in OF_THE_ROUTER}
        return {key: value for key, value in told.items() if value is not None}

    def told_to(self, router: Node) -> dict[str, str]:
        """What a router that is what it is now has to be told."""
        if self.profile is None or self.axes is not None:
            return self.router
        kept = (word for word in (router.axes or "").split() if word.partition("=")[0] in nat.TIMERS)
        return {**self.router, "axes": " ".join(kept)}

    def told(self) -> dict[str, Any]:
        """The change as the timeline shows it."""
        link = {"link": dict(self.link), "direction": self.direction or "both"} if self.link else {}
        return {**self.router, **link, **({"toward": self.toward} if self.toward else {})}


def check(topology: Topology, site: str, change: SiteChange) -> None:
    """Whether the change makes sense there. Raises ConfigError naming the value and the ones allowed."""
    router = topology.router_of(site)
    if not change.router and not change.link:
        raise ConfigError(f"nothing to set at {site}: give --profile, --firewall, or a figure of its link")
    _check_link(topology, site, change)
    told: dict[str, Any] = change.told_to(router)
    router_fits(replace(router, **told), topology.nodes, topology.networks)


def _check_link(topology: Topology, site: str, change: SiteChange) -> None:
    """What is asked of the link, and of which way; whether it goes with the present figures its end knows."""
    if not change.link:
        if change.direction or change.toward:
            raise ConfigError(
                f"--up, --down and --toward say which way a figure of {site}'s link holds, and none is given; add one, "
                "like --delay 50ms, or leave them away"
            )
        return
    for axis, text in change.link.items():
        if axis in AXES:
            _option(axis, text)
    line = next((axis for axis in OF_A_LINE if axis in change.link), None)
    if line and change.toward:
        raise ConfigError(f"--{line} is of a line, whoever its packets go to; give it in a command without --toward")
    _check_ends(topology, site, change.toward)
    if change.toward and change.direction not in (None, "up"):
        raise ConfigError(
            f"--toward {change.toward} is of what {site} sends there, so --down does not go with it; "
            f"`lab set {change.toward} --toward {site}` is of what comes back"
        )


def _check_ends(topology: Topology, site: str, toward: str | None) -> None:
    """Two sites, and the packets to the other must be known by its addresses where the one's link ends."""
    if (carrier := topology.behind(site)) and topology.behind(carrier):
        raise ConfigError(
            f"{site} sits behind two carriers, and has no link of its own; take {carrier}'s or its carrier's"
        )
    if toward == site:
        raise ConfigError(f"--toward names another site than {site} itself")
    if toward is not None:
        topology.router_of(toward)
        if carrier := topology.behind(toward):
            raise ConfigError(
                f"{toward} sits behind {carrier}, whose address is all that is seen of it outside; "
                f"take --toward {carrier}, or {toward}'s own link"
            )


def _option(axis: str, text: str) -> None:
    try:
        read(axis, text)
    except ConfigError as error:
        raise ConfigError(f"--{axis}: {str(error).removeprefix(f'{axis}: ')}") from None


def set_site(engine: Engine, world: World, site: str, change: SiteChange) -> Json:
    """Carry the change out and return what stands now; each part holds when this returns. `line_seeds` is in it where
    a router has got its first line: what that leaves to chance begins with them.

    Raises ConfigError where the request or the site's addresses do not allow it, NotNow where a node that it concerns
    is stopped; nothing has changed then.
    """
    sites = [site, change.toward] if change.toward else [site]
    topology = standing.live(world.topology, standing.routers(engine, world, sites))
    check(topology, site, change)
    routers = {one: topology.router_of(one).name for one in sites}
    ends = link_ends(topology, site, change.toward) if change.link else ()
    for name in (*routers.values(), *ends):
        world.running(name)
    link = {
        "site": site,
        "direction": "toward" if change.toward else change.direction or "both",
        "toward": change.toward,
        "changes": dict(change.link),
        "addresses": {one: _outer_addresses(topology, one) for one in sites},
        "prefixes": {change.toward: _untranslated(topology, change.toward)} if change.toward else {},
    }
    said: Json = {}
    for end in ends:
        _order(engine, world, site, end, "link", **link, dry=True)
    if change.router:
        said["router"] = _order(engine, world, site, routers[site], "set", **change.told_to(topology.router_of(site)))
    if change.link:
        told = {end: _order(engine, world, site, end, "link", **link) for end in ends}
        said["link"] = {"ways": told[ends[0]]["ways"]}
        if seeds := {end: answer["seed"] for end, answer in told.items() if "seed" in answer}:
            said["line_seeds"] = seeds
        if change.link.keys() & set(OF_A_LINE):
            standing.order(engine, world, routers[site], "mtu", mtu=refused_above(said["link"]["ways"]["up"]))
    return said


def link_ends(topology: Topology, site: str, toward: str | None = None) -> tuple[str, ...]:
    """The nodes that hold a site's packets back, first who knows the whole link: core, or behind a carrier that one's
    router what goes up and the site's own what comes down."""
    carrier = topology.behind(site)
    if carrier is None:
        return tuple(node.name for node in topology.by_role(Role.CORE))
    own = topology.router_of(site).name
    return (topology.router_of(carrier).name, *(() if toward else (own,)))


def _outer_addresses(topology: Topology, site: str) -> list[str]:
    """Those of a site's router on the internet, by which its packets are known where its link ends."""
    router, lan = topology.router_of(site), topology.lan_of(site).name
    outside = [attachment for attachment in router.attachments if attachment.network != lan]
    held6 = [attachment.address6.ip for attachment in outside if attachment.address6]
    return [str(address) for address in (*(one.address.ip for one in outside), *router.outer, *held6)]


def _untranslated(topology: Topology, site: str) -> list[str]:
    """The networks of a site that are seen outside as they are."""
    lan, router = topology.lan_of(site), topology.router_of(site)
    profile = nat.profile(str(router.profile), router.axes or "", router.profile6 or "open")
    seen = [lan.subnet] if profile.translation is None and not lan.ipv6_only else []
    seen6 = [lan.subnet6] if lan.subnet6 is not None and not profile.prefix_translation else []
    return [str(network) for network in (*seen, *seen6)]


def _order(engine: Engine, world: World, about: str, node: str, order: str, **fields: Any) -> Json:
    """What a node refuses `about` a site is wrong with the request, whichever node it is that knows."""
    try:
        return standing.order(engine, world, node, order, **fields)
    except Refused as refusal:
        raise ConfigError(f"{about}: {refusal.reason}") from refusal


def refused_above(up: str) -> int:
    """What leaves a site meets the MTU of its way up at its own router; in a black hole it passes there and vanishes.

    `up`: that way in core's words. Bytes of an IP packet. Raises ConfigError.
    """
    return heard(up).refused_above


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
    profile = nat.profile(now["profile"], now.get("axes") or "")
    if profile.translation is None:
        raise ConfigError(
            f"{site} translates nothing, so its clients' own addresses are its outer ones; "
            f"`lab move CLIENT SITE` gives a client another"
        )
    outside = _outside(topology, site)
    taken = _taken(engine, world, outside)
    before, *others = map(str, now["outer"])
    given = {attachment.address.ip for attachment in router.attachments}  # by the file: nobody else gets them
    if wanted is not None:
        address = _wanted(site, outside, taken.keys() - given, taken, wanted, before)
    elif others and not profile.translation.clash_free:
        address = _beside(site, outside, taken, [IPv4Address(one) for one in others])
    else:
        address = _free(outside, taken)
    end = link_ends(topology, site)[0]
    standing.order(engine, world, end, "status")  # it answers, or the router keeps its address
    _order(engine, world, site, router.name, "renew", outer=str(address))
    carriers = {topology.router_of(one).name for each in topology.sites() if (one := topology.behind(each))}
    for hop in (end, *sorted(name for name in carriers - {end, router.name} if world.containers[name].running)):
        standing.order(engine, world, hop, "address", site=site, old=before, new=str(address))
    return before, str(address)


def _outside(topology: Topology, site: str) -> Network:
    lan = topology.lan_of(site).name
    names = [attachment.network for attachment in topology.router_of(site).attachments if attachment.network != lan]
    return next(network for network in topology.networks if network.name in names)


def _taken(engine: Engine, world: World, network: Network) -> dict[IPv4Address, str]:
    """Addresses that somebody holds, or that the file gave to somebody, or that routers have renewed to; and who."""
    topology = standing.live(world.topology, standing.routers(engine, world))
    ends = (network.subnet[0], network.subnet[1], network.subnet[-2], network.subnet[-1])
    taken = dict.fromkeys(ends, f"network {network.name} itself")
    for one in addresses_in_use(engine, world.name, network.name):
        if ":" not in one:
            taken[IPv4Address(one)] = "a container"
    for node in (*topology.nodes, *world.topology.nodes):
        taken |= dict.fromkeys((one.address.ip for one in node.attachments), node.name)
        taken |= dict.fromkeys(node.outer, node.name)
    return taken


def _free(network: Network, taken: Container[IPv4Address]) -> IPv4Address:
    """From the middle of the network on: files give the first addresses, and probes, which hold more than the engine
    knows of, take the last ones."""
    hosts = list(network.subnet.hosts())
    middle = len(hosts) // 2
    for address in (*hosts[middle:], *reversed(hosts[:middle])):
        if address not in taken:
            return address
    raise RuntimeUnavailable(f"network {network.name} ({network.subnet}) has no free address left")


def _beside(site: str, network: Network, taken: Container[IPv4Address], others: Sequence[IPv4Address]) -> IPv4Address:
    """A free address with which stock SNAT's range of outer addresses has no gap. Raises ConfigError."""
    first, last = min(others), max(others)
    for address in network.subnet.hosts():
        gapless = int(max(last, address)) - int(min(first, address)) == len(others)
        if gapless and address not in taken:
            return address
    listed = ", ".join(map(str, others))
    raise ConfigError(
        f"{site} translates by stock SNAT, to a range of outer addresses without gaps, and no address beside {listed} "
        "is free; take clash-free=yes or another profile first"
    )


def _wanted(
    site: str,
    network: Network,
    taken: Container[IPv4Address],
    holders: Mapping[IPv4Address, str],
    wanted: str,
    before: str,
) -> IPv4Address:
    try:
        address = IPv4Address(wanted)
    except ValueError:
        raise ConfigError(f"expected an IPv4 address of {network.subnet} for {site}, got {wanted!r}") from None
    if address not in network.subnet:
        raise ConfigError(f"expected an address of {network.name} ({network.subnet}) for {site}, got {address}")
    if str(address) == before:
        raise ConfigError(f"{site} has the address {address} already; name another, or none for the next free one")
    if address in taken:
        raise ConfigError(
            f"the address {address} is taken, by {holders[address]}; name another of {network.subnet}, or none for the "
            "next free one"
        )
    return address
