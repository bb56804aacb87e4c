"""The reference lab as its file says, before and after each event.

Belongs here: having a lab, and putting it back. Never: what is expected of it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.harness import Lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def running() -> Iterator[Lab]:
    """The reference lab of this checkout, every node ready; one that was up already stays up."""
    lab = Lab(ROOT)
    was_up = lab.world() is not None
    lab.up(say=print)
    yield lab
    if not was_up:
        lab.down()


@pytest.fixture
def lab(running: Lab) -> Iterator[Lab]:
    """The same lab; `lab up` undoes what a test has done to it."""
    yield running
    running.up(say=print)
