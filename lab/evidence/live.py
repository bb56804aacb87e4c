"""What flows between two sites, of whatever programs: every host that their routers saw stands for its site.

Belongs here: hosts that no topology names. Never: capturing, and what is named of what they exchange (unclaimed.py).
"""

from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_address

from lab.errors import EvidenceError
from lab.evidence.filed import Filed
from lab.evidence.flows import Captures
from lab.evidence.translation import owner_of
from lab.evidence.unclaimed import unclaimed
from lab.topology.model import Attachment, Network, Node, Role, Topology


def between(topology: Topology, captures: Captures, sites: tuple[str, str], start: float, end: float) -> Filed:
    """The path of what flows between two sites in a window of epoch seconds. Who has an address of no node, and talks
    with both, may relay between them (a TURN server of one's own): `via` is that address.

    Raises EvidenceError where a router saw no host of its site, or as `judge` does.
    """
    names = _names(topology, sites)
    ends = [_host(topology, captures, site, name) for site, name in zip(sites, names, strict=True)]
    others = (node for node in topology.nodes if not (node.role is Role.CLIENT and node.site in sites))
    world = replace(topology, nodes=(*others, *ends, *_thirds(topology, captures, sites)))
    observed, scene, note = unclaimed(world, captures, *names, start, end)
    return Filed(None, *names, observed, scene, note)


def _names(topology: Topology, sites: tuple[str, str]) -> tuple[str, str]:
    """What the two ends are called: as their sites, where no node is called that."""
    known = {node.name for node in topology.nodes}
    one, two = (f"a host of {site}" if site in known else site for site in sites)
    return one, two


def _host(topology: Topology, captures: Captures, site: str, name: str) -> Node:
    """All hosts of a site that its router saw, as one node."""
    router, lan = topology.router_of(site), topology.lan_of(site)
    own = {str(address) for address in router.addresses}
    seen: dict[str, None] = {}
    for packet in captures.need(router.name).capture.packets:
        seen |= dict.fromkeys(one.address for one in (packet.source, packet.destination))
    held = [_attached(lan, address, number) for number, address in enumerate(seen) if address not in own]
    attachments = tuple(one for one in held if one is not None)
    if not attachments:
        raise EvidenceError(f"{router.name} saw no packet of a host of {site}")
    return Node(name, Role.CLIENT, site, router.profile, router.firewall, attachments)


def _thirds(topology: Topology, captures: Captures, sites: tuple[str, str]) -> list[Node]:
    """Who has an address that no node has, at neither site, and was written to or heard by both: each as a relay."""
    near, seen = list[IPv4Network | IPv6Network](), list[set[str]]()
    for site in sites:
        router, lan = topology.router_of(site), topology.lan_of(site)
        near += [one for one in (lan.subnet, lan.subnet6, router.outer6) if one is not None]
        packets = captures.need(router.name).capture.packets
        seen.append({end.address for packet in packets for end in (packet.source, packet.destination)})
    internet = next(network.name for network in topology.networks if network.kind == "internet")
    found = list[Node]()
    for number, address in enumerate(sorted(seen[0] & seen[1])):
        if owner_of(topology, address) is None and not any(ip_address(address) in one for one in near):
            four, six = (f"0.0.0.{number % 255 + 1}", IPv6Interface(address)) if ":" in address else (address, None)
            found.append(Node(address, Role.RELAY, None, None, None, (Attachment(internet, IPv4Interface(four), six),)))
    return found


def _attached(lan: Network, address: str, number: int) -> Attachment | None:
    """An address as one of a LAN's, None where it is none."""
    parsed = ip_address(address)
    if parsed.version == 4:
        return Attachment(lan.name, IPv4Interface((parsed, lan.subnet.prefixlen))) if parsed in lan.subnet else None
    if lan.subnet6 is None or parsed not in lan.subnet6:
        return None
    nobody = IPv4Interface(f"0.0.0.{number % 255 + 1}/32")  # RFC 6890: no packet on any wire comes from there
    return Attachment(lan.name, nobody, IPv6Interface((parsed, lan.subnet6.prefixlen)))
