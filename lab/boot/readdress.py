"""Another outer address for a router that runs.

Belongs here: the kernel's addresses. Never: routes (attach.py sets them again), rules.
"""

import socket
from ipaddress import IPv4Address

from pyroute2 import IPRoute

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
