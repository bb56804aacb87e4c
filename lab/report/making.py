"""A report while it is made: a bar on a terminal, elsewhere a line now and then.

Belongs here: how that looks. Never: what is made.
"""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from lab.report.bars import Barred

SOON, OFTEN = 1.0, 15.0
"""Seconds until the first line where there is no terminal, and from one to the next."""


class Making(Barred):
    """Feed it how many calls are done, of how many."""

    def __init__(self, console: Console) -> None:
        super().__init__(console, TextColumn("drawing calls"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._task = self._bar.add_task("calls", total=None)
        self._next = time.monotonic() + SOON

    def follow(self, done: int, total: int) -> None:
        """So many are done."""
        self._bar.update(self._task, completed=done, total=total)
        if not self._console.is_terminal and done < total and time.monotonic() >= self._next:
            self._console.print(f"{done:,} of {total:,} calls drawn", markup=False)
            self._next = time.monotonic() + OFTEN
