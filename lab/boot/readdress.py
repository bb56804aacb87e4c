"""Another outer address for a router that runs, at its own end and at the one that knows it by its address.

Belongs here: the kernel's addresses. Never: routes (attach.py sets them again), rules.
"""

import socket
from contextlib import suppress
from ipaddress import IPv4Address

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from lab.boot.wiring import Interface


def readdress(wan: Interface, new: IPv4Address) -> None:
    """Give the outer interface `new` as its first address in place of the present one; further ones stay behind it.

    The former goes first: deleting a network's first address takes the later ones with it, and the kernel offers the
    first as the source of what the router itself sends. Raises NetlinkError.
    """
    prefix = wan.address.network.prefixlen
    with IPRoute() as kernel:
        held = [message.get("local") for message in kernel.get_addr(family=socket.AF_INET, index=wan.index)]
        others = [address for address in held if address not in (str(wan.address.ip), str(new))]
        for address in dict.fromkeys([*others, str(wan.address.ip)]):
            if address in held:
                kernel.addr("del", index=wan.index, address=address, prefixlen=prefix)
        for address in (str(new), *others):
            kernel.addr("add", index=wan.index, address=address, prefixlen=prefix)


def newcomer(address: str) -> None:
    """Forget which machine had this IPv4 address, for another has it now: the kernel would ask that one for seconds."""
    with IPRoute() as kernel:
        for known in kernel.get_neighbours(family=socket.AF_INET, dst=address):
            with suppress(NetlinkError):  # it is gone by itself
                kernel.neigh("del", dst=address, ifindex=known["ifindex"])
