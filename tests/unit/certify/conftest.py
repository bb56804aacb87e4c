"""A network in memory for the questions to be asked of: one router between two probes, or two in a row, with losses.

Belongs here: a model of a router by RFC 4787's words, written for these tests alone.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.certify.asking import Patience
from lab.certify.bench import Bench
from lab.certify.ends import End, Endpoint

WAN = "203.0.113.32"
BETWEEN = "100.64.0.2"
INNER = ("192.168.32.253", "192.168.32.252")
REMOTE = ("203.0.113.253", "203.0.113.252")
EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"


def key(dependence: str, remote: Endpoint) -> object:
    """What of a remote endpoint a behaviour depends on."""
    return {EI: None, AD: remote.address, APD: remote}[dependence]


@dataclass
class Router:
    """UDP and TCP SYNs alike. `admits`: new inbound to any port; `answers`: SYNs that are dropped draw a RST."""

    mapping: str = EI
    filtering: str = APD
    allocation: str = "preserving"
    hairpins: bool = False
    loss: float = 0.0
    answers: bool = False
    leaks: int = 0  # of every so many unasked packets, one gets in
    wan: str = WAN
    chance: random.Random = field(default_factory=lambda: random.Random(1))
    out: dict[Any, Any] = field(default_factory=dict)
    back: dict[Any, Endpoint] = field(default_factory=dict)
    written: set[object] = field(default_factory=set)
    unasked: int = 0
    passed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    ends: "dict[str, End | Wire]" = field(default_factory=dict)

    def send(self, side: str, packet: dict[str, Any]) -> None:
        """One packet of one side's probe."""
        source = Endpoint(packet["src"], packet.get("sport", 0))
        to = Endpoint(packet["dst"], packet.get("dport", 0))
        if packet["proto"] not in ("udp", "tcp"):
            return
        if side == "outside":
            if not self.lost():
                self.inward(packet, source, to)
            return
        outer = self.outer(packet["proto"], source, to)
        self.written.add((packet["proto"], outer, key(self.filtering, to)))
        if to.address == self.wan:
            if self.hairpins:
                self.inward(packet, outer, to)
        elif not self.lost():
            self.deliver("outside", packet, outer, to)

    def outer(self, protocol: str, source: Endpoint, to: Endpoint) -> Endpoint:
        name = (protocol, source, key(self.mapping, to))
        if name not in self.out:
            taken = {one.port for one in self.back}
            port = source.port if self.allocation == "preserving" else 50_000 + len(self.out)
            while self.allocation == "random" or port in taken:
                port = self.chance.randrange(1024, 65536)
                if port not in taken:
                    break
            self.out[name] = Endpoint(self.wan, port)
            self.back[self.out[name]] = source
        return self.out[name]

    def inward(self, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        inner = self.back.get(to)
        asked = (packet["proto"], to, key(self.filtering, source)) in self.written
        self.unasked += not asked
        if inner and (asked or (self.leaks and self.unasked % self.leaks == 0)):
            self.deliver("inside", packet, source, inner)
        else:
            self.refuse(packet, source, to)

    def refuse(self, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        if self.answers and packet.get("flags") == "S":
            reset = {"proto": "tcp", "flags": "RA", "seq": 0, "ack": packet["seq"] + 1}
            self.deliver("outside", reset, to, source)

    def deliver(self, side: str, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        said = {"src": source.address, "sport": source.port, "dst": to.address, "dport": to.port}
        kept = {name: packet[name] for name in ("proto", "flags", "seq", "ack", "token") if name in packet}
        self.ends[side].hear({"at": 0.0, "size": 100, **kept, **said})

    def lost(self) -> bool:
        return self.chance.random() < self.loss


class Stock(Router):
    """Stock MASQUERADE: a flow keeps its host's latest outer port, else its inner one, where no other flow to the same
    remote endpoint has it (Linux, nf_nat_core.c: get_unique_tuple)."""

    def outer(self, protocol: str, source: Endpoint, to: Endpoint) -> Endpoint:
        flow = (protocol, source, to)
        if flow not in self.out:
            of_host = [outer for (name, inner, _), outer in self.out.items() if (name, inner) == (protocol, source)]
            drawn = [Endpoint(self.wan, self.chance.randrange(1024, 65536)) for _ in range(12)]
            wanted = (*of_host[-1:], Endpoint(self.wan, source.port), *drawn)
            self.out[flow] = next(one for one in wanted if (protocol, one, to) not in self.back)
            self.back[protocol, self.out[flow], to] = source
        return self.out[flow]

    def inward(self, packet: dict[str, Any], source: Endpoint, to: Endpoint) -> None:
        if inner := self.back.get((packet["proto"], to, source)):
            self.deliver("inside", packet, source, inner)


@dataclass(frozen=True)
class Wire:
    """From a router to the next one, which hears of a packet on that side."""

    to: Router
    side: str

    def hear(self, packet: dict[str, Any]) -> None:
        self.to.send(self.side, packet)


def bench_of(near: Router, far: Router | None = None) -> Bench:
    """A bench whose two ends lie on both sides of a router in memory, or of two in a row."""
    far = far or near
    at = {"inside": near, "outside": far}

    def order(side: str) -> Callable[..., dict[str, Any]]:
        def obey(order: str, packets: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
            for packet in packets:
                at[side].send(side, packet)
            return {"at": 0.0}

        return obey

    if far is not near:
        near.wan, near.ends["outside"], far.ends["inside"] = BETWEEN, Wire(far, "inside"), Wire(near, "outside")
    inside, outside = End(order("inside")), End(order("outside"))
    near.ends["inside"], far.ends["outside"] = inside, outside
    return Bench(inside, outside, INNER, REMOTE, Instant(0.0, near.loss))


@dataclass(frozen=True)
class Instant(Patience):
    """In memory everything has come when it was sent."""

    @property
    def wait_s(self) -> float:
        return 0.0


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not delivered when it was sent never is."""
    wait = End.wait
    monkeypatch.setattr(End, "wait", lambda self, keys, deadline: wait(self, keys, 0.0))
    monkeypatch.setattr(Bench, "pause", lambda self, seconds: None)
