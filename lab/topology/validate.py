"""Whether nodes and networks make a working world together.

Belongs here: one small function a rule, each raising ConfigError in one sentence. Never: reading files.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from ipaddress import IPv4Network
from itertools import combinations

from lab.errors import ConfigError
from lab.internet import addresses
from lab.nat import firewall, profile
from lab.topology.declared import Declared, lan_of, upstream_of
from lab.topology.fitting import router_fits
from lab.topology.model import Network, Node, Role, Topology
from lab.topology.validate6 import RULES6, check_networks6
from lab.topology.validate_links import links_fit_sites

PROXY_PORT = 3128
"""Where a site's proxy listens."""


def check_networks(networks: tuple[Network, ...]) -> None:
    """Whether the networks fit together, before anybody is looked for in them. Raises ConfigError."""
    _one_internet(networks)
    _one_network_a_site(networks)
    _disjoint(networks)
    check_networks6(networks)


def validate(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> Topology:
    """The topology, every client with its site's profile and firewall. Raises ConfigError for the first rule broken."""
    for rule in _RULES:
        rule(declared, networks)
    routers = {one.node.site: one.node for one in declared if one.node.role is Role.ROUTER}
    nodes = (
        _as_its_site(node, routers[node.site]) if node.role is Role.CLIENT else node
        for node in (one.node for one in declared)
    )
    return Topology(tuple(nodes), networks)


def _as_its_site(client: Node, router: Node) -> Node:
    return replace(
        client,
        profile=router.profile,
        firewall=router.firewall,
        axes=router.axes,
        profile6=router.profile6,
        portmap=router.portmap,
    )


def conflicts(topology: Topology, used: Iterable[IPv4Network]) -> list[str]:
    """One sentence for each network of the topology that overlaps a subnet which the host already uses."""
    taken = list(used)
    return [
        f"network {network.name} needs {network.subnet}, but the host already uses {other}"
        for network in topology.networks
        for other in taken
        if network.subnet.overlaps(other)
    ]


def _one_internet(networks: tuple[Network, ...]) -> None:
    names = [network.name for network in networks if network.kind == "internet"]
    if len(names) != 1:
        raise ConfigError(f"expected one network with lab.network internet, got {_list(names)}")


def _one_network_a_site(networks: tuple[Network, ...]) -> None:
    for one, other in combinations(networks, 2):
        if one.site is not None and one.site == other.site:
            raise ConfigError(f"site {one.site}: expected one network, got {one.name} and {other.name}")


def _disjoint(networks: tuple[Network, ...]) -> None:
    for one, other in combinations(networks, 2):
        if one.subnet == other.subnet:
            raise ConfigError(
                f"networks {one.name} and {other.name}: expected a subnet each, got {one.subnet} for both"
            )
        if one.subnet.overlaps(other.subnet):
            raise ConfigError(
                f"networks {one.name} and {other.name}: expected subnets apart, got {one.subnet} and {other.subnet}"
            )


def _unique_names(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    for one, other in combinations(declared, 2):
        if one.node.name == other.node.name:
            raise ConfigError(f"node {one.node.name}: expected one node of that name, got two")


def _unique_addresses(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    owner = {network.subnet[-2]: f"the engine's gateway of network {network.name}" for network in networks}
    for one in declared:
        for attachment in one.node.attachments:
            address = attachment.address.ip
            if address in owner:
                raise ConfigError(
                    f"node {one.node.name}: expected an address of its own in network {attachment.network}, "
                    f"got {address}, which is {owner[address]}"
                )
            owner[address] = f"{one.node.name}'s"
        for address in one.node.outer:
            network = upstream_of(one.node, networks)
            if network is None or address not in network.subnet:
                where = network.subnet if network else "its outer network"
                raise ConfigError(f"node {one.node.name}: expected an address of {where} in lab.outer, got {address}")
            if address in (network.subnet[0], network.subnet[-1]):
                raise ConfigError(
                    f"node {one.node.name}: expected a host's address of {network.subnet} in lab.outer, got {address}, "
                    "which stands for all of it"
                )
            if address in owner:
                raise ConfigError(
                    f"node {one.node.name}: expected a free address in lab.outer, got {address}, which is "
                    f"{owner[address]}"
                )
            owner[address] = f"{one.node.name}'s"


def _one_core(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    cores = [one.node for one in declared if one.node.role is Role.CORE]
    if len(cores) != 1:
        raise ConfigError(f"expected one node with lab.role core, got {_list(node.name for node in cores)}")
    first = _internet(networks).subnet[1]
    addresses = [attachment.address.ip for attachment in cores[0].attachments]
    if addresses != [first]:
        got = _list(map(str, addresses))
        raise ConfigError(f"node {cores[0].name}: expected {first}, the first address of the internet, got {got}")


_ELSEWHERE = (Role.CORE, Role.CLIENT, Role.ROUTER, Role.PROXY)


def _on_the_internet(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    internet = _internet(networks).name
    for node in (one.node for one in declared if one.node.role not in _ELSEWHERE):
        names = [attachment.network for attachment in node.attachments]
        if names != [internet]:
            raise ConfigError(f"node {node.name}: expected network {internet} alone, got {_list(names)}")


def _one_router_a_site(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    sites = {network.site for network in networks if network.site is not None}
    routers = [one.node for one in declared if one.node.role is Role.ROUTER]
    for router in routers:
        if router.site not in sites:
            raise ConfigError(
                f"node {router.name}: expected the label lab.site to name a site ({_list(map(str, sites))}), "
                f"got {router.site or 'none'}"
            )
    for site in sorted(map(str, sites)):
        names = [router.name for router in routers if router.site == site]
        if len(names) != 1:
            raise ConfigError(f"site {site}: expected one router, got {_list(names)}")


def _routers_wired(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    internet = _internet(networks)
    carriers = [network.name for network in networks if network.kind == "carrier"]
    for one in (one for one in declared if one.node.role is Role.ROUTER):
        node = one.node
        lan = lan_of(node.site, networks)
        by_network = {attachment.network: attachment.address.ip for attachment in node.attachments}
        upstream = upstream_of(node, networks)
        if upstream is None or by_network.keys() != {upstream.name, lan.name}:
            ways_out = " or ".join([internet.name, *(carrier for carrier in carriers if carrier != lan.name)])
            raise ConfigError(f"node {node.name}: expected networks {ways_out} and {lan.name}, got {_list(by_network)}")
        if by_network[lan.name] != lan.subnet[1]:
            raise ConfigError(
                f"node {node.name}: expected {lan.subnet[1]}, the first address of network {lan.name}, "
                f"got {by_network[lan.name]}"
            )
        key = "LAB_CORE" if upstream is internet else "LAB_UPSTREAM"
        way_out = one.environment.get(key, "none")
        if way_out != str(upstream.subnet[1]):
            raise ConfigError(f"node {node.name}: expected {key} {upstream.subnet[1]}, got {way_out}")


_OF_A_ROUTER: tuple[tuple[str, Callable[[Node], str | None]], ...] = (
    ("lab.site", lambda node: node.site),
    ("lab.profile", lambda node: node.profile),
    ("lab.firewall", lambda node: node.firewall),
    ("lab.axes", lambda node: node.axes),
    ("lab.profile6", lambda node: node.profile6),
    ("lab.portmap", lambda node: node.portmap),
)
"""What a router is told twice, in its labels for whoever looks and in its environment for itself."""


def _routers_described(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    for one in (one for one in declared if one.node.role is Role.ROUTER):
        node = one.node
        for key, value in (("lab.site", node.site), ("lab.profile", node.profile), ("lab.firewall", node.firewall)):
            if not value:
                raise ConfigError(f"node {node.name}: expected the label {key}, got none")
        for key, told in _OF_A_ROUTER:
            wanted = told(node)
            if one.environment.get(key) != wanted:
                raise ConfigError(
                    f"node {node.name}: expected {key} {wanted or 'none'} in its environment as in its labels, "
                    f"got {one.environment.get(key, 'none')}"
                )
        try:
            profile(str(node.profile), node.axes or "", node.profile6 or "open", node.portmap or "off")
            firewall(str(node.firewall))
            outer = addresses(one.environment.get("lab.outer", ""))
        except ConfigError as error:
            raise ConfigError(f"node {node.name}: {error}") from error
        if outer != node.outer:
            told_of, has = (", ".join(map(str, held)) or "none" for held in (node.outer, outer))
            raise ConfigError(
                f"node {node.name}: expected lab.outer {told_of} in its environment as in its labels, got {has}"
            )


def _clients_at_home(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    routers = {one.node.site: one.node for one in declared if one.node.role is Role.ROUTER}
    for node in (one.node for one in declared if one.node.role is Role.CLIENT):
        if node.site not in routers:
            raise ConfigError(
                f"node {node.name}: expected the label lab.site to name a site ({_list(map(str, routers))}), "
                f"got {node.site or 'none'}"
            )
        names = [attachment.network for attachment in node.attachments]
        lan = lan_of(node.site, networks)
        if lan.kind == "carrier":
            raise ConfigError(
                f"node {node.name}: expected a site, got the carrier {lan.site}, whose network is for routers"
            )
        if names != [lan.name]:
            raise ConfigError(f"node {node.name}: expected network {lan.name} of its site alone, got {_list(names)}")
        router = routers[node.site]
        for key, own, wanted in (
            ("lab.profile", node.profile, router.profile),
            ("lab.firewall", node.firewall, router.firewall),
            ("lab.portmap", node.portmap, router.portmap),
        ):
            if own not in (None, wanted):
                raise ConfigError(f"node {node.name}: expected {key} {wanted} as {router.name} has, got {own}")


def _proxies_at_home(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """A proxy is known to its site's router, which lets it out, and to its clients, as programs find one."""
    proxies: dict[str | None, Node] = {}
    for node in (one.node for one in declared if one.node.role is Role.PROXY):
        names = [attachment.network for attachment in node.attachments]
        if node.site not in {network.site for network in networks if network.kind == "site"}:
            raise ConfigError(
                f"node {node.name}: expected the label lab.site to name a site, got {node.site or 'none'}"
            )
        if names != [lan_of(node.site, networks).name]:
            raise ConfigError(
                f"node {node.name}: expected network {lan_of(node.site, networks).name} alone, got {names}"
            )
        if node.site in proxies:
            raise ConfigError(f"site {node.site}: expected one proxy, got {proxies[node.site].name} and {node.name}")
        proxies[node.site] = node
    for one in (one for one in declared if one.node.role in (Role.ROUTER, Role.CLIENT)):
        proxy = proxies.get(one.node.site)
        address = str(proxy.attachments[0].address.ip) if proxy else None
        router = one.node.role is Role.ROUTER
        key, wanted = (
            ("LAB_PROXY", address) if router else ("https_proxy", address and f"http://{address}:{PROXY_PORT}")
        )
        if one.environment.get(key) != wanted:
            raise ConfigError(
                f"node {one.node.name}: expected {key} {wanted or 'none'} in its environment, "
                f"got {one.environment.get(key, 'none')}"
            )


def _routers_fit(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """What a router does must go with the addresses of its site and with what else is there."""
    nodes = [one.node for one in declared]
    for router in (node for node in nodes if node.role is Role.ROUTER):
        router_fits(router, nodes, networks)


def _routes_fit_profiles(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """Addresses that are not translated must be known to core, and those that are must not."""
    routed = {route.prefix: route.via for one in declared if one.node.role is Role.CORE for route in one.routes}
    for node in (one.node for one in declared if one.node.role is Role.ROUTER):
        if lan_of(node.site, networks).ipv6_only:
            continue
        lan = lan_of(node.site, networks).subnet
        upstream = upstream_of(node, networks)
        wan = next(a.address.ip for a in node.attachments if upstream and a.network == upstream.name)
        who = f"site {node.site}"
        if profile(str(node.profile)).translation is None:
            if routed.get(lan) != wan:
                raise ConfigError(
                    f"{who}: expected the route '{lan} via {wan}' in core's LAB_ROUTES with profile {node.profile}, "
                    f"got {f'via {routed[lan]}' if lan in routed else 'none'}"
                )
        elif any(prefix.overlaps(lan) for prefix in routed):
            raise ConfigError(
                f"{who}: expected no route to {lan} in core's LAB_ROUTES with profile {node.profile}, got one"
            )


_RULES: tuple[Callable[[tuple[Declared, ...], tuple[Network, ...]], None], ...] = (
    _unique_names,
    _one_core,
    _on_the_internet,
    _one_router_a_site,
    _routers_described,
    _routers_wired,
    _clients_at_home,
    _proxies_at_home,
    _unique_addresses,
    _routers_fit,
    _routes_fit_profiles,
    links_fit_sites,
    *RULES6,
)


def _internet(networks: tuple[Network, ...]) -> Network:
    return next(network for network in networks if network.kind == "internet")


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
