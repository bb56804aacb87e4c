"""One-way probes through a lab whose links can be changed.

Belongs here: sending and hearing. Never: what is expected.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

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


class Network:
    """Links to change, and nodes to send probes between."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def set(self, site: str, direction: Any = None, toward: str | None = None, **link: str) -> None:
        """Change a site's link, as `lab set` does."""
        self.lab.set(site, SiteChange(link=link, direction=direction, toward=toward))

    def order(self, order: str) -> dict[str, Any]:
        """Ask core."""
        return standing.order(self.lab.engine, self.lab.running_world(), "core", order)

    def one_way(
        self,
        sender: str,
        receiver: str,
        *,
        count: int = 1000,
        rate: int = 2000,
        size: int = 100,
        during: Callable[[], None] = lambda: None,
    ) -> Heard:
        """Probes of `size` bytes with their headers, from one node to another that needs no mapping to be reached.

        `during` is called once they are being sent.
        """
        world = self.lab.running_world()
        address = str(world.topology.node(receiver).attachments[0].address.ip)
        hears = ExecStream(self.lab.engine, world.running(receiver).id, [*PROBE, "receive", address, PORT], stdin=True)
        payload = str(size - UDP_AND_IP)
        sends = [*PROBE, "send", address, PORT, str(count), str(rate), payload]
        with hears:
            heard = _answers(hears)
            assert next(heard) == "listening"
            with ExecStream(self.lab.engine, world.running(sender).id, sends) as talks:
                said = _answers(talks)
                assert next(said) == "sending"
                during()
                outcome = next(said)
            hears.close_stdin()
            pairs = next(heard)
        numbers = [number for number, _ in pairs if number < count]
        return Heard(count, numbers, [delay for number, delay in pairs if number < count], outcome.get("error"))

    def inside(self, node: str, *argv: str) -> str:
        """What a command says inside a node."""
        world = self.lab.running_world()
        with ExecStream(self.lab.engine, world.running(node).id, list(argv)) as stream:
            return b"".join(data for _, data in stream.chunks()).decode()


def _answers(stream: ExecStream) -> Iterator[Any]:
    text = b""
    for _, data in stream.chunks():
        *lines, text = (text + data).split(b"\n")
        for line in lines:
            yield json.loads(line)
    pytest.fail(f"a probe ended early: {text.decode()}")
