"""What all tests of the simulator have in common."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_collecting() -> Iterator[None]:
    """As in a run of the command: looking through a population for cycles, again and again, costs half of the time."""
    gc.disable()
    yield
    gc.enable()
