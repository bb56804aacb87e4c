"""One packet before and after a router: recognised by its payload, and whether the router changed its address or port.

Belongs here: following a flow from its own end outwards, router by router. Never: what a call is, verdicts.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from lab.errors import EvidenceError
from lab.evidence.content import ENOUGH, carried
from lab.evidence.flows import Captures, Flow, Table
from lab.evidence.pcap import Direction, Endpoint
from lab.topology.model import Node, Role, Topology


@dataclass(frozen=True)
class Hop:
    """A flow at one place on its way out: its own side and its far side as they are written there."""

    place: str
    local: Endpoint
    remote: Endpoint


def routers_outward(topology: Topology, node: Node) -> tuple[Node, ...]:
    """The routers between a node and the internet, nearest first: one at most sites, two behind a carrier, or none."""
    networks = {network.name: network for network in topology.networks}
    routers: list[Node] = []
    passed: set[str] = set()
    here = node
    while True:
        ahead = [networks[a.network] for a in here.attachments if a.network in networks and a.network not in passed]
        if not ahead or any(network.kind == "internet" or network.site is None for network in ahead):
            return tuple(routers)
        passed.update(network.name for network in ahead)
        here = topology.router_of(str(ahead[0].site))
        routers.append(here)


def owner_of(topology: Topology, address: str) -> Node | None:
    """The node that holds an address in its text form, or None."""
    parsed = ip_address(address)
    return topology.owner_of(parsed) if isinstance(parsed, IPv4Address) else None


def on_own_lan(topology: Topology, node: Node, address: str) -> bool:
    """Whether an address is a neighbour of the node: frames to it never reach the router."""
    owner = owner_of(topology, address)
    if owner is not None and owner.role is Role.ROUTER:
        return False
    own = {attachment.network for attachment in node.attachments}
    return any(
        network.name in own and network.kind == "site" and ip_address(address) in network.subnet
        for network in topology.networks
    )


def hops(
    topology: Topology, captures: Captures, node: Node, flow: Flow, start: float, end: float, enough: int = ENOUGH
) -> tuple[Hop, ...]:
    """A flow of a node in a window (epoch s), from its own address outwards: its own hop first, the outermost last.

    Where a router's other side does not show the flow (it was dropped, or is for the router itself) the hops end there.
    Raises EvidenceError where a router that must have seen it was not captured, or saw nothing at all.
    """
    found = [Hop(node.name, flow.local, flow.remote)]
    if on_own_lan(topology, node, flow.remote.address):
        return tuple(found)
    for router in routers_outward(topology, node):
        hop = _beyond(captures.need(router.name), flow, found[-1], start, end, enough)
        if hop is None:
            break
        found.append(hop)
    return tuple(found)


def _beyond(table: Table, flow: Flow, inner: Hop, start: float, end: float, enough: int) -> Hop | None:
    for stream, direction in ((flow.forward, Direction.OUT), (flow.backward, Direction.IN)):
        if stream is None:
            continue
        forward = stream is flow.forward
        candidates = table.streams(stream.protocol, direction)
        # A router keeps the far side as it is; a proxy, or a router that turns a packet back into its LAN, does not.
        candidates.sort(key=lambda other: (other.destination if forward else other.source) != inner.remote)
        for other in candidates:
            one, two = (stream, other) if forward else (other, stream)
            if carried(one, two, start, end, enough):
                local, remote = (other.source, other.destination) if forward else (other.destination, other.source)
                return Hop(table.capture.place, local, remote)
    return None


def translated(trail: tuple[Hop, ...]) -> bool:
    """Whether a router on the way changed the flow's own address or port."""
    return trail[-1].local != trail[0].local


def inward(topology: Topology, captures: Captures, node: Node) -> tuple[Table, Direction, Direction]:
    """Where a node's own packets are seen with its own address: table, the direction of its own, of those for it.

    Its own capture if there is one, else the LAN side of its router, else core. Raises EvidenceError as `need` does.
    """
    if node.name in captures:
        return captures.need(node.name), Direction.OUT, Direction.IN
    routers = routers_outward(topology, node)
    if routers:
        return captures.need(routers[0].name), Direction.IN, Direction.OUT
    return captures.need(core_of(topology).name), Direction.IN, Direction.IN


def core_of(topology: Topology) -> Node:
    """The router in the middle of the internet."""
    for node in topology.by_role(Role.CORE):
        return node
    raise EvidenceError("the topology has no core: there is no place that sees what crosses the internet")


def addresses_of(node: Node) -> tuple[str, ...]:
    """A node's own addresses in their text form."""
    return tuple(str(attachment.address.ip) for attachment in node.attachments)
