"""A report while it is made: a bar on a terminal, elsewhere a line now and then.

Belongs here: how that looks. Never: what is made.
"""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SOON, OFTEN = 1.0, 15.0
"""Seconds until the first line where there is no terminal, and from one to the next."""


class Making:
    """Feed it how many calls are done, of how many."""

    def __init__(self, console: Console) -> None:
        self._console = console
        columns = (TextColumn("drawing calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("calls", total=None)
        self._next = time.monotonic() + SOON

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def follow(self, done: int, total: int) -> None:
        """So many are done."""
        self._bar.update(self._task, completed=done, total=total)
        if not self._console.is_terminal and done < total and time.monotonic() >= self._next:
            self._console.print(f"{done:,} of {total:,} calls drawn", markup=False)
            self._next = time.monotonic() + OFTEN
