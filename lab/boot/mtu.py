"""The MTU of an access link, as a metric of routes: core's or a carrier's towards a site, a router's out of its site.

Belongs here: routes' metrics over netlink. Never: which MTU (lab.links), and which routes there are (attach.py).
A packet that is larger is refused by the kernel with ICMP, or fragmented where it allows that.
"""

import socket
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

from pyroute2 import IPRoute

from lab.links.axes import FULL_MTU
from lab.links.emulator import Network

_LINK_SCOPE, _MAIN_TABLE, _UNICAST = 253, 254, 1  # RT_SCOPE_LINK, RT_TABLE_MAIN, RTN_UNICAST of linux/rtnetlink.h
_UP = 1  # IFF_UP of linux/if.h
_MTU_LOCKED = 1 << 2  # RTAX_MTU: path MTU discovery does not change it, and IPv6 forwarding heeds it
_KEPT = ("proto", "scope", "type")


def set_up(interface: int, mtu: int) -> None:
    """Give every route out of a router's WAN interface this MTU; 1500 takes it away."""
    with IPRoute() as kernel:
        for message in _routes(kernel):
            if message.get("oif") == interface:
                _replace(kernel, message, mtu)


def set_down(interface: int, networks: Iterable[Network], mtu: int) -> None:
    """Give this hop's routes to a site this MTU; 1500 takes it away. Single addresses are neighbours, with or without a
    route of their own. While the cable is out there is no route to anybody: cable.py gives those that come with it the
    MTU that is remembered."""
    wanted = set(networks)
    with IPRoute() as kernel:
        found = {_prefix(message): message for message in _routes(kernel) if _prefix(message) in wanted}
        for network in wanted:
            single = network.num_addresses == 1
            if network in found and not (single and mtu == FULL_MTU):
                _replace(kernel, found[network], mtu)
            elif network in found:
                route = found[network]
                kernel.route("del", dst=str(network), oif=interface, family=route["family"], scope=route["scope"])
            elif single and mtu != FULL_MTU and kernel.get_links(interface)[0]["flags"] & _UP:
                fresh = {"dst": str(network), "oif": interface, "scope": _LINK_SCOPE, "family": _family(network)}
                kernel.route("replace", **fresh, metrics=_metrics(mtu))


def _routes(kernel: IPRoute) -> Iterable[Any]:
    for family in (socket.AF_INET, socket.AF_INET6):
        for message in kernel.get_routes(family=family, table=_MAIN_TABLE):
            if message["type"] == _UNICAST:
                yield message


def _replace(kernel: IPRoute, message: Any, mtu: int) -> None:
    route = {"dst": str(_prefix(message)), "oif": message.get("oif"), "family": message["family"]}
    route |= {key: message[key] for key in _KEPT}
    route |= {key: message.get(key) for key in ("gateway", "prefsrc", "priority") if message.get(key) is not None}
    if mtu != FULL_MTU:
        route["metrics"] = _metrics(mtu)
    kernel.route("replace", **route)


def _metrics(mtu: int) -> dict[str, int]:
    return {"mtu": mtu, "lock": _MTU_LOCKED}


def _prefix(message: Any) -> Network:
    anywhere = "0.0.0.0" if message["family"] == socket.AF_INET else "::"
    return ip_network(f"{message.get('dst') or anywhere}/{message['dst_len']}")


def _family(network: Network) -> int:
    return socket.AF_INET if network.version == 4 else socket.AF_INET6
