"""The running lab, as tests of its networks see it: nodes by label, reflectors, fresh ports.

Belongs here: fixtures. Never: expectations.
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import docker
import pytest
from docker import DockerClient
from reach import Node, Nodes, Reflecting

from lab.harness import Lab
from lab.runtime.world import PROJECT

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    """The engine."""
    engine = docker.from_env()
    yield engine
    engine.close()


@pytest.fixture
def nodes(client: DockerClient) -> Nodes:
    """The running nodes of this lab, whichever others run beside it, by name."""
    ours = {"label": ["lab.node", f"{PROJECT}={Lab(ROOT).name}"]}
    found = [Node(client, container) for container in client.containers.list(filters=ours)]
    if not found:
        pytest.fail("no node is running; start the lab with `make lab-up`")
    return {node.name: node for node in found}


@pytest.fixture
def port() -> str:
    """A port whose flows no router remembers from a test before: below those that kernels pick by themselves."""
    return str(random.randrange(10_000, 30_000))


@pytest.fixture
def reflecting(nodes: Nodes) -> Iterator[Reflecting]:
    """Nodes that answer UDP with the sender's address, and accept TCP: `with reflecting("relay-1", ports=...)`."""

    @contextmanager
    def start(*names: str, ports: tuple[int, ...] = (7001, 7002)) -> Iterator[list[str]]:
        with ExitStack() as stack:
            for name in names:
                program = stack.enter_context(nodes[name].probing("reflect", *map(str, ports)))
                assert program.answer() == "listening"
            yield [f"{nodes[name].address}:{port}" for name in names for port in ports]

    yield start
