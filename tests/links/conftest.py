"""The reference lab with its links as the file says before and after each test; or, with --image, its core and one of
its routers in network namespaces of this machine, which needs no engine (test_netem.py).

Belongs here: having a network. Never: what is expected.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from namespaces import Namespaces
from sending import LabNetwork, Network

from lab.harness import Lab

ROOT = Path(__file__).parents[2]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--image", type=Path, help="where the files of lab/router are, to run core from them")


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest) -> Iterator[Network]:
    """Where the links are. A lab that was up already stays up."""
    if image := request.config.getoption("--image"):
        here = Namespaces(image)
        try:
            here.start()
            yield here
        finally:
            here.stop()
        return
    lab = Lab(ROOT)
    was_up = lab.world() is not None
    lab.up(say=print)
    yield LabNetwork(lab)
    if not was_up:
        lab.down()


@pytest.fixture
def network(ground: Network) -> Iterator[Network]:
    """The networks, whose links are the file's again afterwards."""
    yield ground
    ground.order("restore")
