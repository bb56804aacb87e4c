"""Routers in memory on the axes of RFC 4787, for the fake network: mapping x filtering x allocation, and time-outs."""

from dataclasses import dataclass, field

from lab.wire.addresses import Address
from tests.unit.overlay.fakenet import FakeNet, Router

EVERY_PORT = range(1024, 65536)


@dataclass
class Nat(Router):
    """A router that translates, or with `mapping` None only filters.

    Ports are kept, counted on from the start of `drawn_from`, or drawn from it by the network's own chance; a mapping
    that nothing uses for `timeout` seconds is gone. `busy`: ports that others take beside each new mapping.
    """

    net: FakeNet | None = None
    filtering: str = "address-and-port-dependent"
    allocation: str = "preserving"
    drawn_from: range = EVERY_PORT
    timeout: float = 120.0
    busy: int = 0
    used: dict[Address, float] = field(default_factory=dict)
    mapped: dict[tuple[Address, object], Address] = field(default_factory=dict)
    inner: dict[tuple[Address, object], Address] = field(default_factory=dict)
    permitted: set[tuple[Address, object]] = field(default_factory=set)
    given: int = 0

    @property
    def now(self) -> float:
        assert self.net is not None
        return self.net.now

    def translate(self, source: Address, destination: Address) -> Address:
        key = (source, _part(self.mapping, destination))
        outer = source if self.mapping is None else self.mapped.get(key)
        if outer is None or self._expired(outer):
            if outer is not None:
                self._remove(outer)
            outer = source if self.mapping is None else (self.outer, self._next(source[1]))
        self.mapped[key], self.inner[outer, key[1]] = outer, source
        self.permitted.add((outer, _part(self.filtering, destination)))
        self.used[outer] = self.now
        return outer

    def admit(self, source: Address, destination: Address) -> Address | None:
        if self.mapping is None and self.filtering == "none":
            return destination
        if self._expired(destination) or (destination, _part(self.filtering, source)) not in self.permitted:
            return None
        self.used[destination] = self.now
        inner = [at for (outer, _), at in self.inner.items() if outer == destination]
        return inner[0] if inner else None

    def _expired(self, outer: Address) -> bool:
        return self.now - self.used.get(outer, float("-inf")) > self.timeout

    def _remove(self, outer: Address) -> None:
        self.mapped = {key: at for key, at in self.mapped.items() if at != outer}
        self.inner = {key: at for key, at in self.inner.items() if key[0] != outer}
        self.permitted = {each for each in self.permitted if each[0] != outer}

    def _next(self, own: int) -> int:
        assert self.net is not None
        if self.allocation == "preserving":
            return own
        if self.allocation == "sequential":
            self.given += 1 + self.busy
            return self.drawn_from[self.given % len(self.drawn_from)]
        while (port := self.net.rng.choice(self.drawn_from)) in {outer[1] for outer in self.used}:
            pass
        return port


def _part(behaviour: str | None, remote: Address) -> object:
    if behaviour in (None, "none", "endpoint-independent"):
        return None if behaviour != "none" else remote
    return remote[0] if behaviour == "address-dependent" else remote
