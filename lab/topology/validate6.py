"""Whether the IPv6 of a world works together: who must have it, which prefixes core must know.

Belongs here: one small function a rule, each raising ConfigError in one sentence. Never: IPv4 (validate.py).
"""

from itertools import combinations

from lab.errors import ConfigError
from lab.internet import routes6
from lab.nat import profile
from lab.topology.declared import Declared, lan_of, upstream_of
from lab.topology.model import Network, Role


def check_networks6(networks: tuple[Network, ...]) -> None:
    """Whether the IPv6 subnets lie apart, and none is a carrier's. Raises ConfigError."""
    for network in networks:
        if network.kind == "carrier" and network.subnet6:
            raise ConfigError(
                f"network {network.name}: expected no IPv6 subnet on a carrier's network, whose router has routes of "
                f"IPv6 to no site behind it, got {network.subnet6}; leave it away, or put those sites on the internet"
            )
    for one, other in combinations([network for network in networks if network.subnet6], 2):
        assert one.subnet6 and other.subnet6
        if one.subnet6.overlaps(other.subnet6):
            raise ConfigError(
                f"networks {one.name} and {other.name}: expected IPv6 subnets apart, got {one.subnet6} and "
                f"{other.subnet6}"
            )


def addresses_of_their_own(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    owner = {network.subnet6[-2]: f"the engine's in network {network.name}" for network in networks if network.subnet6}
    for one in declared:
        for attachment in (each for each in one.node.attachments if each.address6):
            assert attachment.address6
            address = attachment.address6.ip
            if address in owner:
                raise ConfigError(
                    f"node {one.node.name}: expected an IPv6 address of its own in network {attachment.network}, "
                    f"got {address}, which is {owner[address]}"
                )
            owner[address] = f"{one.node.name}'s"


def none_behind_carriers(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    for node in (one.node for one in declared if one.node.role is Role.ROUTER):
        inside, upstream = lan_of(node.site, networks).subnet6, upstream_of(node, networks)
        if inside is not None and upstream is not None and upstream.kind == "carrier":
            raise ConfigError(
                f"site {node.site}: expected no IPv6 inside behind the carrier {upstream.site}, whose router has "
                f"routes of IPv6 to no site behind it, got {inside}; leave it away, or put the site on the internet"
            )


def ways_out_first(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """Core is the internet's first address, a router the first of its LAN."""
    for node in (one.node for one in declared if one.node.role in (Role.CORE, Role.ROUTER)):
        outer = upstream_of(node, networks) if node.role is Role.ROUTER else None
        for attachment in node.attachments:
            if attachment.address6 is None or (outer and attachment.network == outer.name):
                continue
            first = attachment.address6.network[1]
            if attachment.address6.ip != first:
                raise ConfigError(
                    f"node {node.name}: expected {first}, the first address of network {attachment.network}, "
                    f"got {attachment.address6.ip}"
                )


def prefixes_known_to_core(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """What leaves a site is routed back to it: its own prefix, or the one that it is translated to."""
    known = {
        str(route.prefix): route.via
        for one in declared
        if one.node.role is Role.CORE
        for route in routes6(one.environment.get("LAB_ROUTES", ""))
    }
    for one in (one for one in declared if one.node.role is Role.ROUTER):
        node, inside = one.node, lan_of(one.node.site, networks).subnet6
        upstream = upstream_of(node, networks)
        wan = next((a.address6 for a in node.attachments if upstream and a.network == upstream.name), None)
        if inside is None:
            continue
        who = f"site {node.site}"
        if wan is None:
            raise ConfigError(f"{who}: expected IPv6 outside of {node.name} as inside ({inside}), got none")
        translated = profile(str(node.profile), node.axes or "", node.profile6 or "open").prefix_translation
        outside = one.environment.get("lab.outer6") if translated else str(inside)
        if outside is None or known.get(outside) != wan.ip:
            raise ConfigError(
                f"{who}: expected the route '{outside or 'lab.outer6'} via {wan.ip}' in core's LAB_ROUTES, "
                f"got {f'via {known[outside]}' if outside in known else 'none'}"
            )


def families_told(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """A network's label says whether it has IPv4 inside; its nodes act on what their environment says."""
    for one in (one for one in declared if one.node.site is not None):
        wanted = "ipv6" if lan_of(one.node.site, networks).ipv6_only else None
        told = one.environment.get("LAB_FAMILY")
        if told != wanted:
            raise ConfigError(
                f"node {one.node.name}: expected LAB_FAMILY {wanted or 'none'} in its environment, as the label "
                f"lab.family of its network says, got {told or 'none'}"
            )


RULES6 = (none_behind_carriers, addresses_of_their_own, ways_out_first, prefixes_known_to_core, families_told)
