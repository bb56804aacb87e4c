"""Orders to a running node and the events that it reports, as JSON lines over its control socket.

Belongs here: the channel. Never: what an order does, or what a call is.
The socket is a file inside the container, reached through the engine: nothing of this crosses the lab's networks.
"""

import itertools
import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from types import TracebackType
from typing import Any, Self

from docker import DockerClient

from lab.errors import ConfigError, LabError, NotNow, RuntimeUnavailable
from lab.runtime.exec import STDOUT, ExecStream

SOCKET = "/run/lab/control.sock"
ORDER_SECONDS = 10.0
"""How long a live node may take to answer an order; it needs a few milliseconds, the rest is for a busy machine."""

Json = dict[str, Any]


class Refused(ConfigError):
    """A node has said no to what it was asked, and has changed nothing. `reason` is its own sentence."""

    def __init__(self, node: str, order: str, reason: str) -> None:
        super().__init__(f"{node} refused the order {order!r}: {reason}")
        self.reason = reason


class NotListening(NotNow):
    """The node runs, but its program has not opened its control socket yet."""


class ControlChannel:
    """One conversation with one node. Events go to `on_event` on the channel's own thread, in the order they come.

    `on_event(None)` is the last call: the channel has ended. Closing the channel hangs up what was dialled on it.
    """

    def __init__(
        self,
        client: DockerClient,
        container: str,
        node: str,
        on_event: Callable[[Json | None], None] | None = None,
        argv: Sequence[str] = ("socat", "STDIO", f"UNIX-CONNECT:{SOCKET}"),
    ) -> None:
        """`argv`: what carries the conversation; a program that listens to its stdin needs no socket."""
        self.node = node
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Json]] = {}
        self._lock = threading.Lock()
        self._ended = False
        self._complaint = ""
        self._stream = ExecStream(client, container, argv, stdin=True)
        self._thread = threading.Thread(target=self._read, name=f"control {node}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def order(self, order: str, *, within: float = ORDER_SECONDS, **fields: object) -> Json:
        """Give an order and return the answer.

        Raises RuntimeUnavailable where none comes, Refused where it is a no, LabError where it could not be done.
        """
        answer: Future[Json] = Future()
        with self._lock:
            if self._ended:
                raise self._gone()
            number = next(self._ids)
            self._waiting[number] = answer
        try:
            self._stream.write(json.dumps({"id": number, "order": order, **fields}).encode() + b"\n")
            said = answer.result(within)
        except FutureTimeout:
            raise RuntimeUnavailable(f"{self.node} did not answer the order {order!r} within {within:g} s") from None
        except OSError:
            raise self._gone() from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
        if not said.get("ok"):
            reason = str(said.get("error", "it gave no reason"))
            if said.get("refused"):
                raise Refused(self.node, order, reason)
            raise LabError(f"{self.node} could not carry out the order {order!r}: {reason}")
        return said

    def close(self) -> None:
        """Let go of the node; what this channel dialled is hung up."""
        self._stream.close()
        self._thread.join(timeout=5)

    def _gone(self) -> RuntimeUnavailable:
        if any(words in self._complaint for words in ("No such file", "Connection refused")):
            return NotListening(f"{self.node} is still starting; `lab status` shows when it is ready, then try again")
        why = f" ({self._complaint.strip().splitlines()[-1]})" if self._complaint.strip() else ""
        return RuntimeUnavailable(f"{self.node} does not answer on its control socket{why}; see `lab logs {self.node}`")

    def _read(self) -> None:
        buffered = b""
        for kind, data in self._stream.chunks():
            if kind != STDOUT:
                self._complaint = (self._complaint + data.decode(errors="replace"))[-2000:]
                continue
            *lines, buffered = (buffered + data).split(b"\n")
            for line in lines:
                self._dispatch(line)
        with self._lock:
            self._ended = True
            waiting = list(self._waiting.values())
        for answer in waiting:
            answer.set_exception(self._gone())
        if self._on_event:
            self._on_event(None)

    def _dispatch(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except ValueError:
            return
        if not isinstance(said, dict):
            return
        if "event" in said:
            if self._on_event:
                self._on_event(said)
            return
        with self._lock:
            answer = self._waiting.pop(said.get("id", 0), None)
        if answer:
            answer.set_result(said)
