"""A topology as a JSON document and back, so that a call can be judged where its lab is not.

Belongs here: the shape of that document, and which part of a world a call concerns. Never: files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from typing import Any

from lab.errors import ConfigError
from lab.topology.model import Attachment, Network, Node, Role, Topology


def to_json(topology: Topology) -> dict[str, Any]:
    """{"nodes": [...], "networks": [...]}: fields as in the model, addresses as text, what is not set left out."""
    return {
        "nodes": [_plain(asdict(node)) for node in topology.nodes],
        "networks": [_plain(asdict(network)) for network in topology.networks],
    }


def from_json(document: Any) -> Topology:
    """The topology of such a document; raises ConfigError where it is none."""
    try:
        networks = tuple(_network(one) for one in document["networks"])
        nodes = tuple(_node(one) for one in document["nodes"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"expected a topology of nodes and networks with their addresses, got {error!r}") from None
    return Topology(nodes, networks)


def part_of(topology: Topology, names: Iterable[str]) -> Topology:
    """What of a world concerns these nodes: who is on the internet, their sites, and the carriers of those."""
    networks = {network.name: network for network in topology.networks}
    named = [topology.node(name) for name in names]
    held = (networks.get(attachment.network) for node in named for attachment in node.attachments)
    waiting = [site for network in held if network and (site := network.site)] + [n.site for n in named if n.site]
    sites: set[str] = set()
    while waiting:
        if (site := waiting.pop()) not in sites:
            sites.add(site)
            waiting += [outer] if (outer := topology.behind(site)) else []
    return Topology(
        tuple(node for node in topology.nodes if node.site is None or node.site in sites or node in named),
        tuple(network for network in topology.networks if network.site is None or network.site in sites),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items() if item not in (None, (), False)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, bool | int) else str(value)


def _network(one: Mapping[str, Any]) -> Network:
    if one["kind"] not in ("internet", "site", "carrier"):
        raise ValueError(f"network of kind {one['kind']!r}")
    subnet6 = IPv6Network(one["subnet6"]) if "subnet6" in one else None
    subnet, only = IPv4Network(one["subnet"]), bool(one.get("ipv6_only"))
    return Network(str(one["name"]), one["kind"], _text(one, "site"), subnet, subnet6, only)


def _node(one: Mapping[str, Any]) -> Node:
    return Node(
        name=str(one["name"]),
        role=Role(one["role"]),
        site=_text(one, "site"),
        profile=_text(one, "profile"),
        firewall=_text(one, "firewall"),
        attachments=tuple(_attachment(each) for each in one.get("attachments", ())),
        axes=_text(one, "axes"),
        profile6=_text(one, "profile6"),
        portmap=_text(one, "portmap"),
        outer=tuple(IPv4Address(each) for each in one.get("outer", ())),
        outer6=IPv6Network(one["outer6"]) if "outer6" in one else None,
    )


def _attachment(one: Mapping[str, Any]) -> Attachment:
    address6 = IPv6Interface(one["address6"]) if "address6" in one else None
    return Attachment(str(one["network"]), IPv4Interface(one["address"]), address6)


def _text(one: Mapping[str, Any], key: str) -> str | None:
    return None if one.get(key) is None else str(one[key])
