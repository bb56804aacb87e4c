"""Which unit tests a quick check runs."""

from collections import Counter
from pathlib import Path

import pytest

WORLDS = Path(__file__).parent / "overlay"  # whole networks in memory: a tenth of a second and more each
OF_A_FILE = 2


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make check` has the first tests of each file of worlds, for the rest takes minutes; make test runs them all."""
    quick: Counter[Path] = Counter()
    for item in items:
        if item.path.parent == WORLDS and "slow" not in item.keywords:
            quick[item.path] += 1
            if quick[item.path] > OF_A_FILE:
                item.add_marker("slow")
