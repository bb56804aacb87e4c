"""Compose services and networks to a Topology: which labels and addresses a node has.

Belongs here: reading each node and network by itself. Never: whether they fit together (validate.py).
"""

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from lab.errors import ConfigError
from lab.internet import addresses, prefix6, routes
from lab.nat import PORT_MAPPINGS
from lab.topology import compose
from lab.topology.declared import Declared
from lab.topology.model import Attachment, Network, NetworkKind, Node, Role, Topology
from lab.topology.validate import check_networks, validate

T = TypeVar("T")
_OF_NETWORKS = ("lab.network", "lab.site", "lab.family")
_OF_NODES = (
    "lab.node",
    "lab.role",
    "lab.site",
    "lab.profile",
    "lab.firewall",
    "lab.axes",
    "lab.profile6",
    "lab.portmap",
    "lab.outer",
    "lab.outer6",
)
"""Every label that means something; routers find those of their site in their environment as well."""
_KINDS: dict[str, NetworkKind] = {"internet": "internet", "site": "site", "carrier": "carrier"}
_BRIDGE = {  # without these the engine, not the lab's routers, decides what crosses a network
    "com.docker.network.bridge.enable_ip_masquerade": "false",
    "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected",
}
_BRIDGE6 = {"com.docker.network.bridge.gateway_mode_ipv6": "nat-unprotected"}


def parse(path: Path | str, environ: Mapping[str, str] | None = None) -> Topology:
    """The world that a compose file describes.

    `environ` are the variables for interpolation (default: this process's). Raises ConfigError, one sentence that
    names the file, what, expected and got, for anything that would not give a working world.
    """
    path = Path(path)
    document = compose.read(path, environ)
    try:
        networks = tuple(_network(name, value) for name, value in document["networks"].items())
        check_networks(networks)
        by_name = {network.name: network for network in networks}
        declared = tuple(_node(name, value, by_name) for name, value in document["services"].items())
        return validate(declared, networks)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _network(name: str, value: Any) -> Network:
    who = f"network {name}"
    settings = _dict(value, who)
    labels = _labels(settings.get("labels"))
    _known(labels, _OF_NETWORKS, who)
    kind = _KINDS.get(_label(labels, "lab.network", who))
    if kind is None:
        _refuse(who, f"lab.network to be one of {', '.join(_KINDS)}", labels["lab.network"])
    site = None if kind == "internet" else _label(labels, "lab.site", who)
    subnet, gateway, subnet6 = _ipam(settings, who)
    if gateway != str(subnet[-2]):
        _refuse(who, f"gateway {subnet[-2]}, the last address of {subnet}, for the engine", gateway)
    options = {key: str(item).lower() for key, item in _dict(settings.get("driver_opts") or {}, who).items()}
    for option, wanted in (_BRIDGE | (_BRIDGE6 if subnet6 else {})).items():
        if options.get(option) != wanted:
            _refuse(who, f"driver_opts {option}: {wanted}", options.get(option))
    if subnet6 and settings.get("enable_ipv6") is not True:
        _refuse(who, f"enable_ipv6: true with {subnet6}", settings.get("enable_ipv6"))
    family = labels.get("lab.family")
    if family is not None and (family != "ipv6" or subnet6 is None or kind != "site"):
        _refuse(who, "lab.family: ipv6 on a site's network with an IPv6 subnet, or none", family)
    return Network(name, kind, site, subnet, subnet6, ipv6_only=family is not None)


def _ipam(settings: dict[str, Any], who: str) -> tuple[IPv4Network, str, IPv6Network | None]:
    configs = _dict(settings.get("ipam") or {}, who).get("config")
    if not isinstance(configs, list) or len(configs) not in (1, 2) or "subnet" not in _dict(configs[0], who):
        _refuse(who, "ipam with one subnet and its gateway, and perhaps one of IPv6 after it", configs)
    try:
        subnet = IPv4Network(str(configs[0]["subnet"]))
    except ValueError as error:
        raise ConfigError(f"{who}: expected an IPv4 subnet, got {configs[0]['subnet']!r} ({error})") from error
    if subnet.prefixlen > 29:
        _refuse(who, "a subnet of /29 or wider: a router, a client and the engine need addresses", str(subnet))
    return subnet, str(configs[0].get("gateway")), _subnet6(_dict(configs[1], who), who) if configs[1:] else None


def _subnet6(config: dict[str, Any], who: str) -> IPv6Network:
    try:
        subnet = IPv6Network(str(config.get("subnet")))
    except ValueError as error:
        raise ConfigError(f"{who}: expected an IPv6 subnet second, got {config.get('subnet')!r} ({error})") from error
    if subnet.prefixlen != 64:
        _refuse(who, "an IPv6 subnet of /64, as every LAN has (RFC 4291, 2.5.4)", str(subnet))
    try:
        gateway = IPv6Address(str(config.get("gateway")))
    except ValueError:
        gateway = None
    if gateway != subnet[-2]:
        _refuse(
            who, f"gateway {subnet[-2]}, the last address but one of {subnet}, for the engine", config.get("gateway")
        )
    return subnet


def _node(service: str, settings: dict[str, Any], networks: dict[str, Network]) -> Declared:
    labels = _labels(settings.get("labels"))
    who = f"node {service}"
    environment = settings.get("environment") or {}
    _known((*labels, *environment), _OF_NODES, who)
    name = _label(labels, "lab.node", who)
    hostname = settings.get("hostname")
    if hostname != name:
        _refuse(who, f"hostname {name}, as its label lab.node says", hostname)
    if settings.get("ports"):
        _refuse(who, "no published ports: nothing reaches a node except through its router", settings["ports"])
    role = _label(labels, "lab.role", who)
    if role not in {known.value for known in Role}:
        _refuse(who, f"lab.role to be one of {', '.join(Role)}", role)
    node = Node(
        name=name,
        role=Role(role),
        site=labels.get("lab.site"),
        profile=labels.get("lab.profile"),
        firewall=labels.get("lab.firewall"),
        attachments=tuple(
            _attachment(who, network, value, networks) for network, value in (settings.get("networks") or {}).items()
        ),
        axes=labels.get("lab.axes"),
        profile6=labels.get("lab.profile6"),
        portmap=_port_mapping(who, Role(role), labels.get("lab.portmap")),
        outer=_read(who, addresses, labels.get("lab.outer", "")) if role == Role.ROUTER else (),
        outer6=_read(who, prefix6, labels.get("lab.outer6", "")) if role == Role.ROUTER else None,
    )
    return Declared(
        node,
        {str(key): str(value) for key, value in environment.items()},
        _read(who, routes, str(environment.get("LAB_ROUTES", ""))),
    )


def _port_mapping(who: str, role: Role, told: str | None) -> str | None:
    """lab.portmap, of a router; clients may repeat what their site's says."""
    if told is None:
        return None
    if told not in PORT_MAPPINGS:
        known = ", ".join(f'"{each}"' for each in PORT_MAPPINGS)
        _refuse(who, f"lab.portmap to be one of {known}, in quotes (YAML takes a bare on for true)", told)
    if role not in (Role.ROUTER, Role.CLIENT):
        _refuse(who, f"lab.portmap on a router alone, not on a {role}", told)
    return told


def _read(who: str, read: Callable[[str], T], text: str) -> T:
    try:
        return read(text)
    except ConfigError as error:
        raise ConfigError(f"{who}: {error}") from error


def _attachment(who: str, network: str, value: Any, networks: dict[str, Network]) -> Attachment:
    if network not in networks:
        _refuse(who, f"a network of this file ({', '.join(networks) or 'none'})", network)
    address = _dict(value, who).get("ipv4_address")
    subnet = networks[network].subnet
    try:
        interface = IPv4Interface(f"{address}/{subnet.prefixlen}")
    except ValueError:
        _refuse(who, f"an ipv4_address in network {network} ({subnet})", address)
    if interface.ip not in subnet or interface.ip in (subnet[0], subnet[-1]):
        _refuse(who, f"an address in network {network} ({subnet})", str(interface.ip))
    return Attachment(network, interface, _address6(who, value.get("ipv6_address"), networks[network]))


def _address6(who: str, address: Any, network: Network) -> IPv6Interface | None:
    subnet = network.subnet6
    if (address is None) != (subnet is None):
        _refuse(who, f"an ipv6_address in network {network.name} ({subnet})" if subnet else "no ipv6_address", address)
    if subnet is None:
        return None
    try:
        interface = IPv6Interface(f"{address}/{subnet.prefixlen}")
    except ValueError:
        _refuse(who, f"an ipv6_address in network {network.name} ({subnet})", address)
    if interface.ip not in subnet or interface.ip in (subnet[0], subnet[-2], subnet[-1]):
        _refuse(who, f"an IPv6 address in network {network.name} ({subnet})", str(interface.ip))
    return interface


def _labels(value: Any) -> dict[str, str]:
    if isinstance(value, list):
        return {name: text for name, _, text in (str(item).partition("=") for item in value)}
    return {str(key): str(item) for key, item in (value or {}).items()}


def _known(names: Iterable[str], known: tuple[str, ...], who: str) -> None:
    """One that means nothing would be a setting that is silently not made."""
    for name in names:
        if name.startswith("lab.") and name not in known:
            (nearest,) = get_close_matches(name, known, 1, 0.0)
            raise ConfigError(f"{who}: unknown label {name}, the nearest is {nearest}; known: {', '.join(known)}")


def _label(labels: dict[str, str], key: str, who: str) -> str:
    if not labels.get(key):
        raise ConfigError(f"{who}: expected the label {key}, got none")
    return labels[key]


def _dict(value: Any, who: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _refuse(who, "settings", value)
    return value


def _refuse(who: str, expected: str, got: Any) -> NoReturn:
    raise ConfigError(f"{who}: expected {expected}, got {'none' if got is None else got}")
