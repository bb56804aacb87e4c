"""What the networks of a call's two ends put in the way of each transport, in words: of their routers' own settings.

Pure. Belongs here: a call's topology in, sentences out. Never: what was tried, or came of it (explaining.py).
"""

from collections.abc import Sequence

from lab import nat
from lab.certify import behaviour
from lab.certify.behaviour import Behaviour, Outbound
from lab.certify.claimed import LinkClaim, Router, claimed
from lab.topology.model import Node, Role, Topology


def barriers(topology: Topology, ends: Sequence[str], transport: str) -> tuple[str, ...]:
    """What of the two networks stands against a path over `transport` (udp or tcp) without a relay.

    A router that translates, or filters, is none: the ends get over that, unless each peer is given another port.
    """
    if found := shut(topology, ends, transport):
        return found
    nodes = [topology.node(name) for name in ends]
    hard = [_place(node) for node in nodes if _hard(_behaviour(topology, node), transport)]
    return (f"{' and '.join(hard)} {'give' if len(hard) > 1 else 'gives'} each peer another port",) if hard else ()


def shut(topology: Topology, ends: Sequence[str], transport: str) -> tuple[str, ...]:
    """What the firewalls of the two do not let out of a transport, end by end."""
    nodes = [topology.node(name) for name in ends]
    said = [(node, _shut(_behaviour(topology, node).outbound, transport)) for node in nodes]
    return tuple(dict.fromkeys(f"{_place(node)} {words}" for node, words in said if words))


def _place(node: Node) -> str:
    return f"{node.site} ({', '.join(filter(None, (node.profile, node.firewall if node.firewall != 'none' else '')))})"


def _behaviour(topology: Topology, node: Node) -> Behaviour:
    """What the routers of its site, the nearest first, claim of IPv4."""
    routers = [one for one in topology.routers_outward(node) if one.role is Role.ROUTER]
    claims = [
        Router(
            one.name,
            nat.profile(str(one.profile), one.axes or "", one.profile6 or "open"),
            nat.firewall(str(one.firewall)),
            1 + len(one.outer),
        )
        for one in routers
    ]
    proxy = node.site is not None and topology.proxy_of(node.site) is not None
    return claimed(claims, LinkClaim(), proxy=proxy)


def _shut(out: Outbound, transport: str) -> str:
    """What its firewalls let out of a transport, where that is not all of it."""
    if transport == "udp":
        if not out.udp:
            return "lets no UDP out"
        return f"lets {out.udp_kbit_s:g} kbit/s of UDP through, less than a voice" if out.udp_kbit_s else ""
    if out.tcp_other:
        return ""
    ports = [str(port) for port, passes in ((443, out.tcp_443), (80, out.tcp_80)) if passes]
    if not ports:
        return "lets no TCP out but by its proxy" if out.proxy else "lets no TCP out"
    return f"lets TCP out to port{'s' if len(ports) > 1 else ''} {' and '.join(ports)} alone" + (
        ", and TLS alone" if out.tcp_443 == behaviour.TLS else ""
    )


def _hard(own: Behaviour, transport: str) -> bool:
    mapping = own.mapping if transport == "udp" else own.tcp.mapping
    return mapping not in (None, behaviour.ENDPOINT_INDEPENDENT)
