"""The kernel's side of attaching: read the addresses, set the routes, refuse redirects.

Belongs here: netlink. Never: which routes (wiring.py).
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Interface, IPv6Interface, ip_network

from pyroute2 import IPRoute

from lab.boot.wiring import EVERYWHERE, Interface, Wiring, outer, wiring
from lab.boot.wiring6 import EVERYWHERE6, Interface6, Wiring6, wiring6
from lab.errors import ConfigError, RuntimeUnavailable

_LINK_SCOPE, _MAIN_TABLE, _BLACKHOLE = 253, 254, 6  # RT_SCOPE_LINK, RT_TABLE_MAIN, RTN_BLACKHOLE of linux/rtnetlink.h
_UNIVERSE = 0  # RT_SCOPE_UNIVERSE
# linux/ip.h: settings of an interface that /proc/sys would have, were it not read-only in here.
_FORWARDING, _ACCEPT_REDIRECTS, _SEND_REDIRECTS, _REVERSE_PATH_FILTER = 1, 4, 6, 8
_CLOSED = {_FORWARDING: 0, _ACCEPT_REDIRECTS: 0, _SEND_REDIRECTS: 0, _REVERSE_PATH_FILTER: 1}


def attach(role: str, environ: Mapping[str, str]) -> Wiring:
    """Give this network namespace the routes of its role; returns what was found and done.

    Raises ConfigError when the interfaces are not the role's, RuntimeUnavailable when the kernel refuses.
    """
    with IPRoute() as kernel:
        found = [
            Interface(
                message["index"],
                message.get("label"),
                IPv4Interface(f"{message.get('local')}/{message['prefixlen']}"),
            )
            for message in kernel.get_addr(family=socket.AF_INET)
            if message.get("label") != "lo"
        ]
        plan = wiring(role, found, environ)
        for address in outer(environ) if role == "router" else ():
            kernel.addr(
                "replace", index=plan.wan.index, address=str(address), prefixlen=plan.wan.address.network.prefixlen
            )
        _set_routes(kernel, socket.AF_INET, plan)
        plan6 = wiring6(role, plan.wan.index, plan.lan.index if plan.lan else None, _found6(kernel), environ)
        _set_routes(kernel, socket.AF_INET6, plan6)
        plan = replace(plan, wan6=plan6.wan, lan6=plan6.lan)
    for interface in found:
        _set_link(interface.index, _CLOSED)
    return plan


def has_ipv6() -> bool:
    """Whether this network namespace has an address of IPv6 beside those of its links."""
    with IPRoute() as kernel:
        return bool(_found6(kernel))


def attach_alone(role: str, environ: Mapping[str, str]) -> None:
    """The same for a client or proxy whose site has no IPv4 inside: what the engine gave it of that is taken away.

    Raises ConfigError, RuntimeUnavailable.
    """
    with IPRoute() as kernel:
        for message in kernel.get_addr(family=socket.AF_INET):
            if message.get("label") != "lo":
                where = {"index": message["index"], "prefixlen": message["prefixlen"]}
                kernel.addr("del", address=message.get("local"), **where)
        found = _found6(kernel)
        if not found:
            raise ConfigError(f"expected an address of IPv6 for the {role} of a site without IPv4, got none")
        _set_routes(kernel, socket.AF_INET6, wiring6(role, found[0].index, None, found, environ))


def forward(plan: Wiring) -> None:
    """Let packets through between a node's networks; until then it drops them. Raises RuntimeUnavailable.

    Last step of a router: one that forwards before its rules are loaded lets private addresses out.
    """
    for side in (plan.wan, plan.lan):
        if side is not None:
            _set_link(side.index, {_FORWARDING: 1})


def hold(plan: Wiring) -> None:
    """Let nothing through any more, until `forward`. Raises RuntimeUnavailable."""
    for side in (plan.wan, plan.lan):
        if side is not None:
            _set_link(side.index, {_FORWARDING: 0})


def let_go() -> None:
    """Remove the routes that hang on no interface, and so would stay when the node leaves its network."""
    with IPRoute() as kernel:
        for family in (socket.AF_INET, socket.AF_INET6):
            for message in kernel.get_routes(family=family, table=_MAIN_TABLE):
                if message["type"] == _BLACKHOLE:
                    prefix = f"{message.get('dst')}/{message['dst_len']}"
                    kernel.route("del", family=family, dst=prefix, type="blackhole")


def _found6(kernel: IPRoute) -> list[Interface6]:
    return [
        Interface6(message["index"], IPv6Interface(f"{message.get('address')}/{message['prefixlen']}"))
        for message in kernel.get_addr(family=socket.AF_INET6)
        if message["scope"] == _UNIVERSE
    ]


def _set_routes(kernel: IPRoute, family: int, plan: Wiring | Wiring6) -> None:
    anywhere = EVERYWHERE if family == socket.AF_INET else EVERYWHERE6
    for message in kernel.get_routes(family=family, table=_MAIN_TABLE):
        prefix = ip_network(f"{message.get('dst') or anywhere.network_address}/{message['dst_len']}")
        if message["type"] == _BLACKHOLE:
            if prefix not in {route.prefix for route in plan.routes}:  # of a network that the node has left
                kernel.route("del", family=family, dst=str(prefix), type="blackhole")
        elif prefix in plan.remove:
            where = {key: message[key] for key in ("proto", "scope")}
            kernel.route("del", family=family, dst=str(prefix), oif=message.get("oif"), **where)
    for route in plan.routes:
        dst = "default" if route.prefix == anywhere else str(route.prefix)
        if route.via is not None:
            kernel.route("replace", family=family, dst=dst, gateway=str(route.via))
        elif route.interface is not None:
            kernel.route("replace", family=family, dst=dst, oif=route.interface, scope=_LINK_SCOPE)
        else:
            kernel.route("replace", family=family, dst=dst, type="blackhole")


def _set_link(index: int, settings: Mapping[int, int]) -> None:
    """IPv4 settings of one interface (RTM_SETLINK with IFLA_INET_CONF, which pyroute2 only reads).

    An interface copies them from `default` when it is made, which is before Compose's `sysctls` are written.
    """
    values = b"".join(_attribute(key, struct.pack("=I", value)) for key, value in settings.items())
    nested = _attribute(26, _attribute(socket.AF_INET, _attribute(1, values)))  # IFLA_AF_SPEC, AF_INET, IFLA_INET_CONF
    body = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, 0, 0) + nested
    message = struct.pack("=IHHII", 16 + len(body), 19, 0x5, 1, 0) + body  # RTM_SETLINK; REQUEST | ACK
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.send(message)
        error = struct.unpack_from("=i", kernel.recv(4096), 16)[0]
    if error:
        raise RuntimeUnavailable(f"the kernel refuses the settings of interface {index} (error {-error})")


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
