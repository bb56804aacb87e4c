"""Wireshark on this machine, which reads packets from a pipe while they come.

Belongs here: finding it, starting it, handing it bytes. Never: what they say.
"""

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading

from lab.errors import ConfigError

_ARGV = ("-k", "-i", "-", "-N", "n", "--enable-heuristic", "rtp_udp")
"""At once, from standard input; with the names that the file gives addresses, and voice read as RTP."""
_ENDING = 2.0
"""Seconds after it has closed its end of the pipe within which a program that is ending has ended, on a busy machine
too. One whose user has pressed Stop stays."""
_DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Where Qt, which draws its window, finds a screen: X11, Wayland."""


class Wireshark:
    """Started with the first bytes. It goes on after this program has ended, with all that it was given."""

    def __init__(self) -> None:
        """Raises ConfigError where none is installed."""
        program = shutil.which("wireshark")
        if program is None:
            raise ConfigError(
                "no Wireshark is installed on this machine: install it (sudo apt-get install wireshark), or write a "
                "file with -w and open that elsewhere"
            )
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # a pipe would end with this program, and it goes on  # noqa: SIM115
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._hand_over, name="wireshark", daemon=True)

    def give(self, data: bytes) -> None:
        """Hand over bytes of a pcapng; returns at once, for it may be slow to read. Raises ConfigError where it does
        not start."""
        self._waiting.put(data)
        if self._process is None:
            self._process = self._started()
            self._thread.start()

    @property
    def gone(self) -> bool:
        """Whether somebody has closed it."""
        return self._process is not None and (self._process.poll() is not None or not self._thread.is_alive())

    @property
    def failure(self) -> str | None:
        """Why it ended, where that was not somebody who closed it: its status and the last that it said. None: it is
        shown, or was closed."""
        if self._process is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING if self.gone else 0)
        status = self._process.returncode
        if not status:
            return None
        how = f"ended with status {status}" if status > 0 else f"was ended by {signal.Signals(-status).name}"
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().decode(errors="replace").splitlines()]
        told = next((f": {line.rstrip('.')}" for line in reversed(lines) if line), "")
        blind = "" if any(map(os.environ.get, _DISPLAYS)) else "; without a display, write a file with -w"
        return f"Wireshark {how}{told}{blind}"

    def close(self) -> None:
        """No more will come: it shows what it has."""
        self._waiting.put(None)
        if self._process is not None:
            self._thread.join(5)

    def _started(self) -> "subprocess.Popen[bytes]":
        try:
            return subprocess.Popen(
                [self._program, *_ARGV],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is for the captures
            )
        except OSError as error:
            raise ConfigError(f"{self._program} does not start: {error.strerror or error}") from None

    def _hand_over(self) -> None:
        assert self._process is not None
        pipe = self._process.stdin
        assert pipe is not None
        with contextlib.suppress(OSError, ValueError):
            while (data := self._waiting.get()) is not None:
                pipe.write(data)
                if self._waiting.empty():
                    pipe.flush()
        with contextlib.suppress(OSError, ValueError):
            pipe.close()
