"""What an error of the lab shows in a test: its one sentence, and the test's own line that asked for it.

Belongs here: which frames go. Never: an error that is none of the lab's own tree; that is a defect, and shows all.
"""

from pathlib import Path
from types import TracebackType

import pytest

import lab
from lab.errors import LabError

_LAB = Path(lab.__file__).resolve().parent


def hide(excinfo: pytest.ExceptionInfo[BaseException], test: Path) -> None:
    """Leave the frames out that lie below the lab's first one, beyond the last of the test's own file; and what has
    caused the error, which the sentence tells."""
    error = excinfo.value
    if not isinstance(error, LabError):
        return
    files = [Path(entry.path) for entry in excinfo.traceback]
    own = max((number for number, file in enumerate(files) if file == test), default=-1)
    first = next((number for number in range(own + 1, len(files)) if files[number].is_relative_to(_LAB)), 0)
    shown = _beginning(excinfo.tb, first)
    if shown is not None:
        excinfo.traceback = type(excinfo.traceback)(shown)
        error.__cause__, error.__suppress_context__ = None, True


def _beginning(trace: TracebackType | None, frames: int) -> TracebackType | None:
    """So many frames from the outermost on; pytest follows the links between them, whatever is left out of its list."""
    if trace is None or frames == 0:
        return None
    return TracebackType(_beginning(trace.tb_next, frames - 1), trace.tb_frame, trace.tb_lasti, trace.tb_lineno)
