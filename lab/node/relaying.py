"""The relay's UDP socket, read until it is empty: voice from leg to leg without an action, all else to the machine.

Belongs here: two system calls a packet and as little else as may be. Never: a decision.
"""

import contextlib
import socket
import time
from functools import lru_cache
from typing import Any

from lab.node.shell import Shell
from lab.node.sockets import bound, mapped, plain
from lab.overlay.relay import RELAY_SOCKET, Relay
from lab.wire.addresses import Address

BATCH = 256
"""Datagrams that are taken at once before timers and connections have their turn."""
_RECEIVE = 65_536
_ROOM = 4 << 20
"""Bytes that the kernel may keep for the socket, a second of 300 calls; it gives what it allows."""
_CACHED = 8_192
"""Addresses in their two forms that are kept: twice the legs of as many sessions as a relay takes."""


class RelaySocket:
    """Reads for one relay, on the running loop; `sendto` is the shell's way to answer."""

    def __init__(self, shell: Shell, machine: Relay, port: int) -> None:
        self.shell, self.machine = shell, machine
        self.udp = bound(socket.SOCK_DGRAM, port)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.udp.setsockopt(socket.SOL_SOCKET, option, _ROOM)
        dual = self.udp.family == socket.AF_INET6
        self.plain = lru_cache(_CACHED)(plain)
        self.raw = lru_cache(_CACHED)(mapped if dual else lambda address: address)
        shell.loop.add_reader(self.udp.fileno(), self._readable)

    def sendto(self, data: bytes, address: Address) -> None:
        """One datagram, or none where the kernel has no room: late voice is no voice."""
        with contextlib.suppress(OSError):
            self.udp.sendto(data, self.raw(address))

    def close(self) -> None:
        self.shell.loop.remove_reader(self.udp.fileno())
        self.udp.close()

    def _readable(self) -> None:
        receive, send, straight = self.udp.recvfrom, self.udp.sendto, self.machine.straight
        names, raws, now = self.plain, self.raw, time.monotonic()
        data: bytes
        source: tuple[Any, ...]
        asked = False
        for _ in range(BATCH):
            try:
                data, source = receive(_RECEIVE)
            except BlockingIOError:
                break
            except OSError:  # ICMP's word that a leg is gone: its session expires
                continue
            sender = names(source)
            to = straight(data, sender, now)
            if to is None:
                self.machine.datagram(RELAY_SOCKET, data, sender, now)
                asked = True
                continue
            try:
                send(data, raws(to))
            except OSError:
                continue
        if asked:
            self.shell.settle()
