"""What runs now, found by label: the same Topology that a compose file describes, and its containers.

Belongs here: looking. Never: changing anything, and never names as a way to find things; labels say what is what.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_network
from pathlib import Path
from typing import Any, cast

from docker import DockerClient

from lab.errors import NotNow
from lab.internet import addresses, prefix6
from lab.runtime.mishaps import engine_errors
from lab.topology.model import Attachment, Network, NetworkKind, Node, Role, Topology

PROJECT = "com.docker.compose.project"
FILES = "com.docker.compose.project.config_files"
FOLDER = "com.docker.compose.project.working_dir"
NETWORK = "com.docker.compose.network"


@dataclass(frozen=True)
class Container:
    """The container of one node. `state` is the engine's word: running, exited, created, restarting, removing ..."""

    node: str
    id: str
    state: str

    @property
    def running(self) -> bool:
        """Whether its processes run."""
        return self.state == "running"


@dataclass(frozen=True)
class World:
    """A lab that is there, whole or in part. `file` is the topology that it was started from, where it says so."""

    name: str
    topology: Topology
    containers: Mapping[str, Container]
    file: Path | None

    def only(self, names: Iterable[str]) -> "World":
        """The same world with some of its nodes alone."""
        kept = set(names)
        nodes = tuple(node for node in self.topology.nodes if node.name in kept)
        return replace(self, topology=replace(self.topology, nodes=nodes))

    def running(self, name: str) -> Container:
        """The container of a node that runs; ConfigError for an unknown node, NotNow for a stopped one."""
        self.topology.node(name)
        container = self.containers[name]
        if not container.running:
            raise NotNow(f"{name} is stopped; `lab start {name}` starts it")
        return container


def discover(client: DockerClient, name: str) -> World | None:
    """The lab called `name`, or None where no container of it exists."""
    with engine_errors("list the lab's containers and networks"):
        found = client.api.containers(all=True, filters={"label": [f"{PROJECT}={name}", "lab.node"]})
        nets = client.api.networks(filters={"label": [f"{PROJECT}={name}", "lab.network"]})
    if not found:
        return None
    networks = {str(net["Name"]): _network(net) for net in nets}
    nodes = _ordered([_node(container, networks) for container in found])
    containers = {
        str(container["Labels"]["lab.node"]): Container(
            str(container["Labels"]["lab.node"]), str(container["Id"]), str(container["State"])
        )
        for container in found
    }
    topology = Topology(nodes, tuple(sorted(networks.values(), key=lambda network: network.subnet)))
    return World(name, topology, containers, _file(found[0]["Labels"]))


def _ordered(nodes: list[Node]) -> tuple[Node, ...]:
    """By role, site by site in the order of the routers' outer addresses, as the author of the file numbered them."""
    roles = list(Role)
    outer = {node.site: max(_addresses(node), default="") for node in nodes if node.role is Role.ROUTER}
    return tuple(
        sorted(nodes, key=lambda node: (roles.index(node.role), outer.get(node.site, ""), _addresses(node), node.name))
    )


def _addresses(node: Node) -> list[str]:
    return sorted(attachment.address.ip.packed.hex() for attachment in node.attachments)


def _network(found: Mapping[str, Any]) -> Network:
    labels = found["Labels"]
    subnets = [ip_network(pool["Subnet"]) for pool in found["IPAM"]["Config"]]
    subnet = next(each for each in subnets if isinstance(each, IPv4Network))
    subnet6 = next((each for each in subnets if isinstance(each, IPv6Network)), None)
    kind = cast(NetworkKind, labels["lab.network"])
    return Network(
        name=str(labels.get(NETWORK, found["Name"])),
        kind=kind,
        site=labels.get("lab.site"),
        subnet=subnet,
        subnet6=subnet6,
        ipv6_only=labels.get("lab.family") == "ipv6",
    )


def _node(found: Mapping[str, Any], networks: Mapping[str, Network]) -> Node:
    labels = found["Labels"]
    attachments = []
    for name, endpoint in found["NetworkSettings"]["Networks"].items():
        # a stopped container has no addresses; those that the file gave it stand beside
        told = endpoint.get("IPAMConfig") or {}
        address = told.get("IPv4Address") or endpoint.get("IPAddress")
        if name in networks and address:
            network = networks[name]
            address6 = told.get("IPv6Address") or endpoint.get("GlobalIPv6Address")
            attachments.append(
                Attachment(
                    network.name,
                    IPv4Interface(f"{address}/{network.subnet.prefixlen}"),
                    IPv6Interface(f"{address6}/{network.subnet6.prefixlen}") if address6 and network.subnet6 else None,
                )
            )
    role = Role(labels["lab.role"])
    return Node(
        name=labels["lab.node"],
        role=role,
        site=_site(role, labels.get("lab.site"), attachments, networks),
        profile=labels.get("lab.profile"),
        firewall=labels.get("lab.firewall"),
        attachments=tuple(sorted(attachments, key=lambda attachment: attachment.network)),
        axes=labels.get("lab.axes"),
        profile6=labels.get("lab.profile6"),
        portmap=labels.get("lab.portmap"),
        outer=addresses(labels.get("lab.outer", "")),
        outer6=prefix6(labels.get("lab.outer6", "")) if role is Role.ROUTER else None,
    )


def _site(role: Role, label: str | None, attachments: list[Attachment], networks: Mapping[str, Network]) -> str | None:
    """A client is where it hangs now; the label tells where it began."""
    if role is not Role.CLIENT:
        return label
    by_name = {network.name: network for network in networks.values()}
    return next((by_name[one.network].site for one in attachments), label)


def _file(labels: Mapping[str, str]) -> Path | None:
    """Compose's two generations agree on the labels; several files are separated by commas, ours is the last."""
    name = labels.get(FILES, "").split(",")[-1]
    return (Path(labels.get(FOLDER, "")) / name).resolve() if name else None
