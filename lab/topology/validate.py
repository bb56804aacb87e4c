"""Whether nodes and networks make a working world together.

Belongs here: one small function a rule, each raising ConfigError in one sentence. Never: reading files.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from itertools import combinations

from lab.errors import ConfigError
from lab.internet import PRIVATE, Route
from lab.nat import firewall, profile
from lab.topology.model import Network, Node, Role, Topology


@dataclass(frozen=True)
class Declared:
    """A node as written, with what its program will be told."""

    node: Node
    environment: dict[str, str]
    routes: tuple[Route, ...]


def check_networks(networks: tuple[Network, ...]) -> None:
    """Whether the networks fit together, before anybody is looked for in them. Raises ConfigError."""
    _one_internet(networks)
    _one_network_a_site(networks)
    _disjoint(networks)


def validate(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> Topology:
    """The topology, every client with its site's profile and firewall. Raises ConfigError for the first rule broken."""
    for rule in _RULES:
        rule(declared, networks)
    routers = {one.node.site: one.node for one in declared if one.node.role is Role.ROUTER}
    nodes = (
        replace(node, profile=routers[node.site].profile, firewall=routers[node.site].firewall)
        if node.role is Role.CLIENT
        else node
        for node in (one.node for one in declared)
    )
    return Topology(tuple(nodes), networks)


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


def _one_core(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    cores = [one.node for one in declared if one.node.role is Role.CORE]
    if len(cores) != 1:
        raise ConfigError(f"expected one node with lab.role core, got {_list(node.name for node in cores)}")
    first = _internet(networks).subnet[1]
    addresses = [attachment.address.ip for attachment in cores[0].attachments]
    if addresses != [first]:
        got = _list(map(str, addresses))
        raise ConfigError(f"node {cores[0].name}: expected {first}, the first address of the internet, got {got}")


def _on_the_internet(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    internet = _internet(networks).name
    for node in (one.node for one in declared if one.node.role not in (Role.CORE, Role.CLIENT, Role.ROUTER)):
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
    for one in (one for one in declared if one.node.role is Role.ROUTER):
        node = one.node
        lan = _lan(node.site, networks)
        by_network = {attachment.network: attachment.address.ip for attachment in node.attachments}
        if by_network.keys() != {internet.name, lan.name}:
            raise ConfigError(
                f"node {node.name}: expected networks {internet.name} and {lan.name}, got {_list(by_network)}"
            )
        if by_network[lan.name] != lan.subnet[1]:
            raise ConfigError(
                f"node {node.name}: expected {lan.subnet[1]}, the first address of network {lan.name}, "
                f"got {by_network[lan.name]}"
            )
        core = one.environment.get("LAB_CORE", "none")
        if core != str(internet.subnet[1]):
            raise ConfigError(f"node {node.name}: expected LAB_CORE {internet.subnet[1]}, got {core}")


def _routers_described(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    for one in (one for one in declared if one.node.role is Role.ROUTER):
        node = one.node
        for key, value in (("lab.site", node.site), ("lab.profile", node.profile), ("lab.firewall", node.firewall)):
            if not value:
                raise ConfigError(f"node {node.name}: expected the label {key}, got none")
            if one.environment.get(key) != value:
                raise ConfigError(
                    f"node {node.name}: expected {key} {value} in its environment as in its labels, "
                    f"got {one.environment.get(key, 'none')}"
                )
        try:
            profile(str(node.profile))
            firewall(str(node.firewall))
        except ConfigError as error:
            raise ConfigError(f"node {node.name}: {error}") from error


def _clients_at_home(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    routers = {one.node.site: one.node for one in declared if one.node.role is Role.ROUTER}
    for node in (one.node for one in declared if one.node.role is Role.CLIENT):
        if node.site not in routers:
            raise ConfigError(
                f"node {node.name}: expected the label lab.site to name a site ({_list(map(str, routers))}), "
                f"got {node.site or 'none'}"
            )
        names = [attachment.network for attachment in node.attachments]
        lan = _lan(node.site, networks).name
        if names != [lan]:
            raise ConfigError(f"node {node.name}: expected network {lan} of its site alone, got {_list(names)}")
        router = routers[node.site]
        for key, own, wanted in (
            ("lab.profile", node.profile, router.profile),
            ("lab.firewall", node.firewall, router.firewall),
        ):
            if own not in (None, wanted):
                raise ConfigError(f"node {node.name}: expected {key} {wanted} as {router.name} has, got {own}")


def _addresses_fit_profiles(declared: tuple[Declared, ...], networks: tuple[Network, ...]) -> None:
    """Addresses that are not translated must be known to core, and those that are must not."""
    routed = {route.prefix: route.via for one in declared if one.node.role is Role.CORE for route in one.routes}
    for node in (one.node for one in declared if one.node.role is Role.ROUTER):
        lan = _lan(node.site, networks).subnet
        wan = next(a.address.ip for a in node.attachments if a.network == _internet(networks).name)
        private = any(lan.subnet_of(prefix) for prefix in PRIVATE)
        who = f"site {node.site}"
        if profile(str(node.profile)).translation is None:
            if private:
                raise ConfigError(f"{who}: expected a public subnet with profile {node.profile}, got {lan}")
            if routed.get(lan) != wan:
                raise ConfigError(
                    f"{who}: expected the route '{lan} via {wan}' in core's LAB_ROUTES with profile {node.profile}, "
                    f"got {f'via {routed[lan]}' if lan in routed else 'none'}"
                )
        elif not private:
            raise ConfigError(f"{who}: expected a private subnet with profile {node.profile}, got {lan}")
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
    _unique_addresses,
    _addresses_fit_profiles,
)


def _internet(networks: tuple[Network, ...]) -> Network:
    return next(network for network in networks if network.kind == "internet")


def _lan(site: str | None, networks: tuple[Network, ...]) -> Network:
    return next(network for network in networks if network.site == site and network.kind == "site")


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
