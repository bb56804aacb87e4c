"""The consoles that everything is printed on: results on standard output, progress and errors on standard error.

Belongs here: how rich is set up. rich itself minds NO_COLOR, pipes and the width of the terminal.
"""

import io
import sys

from rich.console import Console, RenderableType
from rich.theme import Theme

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


_WIDTH_OF_PIPES = 160  # nothing is folded or cut for a reader that is a program


def out() -> Console:
    """For results."""
    return Console(theme=_THEME, highlight=False, width=None if sys.stdout.isatty() else _WIDTH_OF_PIPES)


def err() -> Console:
    """For progress, notes and errors."""
    width = None if sys.stderr.isatty() else _WIDTH_OF_PIPES
    return Console(theme=_THEME, highlight=False, stderr=True, width=width)


def plain(content: RenderableType, width: int) -> str:
    """What a console of so many columns shows of it: no colours, and no spaces at the ends of lines."""
    shown = io.StringIO()
    Console(file=shown, width=width, theme=_THEME, highlight=False, color_system=None).print(content)
    return "\n".join(line.rstrip() for line in shown.getvalue().splitlines())
