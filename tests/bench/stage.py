"""Two network namespaces joined by a cable, and what the machine's processors did.

Belongs here: namespaces, counters, times. Never: relays, load.
"""

import ctypes
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RELAY, LOAD = "10.77.0.1", "10.77.0.2"
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET, sched.h
_TICKS = os.sysconf("SC_CLK_TCK")
_COUNTING = f"""
table netdev bench {{
  counter got {{ }}
  chain in {{
    type filter hook ingress device "load" priority 0;
    ip saddr {RELAY} meta l4proto udp counter name got drop
  }}
}}
"""
_BLACKHOLE = """
table netdev bench {
  chain in { type filter hook ingress device "relay" priority -1; meta l4proto udp drop; }
}
"""


class Stage:
    """`relay` and `load`, a namespace and the interface in it each; both are gone after `close`."""

    def __init__(self) -> None:
        self.names = {side: f"bench-{os.getpid()}-{side}" for side in ("relay", "load")}
        for name in self.names.values():
            _run("ip", "netns", "add", name)
        relay, load = self.names["relay"], self.names["load"]
        _run("ip", "-n", relay, "link", "add", "relay", "type", "veth", "peer", "name", "load", "netns", load)
        for name, interface, host in ((relay, "relay", RELAY), (load, "load", LOAD)):
            _run("ip", "-n", name, "address", "add", f"{host}/24", "dev", interface)
            _run("ip", "-n", name, "link", "set", "lo", "up")
            _run("ip", "-n", name, "link", "set", interface, "up")
        with self.inside("relay"):  # TURN of one TCP client to another takes a port of each
            Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("50000 60000")

    def close(self) -> None:
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    @contextmanager
    def inside(self, side: str) -> Iterator[None]:
        """What this thread opens or starts within is in that namespace."""
        home = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.names[side]}", os.O_RDONLY)
        libc = ctypes.CDLL(None)
        try:
            assert libc.setns(there, _NEW_NETWORK) == 0
            yield
        finally:
            libc.setns(home, _NEW_NETWORK)
            os.close(home)
            os.close(there)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """UDP from the relay is counted where it arrives, and goes no further: no program reads it."""
        with self._rules("load", _COUNTING):
            yield

    @contextmanager
    def swallowing(self) -> Iterator[None]:
        """UDP to the relay ends where it arrives: the load alone."""
        with self._rules("relay", _BLACKHOLE):
            yield

    @contextmanager
    def _rules(self, side: str, rules: str) -> Iterator[None]:
        self._nft(side, "-f", "-", text=rules)
        try:
            yield
        finally:
            self._nft(side, "delete", "table", "netdev", "bench")

    def counted(self) -> int:
        """Datagrams that came since `counting` began."""
        found = json.loads(self._nft("load", "-j", "list", "counter", "netdev", "bench", "got"))["nftables"]
        return int(next(entry["counter"]["packets"] for entry in found if "counter" in entry))

    def _nft(self, side: str, *words: str, text: str = "") -> str:
        with self.inside(side):
            return _run("nft", *words, text=text)


def busy() -> float:
    """Seconds in which the processors of this machine were not idle, interrupts included, since some moment.

    By the idle time, which the kernel measures; what it calls busy is sampled by ticks and misses what wakes with them.
    """
    lines = Path("/proc/stat").read_text().splitlines()
    idle, waiting = map(int, lines[0].split()[4:6])
    processors = sum(line.startswith("cpu") for line in lines) - 1
    return processors * time.monotonic() - (idle + waiting) / _TICKS


def used(pids: list[int]) -> float:
    """Seconds that these processes ran, in user space and in the kernel."""
    total = 0
    for pid in pids:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(words[11]) + int(words[12])
    return total / _TICKS


def _run(*command: str, text: str = "") -> str:
    return subprocess.run(command, check=True, input=text, capture_output=True, text=True).stdout
