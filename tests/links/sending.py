"""One-way probes through a lab whose links can be changed.

Belongs here: sending and hearing. Never: what is expected.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import median
from typing import Any, Protocol, Self

import pytest

from lab.harness import Lab, standing
from lab.harness.changing import SiteChange
from lab.runtime.exec import ExecStream

PROBE = ["python3", "-c", (Path(__file__).parent / "probe.py").read_text()]
PORT = "7100"
UDP_AND_IP = 28  # bytes of headers in front of a probe


@dataclass(frozen=True)
class Heard:
    """What came of the probes, in the order in which they came."""

    sent: int
    numbers: list[int]
    delays: list[float]
    """Milliseconds, one way."""
    error: str | None

    @property
    def median(self) -> float:
        return median(self.delays)

    @property
    def lost(self) -> float:
        return 1 - len(self.numbers) / self.sent


class Stream(Protocol):
    """A program that runs in a node, as lab.runtime.exec has it."""

    def __enter__(self) -> Self: ...
    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None: ...
    def chunks(self) -> Iterator[tuple[int, bytes]]: ...
    def close_stdin(self) -> None: ...


class Network(ABC):
    """Links to change, and nodes to send probes between."""

    @abstractmethod
    def set(self, site: str, direction: Any = None, toward: str | None = None, **link: str) -> None:
        """Change a site's link, as `lab set` does."""

    @abstractmethod
    def order(self, order: str) -> dict[str, Any]:
        """Ask core."""

    @abstractmethod
    def address(self, node: str) -> str:
        """A node's first address of IPv4."""

    @abstractmethod
    def address6(self, node: str) -> str | None:
        """The same of IPv6, None where it has none."""

    @abstractmethod
    def run(self, node: str, *argv: str) -> Stream:
        """Start a program in a node, with a stdin."""

    def one_way(
        self,
        sender: str,
        receiver: str,
        *,
        count: int = 1000,
        rate: int = 2000,
        size: int = 100,
        during: Callable[[], None] = lambda: None,
        ipv6: bool = False,
    ) -> Heard:
        """Probes of `size` bytes with their headers, from one node to another that needs no mapping to be reached.

        `during` is called once they are being sent.
        """
        address = (self.address6 if ipv6 else self.address)(receiver)
        assert address
        sends = [*PROBE, "send", address, PORT, str(count), str(rate), str(size - UDP_AND_IP)]
        with self.run(receiver, *PROBE, "receive", address, PORT) as hears:
            heard = _answers(hears)
            assert next(heard) == "listening"
            with self.run(sender, *sends) as talks:
                said = _answers(talks)
                assert next(said) == "sending"
                during()
                outcome = next(said)
            hears.close_stdin()
            return _heard(count, next(heard), outcome)

    def one_way_back(
        self, sender: str, receiver: str, *, count: int = 1000, rate: int = 2000, size: int = 100
    ) -> Heard:
        """The same to a node behind routers that translate: it asks for the probes, and they come by its mapping."""
        address = self.address(sender)
        sends = [*PROBE, "answer", address, PORT, str(count), str(rate), str(size - UDP_AND_IP)]
        with self.run(sender, *sends) as talks:
            said = _answers(talks)
            assert next(said) == "waiting"
            takes = [*PROBE, "receive", self.address(receiver), PORT, address]
            with self.run(receiver, *takes) as hears:
                heard = _answers(hears)
                assert next(heard) == "listening"
                assert next(said) == "sending"
                outcome = next(said)
                hears.close_stdin()
                return _heard(count, next(heard), outcome)

    def inside(self, node: str, *argv: str) -> str:
        """What a command says inside a node."""
        with self.run(node, *argv) as stream:
            return b"".join(data for _, data in stream.chunks()).decode()


class LabNetwork(Network):
    """The nodes of a lab that runs."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def set(self, site: str, direction: Any = None, toward: str | None = None, **link: str) -> None:
        self.lab.set(site, SiteChange(link=link, direction=direction, toward=toward))

    def order(self, order: str) -> dict[str, Any]:
        return standing.order(self.lab.engine, self.lab.running_world(), "core", order)

    def address(self, node: str) -> str:
        return str(self.lab.running_world().topology.node(node).attachments[0].address.ip)

    def address6(self, node: str) -> str | None:
        held = self.lab.running_world().topology.node(node).attachments[0].address6
        return str(held.ip) if held else None

    def run(self, node: str, *argv: str) -> Stream:
        return ExecStream(self.lab.engine, self.lab.running_world().running(node).id, list(argv), stdin=True)


def asked(heard: Heard, delay: float) -> bool:
    """Within 1 ms and 5 % of what was asked, in milliseconds, and none overtook another."""
    return abs(heard.median - delay) <= 1 + 0.05 * delay and heard.numbers == sorted(heard.numbers)


def binomial(heard: Heard, share: float) -> bool:
    """Whether that share was lost, within four standard deviations: one run in 16,000 exceeds them."""
    return abs(heard.lost - share) <= 4 * sqrt(share * (1 - share) / heard.sent)


def _heard(count: int, pairs: list[tuple[int, float]], outcome: dict[str, Any]) -> Heard:
    kept = [(number, delay) for number, delay in pairs if number < count]
    return Heard(count, [number for number, _ in kept], [delay for _, delay in kept], outcome.get("error"))


def _answers(stream: Stream) -> Iterator[Any]:
    text = b""
    for _, data in stream.chunks():
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            yield json.loads(line)
    pytest.fail(f"a probe ended early: {text.decode()}")
