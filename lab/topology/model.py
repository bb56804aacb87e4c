"""The words of a world as frozen data: nodes, networks, addresses.

Belongs here: types and look-ups on them. Never: parsing, Docker, rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Literal

from lab.errors import ConfigError


class Role(StrEnum):
    """What a node is; the value of its label `lab.role`."""

    CORE = "core"
    ROUTER = "router"
    CLIENT = "client"
    SUPERNODE = "supernode"
    RELAY = "relay"
    AUTHORITY = "authority"
    PROXY = "proxy"


NetworkKind = Literal["internet", "site", "carrier"]


@dataclass(frozen=True)
class Attachment:
    """One interface of a node: the network's name in the compose file, and the addresses with that network's prefix."""

    network: str
    address: IPv4Interface
    address6: IPv6Interface | None = None


@dataclass(frozen=True)
class Node:
    """One container. `site`, `profile` and `firewall` are those of its site; None on the internet itself.

    `axes`: what differs from the profile, as text. `profile6`: what is done to IPv6. `portmap`: whether the site's
    router gives hosts ports that they ask for, on or off. `outer`: a router's further outer addresses; `outer6`: the
    prefix that it puts in place of its site's, where it translates prefixes. The site of a carrier's router is the
    carrier.
    """

    name: str
    role: Role
    site: str | None
    profile: str | None
    firewall: str | None
    attachments: tuple[Attachment, ...]
    axes: str | None = None
    profile6: str | None = None
    portmap: str | None = None
    outer: tuple[IPv4Address, ...] = ()
    outer6: IPv6Network | None = None

    @property
    def addresses(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Every address that it has, of both families."""
        held = [a.address.ip for a in self.attachments], [a.address6.ip for a in self.attachments if a.address6]
        return (*held[0], *self.outer, *held[1])


@dataclass(frozen=True)
class Network:
    """One bridge network. `site` is None for the internet; that of a carrier's network is the carrier.

    `ipv6_only`: the engine gives its nodes IPv4 addresses all the same, and they drop them when they start.
    """

    name: str
    kind: NetworkKind
    site: str | None
    subnet: IPv4Network
    subnet6: IPv6Network | None = None
    ipv6_only: bool = False


@dataclass(frozen=True)
class Topology:
    """A whole world. Look-ups raise ConfigError naming what was asked for and what there is."""

    nodes: tuple[Node, ...]
    networks: tuple[Network, ...]

    def node(self, name: str) -> Node:
        """The node called `name`."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise ConfigError(f"no node is called {name!r}; the lab has {_listed(node.name for node in self.nodes)}")

    def by_role(self, role: Role) -> tuple[Node, ...]:
        """Every node of that role, in the order of the file."""
        return tuple(node for node in self.nodes if node.role is role)

    def clients(self) -> tuple[Node, ...]:
        """Every client, in the order of the file."""
        return self.by_role(Role.CLIENT)

    def router_of(self, site: str) -> Node:
        """The one router of a site."""
        for node in self.by_role(Role.ROUTER):
            if node.site == site:
                return node
        sites = _listed(str(node.site) for node in self.by_role(Role.ROUTER))
        raise ConfigError(f"no site is called {site!r}; the lab has {sites}")

    def sites(self) -> tuple[str, ...]:
        """Every site and carrier, in the order of the file."""
        return tuple(node.site for node in self.by_role(Role.ROUTER) if node.site)

    def lan_of(self, site: str) -> Network:
        """The network behind a site's router, or behind a carrier's."""
        for network in self.networks:
            if network.site == site:
                return network
        raise ConfigError(f"no site is called {site!r}; the lab has {_listed(self.sites())}")

    def behind(self, site: str) -> str | None:
        """The carrier that a site's router sits behind, or None."""
        own = {attachment.network for attachment in self.router_of(site).attachments}
        for network in self.networks:
            if network.kind == "carrier" and network.name in own and network.site != site:
                return network.site
        return None

    def routers_outward(self, node: Node) -> tuple[Node, ...]:
        """The routers between a node and the internet, nearest first: its site's, then the carrier's."""
        found: list[Node] = []
        site = node.site
        while site is not None and len(found) < len(self.nodes):
            router = self.router_of(site)
            if router != node:
                found.append(router)
            site = self.behind(site)
        return tuple(found)

    def translated6(self, node: Node) -> tuple[IPv6Address, ...]:
        """What the addresses of a node are outside, where its site's router translates prefixes: RFC 6296, without what
        that does to the lower bits for the sake of checksums."""
        outer = self.router_of(node.site).outer6 if node.site is not None and node.role is not Role.ROUTER else None
        inner = self.lan_of(node.site).subnet6 if outer is not None and node.site is not None else None
        if outer is None or inner is None:
            return ()
        held = [one.address6.ip for one in node.attachments if one.address6 is not None and one.address6.ip in inner]
        return tuple(outer[int(address) - int(inner.network_address)] for address in held)

    def proxy_of(self, site: str) -> Node | None:
        """The proxy of a site, or None."""
        return next((node for node in self.by_role(Role.PROXY) if node.site == site), None)

    def owner_of(self, address: IPv4Address | IPv6Address) -> Node | None:
        """The node that holds an address, or None."""
        return next((node for node in self.nodes if address in node.addresses), None)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
