"""`python3 -m lab.boot.cable unplug|plug|detach|attach [both|ipv6]`, run inside a node: cables out, in, let go of,
newly wired, for a network of both families or of IPv6 alone.

Belongs here: interfaces down and up, and what the kernel forgets meanwhile. Never: which routes a role has (wiring.py).
"""

import json
import os
import socket
import sys
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.boot import attach, memory, mtu
from lab.boot.wiring import Wiring
from lab.boot.wiring6 import FAMILY, alone
from lab.errors import ConfigError, LabError
from lab.links.axes import FULL_MTU

FORWARDING = ("router",)
UNPLUGGED = Path("/run/unplugged.json")
CAME_TO = Path("/run/family")
"""Which families the network has on which the node was put since it was started."""
_UP, _LOOPBACK = 1, 8  # IFF_UP, IFF_LOOPBACK of linux/if.h
_NO_DAD = 0x02  # IFA_F_NODAD
_PERMANENT, _LINK = 0x80, 253  # IFA_F_PERMANENT of linux/if_addr.h; RT_SCOPE_LINK


def main(arguments: list[str]) -> int:
    """Carry out one order; one JSON line tells whether anything has changed. 2 where it could not."""
    try:
        print(json.dumps({"ok": True, "changed": _do(arguments)}))
    except (LabError, OSError, NetlinkError) as error:
        print(json.dumps({"ok": False, "error": str(error)}))
        return 2
    return 0


def _do(arguments: list[str]) -> bool:
    orders = {"unplug": _unplug, "plug": _plug, "detach": _detach, "attach": _attach}
    match arguments:
        case ["attach", ("both" | "ipv6") as family]:
            CAME_TO.write_text(family)
            return _attach()
        case [order] if order in orders:
            return orders[order]()
    raise ConfigError(f"expected one order of {', '.join(orders)}, got {' '.join(arguments) or 'none'}")


def unplugged() -> bool:
    """Whether the cables of this node have been pulled."""
    return UNPLUGGED.exists()


def _unplug() -> bool:
    with IPRoute() as kernel:
        up = [link for link in kernel.get_links() if link["flags"] & _UP and not link["flags"] & _LOOPBACK]
        if not up:
            return False
        kept = [_address(one) for link in up for one in kernel.get_addr(family=socket.AF_INET6, index=link["index"])]
        UNPLUGGED.write_text(json.dumps([one for one in kept if one]))
        for link in up:
            kernel.link("set", index=link["index"], state="down")
    return True


def _plug() -> bool:
    with IPRoute() as kernel:
        down = [link for link in kernel.get_links() if not link["flags"] & (_UP | _LOOPBACK) and _is_cable(link)]
        if not down:
            return False
        for link in down:
            kernel.link("set", index=link["index"], state="up")
        for address in json.loads(UNPLUGGED.read_text()) if UNPLUGGED.exists() else ():
            # IPv4's stay, IPv6's go with the link; nobody else took one meanwhile: no second of asking around
            kernel.addr("replace", family=socket.AF_INET6, flags=_NO_DAD, **address)
    UNPLUGGED.unlink(missing_ok=True)
    return _attach()


def _detach() -> bool:
    """Before the engine takes the interface away: what would outlive it goes, and would keep the engine from giving
    the node another one on the same network."""
    with IPRoute() as kernel:
        for link in kernel.get_links():
            if _is_cable(link):
                kernel.link("set", index=link["index"], state="down")
    attach.let_go()
    UNPLUGGED.unlink(missing_ok=True)
    return True


def _attach() -> bool:
    role, environ = _role(), dict(os.environ)
    if CAME_TO.exists():  # what the environment says is of the network on which the node began
        environ[FAMILY] = "ipv6" if CAME_TO.read_text() == "ipv6" else ""
    if role not in FORWARDING and alone(environ):
        attach.attach_alone(role, environ)
        return True
    plan = attach.attach(role, environ)
    if role in FORWARDING:
        _limit(plan, memory.recall())
        attach.forward(plan)
    return True


def _limit(plan: Wiring, told: Mapping[str, Any]) -> None:
    """The routes are new and know nothing of the lines that they lead to: the router's own, and its subscribers'."""
    mtu.set_up(plan.wan.index, told.get("mtu", FULL_MTU))
    assert plan.lan is not None, "a router's wiring has a LAN side"
    for network, size in told.get("links", {}).get("mtus", {}).items():
        mtu.set_down(plan.lan.index, [ip_network(network)], size)


def _is_cable(link: Any) -> bool:
    """Whether it is an end of a cable of the engine's, and no tunnel that every network namespace is born with."""
    return any(kind.get_attr("IFLA_INFO_KIND") == "veth" for kind in [link.get_attr("IFLA_LINKINFO")] if kind)


def _address(found: Any) -> dict[str, Any] | None:
    if found["scope"] == _LINK or not found["flags"] & _PERMANENT:
        return None
    return {"index": found["index"], "address": found.get_attr("IFA_ADDRESS"), "prefixlen": found["prefixlen"]}


def _role() -> str:
    """What the first process of this container was started as."""
    return Path("/proc/1/cmdline").read_bytes().rstrip(b"\0").split(b"\0")[-1].decode()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
