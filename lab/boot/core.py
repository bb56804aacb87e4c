"""Core while it runs: the one hop of the internet, which tracks nothing, and the orders that it takes.

Belongs here: the order of its start, and handing orders on. Never: how a packet is delayed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lab import nat
from lab.boot import attach, rules
from lab.boot.wiring import Wiring

Order = dict[str, Any]


class Core:
    """Core, forwarding from when `begin` has returned."""

    def __init__(self, wiring: Wiring, environ: Mapping[str, str]) -> None:
        self.wiring, self.environ = wiring, environ

    @classmethod
    def begin(cls, wiring: Wiring, environ: Mapping[str, str]) -> "Core":
        """Track nothing, then forward. Raises ConfigError, RuntimeUnavailable, OSError."""
        rules.load(nat.untracked())
        core = cls(wiring, environ)
        attach.forward(wiring)
        return core

    @property
    def orders(self) -> Mapping[str, Callable[[Order], Order]]:
        return {"status": lambda order: self.status(), "restore": self._restore}

    def ended(self, child: int) -> None:
        """Children are those of orders."""

    def stop(self) -> None:
        """Nothing is left to do: the routes end with the container's network."""

    def status(self) -> Order:
        return {"state": "ready"}

    def _restore(self, order: Order) -> Order:
        return {"changed": False}
