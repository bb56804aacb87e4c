"""The lab of hostile.yml: an honest supernode, a hostile one, three clients."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.harness import Lab

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def running() -> Iterator[Lab]:
    """Every client signed in somewhere; one that was up already stays up."""
    lab = Lab(HERE.parents[1])
    was_up = lab.world() is not None
    lab.up(HERE / "hostile.yml", say=print)
    yield lab
    if not was_up:
        lab.down()
