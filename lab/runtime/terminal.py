"""A shell inside a node, on the user's own terminal.

Belongs here: the plumbing between two terminals. Never: anything about the lab.
"""

import contextlib
import os
import shutil
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator, Sequence
from types import FrameType

from docker import DockerClient

from lab.runtime.exec import ExecStream, Stream


def interactive(client: DockerClient, container: str, argv: Sequence[str]) -> int:
    """Run a command on this terminal (or over pipes where there is none) until it ends; its exit status."""
    tty = on_terminal()
    environment = {"TERM": os.environ.get("TERM", "xterm")} if tty else None
    with ExecStream(client, container, argv, stdin=True, tty=tty, environment=environment) as stream:
        return converse(stream, tty)


def on_terminal() -> bool:
    """Whether there is a user's terminal at both ends."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def converse(stream: Stream, tty: bool) -> int:
    """Join a process to this terminal, or to pipes, until it ends; its exit status."""
    with _raw(stream) if tty else contextlib.nullcontext():
        threading.Thread(target=_type, args=(stream,), name="keyboard", daemon=True).start()
        for kind, data in stream.chunks():
            target = sys.stdout if kind == 1 else sys.stderr
            target.buffer.write(data)
            target.buffer.flush()
    status = stream.status()
    return 1 if status is None else status


def _type(stream: Stream) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(sys.stdin.fileno(), 4096):
            stream.write(data)
        stream.close_stdin()


@contextlib.contextmanager
def _raw(stream: Stream) -> Iterator[None]:
    def fit(number: int = 0, frame: FrameType | None = None) -> None:
        size = shutil.get_terminal_size()
        stream.resize(size.lines, size.columns)

    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    handler = signal.signal(signal.SIGWINCH, fit)
    try:
        tty.setraw(keyboard)
        fit()
        yield
    finally:
        signal.signal(signal.SIGWINCH, handler)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
