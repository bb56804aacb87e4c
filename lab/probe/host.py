"""The probe's own place in the network: addresses, and a kernel that leaves the crafted conversations alone.

Belongs here: netlink, rules, raw sockets. Never: what is sent, or what it means.
"""

import socket
import struct
import time
from collections.abc import Iterable, Sequence
from ipaddress import ip_interface

from pyroute2 import IPRoute

from lab.boot import rules
from lab.nat import RuleSet

_TIMESTAMPNS, _RCVBUFFORCE, _IP_NODEFRAG = 35, 33, 22  # asm-generic/socket.h, linux/in.h
_PACKET_IGNORE_OUTGOING = 23  # linux/if_packet.h
_SOL_PACKET = 263
_IPV4, _IPV6 = 0x0800, 0x86DD  # linux/if_ether.h
_TIMESPEC = struct.Struct("=qq")
_BUFFER = 64 << 20  # bytes: what comes while this program has the processor not is kept
_LONGEST = 65536


def hold(addresses: Iterable[str], beside: str) -> None:
    """Give the interface that has the address `beside` more addresses, as "address/prefix"; they are there at once."""
    with IPRoute() as kernel:
        index = next(
            message["index"]
            for message in kernel.get_addr()
            if ip_interface(f"{message.get('local') or message.get('address')}/{message['prefixlen']}").ip
            == ip_interface(beside).ip
        )
        for text in addresses:
            wanted = ip_interface(text)
            # nodad: nobody else has it, and an address on trial (RFC 4862) would not answer yet
            flags = {"flags": 0x02} if wanted.version == 6 else {}
            kernel.addr("add", index=index, address=str(wanted.ip), prefixlen=wanted.network.prefixlen, **flags)


def hush(kernel_addresses: Sequence[str], kernel_ports: Sequence[int]) -> None:
    """Keep the kernel from hearing, and so from answering, what is crafted here: it would reset every connection.

    It hears neighbours (ND; ARP is no business of these rules), what is for `kernel_addresses`, and TCP from
    `kernel_ports`: the conversations that are its own.
    """
    own = [f"ip daddr {address} accept" for address in kernel_addresses if ":" not in address]
    own += [f"ip6 daddr {address} accept" for address in kernel_addresses if ":" in address]
    own += [f"tcp sport {port} accept" for port in kernel_ports]
    lines = "".join(f"    {line}\n" for line in own)
    text = (
        "table inet probe {\n"
        "  chain hearing {\n"
        "    type filter hook prerouting priority raw; policy drop;\n"
        "    iif lo accept\n"
        "    icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept\n"
        f"{lines}"
        "  }\n"
        "}\n"
    )
    rules.load(RuleSet(iptables="", nftables=text))


class Wire:
    """Raw packets in and out. What comes in is a copy taken before the kernel's own rules."""

    def __init__(self) -> None:
        self.incoming = [_tap(protocol) for protocol in (_IPV4, _IPV6)]
        self._out4 = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._out4.setsockopt(socket.IPPROTO_IP, _IP_NODEFRAG, 1)  # fragments leave as they were crafted
        self._out6 = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)

    def send(self, data: bytes, to: str) -> None:
        """Send one packet, headers and all. Raises OSError where the kernel has no way there or it is too long."""
        if data[0] >> 4 == 6:
            self._out6.sendto(data, (to, 0))
        else:
            self._out4.sendto(data, (to, 0))

    @staticmethod
    def receive(tap: socket.socket) -> tuple[bytes, int]:
        """One packet, and the nanoseconds of the one clock at which the kernel had it."""
        data, ancillary, _, _ = tap.recvmsg(_LONGEST, 64)
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == _TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack_from(value)
                return data, seconds * 1_000_000_000 + nanoseconds
        return data, time.time_ns()


def _tap(protocol: int) -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(protocol))
    tap.setsockopt(socket.SOL_SOCKET, _RCVBUFFORCE, _BUFFER)
    tap.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    tap.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    tap.setblocking(False)
    return tap
