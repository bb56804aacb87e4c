"""`lab capture` of a lab that is none, as a program of its own: a packet every few milliseconds, until it is ended.

Belongs here: the least that the command asks of a lab. Never: tests.
"""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import lab.harness
from lab import cli
from lab.errors import RuntimeUnavailable
from lab.evidence.pcapng import MAGIC
from lab.harness.checkout import Checkout
from lab.harness.dropping import Dropped
from lab.harness.events import CallEvent
from lab.harness.passing import Row
from lab.runtime.capture import Captured

WRITTEN = MAGIC + b"packets"


class Session:
    """Rows that count up, from when it is opened. `fails_after`: polls after which a capture fails."""

    fails_after: ClassVar[int | None] = None
    full = False
    drops: ClassVar[list[Dropped]] = [Dropped("home-router", (("INPUT's policy", 2),), 2)]

    def __init__(self, file: Path | None) -> None:
        self.topology = None
        self.watched = SimpleNamespace(nodes=(SimpleNamespace(name="core"),), file=file)
        self.number = 0
        self.done: list[str] = []

    def poll(self, now: float) -> list[Row]:
        if self.number == self.fails_after:
            raise RuntimeUnavailable("the capture at core ended early: No space left on device")
        self.number += 1
        event = "first check of bob" if self.number % 10 == 3 else None
        return [Row(time.time(), "core", f"bob:{self.number}", "frank:1", "STUN check", event=event)]

    def note(self, at: float, text: str, event: str | None = None) -> None:
        self.done.append(text)

    def rest(self) -> list[Row]:
        return [Row(time.time(), "core", "bob:1", "frank:1", "the last one")]

    def write(self, target: Path, call: object = None) -> int:
        self.done.append(f"written of {call}")
        target.write_bytes(WRITTEN)
        return 1234

    def finish(self) -> list[Captured]:
        self.done.append("finished")
        return [Captured("core", Path("core.pcap"), 1230, 7), Captured("relay-1", Path("relay-1.pcap"), 4, 0, True)]

    def close(self) -> list[Captured]:
        self.done.append("closed")
        return []

    def discard(self) -> None:
        self.done.append("discarded")


class Lab:
    """Opens such a session, and remembers it."""

    sessions: ClassVar[list[Session]] = []
    asked: ClassVar[list[dict[str, Any]]] = []
    keyed: ClassVar[list[bool]] = []
    report: ClassVar[Any] = None
    checkout = Checkout(Path("e"))

    def __init__(self, name: str | None = None) -> None:
        pass

    def call(self, caller: str, callee: str, *, keys: bool, follow: Any) -> Any:
        """A call of some events, which ends as `report` says."""
        self.keyed.append(keys)
        for event in ("dialled", "progress", "ringing", "answered"):
            follow(CallEvent(event, "c1", caller, time.time()))
        if isinstance(self.report, BaseException):
            raise self.report
        return self.report

    def kept_call(self, call: str) -> str:
        return call

    def keys(self, call: str) -> str:
        return f"the keys of {call}"

    def capture(self, nodes: tuple[str, ...], **options: Any) -> Session:
        self.asked.append({"nodes": nodes, **options})
        self.sessions.append(Session(options["file"]))
        if options["pipe"]:
            options["pipe"](b"pcapng")
        return self.sessions[-1]


if __name__ == "__main__":
    lab.harness.Lab = Lab  # type: ignore[misc, assignment]
    cli.main()
