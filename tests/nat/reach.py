"""Reaching into a running lab: a node, probes inside it, what it captures.

Belongs here: running and reading. Never: expectations.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from docker import DockerClient
from docker.models.containers import Container
from scapy.layers.inet import IP
from scapy.packet import Packet
from scapy.utils import rdpcap

from lab.runtime import exec as inside
from lab.runtime.capture import Capture

PROBE = ["python3", "-c", (Path(__file__).parent / "probe.py").read_text()]


class Program:
    """A probe that goes on inside a node: its answers one by one."""

    def __init__(self, stream: inside.ExecStream) -> None:
        self._stream = stream
        self._chunks = stream.chunks()
        self._text = b""

    def answer(self) -> Any:
        """The next answer; waits for it."""
        while b"\n" not in self._text:
            try:
                self._text += next(self._chunks)[1]
            except StopIteration:
                raise AssertionError(f"the probe ended early: {self._text.decode()}") from None
        line, _, self._text = self._text.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError:
            rest = b"".join(chunk for _, chunk in self._chunks)
            raise AssertionError(f"the probe failed: {(line + self._text + rest).decode()}") from None


class Node:
    """One container of the lab."""

    def __init__(self, client: DockerClient, container: Container) -> None:
        self.name = str(container.labels["lab.node"])
        self.addresses = [n["IPAddress"] for n in container.attrs["NetworkSettings"]["Networks"].values()]
        self._client = client
        self._id = str(container.id)

    @property
    def address(self) -> str:
        """The node's address, where it has one."""
        (address,) = self.addresses
        return str(address)

    def run(self, *command: str) -> str:
        """What a command that must end says, on stdout and stderr."""
        done = inside.run(self._client, self._id, command)
        return (done.stdout + done.stderr).decode()

    def probe(self, *arguments: str) -> Any:
        """The one answer of a probe that ends by itself."""
        with self.probing(*arguments) as program:
            return program.answer()

    def restart(self) -> None:
        """Stop and start the container."""
        self._client.containers.get(self._id).restart()

    @contextmanager
    def probing(self, *arguments: str) -> Iterator[Program]:
        """A probe that goes on until the block ends."""
        with inside.ExecStream(self._client, self._id, [*PROBE, *arguments], stdin=True) as stream:
            yield Program(stream)

    @contextmanager
    def capturing(self, file: Path, *, incoming: bool = False) -> Iterator[list[Packet]]:
        """A list that holds, once the block has ended, every IP packet that the node saw in it."""
        packets: list[Packet] = []
        capture = Capture(self._client, self._id, self.name, file, incoming=incoming)
        try:
            capture.barrier()
            yield packets
            capture.barrier()
        finally:
            said = capture.close()
        assert said.dropped == 0, f"the capture at {self.name} lost {said.dropped} packets"
        packets += [packet for packet in rdpcap(str(file)) if IP in packet and packet[IP].src != "127.0.0.1"]


Nodes = dict[str, Node]
Reflecting = Callable[..., AbstractContextManager[list[str]]]
