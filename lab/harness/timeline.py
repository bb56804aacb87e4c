"""The lab's timeline: what was done to it, on the clock that its nodes and packets share.

Belongs here: one line an event, appended and read back. Never: doing anything.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.errors import ConfigError, LabError, NotNow

Json = dict[str, Any]
COARSE = 1.0
"""Seconds by which a file system's clock may be behind; a kernel's tick, in truth."""
LONGEST = 1 << 20
"""Bytes; a timeline beyond that begins anew and keeps the former one beside it."""


class Timeline:
    """One lab's events: epoch seconds `at`, `lab`, `event`, who or what it was done to, `took_ms` until it held."""

    def __init__(self, state: Path, lab: str) -> None:
        self.file = state / f"timeline-{lab}.jsonl"
        self._marks = state / f"under-way-{lab}"
        self._lab = lab

    def stamp(self, event: str, began: float, **about: Any) -> Json:
        """Write down what is in effect now and was asked for at `began`, epoch seconds."""
        now = time.time()
        line = {"at": round(now, 6), "lab": self._lab, "event": event, **about, "took_ms": round((now - began) * 1000)}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        if self.file.exists() and self.file.stat().st_size > LONGEST:
            self.file.replace(self.file.with_suffix(".old.jsonl"))
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return line

    @contextmanager
    def event(self, event: str, **about: Any) -> Iterator[Json]:
        """Stamp what the block does, once it has taken effect; what fails half-way is stamped with its error.

        What is refused (ConfigError, NotNow) has changed nothing and leaves no stamp. The block may add to the dict
        that it gets.
        """
        began, more = time.time(), dict(about)
        mark = self._marks / f"{os.getpid()}-{time.monotonic_ns()}.json"
        try:
            self._marks.mkdir(parents=True, exist_ok=True)
            mark.write_text(json.dumps({"at": began, "lab": self._lab, "event": event, **about}))
            yield more
        except (ConfigError, NotNow):
            raise
        except LabError as error:
            self.stamp(event, began, **more, error=str(error))
            raise
        except KeyboardInterrupt:
            self.stamp(event, began, **more, error="interrupted")
            raise
        else:
            self.stamp(event, began, **more)
        finally:
            mark.unlink(missing_ok=True)

    def changes(self, since: float) -> list[Json]:
        """What was done since then, epoch seconds, and what is being done at this moment: of that, `at` is when it
        began."""
        return [*self.read(since=since), *self._under_way()]

    def _under_way(self) -> Iterator[Json]:
        for mark in sorted(self._marks.glob("*.json")) if self._marks.is_dir() else ():
            try:
                os.kill(int(mark.name.partition("-")[0]), 0)
                yield from _lines(mark.read_text())
            except PermissionError:  # it is another user's, and there
                yield from _lines(mark.read_text())
            except ProcessLookupError:  # it was killed before it could take its mark away
                mark.unlink(missing_ok=True)
            except OSError:  # gone by now
                continue

    def read(self, since: float | None = None, until: float | None = None) -> list[Json]:
        """The events between two times (epoch seconds; None: without bound), in order; a torn line is left out."""
        try:
            if since is not None and self.file.stat().st_mtime < since - COARSE:
                return []  # every call of a matrix asks, and mostly nothing was done
            text = self.file.read_text()
        except OSError:
            return []
        return [line for line in _lines(text) if (since or 0.0) <= line["at"] <= (until or float("inf"))]

    def unplugged(self) -> list[str]:
        """The nodes whose cables were pulled since the lab was last brought up or taken down."""
        out: dict[str, None] = {}
        for line in self.read():
            if "error" in line:
                continue
            if line["event"] in ("up", "down"):
                out.clear()
            elif line["event"] == "unplug":
                out[str(line["node"])] = None
            elif line["event"] in ("plug", "restart", "kill", "stop", "move"):
                out.pop(str(line["node"]), None)
        return list(out)


def _lines(text: str) -> Iterator[Json]:
    for one in text.splitlines():
        try:
            line = json.loads(one)
        except ValueError:
            continue
        if isinstance(line, dict) and isinstance(line.get("at"), int | float):
            yield line
