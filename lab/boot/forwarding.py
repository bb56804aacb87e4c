"""What core and the routers are after start-up: rules in the kernel, a first process, a control socket.

Belongs here: the order of their start, and handing orders on. Never: what an order does (router.py, core.py).
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from pyroute2.netlink.exceptions import NetlinkError

from lab.boot.core import Core
from lab.boot.router import Router
from lab.boot.wiring import Wiring
from lab.errors import ConfigError, LabError

SOCKET = Path("/run/lab/control.sock")

Order = dict[str, Any]


class Station(Protocol):
    """What stands behind the control socket. An order's fields come in, the answer's go out; LabError is a no."""

    @property
    def orders(self) -> Mapping[str, Callable[[Order], Order]]: ...
    def ended(self, child: int) -> None: ...
    def stop(self) -> None: ...


def run(role: str, wiring: Wiring, environ: Mapping[str, str], ready: Callable[[], None]) -> None:
    """Load a router's rules or core's links, forward, say ready, serve orders until SIGTERM."""
    serve(Router.begin(wiring, environ) if role == "router" else Core.begin(wiring, environ), ready)


def serve(station: Station, ready: Callable[[], None]) -> None:
    """Take orders for a station until SIGTERM; what it raises about a child that has ended ends it too."""
    try:
        asyncio.run(_serve(_listen(), station, ready))
    finally:
        station.stop()


def _listen() -> socket.socket:
    """The control socket, open to every user of this container: orders come from inside it alone."""
    SOCKET.parent.mkdir(exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(SOCKET))
    SOCKET.chmod(0o666)
    return listener


async def _serve(listener: socket.socket, station: Station, ready: Callable[[], None]) -> None:
    """Orders are carried out in a thread (netlink brings an event loop of its own), one after the other."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    at_work = asyncio.Lock()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # while an order is carried out, children may be its own, and their exit codes mean something to it
    loop.add_signal_handler(signal.SIGCHLD, lambda: None if at_work.locked() else reap())
    trouble: list[LabError] = []

    def reap() -> None:
        try:
            for child in _reaped():
                station.ended(child)
        except LabError as error:
            trouble.append(error)
            stop.set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async for line in reader:
                async with at_work:
                    said = await asyncio.to_thread(answer, line, station.orders)
                    reap()
                writer.write(json.dumps(said).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # gone, or a line without end
            pass
        finally:
            writer.close()

    await asyncio.start_unix_server(talk, sock=listener)
    ready()
    await stop.wait()
    if trouble:
        raise trouble[0]


def answer(line: bytes, orders: Mapping[str, Callable[[Order], Order]]) -> Order:
    """The reply to one line of the control socket; never raises."""
    try:
        order = json.loads(line)
    except (ValueError, RecursionError):
        return {"ok": False, "error": "expected one JSON object a line"}
    if not isinstance(order, dict):
        return {"ok": False, "error": "expected one JSON object a line"}
    reference = {"id": order["id"]} if "id" in order else {}
    act = orders.get(str(order.get("order")))
    if act is None:
        return {
            **reference,
            "ok": False,
            "error": f"unknown order {order.get('order')!r}; known: {', '.join(orders)}",
        }
    try:
        return {**reference, "ok": True, **act(order)}
    except (LabError, OSError, NetlinkError) as error:
        return {**reference, "ok": False, "error": str(error), "refused": isinstance(error, ConfigError)}
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:  # of a field, most likely
        return {**reference, "ok": False, "error": f"{order['order']} was not carried out: {error!r}", "refused": False}


def _reaped() -> Iterator[int]:
    """The children that have ended: the first process of a container inherits what a broken `docker exec` leaves."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid
