"""The consoles that everything is printed on: results on standard output, progress and errors on standard error.

Belongs here: how rich is set up. rich itself minds NO_COLOR, pipes and the width of the terminal.
"""

import io
import os
import sys
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.theme import Theme

from lab.errors import Unread

_THEME = Theme(
    {
        "direct": "green",
        "punched": "cyan",
        "relayed": "yellow",
        "good": "green",
        "bad": "bold red",
        "quiet": "dim",
        "name": "bold",
    }
)


_WIDTH_OF_PIPES = 160
"""Columns that are laid out for where no terminal says how many there are."""
MOST = 400
"""Columns of a line that is not folded for a reader that is a program."""


class _Trimmed:
    """A file that lines are written to without the spaces at their ends; rich writes whole lines."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        self._file.write("\n".join(line.rstrip(" ") for line in text.split("\n")))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Console(Console):
    """rich's, which would leave with 1 where nobody reads it any more, before anything could be hung up."""

    def __init__(self, **options: Any) -> None:
        super().__init__(theme=_THEME, highlight=False, **options)

    def on_broken_pipe(self) -> None:
        """What is printed from now on goes nowhere, so that what goes on can be ended. Raises Unread."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)
        raise Unread


class Piped(_Console):
    """Where there is no terminal: every line as wide as what stands in it, up to MOST columns, with no spaces after."""

    def __init__(self) -> None:
        file: Any = _Trimmed(sys.stdout)
        super().__init__(width=_WIDTH_OF_PIPES, file=file)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich's, but for that."""
        if options.get("width") is None:
            room = self.options.update(max_width=MOST)
            needed = [Measurement.get(self, room, one).maximum for one in objects]
            self.width = max([_WIDTH_OF_PIPES, *needed])
        super().print(*objects, **options)
        self.width = _WIDTH_OF_PIPES


def out() -> Console:
    """For results."""
    return _Console() if sys.stdout.isatty() else Piped()


def room(console: Console) -> int:
    """Columns that a line may have there."""
    return MOST if isinstance(console, Piped) else console.width


def err() -> Console:
    """For progress, notes and errors."""
    width = None if sys.stderr.isatty() else _WIDTH_OF_PIPES
    return _Console(stderr=True, width=width)


def plain(content: RenderableType, width: int) -> str:
    """What a console of so many columns shows of it: no colours, and no spaces at the ends of lines."""
    shown = io.StringIO()
    Console(file=shown, width=width, theme=_THEME, highlight=False, color_system=None).print(content)
    return "\n".join(line.rstrip() for line in shown.getvalue().splitlines())
