"""The process that may change the relay's network and reads none of its packets.

`python -m lab.node.deputy FD PORT` runs with NET_ADMIN alone and obeys what comes through the socket FD, which the
relay holds the other end of: JSON, one message a datagram. The relay, which reads what strangers send, has none.
Belongs here: obeying. Never: rules (kernel.py), decisions (the relay's machine).
"""

import contextlib
import json
import socket
import sys
from dataclasses import asdict
from typing import Any

from lab.errors import LabError
from lab.node.kernel import Kernel

MESSAGE = 4096
"""Bytes of the longest order or answer."""


class Deputy:
    """Obeys until the relay is gone; its rules go with it."""

    def __init__(self, channel: socket.socket, port: int) -> None:
        self.channel, self.port = channel, port
        self.kernel: Kernel | None = None

    def run(self) -> None:
        while data := self.channel.recv(MESSAGE):
            order = json.loads(data)
            try:
                answer = self._obey(order)
            except LabError as error:
                answer = self._refusal(order, str(error))
            if answer:
                self.channel.send(json.dumps(answer).encode())

    def _refusal(self, order: dict[str, Any], reason: str) -> dict[str, object]:
        """Who was refused anything is the relay's own again: nothing is forwarded that nobody would end."""
        if "session" not in order:
            return {"failed": reason}
        if self.kernel is not None:
            self.kernel.forget(order["session"])
        return {"session": order["session"], "refused": reason}

    def _obey(self, order: dict[str, Any]) -> dict[str, object]:
        if order["order"] == "begin":
            if self.kernel is not None:  # the relay began anew
                self.kernel.close()
                self.kernel = None
            self.kernel = Kernel(self.port)
            return {"ready": True}
        session, kernel = order["session"], self.kernel
        if kernel is None:
            return {"session": session, "refused": "the kernel does not forward"}
        match order["order"]:
            case "offload":
                near, far = order["legs"]
                kernel.offload(session, ((near[0], near[1]), (far[0], far[1])), order["rate"])
                return {}
            case "onload":
                return {"session": session, **asdict(kernel.onload(session)), "final": True}
            case _:
                return {"session": session, **asdict(kernel.counts(session)), "final": False}


if __name__ == "__main__":
    with contextlib.suppress(ConnectionError):  # the relay has gone, and with it whoever would be answered
        Deputy(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])).run()
