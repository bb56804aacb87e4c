"""The site's router in whichever protocol it gives ports: all are asked at once, and the first that grants is kept to.

Belongs here: choosing among them. Never: a protocol; each has a file of its own.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol as Shape

from lab.errors import LabError
from lab.wire.addresses import Address


class NoGateway(LabError):
    """No router offers it, or one refuses; in its own words. `heard`: there is one that has answered."""

    def __init__(self, reason: str, heard: bool = False) -> None:
        super().__init__(reason)
        self.heard = heard


@dataclass(frozen=True, slots=True)
class Given:
    """An outer address that leads to a port of this host for so many seconds."""

    outer: Address
    lifetime: int


class Protocol(Shape):
    """One way to ask. Every method waits for the router, and what cannot be had raises NoGateway."""

    def find(self) -> None:
        """Looks for a router to ask, and asks for nothing."""

    def map(self, port: int, lifetime: int) -> Given:
        """An outer address that leads to a UDP port of this host, on the same port if it is free there."""

    def unmap(self, port: int, outer: int) -> None:
        """Gives an outer port back; a router that is gone keeps it until its time is over. Raises nothing."""


class Gateways:
    """The router of the site that the host stands in. One thread at a time asks."""

    def __init__(self, protocols: Sequence[Protocol]) -> None:
        self._protocols = protocols
        self._giving: Protocol | None = None

    def map(self, port: int, lifetime: int) -> Given:
        """As in Protocol. A router that was known and grants no more is looked for anew, in every protocol."""
        if self._giving is not None:
            try:
                return self._giving.map(port, lifetime)
            except NoGateway:
                self._giving = None
        race = _Race(port, lifetime)
        for protocol in self._protocols:
            threading.Thread(target=race.run, args=(protocol,), name="asking-for-a-port", daemon=True).start()
        refusals = []
        for _ in self._protocols:
            protocol, said = race.said.get()
            if isinstance(said, Given):
                self._giving = protocol
                return said
            refusals.append(said)
        raise next((each for each in refusals if each.heard), NoGateway("no router gives ports when asked"))

    def unmap(self, port: int, outer: int) -> None:
        """As in Protocol."""
        if self._giving is not None:
            self._giving.unmap(port, outer)


class _Race:
    """One question in several protocols at once."""

    def __init__(self, port: int, lifetime: int) -> None:
        self.port, self.lifetime = port, lifetime
        self.said: SimpleQueue[tuple[Protocol, Given | NoGateway]] = SimpleQueue()
        self._first = threading.Lock()
        self._won: Given | None = None

    def run(self, protocol: Protocol) -> None:
        try:
            protocol.find()
            if self._won is not None:
                return
            given = protocol.map(self.port, self.lifetime)
        except NoGateway as error:
            self.said.put((protocol, error))
            return
        with self._first:
            won, self._won = self._won, self._won or given
        if won is None:
            self.said.put((protocol, given))
        elif won.outer != given.outer:  # the same one twice is one mapping of the router's
            protocol.unmap(self.port, given.outer[1])
