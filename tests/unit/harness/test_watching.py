"""Calls under way hear of a move before it happens; nobody waits for those that are over."""

import time
from contextlib import closing
from pathlib import Path

import pytest

from lab.harness import watching
from lab.harness.watching import Watch, announce


def test_every_call_that_is_under_way_is_told_and_waited_for(tmp_path: Path) -> None:
    heard: list[tuple[str, str]] = []

    def slowly(node: str, site: str) -> None:
        time.sleep(0.05)
        heard.append((node, site))

    for name in ("c1", "c2", "c3"):
        (tmp_path / name).mkdir()
    with closing(Watch(tmp_path / "c1", slowly)), closing(Watch(tmp_path / "c3", slowly)):
        assert announce(tmp_path, "bob", "park") == 2
        assert heard == [("bob", "park")] * 2
    assert announce(tmp_path, "bob", "home") == 0


def test_a_call_that_cannot_get_ready_holds_nobody_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PATIENCE", 0.1)
    (tmp_path / "c1").mkdir()
    with closing(Watch(tmp_path / "c1", lambda node, site: time.sleep(0.3))):
        assert announce(tmp_path, "bob", "park") == 0


def test_without_any_call_there_is_nobody_to_tell(tmp_path: Path) -> None:
    assert announce(tmp_path / "none", "bob", "park") == 0
