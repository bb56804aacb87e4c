"""A matrix begins when its clients know their networks, and no later for those that never will."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lab.harness import settling
from lab.harness.status import LabStatus, NodeStatus
from tests.unit.harness.test_bringing_up import WANTED, world


class Asked:
    """A lab whose client is finding out until it has been asked `until` times; a second lies between two questions."""

    def __init__(self, patch: pytest.MonkeyPatch, until: int) -> None:
        self.times, self.until, self.now = 0, until, 0.0
        patch.setattr(settling, "ask", self._ask)
        patch.setattr(settling, "Logs", self._logs)
        patch.setattr(settling.time, "monotonic", lambda: self.now)

    def _ask(self, engine: Any, part: Any) -> LabStatus:
        self.times += 1
        node = NodeStatus("bob", "client", "home", "linux", "none", "ready", "supernode-1", None)
        return LabStatus((NodeStatus(**{**vars(node), "finding_out": self.times < self.until}),))

    @contextmanager
    def _logs(self, *about: Any) -> Iterator["Asked"]:
        yield self

    def next(self, deadline: float) -> None:
        self.now += 1.0


def test_it_is_asked_until_nobody_is_finding_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asked = Asked(monkeypatch, until=4)
    settling.find_out(None, world(tmp_path, WANTED), ["relay-1"])  # type: ignore[arg-type]
    assert asked.times == 4


def test_who_never_ends_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    asked = Asked(monkeypatch, until=1000)
    settling.find_out(None, world(tmp_path, WANTED), ["relay-1"])  # type: ignore[arg-type]
    assert asked.now == settling.FIND_OUT_SECONDS
