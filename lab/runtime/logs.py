"""What a node has printed and prints: lines, and the JSON objects that they are.

Belongs here: reading a container's log. Never: what a line means.
"""

import contextlib
import json
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from lab.runtime.connection import Engine
from lab.runtime.mishaps import engine_errors
from lab.runtime.world import Container

Line = dict[str, Any]


def started_at(engine: Engine, container: str) -> float:
    """When a container's present run began, epoch seconds."""
    with engine_errors("inspect a container"):
        text = str(engine.api.inspect_container(container)["State"]["StartedAt"])
    # nanoseconds are more digits than Python reads; a microsecond early is early enough
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}+00:00").timestamp()


class Log:
    """The lines printed since then (epoch seconds; None: all), and with `follow` those to come until it is closed.

    One thread reads; another may close. Raises RuntimeUnavailable where the log cannot be had.
    """

    def __init__(self, engine: Engine, container: str, *, since: float | None = None, follow: bool = False) -> None:
        with engine_errors("read a log"):
            self._stream: Any = engine.api.logs(container, stream=True, follow=follow, since=since)

    def __iter__(self) -> Iterator[tuple[str, Line | None]]:
        """Each line as text, and as the JSON object that it is (or None)."""
        buffered = b""
        for chunk in self._chunks():
            *lines, buffered = (buffered + chunk).split(b"\n")
            yield from map(_parsed, lines)
        if buffered:
            yield _parsed(buffered)

    def _chunks(self) -> Iterator[bytes]:
        while True:
            with engine_errors("read a log"):
                chunk = next(self._stream, None)
            if chunk is None:
                return
            yield chunk

    def close(self) -> None:
        """End a log that is followed; its reader finds no more lines."""
        with contextlib.suppress(OSError, AttributeError, ValueError):  # it has just ended by itself
            self._stream.close()


def _parsed(line: bytes) -> tuple[str, Line | None]:
    text = line.decode(errors="replace").strip()
    try:
        said = json.loads(text)
    except ValueError:
        return text, None
    return text, said if isinstance(said, dict) else None


@dataclass(frozen=True)
class Said:
    """One line of one node. `text` None: its log has ended, because the container has."""

    node: str
    text: str | None
    line: Line | None = None


class Logs:
    """The logs of several nodes, followed at once; leaving the `with` block lets go of them all."""

    def __init__(self, engine: Engine, containers: Iterable[Container], since: Callable[[str], float]) -> None:
        """`since` gives the epoch seconds to begin at, for a container's id."""
        self._engine = engine
        self._since = since
        self._said: queue.Queue[Said | Exception] = queue.Queue()
        self._open: list[Log] = []
        self._closed = False
        self._lock = threading.Lock()
        for container in containers:
            threading.Thread(target=self._follow, args=(container,), name=f"log {container.node}", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed = True
        for log in self._open:
            log.close()

    def next(self, deadline: float) -> Said | None:
        """The next line of any of them, or None where none comes before `deadline` (time.monotonic())."""
        try:
            said = self._said.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            return None
        if isinstance(said, Exception):
            raise said
        return said

    def _follow(self, container: Container) -> None:
        try:
            log = Log(self._engine, container.id, since=self._since(container.id), follow=True)
            with self._lock:
                if self._closed:
                    log.close()
                    return
                self._open.append(log)
            for text, line in log:
                self._said.put(Said(container.node, text, line))
            self._said.put(Said(container.node, None))
        except Exception as error:  # a thread's exception must reach the one who waits
            self._said.put(error)
