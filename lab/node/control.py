"""The control socket: orders in, answers and events out, one JSON object a line. Reached from inside alone.

What an order does is the role's business; this file knows lines.
"""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.errors import ConfigError, LabError

SOCKET = Path("/run/lab/control.sock")
LONGEST_LINE = 64 * 1024

Order = dict[str, Any]
Handler = Callable[[Order, "Conversation"], Order]


class Conversation:
    """One connection to the control socket; `closed` is called when it ends."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.closed: list[Callable[[], None]] = []

    def tell(self, line: dict[str, object]) -> None:
        """Sends one object; a conversation that has ended hears nothing."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(line, default=str).encode() + b"\n")


class ControlServer:
    """Serves orders through `handler`, which returns the answer's fields or raises LabError."""

    def __init__(self, handler: Handler, path: Path = SOCKET) -> None:
        self.handler, self.path = handler, path
        self.server: asyncio.Server | None = None  # kept: uvloop closes a server that nobody refers to

    async def start(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.unlink(missing_ok=True)
        self.server = await asyncio.start_unix_server(self._converse, self.path, limit=LONGEST_LINE)
        self.path.chmod(0o666)  # the harness comes as a root without capabilities, which modes bind

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(writer)
        try:
            while line := await reader.readline():
                conversation.tell(self._answer(line, conversation))
                await writer.drain()
        except (ConnectionError, ValueError):
            pass  # gone, or a line longer than any order
        finally:
            for callback in conversation.closed:
                callback()
            writer.close()

    def _answer(self, line: bytes, conversation: Conversation) -> Order:
        try:
            order = json.loads(line)
        except (ValueError, RecursionError):
            return {"id": None, "ok": False, "error": "the order is not a JSON object on one line"}
        if not isinstance(order, dict):
            return {"id": None, "ok": False, "error": "the order is not a JSON object"}
        try:
            return {"id": order.get("id"), "ok": True, **self.handler(order, conversation)}
        except LabError as error:
            return {
                "id": order.get("id"), "ok": False, "error": str(error), "refused": isinstance(error, ConfigError)
            }  # fmt: skip
