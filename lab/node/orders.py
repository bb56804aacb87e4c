"""The relay's word to its deputy: a machine's actions become orders, what is answered its inputs.

Belongs here: the socket and the messages. Never: what is decided, or how it is done.
"""

import asyncio
import json
import os
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from lab.node.deputy import MESSAGE
from lab.overlay.actions import CountOffloaded, Offload, Offloaded, Onload
from lab.overlay.relay import Relay

VARIABLE = "LAB_DEPUTY"
"""Where start-up names the socket to the deputy, a number of an open file."""


class Orders:
    """The relay's end: a machine's actions become orders, answers its inputs; `settle` after each of these."""

    def __init__(self, machine: Relay, settle: Callable[[], None], channel: socket.socket) -> None:
        self.machine, self.settle, self.channel = machine, settle, channel
        self.loop = asyncio.get_running_loop()
        self.backlog: deque[bytes] = deque()
        channel.setblocking(False)
        self.loop.add_reader(channel.fileno(), self._answers)
        self._say({"order": "begin"})

    def do(self, action: Offload | Onload | CountOffloaded) -> None:
        match action:
            case Offload(session, legs, rate):
                self._say({"order": "offload", "session": session, "legs": legs, "rate": rate})
            case Onload(session):
                self._say({"order": "onload", "session": session})
            case CountOffloaded(session):
                self._say({"order": "count", "session": session})

    def _say(self, order: dict[str, object]) -> None:
        self.backlog.append(json.dumps(order).encode())
        if len(self.backlog) == 1:
            self._flush()

    def _flush(self) -> None:
        """In order; what the socket has no room for waits until it has."""
        try:
            while self.backlog:
                self.channel.send(self.backlog[0])
                self.backlog.popleft()
            self.loop.remove_writer(self.channel.fileno())
        except BlockingIOError:
            self.loop.add_writer(self.channel.fileno(), self._flush)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            self.loop.call_soon(self._lost, f"the deputy does not listen: {reason}")

    def _answers(self) -> None:
        now = time.monotonic()
        for _ in range(64):
            try:
                data = self.channel.recv(MESSAGE)
            except BlockingIOError:
                break
            except OSError:  # it ended with orders unread
                data = b""
            if not data:
                self._lost("the deputy has ended")
                return
            self._answer(json.loads(data), now)
        self.settle()

    def _answer(self, told: dict[str, Any], now: float) -> None:
        if "ready" in told:
            self.machine.kernel_up(now)
        elif "failed" in told:
            self.machine.kernel_down(told["failed"], now)
        elif "refused" in told:
            self.machine.kernel_refused(told["session"], told["refused"], now)
        else:
            had, passed, size = (tuple(told[name]) for name in ("had", "passed", "bytes"))
            self.machine.kernel_counted(told["session"], Offloaded(had, passed, size, told["final"]), now)

    def _lost(self, reason: str) -> None:
        if self.channel.fileno() >= 0:
            self.loop.remove_reader(self.channel.fileno())
            self.loop.remove_writer(self.channel.fileno())
            self.channel.close()  # with it the deputy ends, and with the deputy its rules
            self.machine.kernel_down(reason, time.monotonic())
            self.settle()


def orders(machine: Relay, settle: Callable[[], None]) -> Orders | None:
    """The way to the deputy that start-up left, or None where it left none: the machine has been told why."""
    number = os.environ.get(VARIABLE, "")
    if not number.isdecimal():
        machine.kernel_down("no deputy with NET_ADMIN was started for it", time.monotonic())
        return None
    return Orders(machine, settle, socket.socket(fileno=int(number)))
