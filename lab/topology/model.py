"""The words of a world as frozen data: nodes, networks, addresses.

Belongs here: types and look-ups on them. Never: parsing, Docker, rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
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


NetworkKind = Literal["internet", "site"]


@dataclass(frozen=True)
class Attachment:
    """One interface of a node: the network's name in the compose file, and the address with that network's prefix."""

    network: str
    address: IPv4Interface


@dataclass(frozen=True)
class Node:
    """One container. `site`, `profile` and `firewall` are those of its site; None on the internet itself."""

    name: str
    role: Role
    site: str | None
    profile: str | None
    firewall: str | None
    attachments: tuple[Attachment, ...]


@dataclass(frozen=True)
class Network:
    """One bridge network. `site` is None for the internet."""

    name: str
    kind: NetworkKind
    site: str | None
    subnet: IPv4Network


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

    def owner_of(self, address: IPv4Address) -> Node | None:
        """The node that holds an address, or None."""
        for node in self.nodes:
            if any(attachment.address.ip == address for attachment in node.attachments):
                return node
        return None


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
