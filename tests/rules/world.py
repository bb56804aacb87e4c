"""A router with two hosts inside and a two-address, two-port server outside, as plain network namespaces.

One process holds sockets in all of them: a socket stays in the namespace that its thread was in when it was made.
Belongs here: namespaces, sockets, what they saw. Never: expectations.
"""

import ctypes
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, IPv6Network
from pathlib import Path
from typing import NamedTuple

from lab import nat
from lab.boot import rules

FIRST, SECOND = "203.0.113.11", "203.0.113.12"  # the server's addresses
OUTER, OUTER_TOO = "203.0.113.32", "203.0.113.33"  # the router's
HOSTS = {"anna": "192.168.32.2", "bert": "192.168.32.3"}
HOST6, INSIDE6, OUTSIDE6, SERVER6 = "fd00:0:0:32::2", "fd00:0:0:32::/64", "2001:db8:32::/64", "2001:db8:0:1::11"
PORTS = (9001, 9002)
PATIENCE_S = 5.0  # for what must come
SILENCE_S = 0.3  # for what must not come over TCP, on a path of microseconds; UDP has a packet behind it as a barrier
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, sched.h
_SETUP = """
link add name wan type veth peer name eth0 netns {server}
link add name lan type bridge
link add name anna type veth peer name eth0 netns {anna}
link add name bert type veth peer name eth0 netns {bert}
link set anna master lan
link set bert master lan
address add 203.0.113.32/24 dev wan
address add 203.0.113.33/24 dev wan
address add 192.168.32.1/24 dev lan
address add 2001:db8:0:1::32/64 dev wan nodad
address add fd00:0:0:32::1/64 dev lan nodad
link set lo up
link set wan up
link set anna up
link set bert up
link set lan up
"""


class Endpoint(NamedTuple):
    """An IPv4 endpoint, as a socket gives and takes it."""

    address: str
    port: int


class World:
    """The four namespaces. Ports are never used twice, so that no case meets the flows of another."""

    def __init__(self) -> None:
        self._names = {name: f"rules-{os.getpid()}-{name}" for name in ("router", "server", *HOSTS)}
        self._ports = iter(range(40_100, 42_048))

    @staticmethod
    def refusal() -> str:
        """Why this machine makes no network namespaces; empty where it does."""
        done = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True, text=True)
        return done.stderr.strip()

    def start(self) -> None:
        for name in self._names.values():
            _run("ip", "netns", "add", name)
        names = self._names
        self._ip("router", _SETUP.format(**names))
        self._ip(
            "server",
            f"address add {FIRST}/24 dev eth0\naddress add {SECOND}/24 dev eth0\n"
            f"address add {SERVER6}/64 dev eth0 nodad\nlink set lo up\nlink set eth0 up\n"
            f"route add {OUTSIDE6} via 2001:db8:0:1::32\n",
        )
        for host, address in HOSTS.items():
            six = f"address add {HOST6}/64 dev eth0 nodad\n" if host == "anna" else ""
            way = "route add default via fd00:0:0:32::1\n" if six else ""
            self._ip(
                host,
                f"address add {address}/24 dev eth0\n{six}link set lo up\nlink set eth0 up\n"
                f"route add default via 192.168.32.1\n{way}",
            )
        with self.inside("router"):
            for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                Path("/proc/sys/net", switch).write_text("1")

    def stop(self) -> None:
        for name in self._names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def _ip(self, name: str, batch: str) -> None:
        _run("ip", "-n", self._names[name], "-batch", "-", text=batch)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """This thread stands in that namespace: what it opens and what it runs is there."""
        home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self._names[name]}", os.O_RDONLY)
        try:
            _enter(there)
            yield
        finally:
            _enter(home)
            os.close(home)
            os.close(there)

    def behave(
        self,
        preset: str,
        axes: str = "",
        firewall: str = "none",
        *,
        outer: tuple[str, ...] = (),
        profile6: str = "open",
        portmap: str = "off",
    ) -> None:
        """Load the rules of these axes as a router does: rules, then every flow forgotten."""
        wiring = nat.Wiring(
            "wan",
            "lan",
            IPv4Interface(f"{OUTER}/24"),
            IPv4Interface("192.168.32.1/24"),
            outer=tuple(map(IPv4Address, outer)),
            wan6=IPv6Interface("2001:db8:0:1::32/64"),
            lan6=IPv6Interface("fd00:0:0:32::1/64"),
            outer6=IPv6Network(OUTSIDE6),
        )
        with self.inside("router"):
            rules.load(nat.render(nat.profile(preset, axes, profile6, portmap), nat.firewall(firewall), wiring))
            rules.forget()

    def port(self) -> int:
        """An inner port that nobody had before."""
        return next(self._ports)

    def udp(self, node: str, address: str, port: int) -> socket.socket:
        return self._bound(node, socket.SOCK_DGRAM, address, port)

    def tcp(self, node: str, address: str, port: int, *, listening: bool = False) -> socket.socket:
        """Not blocking, and on a port that others may have too: how a program punches holes for TCP."""
        found = self._bound(node, socket.SOCK_STREAM, address, port)
        if listening:
            found.listen()
        found.setblocking(False)
        return found

    def _bound(self, node: str, kind: int, address: str, port: int) -> socket.socket:
        with self.inside(node):
            found = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        if kind == socket.SOCK_STREAM:
            # closed by RST: a server's TIME-WAIT would not answer when the next rules give the same outer port again
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        found.bind((address, port))
        found.settimeout(PATIENCE_S)
        return found


def ready(sockets: list[socket.socket], *, writing: bool = False, seconds: float = PATIENCE_S) -> list[socket.socket]:
    """Those on which something happened, at the latest after so many seconds."""
    readable, writable, _ = select.select([] if writing else sockets, sockets if writing else [], [], seconds)
    return readable or writable


def connect(sock: socket.socket, to: Endpoint) -> None:
    """Send a SYN and come back."""
    sock.connect_ex(to)


def connected(sock: socket.socket, seconds: float = PATIENCE_S) -> bool:
    """Whether the connection stands within that time. Raises ConnectionError where it was refused aloud."""
    if not ready([sock], writing=True, seconds=seconds):
        return False
    error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise ConnectionError(error, os.strerror(error))
    return True


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _run(*command: str, text: str | None = None) -> None:
    subprocess.run(command, check=True, input=text, text=True, capture_output=True)
