"""Long steps stay on the terminal with what they took; short ones leave nothing."""

import io
import time

import pytest
from rich.console import Console

from lab.report.steps import Steps


def test_only_long_steps_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    written = io.StringIO()
    with Steps(Console(file=written, width=80)) as steps:
        steps.begin("installing the engine")
        now += 42.5
        steps.begin("a short step")
        now += 0.5
        steps.begin("starting [17] nodes")
        now += 5.0
    assert written.getvalue().splitlines() == ["  42.5 s  installing the engine", "   5.0 s  starting [17] nodes"]
