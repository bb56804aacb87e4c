"""The reference lab, up for as long as the session runs; the one that was up already stays up.

Belongs here: having a lab. Never: what is expected of it.
"""

from collections.abc import Iterator

import pytest
from typed import ROOT

from lab.harness import Lab


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The reference lab of this checkout, every node ready."""
    lab = Lab(ROOT)
    was_up = lab.world() is not None
    lab.up(say=print)
    yield lab
    if not was_up:
        lab.down()
