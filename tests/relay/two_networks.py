"""A relay between two networks, as plain network namespaces; sockets in all of them are this process's.

Belongs here: namespaces. Never: expectations.
"""

import ctypes
import ctypes.util
import os
import select
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

PORT = 33034
PATIENCE_S = 5.0
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, sched.h


class World:
    """`relay` with an interface to `near` and one to `far`. Hosts are .2, the relay .1, in both families."""

    def __init__(self) -> None:
        self.names = {name: f"relay-{os.getpid()}-{name}" for name in ("relay", "near", "far")}

    def start(self) -> None:
        for name in self.names.values():
            _ip("netns", "add", name)
        relay = self.names["relay"]
        for index, side in enumerate(("near", "far")):
            there = self.names[side]
            _ip("-n", relay, "link", "add", side, "type", "veth", "peer", "name", "eth0", "netns", there)
            for name, interface, host in ((relay, side, 1), (there, "eth0", 2)):
                _ip("-n", name, "address", "add", f"10.9.{index}.{host}/24", "dev", interface)
                _ip("-n", name, "address", "add", f"fd09:1:1:{index}:1:1:1:{host}/64", "dev", interface, "nodad")
                _ip("-n", name, "link", "set", "lo", "up")
                _ip("-n", name, "link", "set", interface, "up")
            _ip("-n", there, "route", "add", "default", "via", f"10.9.{index}.1")
            _ip("-n", there, "route", "add", "default", "via", f"fd09:1:1:{index}:1:1:1:1")

    def stop(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """What this process opens within is in that namespace."""
        home, there = (os.open(path, os.O_RDONLY) for path in ("/proc/self/ns/net", f"/run/netns/{self.names[name]}"))
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            assert libc.setns(there, _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            libc.setns(home, _NEW_NETWORK)
            os.close(home)
            os.close(there)

    def udp(self, name: str, host: str, port: int) -> socket.socket:
        with self.inside(name):
            made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((host, port))
        made.settimeout(PATIENCE_S)
        return made

    def sniffer(self, interface: str) -> socket.socket:
        """What a capture in the relay's container sees on one of its interfaces."""
        with self.inside("relay"):
            made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0003))  # ETH_P_ALL
        made.bind((interface, 0x0003))
        made.settimeout(PATIENCE_S)
        return made


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def waiting(sock: socket.socket) -> list[bytes]:
    """What lies in a socket's queue now."""
    found = []
    while select.select([sock], [], [], 0)[0]:
        found.append(sock.recv(4096))
    return found
