"""Which unit tests a quick check runs."""

from collections import Counter
from pathlib import Path

import pytest

WORLDS = Path(__file__).parent / "overlay"  # whole networks in memory: a tenth of a second and more each
OF_A_FILE = 1
OF_A_TABLE = 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make check` has the first test of each file of worlds, and the first case of every table, for the rest
    takes minutes; make test runs them all."""
    quick: Counter[object] = Counter()
    for item in items:
        if "slow" in item.keywords:
            continue
        worlds = item.path.parent == WORLDS
        shelf = item.path if worlds else (item.path, getattr(item, "originalname", item.name))
        quick[shelf] += 1
        if quick[shelf] > (OF_A_FILE if worlds else OF_A_TABLE):
            item.add_marker("slow")
