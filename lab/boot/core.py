"""Core while it runs: the one hop of the internet, which tracks nothing, and the orders that it takes.

Belongs here: the order of its start, and handing orders on. Never: how a packet is delayed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lab import nat
from lab.boot import attach, counters, memory, rules
from lab.boot.linking import Linking
from lab.boot.shaping import Shaping
from lab.boot.wiring import Wiring

Order = dict[str, Any]
NO_REDIRECTS = """
table ip6 redirects {
  chain output {
    type filter hook output priority filter
    icmpv6 type nd-redirect drop
  }
}
"""
"""Neighbours on the internet talk through core; IPv6 has no setting that keeps it from showing them a shorter way."""


class Core:
    """Core, forwarding from when `begin` has returned."""

    def __init__(self, wiring: Wiring, shaping: Shaping) -> None:
        self.wiring, self.shaping = wiring, shaping
        self.links = Linking(shaping, self._remember)

    @classmethod
    def begin(cls, wiring: Wiring, environ: Mapping[str, str]) -> "Core":
        """Track nothing, have the links, then forward. Raises ConfigError, RuntimeUnavailable, OSError."""
        known = memory.recall()
        core = cls(wiring, Shaping.of_core(environ, wiring.wan.index, known.get("seed")))
        rules.load(nat.untracked())
        rules.feed(["nft", "-f", "-"], NO_REDIRECTS)
        core.shaping.start()
        core.links.replay(known.get("orders", []))
        core._remember()
        attach.forward(wiring)
        return core

    @property
    def orders(self) -> Mapping[str, Callable[[Order], Order]]:
        return {
            "status": lambda order: self.status(),
            "metrics": lambda order: {"text": counters.of_core(self.wiring, self.shaping.status())},
            "link": self.links.link,
            "address": self.links.address,
            "restore": self._restore,
        }

    def ended(self, child: int) -> None:
        """Children are those of orders."""

    def stop(self) -> None:
        """Let the links go; routes and rules end with the container's network."""
        self.shaping.stop()

    def status(self) -> Order:
        """What is true now."""
        return {"state": "ready", "shaping": self.shaping.status()}

    def _remember(self) -> None:
        memory.remember(self.links.kept)

    def _restore(self, order: Order) -> Order:
        return {"changed": self.links.restore()}
