"""Ports that the site's router is asked for by UPnP IGD, in a thread: miniupnpc waits for answers, calls do not.

Belongs here: the library's errors and addresses as the machine knows them. Never: when a port is asked for.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue

import miniupnpc

from lab.errors import LabError
from lab.overlay.actions import Machine, MapPort, UnmapPort
from lab.wire.addresses import Address

LISTEN_MS = 1000
"""Milliseconds in which routers answer to the multicast question who they are."""
DESCRIPTION = "voice"
"""What the router's own list of mappings says of them."""


PARTING_S = 2.0
"""Seconds for giving ports back at the end; what is not given back ends by itself."""


class NoGateway(LabError):
    """No router offers it, or it refuses; in its own words."""


class Gateway:
    """The router, once found. Every method waits for it."""

    def __init__(self) -> None:
        self._found: miniupnpc.UPnP | None = None

    def map(self, port: int, lifetime: int) -> Address:
        """An outer address that leads to a UDP port of this host, on the same port if it is free there.

        A router that was known is looked for anew where it answers no more. Raises NoGateway.
        """
        if self._found is not None:
            try:
                return self._map(self._found, port, lifetime)
            except NoGateway:
                self._found = None
        self._found = self._look()
        return self._map(self._found, port, lifetime)

    def unmap(self, outer: int) -> None:
        """Give a port back; a router that is gone keeps it until its time is over."""
        if self._found is not None:
            try:
                self._found.deleteportmapping(outer, "UDP")
            except Exception:  # the library raises nothing narrower
                self._found = None

    @staticmethod
    def _look() -> miniupnpc.UPnP:
        asked = miniupnpc.UPnP()
        asked.discoverdelay = LISTEN_MS
        try:
            with _without_stderr():
                asked.discover()
            asked.selectigd()
        except Exception:  # it heard nobody, or nobody that can be asked: its words are then of no help
            raise NoGateway("no router gives ports when asked") from None
        return asked

    @staticmethod
    def _map(router: miniupnpc.UPnP, port: int, lifetime: int) -> Address:
        wanted = (port, "UDP", router.lanaddr, port, DESCRIPTION, "", lifetime)
        try:
            try:
                router.addportmapping(*wanted)
                outer = port
            except Exception:  # taken by somebody else: version 2 of the protocol gives another
                outer = int(router.addanyportmapping(*wanted))
            return str(router.externalipaddress()), outer
        except Exception as error:
            raise NoGateway(f"the router gives no port: {error}") from None


@contextlib.contextmanager
def _without_stderr() -> Iterator[None]:
    """The library's C code prints there when a cable is pulled while it asks, and a node's log holds JSON alone."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class PortMapper:
    """Carries out a machine's orders one after the other, beside the loop; `settled` follows each answer."""

    def __init__(self, machine: Machine, settled: Callable[[], None]) -> None:
        self.machine, self.settled = machine, settled
        self.gateway = Gateway()
        self.loop = asyncio.get_running_loop()
        self.orders: SimpleQueue[MapPort | UnmapPort | None] = SimpleQueue()
        self.outer: dict[int, int] = {}
        """What is mapped now: own port to outer port."""
        self.thread = threading.Thread(target=self._work, name="port-mapping", daemon=True)
        self.thread.start()

    def do(self, action: MapPort | UnmapPort) -> None:
        self.orders.put(action)

    async def close(self) -> None:
        """Give every port back; who has none is gone at once."""
        if held := list(self.outer):
            for port in held:
                self.orders.put(UnmapPort(port))
            self.orders.put(None)
            await asyncio.to_thread(self.thread.join, PARTING_S)

    def _work(self) -> None:
        while (order := self.orders.get()) is not None:
            if isinstance(order, MapPort):
                self._map(order)
            else:
                self._unmap(order.port)

    def _map(self, wanted: MapPort) -> None:
        try:
            outer = self.gateway.map(wanted.port, wanted.lifetime)
            self.outer[wanted.port] = outer[1]
            self.loop.call_soon_threadsafe(self._tell, self.machine.port_mapped, wanted.mapping, outer, wanted.lifetime)
        except NoGateway as error:
            self.outer.pop(wanted.port, None)
            self.loop.call_soon_threadsafe(self._tell, self.machine.port_not_mapped, wanted.mapping, str(error))

    def _unmap(self, port: int) -> None:
        if (outer := self.outer.pop(port, None)) is not None:
            self.gateway.unmap(outer)

    def _tell(self, report: Callable[..., None], *told: object) -> None:
        report(*told, time.monotonic())
        self.settled()
