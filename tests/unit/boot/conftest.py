"""What a router or core has been told is kept in a file of the test's own."""

from pathlib import Path

import pytest

from lab.boot import memory


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where that is."""
    monkeypatch.setattr(memory, "FILE", tmp_path / "lab" / "told.json")
    return memory.FILE
