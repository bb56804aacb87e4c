"""A call while it happens, on a terminal: its state, the path, what each end has heard. Lines where there is none.

Belongs here: drawing events. Never: waiting for them, or judging by them.
"""

import time
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab.harness.call_report import MediaPath
from lab.harness.events import CallEvent

_STATES = {
    "dialled": "dialling",
    "ringing": "ringing",
    "answered": "answered",
    "first-media": "talking",
    "on-hold": "on hold",
    "off-hold": "talking",
}
_METER = 20


class CallProgress:
    """Feed it the events of a call; it draws them, from the first one on, until it is closed."""

    def __init__(self, console: Console, caller: str, callee: str, seconds: float, quiet: bool = False) -> None:
        """`quiet`: no lines where there is no terminal."""
        self._ends = (caller, callee)
        self._seconds = seconds
        self._console = console
        self._state = ""
        self._talking_since: float | None = None
        self._path: MediaPath | None = None
        self._figures: dict[str, dict[str, Any]] = {}
        self._live = Live(get_renderable=self._drawn, console=console, transient=True, refresh_per_second=8)
        self._quiet = quiet

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def follow(self, event: CallEvent) -> None:
        """Take in one event."""
        if self._console.is_terminal and not self._live.is_started:
            self._live.start()
        before = self._state, self._path
        self._state = _STATES.get(event.event, self._state)
        if event.event == "answered" and self._talking_since is None:
            self._talking_since = time.monotonic()
        if event.event in ("path", "progress") and event.node == self._ends[0]:
            self._path = event.path or self._path
        if event.event == "progress":
            self._figures[event.node] = dict(event.detail)
        if not self._quiet and not self._console.is_terminal and before != (self._state, self._path):
            self._console.print(f"{self._state}" + (f", {self._path}" if self._path else ""), style="dim")

    def _drawn(self) -> Table:
        table = Table.grid(padding=(0, 2))
        caller, callee = self._ends
        table.add_row(
            Text.assemble((caller, "bold"), " calls ", (callee, "bold")),
            Text(self._state),
            Text(str(self._path), self._path.kind) if self._path else Text(),
        )
        for name in self._ends:
            said = self._figures.get(name, {})
            received = int(said.get("received") or 0)
            share = min(1.0, received / max(1.0, self._seconds * 50))
            bar = "█" * round(share * _METER)
            counts = Text(f"{received} heard, {said.get('lost') or 0} lost") if said else Text("—", "dim")
            table.add_row(Text(f"  {name}"), Text(f"{bar:░<{_METER}}", "green"), counts)
        return table
