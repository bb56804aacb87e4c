"""A bar on a terminal while something goes on, which is gone with it; elsewhere there is none.

Belongs here: when it is there. Never: what it shows, and what is said instead.
"""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn


class Barred:
    """What shows one while it is entered: `_bar`, of these columns, on `_console`."""

    def __init__(self, console: Console, *columns: ProgressColumn) -> None:
        self._console = console
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
