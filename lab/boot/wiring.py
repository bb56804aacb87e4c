"""Which routes a node needs, from its role and the addresses that it finds on itself.

Pure. Belongs here: the rule that a network's first address is the way out. Never: netlink.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, IPv6Interface

from lab.errors import ConfigError
from lab.internet import PRIVATE, addresses, routes

EVERYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True)
class Interface:
    """One interface as the kernel has it. Names are not in any order that means something."""

    index: int
    name: str
    address: IPv4Interface


@dataclass(frozen=True)
class RoutePlan:
    """A route to set: through a neighbour, straight out of an interface, or (neither) to nowhere."""

    prefix: IPv4Network
    via: IPv4Address | None = None
    interface: int | None = None


@dataclass(frozen=True)
class Wiring:
    """What start-up does to a node's routes, in this order: remove, then set. `lan` is None but on routers.

    `wan6` and `lan6` are the same sides' addresses of IPv6, where there are any: see wiring6.py.
    """

    wan: Interface
    lan: Interface | None
    remove: tuple[IPv4Network, ...]
    routes: tuple[RoutePlan, ...]
    wan6: IPv6Interface | None = None
    lan6: IPv6Interface | None = None


def wiring(role: str, interfaces: Sequence[Interface], environ: Mapping[str, str]) -> Wiring:
    """The routes of a node. Raises ConfigError when its interfaces are not those of its role.

    A network's last address is the machine's that the lab runs on: what listens there is none of a node's business.
    """
    plan = _ways_out(role, _first_addresses(interfaces), environ)
    host = tuple(RoutePlan(IPv4Network(interface.address.network[-2])) for interface in interfaces)
    return replace(plan, routes=(*plan.routes, *host))


def _first_addresses(interfaces: Sequence[Interface]) -> list[Interface]:
    """Each interface once, by the address that it had first; further ones are a router's other outer addresses."""
    found: dict[int, Interface] = {}
    for interface in interfaces:
        found.setdefault(interface.index, interface)
    return list(found.values())


def outer(environ: Mapping[str, str]) -> tuple[IPv4Address, ...]:
    """A router's further outer addresses, of lab.outer. Raises ConfigError."""
    return addresses(environ.get("lab.outer", ""))


def _ways_out(role: str, interfaces: Sequence[Interface], environ: Mapping[str, str]) -> Wiring:
    if role in ("client", "proxy"):
        wan = _only(role, interfaces)
        return Wiring(wan, None, (), (RoutePlan(EVERYWHERE, via=wan.address.network[1]),))
    upstream = environ.get("LAB_UPSTREAM") if role == "router" else None
    core = _address("LAB_UPSTREAM" if upstream else "LAB_CORE", environ)
    wan = _facing(role, core, interfaces)
    if role == "core":
        public = tuple(RoutePlan(route.prefix, via=route.via) for route in routes(environ.get("LAB_ROUTES", "")))
        return Wiring(wan, None, (EVERYWHERE,), (*public, *(RoutePlan(prefix) for prefix in PRIVATE)))
    # Neighbours are reached through core as well (or through the carrier's router), so that it sees every packet.
    through_core = (RoutePlan(IPv4Network(core), interface=wan.index), RoutePlan(EVERYWHERE, via=core))
    others = [interface for interface in interfaces if interface is not wan]
    lan = _only("router's LAN side", others) if role == "router" else None
    if role != "router" and others:
        raise ConfigError(f"expected {role} on the internet alone, got {_listed(interfaces)}")
    return Wiring(wan, lan, (wan.address.network,), through_core)


def _address(name: str, environ: Mapping[str, str]) -> IPv4Address:
    try:
        return IPv4Address(environ.get(name, ""))
    except AddressValueError as error:
        whose = "the carrier's router" if name == "LAB_UPSTREAM" else "core"
        raise ConfigError(f"expected {whose}'s address in {name}, got {environ.get(name, 'none')}") from error


def _facing(role: str, core: IPv4Address, interfaces: Sequence[Interface]) -> Interface:
    for interface in interfaces:
        if core in interface.address.network:
            return interface
    raise ConfigError(f"expected {role} to have an address beside {core}, its way out, got {_listed(interfaces)}")


def _only(what: str, interfaces: Sequence[Interface]) -> Interface:
    if len(interfaces) != 1:
        raise ConfigError(f"expected one address for the {what}, got {_listed(interfaces)}")
    return interfaces[0]


def _listed(interfaces: Sequence[Interface]) -> str:
    return ", ".join(str(interface.address) for interface in interfaces) or "none"
