"""How far a report is: nothing of one that is soon made, else a line now and then where there is no terminal."""

import io
import time

import pytest
from rich.console import Console

from lab.report.making import Making


@pytest.mark.parametrize(("seconds", "lines"), [(0.001, 0), (0.5, 2)])
def test_without_a_terminal_it_speaks_after_a_second_and_then_now_and_then(
    monkeypatch: pytest.MonkeyPatch, seconds: float, lines: int
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    out = io.StringIO()
    with Making(Console(file=out, width=80)) as making:
        for done in range(41):
            making.follow(done, 40)
            now += seconds
    assert out.getvalue().count("\n") == lines
    assert not lines or out.getvalue().startswith("2 of 40 calls drawn\n")


def test_a_terminal_is_left_as_it_was() -> None:
    out = io.StringIO()
    with Making(Console(file=out, width=80, force_terminal=True)) as making:
        making.follow(0, 2)
        making.follow(2, 2)
    assert "drawing calls" in out.getvalue() and out.getvalue().endswith(("\x1b[2K", "\x1b[?25h"))
