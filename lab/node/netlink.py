"""What the kernel says of this host's addresses and routes, now and when they change: rtnetlink, without privileges.

Numbers and layouts are those of linux/rtnetlink.h, if_addr.h and if_link.h. What a change means is the machine's.
"""

import asyncio
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address

COALESCE = 0.02
"""Seconds after a first change in which more are awaited: addresses and routes come one by one, in bursts."""

_RECEIVE = 64 * 1024
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_LINK = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ROUTE = struct.Struct("=BBBBBBBBI")  # rtmsg: family, destination and source lengths, tos, table, protocol, scope, type

_ERROR, _DONE = 2, 3
_NEWLINK, _GETLINK, _NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE = 16, 18, 20, 22, 24, 26
_REQUEST, _REQUEST_DUMP = 0x001, 0x001 | 0x300
# RTMGRP_LINK, and RTMGRP_{IPV4,IPV6}_{IFADDR,ROUTE}
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400

_UP, _LOOPBACK, _RUNNING = 0x1, 0x8, 0x40
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_UNUSABLE = 0x08 | 0x20 | 0x40  # DADFAILED, DEPRECATED, TENTATIVE
_SCOPE_UNIVERSE = 0
_TABLE_MAIN, _UNICAST = 254, 1
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_MULTIPATH = 1, 4, 5, 7, 9
_SIZES = {socket.AF_INET: 4, socket.AF_INET6: 16}


@dataclass(frozen=True)
class Standing:
    """Usable addresses, in text and in the kernel's order, and the routes as opaque values; equal if nothing changed.

    Left out are loopback, link-local and unfinished or deprecated addresses, and those of interfaces that are down.
    """

    addresses: tuple[str, ...]
    routes: frozenset[tuple[int, int, bytes, bytes, bytes, bytes]]


def standing() -> Standing:
    """How the host stands at this moment."""
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as kernel:
        kernel.bind((0, 0))
        running = set(_running(kernel))
        addresses = tuple(dict.fromkeys(_usable(kernel, running)))
        return Standing(addresses, frozenset(_routes(kernel)))


@dataclass(frozen=True)
class Way:
    """How packets for an address leave: by which interface, to which neighbour, from which address of this host."""

    interface: str
    index: int
    gateway: str
    source: str


def way_to(host: str) -> Way:
    """What the kernel would do with a packet for `host`. Raises OSError where it is this host or cannot be reached."""
    to = ip_address(host)
    family = socket.AF_INET6 if to.version == 6 else socket.AF_INET
    body = _ROUTE.pack(family, to.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
    body += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(to.packed), _RTA_DST) + to.packed
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as kernel:
        kernel.bind((0, 0))
        kernel.send(_HEADER.pack(_HEADER.size + len(body), _GETROUTE, _REQUEST, 1, 0) + body)
        for kind, answer in messages(kernel.recv(_RECEIVE)):
            if kind == _NEWROUTE and _ROUTE.unpack_from(answer)[7] == _UNICAST:
                told = dict(_attributes(answer, _ROUTE.size))
                if _RTA_OIF in told and _RTA_PREFSRC in told:
                    index = int.from_bytes(told[_RTA_OIF], sys.byteorder)
                    gateway = ip_address(told.get(_RTA_GATEWAY, to.packed))
                    source = ip_address(told[_RTA_PREFSRC])
                    return Way(socket.if_indextoname(index), index, str(gateway), str(source))
    raise OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and body of each netlink message of one datagram. Raises OSError where one is the kernel's refusal."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if kind == _ERROR:
            (number,) = struct.unpack_from("=i", data, at + _HEADER.size)
            if number:
                raise OSError(-number, os.strerror(-number))
        yield kind, data[at + _HEADER.size : at + length]
        at += -(-length // 4) * 4


class Watch:
    """Calls `changed` with the host's addresses, on the loop, whenever addresses or routes are others than before."""

    def __init__(self, changed: Callable[[tuple[str, ...]], None]) -> None:
        self.changed = changed
        self.loop = asyncio.get_running_loop()
        self.kernel = _subscribed()
        self.known = standing()
        self.timer: asyncio.TimerHandle | None = None
        self.loop.add_reader(self.kernel.fileno(), self._stirred)

    def close(self) -> None:
        self.loop.remove_reader(self.kernel.fileno())
        self.kernel.close()
        if self.timer is not None:
            self.timer.cancel()

    def _stirred(self) -> None:
        """What exactly happened does not matter, nor that some of it was lost (ENOBUFS): the whole is read anew."""
        try:
            while self.kernel.recv(_RECEIVE):
                pass
        except OSError:
            pass
        if self.timer is None:
            self.timer = self.loop.call_later(COALESCE, self._look)

    def _look(self) -> None:
        self.timer = None
        before, self.known = self.known, standing()
        if self.known != before:
            self.changed(self.known.addresses)


def _subscribed() -> socket.socket:
    """A socket that becomes readable when addresses, links or routes change."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    kernel.setblocking(False)
    kernel.bind((0, _GROUPS))
    return kernel


def _running(kernel: socket.socket) -> Iterator[int]:
    """Indices of the interfaces, but for loopback, that are up and have their other end."""
    for body in _dump(kernel, _GETLINK, _NEWLINK, _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        _, _, index, flags, _ = _LINK.unpack_from(body)
        if flags & (_UP | _RUNNING | _LOOPBACK) == _UP | _RUNNING:
            yield index


def _usable(kernel: socket.socket, running: set[int]) -> Iterator[str]:
    for body in _dump(kernel, _GETADDR, _NEWADDR, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)):
        family, _, short_flags, scope, index = _ADDRESS.unpack_from(body)
        attributes = dict(_attributes(body, _ADDRESS.size))
        long_flags = attributes.get(_IFA_FLAGS)
        flags = int.from_bytes(long_flags, sys.byteorder) if long_flags else short_flags
        # IFA_ADDRESS is the other end on point-to-point links; IFA_LOCAL, where it is given, is always this one.
        address = attributes.get(_IFA_LOCAL, attributes.get(_IFA_ADDRESS, b""))
        if index not in running or scope != _SCOPE_UNIVERSE or len(address) != _SIZES.get(family):
            continue
        if not flags & _UNUSABLE and not ip_address(address).is_link_local:
            yield str(ip_address(address))


def _routes(kernel: socket.socket) -> Iterator[tuple[int, int, bytes, bytes, bytes, bytes]]:
    for body in _dump(kernel, _GETROUTE, _NEWROUTE, _ROUTE.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0, 0, 0, 0)):
        family, length, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(body)
        if table == _TABLE_MAIN and kind == _UNICAST:
            attributes = dict(_attributes(body, _ROUTE.size))
            ways = (attributes.get(each, b"") for each in (_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_MULTIPATH))
            destination, interface, gateway, several = ways
            yield family, length, destination, interface, gateway, several


def _dump(kernel: socket.socket, request: int, answer: int, body: bytes) -> Iterator[bytes]:
    """The bodies of all messages that the kernel answers with. Raises OSError."""
    kernel.send(_HEADER.pack(_HEADER.size + len(body), request, _REQUEST_DUMP, 1, 0) + body)
    while True:
        for kind, body in messages(kernel.recv(_RECEIVE)):
            if kind == _DONE:
                return
            if kind == answer:
                yield body


def _attributes(body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            return
        yield kind, body[at + _ATTRIBUTE.size : at + length]
        at += -(-length // 4) * 4
