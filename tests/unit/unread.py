"""A standard output that nobody reads any more.

Belongs here: the pipe. Never: tests.
"""

import contextlib
import os
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def unread_from_now_on() -> Iterator[Callable[[], None]]:
    """Standard output is a pipe, whose reader closes it when that is called."""
    reader, writer = os.pipe()
    with (
        contextlib.ExitStack() as reading,
        os.fdopen(writer, "w") as stdout,
        contextlib.redirect_stdout(stdout),
    ):
        reading.callback(os.close, reader)
        yield reading.close


@contextlib.contextmanager
def unread() -> Iterator[None]:
    """It is closed before anything is written."""
    with unread_from_now_on() as close:
        close()
        yield
