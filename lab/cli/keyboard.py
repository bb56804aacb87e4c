"""A terminal that hands over each key at once, and is as before afterwards, however that ends.

Belongs here: the terminal's settings. Never: what a key means.
"""

import codecs
import contextlib
import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self


class Keyboard:
    """Standard input, without echo and without waiting for the end of a line. Ctrl-C interrupts as ever."""

    def __init__(self) -> None:
        self._file = sys.stdin.fileno()
        self._before: list[Any] = []
        self._decode = codecs.getincrementaldecoder("utf-8")("ignore").decode

    def __enter__(self) -> Self:
        self._before = termios.tcgetattr(self._file)
        try:
            tty.setcbreak(self._file, termios.TCSANOW)
            now = termios.tcgetattr(self._file)
            now[6][termios.VSUSP] = b"\0"  # Ctrl-Z would leave a shell with a terminal that shows nothing
            termios.tcsetattr(self._file, termios.TCSANOW, now)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

    def read(self, seconds: float) -> str | None:
        """What has been typed, waiting so long for it; None where the terminal is gone."""
        if not select.select([self._file], [], [], seconds)[0]:
            return ""
        try:
            typed = os.read(self._file, 1024)
        except OSError:
            return None
        return self._decode(typed) if typed else None
