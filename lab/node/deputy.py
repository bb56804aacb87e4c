"""The process that may change the relay's network and reads none of its packets.

`python -m lab.node.deputy FD PORT` runs with NET_ADMIN alone and obeys what comes through the socket FD, which the
relay holds the other end of: JSON, one message a datagram. The relay, which reads what strangers send, has none.
Belongs here: obeying. Never: rules (kernel.py), decisions (the relay's machine).
"""

import contextlib
import json
import re
import socket
import sys
from dataclasses import asdict
from ipaddress import ip_address
from typing import Any

from lab.errors import LabError, ProtocolError
from lab.node.kernel import Kernel

MESSAGE = 4096
"""Bytes of the longest order or answer."""
_HOST = re.compile(r"[0-9A-Za-z.:%_-]+")


def read(data: bytes) -> dict[str, Any]:
    """An order of the relay. Raises ProtocolError for what is none: its words become words of rules, and whose order it
    is reads what strangers send."""
    try:
        order = json.loads(data)
        kind = order["order"]
        fits = kind == "begin" or (kind in ("offload", "onload", "count") and _number(order["session"]))
        if kind == "offload":
            (near, far), rate = order["legs"], order["rate"]
            fits = fits and _number(rate) and _address(*near) == _address(*far) is not None
    except (KeyError, RecursionError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ProtocolError(f"an order of {len(data)} bytes is none: {data[:80]!r}")
    found: dict[str, Any] = order
    return found


def _number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _address(host: Any, port: Any) -> int | None:
    """The family of an address; None for what is none, or has no port. No zone of it ends the word of a rule."""
    if not isinstance(host, str) or not _HOST.fullmatch(host) or not _number(port) or port > 0xFFFF:
        return None
    return ip_address(host).version


class Deputy:
    """Obeys until the relay is gone; its rules go with it, and with the first word that is no order."""

    def __init__(self, channel: socket.socket, port: int) -> None:
        self.channel, self.port = channel, port
        self.kernel: Kernel | None = None

    def run(self) -> None:
        while data := self.channel.recv(MESSAGE):
            order = read(data)
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
        try:
            Deputy(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])).run()
        except ProtocolError as refusal:
            sys.exit(str(refusal))
