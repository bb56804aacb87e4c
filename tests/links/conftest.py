"""The reference lab with its links as the file says before and after each test.

Belongs here: having a lab. Never: what is expected.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sending import Network

from lab.harness import Lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The reference lab of this checkout, every node ready; one that was up already stays up."""
    lab = Lab(ROOT)
    was_up = lab.world() is not None
    lab.up(say=print)
    yield lab
    if not was_up:
        lab.down()


@pytest.fixture
def network(lab: Lab) -> Iterator[Network]:
    """The networks, whose links are the file's again afterwards."""
    network = Network(lab)
    yield network
    network.order("restore")
