"""Core while it runs: the one hop of the internet, which tracks nothing, and the orders that it takes.

Belongs here: the order of its start, and handing orders on. Never: how a packet is delayed.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lab import nat
from lab.boot import attach, memory, rules
from lab.boot.shaping import Shaping
from lab.boot.wiring import Wiring
from lab.errors import ConfigError

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

    def __init__(self, shaping: Shaping) -> None:
        self.shaping = shaping
        self.told: list[Order] = []

    @classmethod
    def begin(cls, wiring: Wiring, environ: Mapping[str, str]) -> "Core":
        """Track nothing, have the links, then forward. Raises ConfigError, RuntimeUnavailable, OSError."""
        known = memory.recall()
        core = cls(Shaping.told(environ, wiring.wan.index, known.get("seed")))
        rules.load(nat.untracked())
        rules.feed(["nft", "-f", "-"], NO_REDIRECTS)
        core.shaping.start()
        for order in known.get("orders", []):
            core.orders[order["order"]](order)
        core._remember()
        attach.forward(wiring)
        return core

    @property
    def orders(self) -> Mapping[str, Callable[[Order], Order]]:
        return {
            "status": lambda order: self.status(),
            "link": self._link,
            "address": self._address,
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

    def _link(self, order: Order) -> Order:
        """{"site", "direction", "toward", "changes": {axis: value}, "addresses": {site: [...]}, "dry"}: a link's
        figures, or if they would do. A site whose addresses are told needs no link in the file."""
        changes = order.get("changes")
        if not isinstance(changes, dict) or not changes:
            raise ConfigError(f"expected changes of a link by the names of their axes, got {changes!r}")
        site, direction, toward = str(order.get("site")), str(order.get("direction", "both")), order.get("toward")
        told = {str(name): str(value) for name, value in changes.items()}
        dry, addresses = bool(order.get("dry")), order.get("addresses") or {}
        link = self.shaping.set_link(site, direction, told, toward, addresses=addresses, dry=dry)
        if not dry:
            self._keep(order)
        ways = {way: link[way] for way in ("up", "down")}
        ways |= {f"toward {other}": text for other, text in link["toward"].items()}
        return {"ways": ways}

    def _address(self, order: Order) -> Order:
        """{"site", "old", "new"}: the site's router has another address on the internet."""
        site, old, new = (str(order.get(key)) for key in ("site", "old", "new"))
        if site not in self.shaping.sites:
            return {}  # what has no link has no address that would be looked for
        held = self.shaping.addresses(site)
        if old not in held:
            raise ConfigError(f"{site}'s router does not have {old}, but {', '.join(held)}")
        self.shaping.set_address(site, [new if address == old else address for address in held])
        self._keep(order)
        return {}

    def _keep(self, order: Order) -> None:
        """Orders hold over a restart: carried out again, in their order, upon what the file says."""
        self.told.append({key: value for key, value in order.items() if key != "id"})
        self._remember()

    def _remember(self) -> None:
        """The seed as well: what is left to chance goes on as it began, also where that was drawn."""
        memory.remember({"seed": self.shaping.seed, "orders": self.told})

    def _restore(self, order: Order) -> Order:
        changed = self.shaping.changed
        self.shaping.restore()
        self.told.clear()
        self._remember()
        return {"changed": changed}
