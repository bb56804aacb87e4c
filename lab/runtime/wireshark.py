"""Wireshark on this machine, which reads packets from a pipe while they come.

Belongs here: finding it, starting it, handing it bytes. Never: what they say.
"""

import contextlib
import queue
import shutil
import subprocess
import threading

from lab.errors import ConfigError

_ARGV = ("-k", "-i", "-", "-N", "n", "--enable-heuristic", "rtp_udp")
"""At once, from standard input; with the names that the file gives addresses, and voice read as RTP."""


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
                stderr=subprocess.DEVNULL,
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
