"""What core and the routers are after start-up: rules in the kernel, a first process, a control socket.

Belongs here: the order of their start, and answering orders. Never: what the rules are (lab.nat).
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lab import nat
from lab.boot import attach, rules
from lab.boot.wiring import Wiring
from lab.errors import ConfigError

SOCKET = Path("/run/lab/control.sock")
_LABELS = ("lab.site", "lab.profile", "lab.firewall")


def run(role: str, wiring: Wiring, environ: Mapping[str, str], ready: Callable[[], None]) -> None:
    """Load a router's rules, forward, say ready, serve orders until SIGTERM."""
    state = {"state": "ready"}
    if role == "router":
        site, profile, firewall = (told(environ, label) for label in _LABELS)
        rules.load(_rules(profile, firewall, wiring))
        rules.forget()
        state |= {"site": site, "profile": profile, "firewall": firewall}
    else:
        rules.load(nat.untracked())
    attach.forward(wiring)
    asyncio.run(_serve(_listen(), state, ready))


def told(environ: Mapping[str, str], label: str) -> str:
    """What the compose file tells this router of itself. Raises ConfigError."""
    if label not in environ:
        raise ConfigError(f"expected {label} in the environment, got none")
    return environ[label]


def _rules(profile: str, firewall: str, wiring: Wiring) -> nat.RuleSet:
    wan, lan = wiring.wan, wiring.lan
    assert lan is not None, "a router's wiring has a LAN side"
    sides = nat.Wiring(wan=wan.name, lan=lan.name, wan_address=wan.address, lan_address=lan.address)
    return nat.render(nat.profile(profile), nat.firewall(firewall), sides)


def _listen() -> socket.socket:
    """The control socket, open to every user of this container: orders come from inside it alone."""
    SOCKET.parent.mkdir(exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(SOCKET))
    SOCKET.chmod(0o666)
    return listener


async def _serve(listener: socket.socket, state: dict[str, Any], ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGCHLD, _reap)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for line in reader:
                writer.write(json.dumps(answer(line, state)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line without end
            pass
        finally:
            writer.close()

    await asyncio.start_unix_server(talk, sock=listener)
    ready()
    await stop.wait()


def answer(line: bytes, state: dict[str, Any]) -> dict[str, Any]:
    """The reply to one line of the control socket; never raises."""
    try:
        order = json.loads(line)
    except ValueError:
        return {"ok": False, "error": "expected one JSON object a line"}
    if not isinstance(order, dict):
        return {"ok": False, "error": "expected one JSON object a line"}
    reference = {"id": order["id"]} if "id" in order else {}
    if order.get("order") != "status":
        return {**reference, "ok": False, "error": f"unknown order {order.get('order')!r}; known: status"}
    return {**reference, "ok": True, **state}


def _reap() -> None:
    """The first process of a container inherits what a broken `docker exec` leaves behind."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
