"""The crowd of compose/crowd.yml: a small supernode, and three times as many clients as it has room for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.harness import Lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The crowd's lab, every client signed in somewhere; one that was up already stays up."""
    lab = Lab(ROOT)
    was_up = lab.world() is not None
    lab.up(ROOT / "compose" / "crowd.yml", say=print)
    yield lab
    if not was_up:
        lab.down()
