"""Orders about links, at whichever hop a link ends: carried out, and carried out again after a restart.

Belongs here: what an order says, and which are kept. Never: how a packet is held back (shaping.py and below).
"""

from collections.abc import Callable, Iterable
from typing import Any

from lab.boot.readdress import newcomer
from lab.boot.shaping import Shaping
from lab.errors import ConfigError

Order = dict[str, Any]


class Linking:
    """The links of one hop. `remember` is called when what `kept` gives has changed."""

    def __init__(self, shaping: Shaping, remember: Callable[[], None]) -> None:
        self.shaping, self._remember = shaping, remember
        self._told: list[Order] = []

    def replay(self, orders: Iterable[Order]) -> None:
        """Carry out what was kept, in its order, upon what the file says. Raises ConfigError, RuntimeUnavailable."""
        kept = list(orders)
        for order in kept:
            {"link": self._link, "address": self._address}[order["order"]](order)
        self._told = kept

    @property
    def kept(self) -> dict[str, Any]:
        """{"seed", "orders", "mtus"}. The seed as well: luck goes on as it began, also where it was drawn. The MTUs for
        whoever sets this hop's routes anew (cable.py)."""
        return {"seed": self.shaping.seed, "orders": self._told, "mtus": self.shaping.mtus}

    def link(self, order: Order) -> Order:
        """{"site", "direction", "toward", "changes": {axis: value}, "addresses": {site: [...]}, "prefixes": {site:
        [...]}, "dry"}: a link's figures, or if they would do. A site whose addresses are told, and the prefixes behind
        it, needs no link in the file. Answers {"ways"}, and "seed" where this hop's luck begins with it.

        Raises ConfigError, RuntimeUnavailable."""
        said = self._link(order)
        if not order.get("dry"):
            self._keep(order)
        return said

    def address(self, order: Order) -> Order:
        """{"site", "old", "new"}: the site's router has another address on this side. Raises ConfigError."""
        if self._address(order):
            self._keep(order)
        newcomer(str(order.get("new")))
        return {}

    def _link(self, order: Order) -> Order:
        changes = order.get("changes")
        if not isinstance(changes, dict) or not changes:
            raise ConfigError(f"expected changes of a link by the names of their axes, got {changes!r}")
        site, direction, toward = str(order.get("site")), str(order.get("direction", "both")), order.get("toward")
        told = {str(name): str(value) for name, value in changes.items()}
        dry, addresses = bool(order.get("dry")), order.get("addresses") or {}
        known = {"addresses": addresses, "prefixes": order.get("prefixes") or {}}
        begins = not dry and not self.shaping.started
        link = self.shaping.set_link(site, direction, told, toward, **known, dry=dry)
        ways = {way: link[way] for way in ("up", "down")}
        ways |= {f"toward {other}": text for other, text in link["toward"].items()}
        return {"ways": ways, **({"seed": self.shaping.seed} if begins else {})}

    def _address(self, order: Order) -> bool:
        site, old, new = (str(order.get(key)) for key in ("site", "old", "new"))
        if site not in self.shaping.sites:
            return False  # what has no link has no address that would be looked for
        held = self.shaping.addresses(site)
        if old not in held:
            raise ConfigError(f"{site}'s router does not have {old}, but {', '.join(held)}")
        self.shaping.set_address(site, [new if address == old else address for address in held])
        return True

    def restore(self) -> bool:
        """Have the links that the file says; whether any were others."""
        changed = self.shaping.changed
        self.shaping.restore()
        self._told.clear()
        self._remember()
        return changed

    def _keep(self, order: Order) -> None:
        self._told.append({key: value for key, value in order.items() if key != "id"})
        self._remember()
