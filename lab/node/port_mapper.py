"""Ports that the site's router is asked for, in a thread: whoever asks waits for answers, calls do not.

Belongs here: a machine's orders one after the other. Never: how a router is asked (gateways.py), or when.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue

from lab.node.gateways import Gateways, NoGateway, Protocol
from lab.node.igd import Igd
from lab.node.pcp import Pcp
from lab.overlay.actions import Machine, MapPort, UnmapPort

PARTING_S = 2.0
"""Seconds for giving ports back at the end; what is not given back ends by itself."""


class PortMapper:
    """Carries out a machine's orders one after the other, beside the loop; `settled` follows each answer."""

    def __init__(
        self, machine: Machine, settled: Callable[[], None], protocols: Sequence[Protocol] | None = None
    ) -> None:
        """`protocols`: those that the router is asked in, all that there are unless told."""
        self.machine, self.settled = machine, settled
        self.gateway = Gateways((Pcp(), Igd()) if protocols is None else protocols)
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
            given = self.gateway.map(wanted.port, wanted.lifetime)
            self.outer[wanted.port] = given.outer[1]
            told = self.machine.port_mapped, wanted.mapping, given.outer, given.lifetime
            self.loop.call_soon_threadsafe(self._tell, *told)
        except NoGateway as error:
            self.outer.pop(wanted.port, None)
            self.loop.call_soon_threadsafe(self._tell, self.machine.port_not_mapped, wanted.mapping, str(error))

    def _unmap(self, port: int) -> None:
        if (outer := self.outer.pop(port, None)) is not None:
            self.gateway.unmap(port, outer)

    def _tell(self, report: Callable[..., None], *told: object) -> None:
        report(*told, time.monotonic())
        self.settled()
