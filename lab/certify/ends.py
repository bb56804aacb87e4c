"""The two ends of a measurement: a probe beside the clients, and one on the internet, with what each has seen.

Belongs here: giving orders, and waiting for what was seen. Never: what a sighting means.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import ProtocolError

Spec = dict[str, Any]
"""A packet's description, as lab.probe crafts it."""


@dataclass(frozen=True, order=True)
class Endpoint:
    """An address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True)
class Quoted:
    """The packet that an ICMP error reports, as its quotation has it."""

    protocol: str
    source: Endpoint
    destination: Endpoint


@dataclass(frozen=True)
class Sighting:
    """One packet that came in.

    `at`: epoch seconds of the kernel; `fragments`: how many it came in; `seq`: also an echo's number; `kind`: ICMP's
    type and code.
    """

    at: float
    protocol: str
    source: Endpoint
    destination: Endpoint
    size: int
    token: str | None = None
    flags: str = ""
    seq: int = 0
    ack: int = 0
    fragments: int = 1
    kind: tuple[int, int] | None = None
    mtu: int = 0
    quoted: Quoted | None = None

    def known_by(self) -> Iterator[str]:
        """By what it may be waited for."""
        if self.token is not None:
            yield token(self.token)
        if "S" in self.flags:
            yield syn_ack(self.seq) if "A" in self.flags else syn(self.seq)
        if "R" in self.flags:
            yield reset(self.ack - 1)
        if self.quoted and self.kind:
            ends = self.quoted.source, self.quoted.destination
            yield report(self.quoted.protocol, *ends)
            yield report(self.quoted.protocol, *ends, self.kind)


def token(text: str) -> str:
    """The key of a packet that carries a token."""
    return f"token {text}"


def syn(seq: int) -> str:
    """The key of a SYN with that sequence number."""
    return f"syn {seq}"


def syn_ack(seq: int) -> str:
    """The key of a SYN-ACK with that sequence number."""
    return f"syn-ack {seq}"


def reset(seq: int) -> str:
    """The key of a RST that a SYN of that sequence number has drawn."""
    return f"reset {seq}"


def report(protocol: str, source: Endpoint, destination: Endpoint, kind: tuple[int, int] | None = None) -> str:
    """The key of an ICMP error about a packet between these: any, or one of that type and code."""
    return f"error {protocol} {source} {destination} {kind or 'any'}"


def sighting(said: Mapping[str, Any]) -> Sighting:
    """A probe's report of a packet; raises ProtocolError naming what it lacks."""
    try:
        about = said.get("about")
        return Sighting(
            at=float(said["at"]),
            protocol=str(said["proto"]),
            source=Endpoint(str(said["src"]), int(said.get("sport", 0))),
            destination=Endpoint(str(said["dst"]), int(said.get("dport", 0))),
            size=int(said["size"]),
            token=said.get("token"),
            flags=str(said.get("flags", "")),
            seq=int(said.get("seq", said.get("number", 0))),
            ack=int(said.get("ack", 0)),
            fragments=int(said.get("fragments", 1)),
            kind=(int(said["type"]), int(said["code"])) if "type" in said else None,
            mtu=int(said.get("mtu", 0)),
            quoted=about
            and Quoted(
                str(about["proto"]),
                Endpoint(str(about["src"]), int(about["sport"])),
                Endpoint(str(about["dst"]), int(about["dport"])),
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"a probe's report is not understood ({error!r}): {dict(said)}") from None


class End:
    """One probe. `order` gives it an order and returns the answer; what it sees is handed to `hear`."""

    def __init__(self, order: Callable[..., dict[str, Any]]) -> None:
        self.order = order
        self._lock = threading.Lock()
        self._seen: dict[str, list[Sighting]] = defaultdict(list)
        self._ports: dict[str, set[int]] = defaultdict(set)
        self._waiting: dict[str, list[tuple[set[str], threading.Event]]] = defaultdict(list)

    def hear(self, said: Mapping[str, Any]) -> None:
        """Take in one packet that the probe saw."""
        seen = sighting(said)
        with self._lock:
            if "R" not in seen.flags:
                self._ports[seen.source.address].add(seen.source.port)
            for key in seen.known_by():
                self._seen[key].append(seen)
                for missing, found in self._waiting.pop(key, ()):
                    missing.discard(key)
                    if not missing:
                        found.set()

    def send(self, packets: Iterable[Spec]) -> float:
        """Send packets; the epoch second at which the last one left."""
        return float(self.order("send", packets=list(packets))["at"])

    def seen(self, key: str) -> tuple[Sighting, ...]:
        """Every packet so far that goes by this key, in the order they came."""
        with self._lock:
            return tuple(self._seen.get(key, ()))

    def ports_of(self, address: str) -> frozenset[int]:
        """The ports of an address that anything but a refusal has come from so far."""
        with self._lock:
            return frozenset(self._ports.get(address, ()))

    def wait(self, keys: Iterable[str], deadline: float) -> bool:
        """Return True once each key has been seen, False at the deadline (time.monotonic())."""
        with self._lock:
            missing = {key for key in keys if not self._seen.get(key)}
            if not missing:
                return True
            found = threading.Event()
            for key in missing:
                self._waiting[key].append((missing, found))
        return found.wait(max(0.0, deadline - time.monotonic()))

    def barrier(self) -> None:
        """Return after everything that has reached the probe until now was heard of here."""
        self.order("barrier")
