"""The zoo: up already, or brought up for these tests and taken down again.

Belongs here: having it. Never: what is expected of it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.harness import Lab

ROOT = Path(__file__).parents[2]
ZOO = ROOT / "compose" / "zoo.yml"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The zoo, every node ready."""
    lab = Lab(ROOT)
    running = lab.world()
    try:
        if running is None or running.file != ZOO:
            lab.up(ZOO, print)
        yield lab
    finally:
        if running is None:
            lab.down()
