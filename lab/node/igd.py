"""Ports that the site's router is asked for by UPnP IGD.

Belongs here: the library's errors, and addresses as the machine knows them. Never: when a port is asked for.
"""

import contextlib
import os
from collections.abc import Iterator

import miniupnpc

from lab.node.gateways import Given, NoGateway

LISTEN_MS = 1000
"""Milliseconds in which routers answer to the multicast question who they are."""
DESCRIPTION = "voice"
"""What the router's own list of mappings says of them."""


class Igd:
    """The router, once found. Every method waits for it."""

    def __init__(self) -> None:
        self._found: miniupnpc.UPnP | None = None

    def find(self) -> None:
        """Looks for it anew: the host may stand elsewhere. Raises NoGateway."""
        self._found = None
        asked = miniupnpc.UPnP()
        asked.discoverdelay = LISTEN_MS
        try:
            with _without_stderr():
                asked.discover()
            asked.selectigd()
        except Exception:  # it heard nobody, or nobody that can be asked: its words are then of no help
            raise NoGateway("no router gives ports when asked by UPnP") from None
        self._found = asked

    def map(self, port: int, lifetime: int) -> Given:
        """An outer address that leads to a UDP port of this host, on the same port if it is free. Raises NoGateway."""
        router = self._found
        if router is None:
            raise NoGateway("no router was found by UPnP")
        wanted = (port, "UDP", router.lanaddr, port, DESCRIPTION, "", lifetime)
        try:
            try:
                router.addportmapping(*wanted)
                outer = port
            except Exception:  # taken by somebody else: version 2 of the protocol gives another
                outer = int(router.addanyportmapping(*wanted))
            return Given((str(router.externalipaddress()), outer), lifetime)
        except Exception as error:
            raise NoGateway(f"the router gives no port: {error}", heard=True) from None

    def unmap(self, port: int, outer: int) -> None:
        """Give a port back; a router that is gone keeps it until its time is over."""
        if self._found is not None:
            with contextlib.suppress(Exception):  # the library raises nothing narrower
                self._found.deleteportmapping(outer, "UDP")


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
