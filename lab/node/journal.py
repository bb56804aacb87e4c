"""What a node says of itself: one JSON line an event on standard output, with the wall clock, its name and the call.

The harness reads these lines; so does a person with `lab logs NODE`.
"""

import dataclasses
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from lab.overlay.actions import Event

Listener = Callable[[dict[str, object]], None]


class Journal:
    """Writes lines, and hands each to whoever listens (the control socket's watchers)."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.counts: Counter[str] = Counter()
        """Lines that were written, by event."""

    def write(self, event: str, at: float | None = None, **fields: Any) -> dict[str, object]:
        """One line; `at` is epoch seconds, now unless given. Returns what was written."""
        line = {"at": round(time.time() if at is None else at, 6), "node": self.node, "event": event, **fields}
        self.counts[event] += 1
        sys.stdout.write(json.dumps(line, default=str) + "\n")
        sys.stdout.flush()
        return line

    def record(self, event: Event) -> dict[str, object]:
        """A machine's event as a line: its class in kebab case, and its fields but for keys and the like."""
        fields = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
        shown: dict[str, Any] = {
            name: _plain(value) for name, value in fields.items() if not isinstance(value, bytes | msgspec.Struct)
        }
        return self.write(kebab(type(event).__name__), **shown)


def kebab(name: str) -> str:
    """`SignedIn` -> `signed-in`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value
