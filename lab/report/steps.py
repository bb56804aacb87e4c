"""Steps of something that takes a while, on a terminal: the present one moves, the long ones stay with their time.

Belongs here: how steps look. Never: what they are.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

WORTH_KEEPING = 3.0
"""Seconds from which on a step is left standing when it is over: installations, images, starts."""


class Steps:
    """`begin` names the step that is under way now; leaving the block ends the last one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._line = console.status("...")
        self._present = ""
        self._began = 0.0

    def __enter__(self) -> Self:
        self._line.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.begin("")
        self._line.__exit__(kind, error, trace)

    def begin(self, step: str) -> None:
        took = time.monotonic() - self._began
        if self._present and took >= WORTH_KEEPING:
            self._console.print(Text.assemble((f"{took:6.1f} s  ", "dim"), self._present))
        self._present, self._began = step, time.monotonic()
        self._line.update(Text(step))
