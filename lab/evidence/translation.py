"""One packet before and after a router: recognised by its payload, and whether the router changed its address or port.

Belongs here: following a flow from its own end outwards, router by router. Never: what a call is, verdicts.
"""

from dataclasses import dataclass
from ipaddress import ip_address

from lab.errors import EvidenceError
from lab.evidence.content import ENOUGH, alike, carried
from lab.evidence.flows import Captures, Flow, Stream, Table
from lab.evidence.pcap import Direction, Endpoint
from lab.evidence.scene import Hop, Trail
from lab.topology.model import Network, Node, Role, Topology


@dataclass(frozen=True)
class View:
    """Where packets of an address are seen as that address sends them, and which way its own and those for it go."""

    table: Table
    forward: Direction
    backward: Direction


def network_of(topology: Topology, node: Node, address: str) -> Network | None:
    """The network in which a node has an address: by the address alone, whatever its site is said to be."""
    parsed = ip_address(address)
    networks = {network.name: network for network in topology.networks}
    for attachment in node.attachments:
        own = (attachment.address.ip, attachment.address6.ip if attachment.address6 else None)
        if parsed in own:
            return networks.get(attachment.network)
    return None


def routers_before(topology: Topology, node: Node, address: str) -> tuple[Node, ...]:
    """The routers between an address of a node and the internet, nearest first: its site's, then a carrier's."""
    network = network_of(topology, node, address)
    if network is None or network.site is None:
        return ()
    router = topology.router_of(network.site)
    return (router, *topology.routers_outward(router))


def owner_of(topology: Topology, address: str) -> Node | None:
    """The node that holds an address in its text form, or None."""
    return topology.owner_of(ip_address(address))


def proxies_before(topology: Topology, node: Node, address: str) -> tuple[Node, ...]:
    """The HTTP proxies in the network where a node has an address."""
    network = network_of(topology, node, address)
    if network is None:
        return ()
    return tuple(
        proxy
        for proxy in topology.by_role(Role.PROXY)
        if any(attachment.network == network.name for attachment in proxy.attachments)
    )


def on_own_lan(topology: Topology, node: Node, address: str) -> bool:
    """Whether an address is a neighbour of the node: frames to it never reach the router."""
    owner = owner_of(topology, address)
    if owner is not None and owner.role is Role.ROUTER:
        return False
    own = {attachment.network for attachment in node.attachments}
    parsed = ip_address(address)
    return any(
        network.name in own
        and network.kind == "site"
        and (parsed in network.subnet or (network.subnet6 is not None and parsed in network.subnet6))
        for network in topology.networks
    )


def stations(topology: Topology, node: Node, flow: Flow) -> tuple[Node, ...]:
    """What a flow of a node must pass on its way out, in order: a proxy, its site's router, a carrier's; or nothing."""
    routers = routers_before(topology, node, flow.local.address)
    proxy = owner_of(topology, flow.remote.address)
    if proxy is not None and proxy in proxies_before(topology, node, flow.local.address):
        return (proxy, *routers)
    return () if on_own_lan(topology, node, flow.remote.address) else routers


def trails(
    topology: Topology, captures: Captures, node: Node, flow: Flow, start: float, end: float, enough: int = ENOUGH
) -> tuple[Trail, ...]:
    """A flow of a node in a window (epoch s), from its own address outwards: an HTTP proxy and every router a hop.

    Most flows have one trail; one whose router forgot its mappings, or has a new address, has one for each mapping.
    Where a router's other side does not show the flow (it was dropped, or is for the router itself) a trail ends there.
    Raises EvidenceError where a router that must have seen it was not captured, or saw nothing at all.
    """
    found: list[Trail] = [(Hop(node.name, flow.local, flow.remote),)]
    for place in stations(topology, node, flow):
        table = captures.need(place.name)
        further = [
            (*trail, hop)
            for trail in found
            for hop in _beyond(topology, place, table, flow, trail[-1], start, end, enough)
        ]
        if not further:
            break
        found = further
    return tuple(found)


def _beyond(
    topology: Topology, place: Node, table: Table, flow: Flow, inner: Hop, start: float, end: float, enough: int
) -> list[Hop]:
    """What a flow became at a router or a proxy, by the content that it sent, else by that which it received, else by
    its far side and how much it was."""
    for stream, direction in ((flow.forward, Direction.OUT), (flow.backward, Direction.IN)):
        if stream is None:
            continue
        forward = stream is flow.forward

        def ends(other: Stream, forward: bool = forward) -> tuple[Endpoint, Endpoint]:
            return (other.source, other.destination) if forward else (other.destination, other.source)

        # A router keeps the far side as it is; a proxy, or a router that turns a packet back into its LAN, does not.
        candidates = table.streams(stream.protocol, direction)
        kept = [other for other in candidates if ends(other)[1] == inner.remote]
        others = [other for other in candidates if ends(other)[1] != inner.remote]
        if place.role is Role.PROXY:
            kept, others = [], [other for other in others if owner_of(topology, ends(other)[0].address) == place]
        for chosen, most in ((kept, len(kept)), (others, 1)):
            hops: list[Hop] = []
            for other in chosen:
                one, two = (stream, other) if forward else (other, stream)
                if len(hops) < most and carried(one, two, start, end, enough):
                    hops.append(Hop(table.capture.place, *ends(other)))
            if hops:
                return hops
        # Packets that are all alike tell nothing: then it is the one flow to the same far side with as many of them.
        alone = [other for other in kept if alike(stream, other, start, end, enough)]
        if len(alone) == 1:
            return [Hop(table.capture.place, *ends(alone[0]))]
    return []


def translated(trail: Trail) -> bool:
    """Whether a router or a proxy on the way changed the flow's own address or port."""
    return trail[-1].local != trail[0].local


def views(topology: Topology, captures: Captures, node: Node, address: str) -> tuple[View, ...]:
    """Where packets of an address of a node are seen with that address: one place, and the proxy of its network.

    Its own capture if there is one, else the LAN side of its router, else core. What it sends to a proxy in its own
    network passes no router: the proxy shows it. Raises EvidenceError as `need` does.
    """
    if node.name in captures:
        return (View(captures.need(node.name), Direction.OUT, Direction.IN),)
    routers = routers_before(topology, node, address)
    if not routers:
        return (View(captures.need(core_of(topology).name), Direction.IN, Direction.IN),)
    proxies = [proxy.name for proxy in proxies_before(topology, node, address) if proxy.name in captures]
    return (
        View(captures.need(routers[0].name), Direction.IN, Direction.OUT),
        *(View(captures.need(proxy), Direction.IN, Direction.OUT) for proxy in proxies),
    )


def core_of(topology: Topology) -> Node:
    """The router in the middle of the internet."""
    for node in topology.by_role(Role.CORE):
        return node
    raise EvidenceError("the topology has no core: there is no place that sees what crosses the internet")


def addresses_of(node: Node) -> tuple[str, ...]:
    """A node's own addresses of both families in their text form."""
    return tuple(str(address) for address in node.addresses)
