"""A router while it runs: the settings that are in force, and the orders that change them.

Belongs here: which settings there are, and putting them into the kernel in an order that lets nothing out untranslated.
Never: what the rules are (lab.nat).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv6Address
from typing import Any

from lab import nat
from lab.boot import attach, cable, counters, mappings, memory, mtu, rules
from lab.boot.lines import Lines
from lab.boot.linking import Linking
from lab.boot.portmapping import PortMapping
from lab.boot.readdress import readdress
from lab.boot.wiring import Interface, Wiring, outer
from lab.boot.wiring6 import alone
from lab.errors import ConfigError
from lab.internet import prefix6
from lab.links.axes import FULL_MTU

Order = dict[str, Any]
CHANGEABLE = ("profile", "firewall", "axes", "profile6", "portmap")


@dataclass(frozen=True)
class Settings:
    """What a router is told of itself, by the compose file and by later orders. `outer` None: the file's address."""

    site: str
    profile: str
    firewall: str
    axes: str = ""
    profile6: str = "open"
    portmap: str = "off"
    outer: str | None = None
    mtu: int = FULL_MTU

    @classmethod
    def told(cls, environ: Mapping[str, str]) -> "Settings":
        """Those of the compose file. Raises ConfigError."""
        site, profile, firewall = (_told(environ, label) for label in ("lab.site", "lab.profile", "lab.firewall"))
        profile6, portmap = environ.get("lab.profile6", cls.profile6), environ.get("lab.portmap", cls.portmap)
        return cls(site, profile, firewall, environ.get("lab.axes", ""), profile6, portmap)


def _told(environ: Mapping[str, str], label: str) -> str:
    if label not in environ:
        raise ConfigError(f"expected {label} in the environment, got none")
    return environ[label]


class Router:
    """One router: `settings` are in force from when `begin` or an order has returned."""

    def __init__(self, wiring: Wiring, environ: Mapping[str, str]) -> None:
        self.wiring, self.environ = wiring, environ
        self.file = self.settings = Settings.told(environ)
        self.file_address = wiring.wan.address.ip
        self.port_mapping = PortMapping()
        self._before_tracking: tuple[str, ...] = ()
        self._between = False
        """Whether the kernel refused half way what was asked last: nothing passes, and what was before is gone."""
        kept = memory.recall().get("links", {})
        self._kept_orders = kept.get("orders", [])
        lines = Lines(wiring, environ, kept.get("seed"), lambda: self._before_tracking, self._held)
        self.links = Linking(lines, self._remember)

    @classmethod
    def begin(cls, wiring: Wiring, environ: Mapping[str, str]) -> "Router":
        """Load the rules of what was told last, then forward. Raises ConfigError, RuntimeUnavailable, OSError."""
        router = cls(wiring, environ)
        known = {key: value for key, value in memory.recall().items() if hasattr(router.file, key)}
        router.settings = replace(router.file, **known)
        router._have_links()
        router._apply(router.settings)
        router._remember()
        return router

    @property
    def orders(self) -> Mapping[str, Callable[[Order], Order]]:
        return {
            "status": lambda order: self.status(),
            "mappings": lambda order: mappings.read(_sides(self.wiring, self.environ)),
            "tally": mappings.tally,
            "dropped": lambda order: {"rules": rules.dropped()},
            "metrics": lambda order: {"text": self._metrics()},
            "set": self._set,
            "forget": self._forget,
            "renew": self._renew,
            "mtu": self._mtu,
            "link": self.links.link,
            "address": self.links.address,
            "restore": self._restore,
        }

    def ended(self, child: int) -> None:
        """Raises RuntimeUnavailable where the daemon has ended that the site needs; others are those of orders."""
        self.port_mapping.ended(child)

    def stop(self) -> None:
        """End what was started; the rules end with the container's network."""
        self.port_mapping.stop()
        self.links.shaping.stop()

    def status(self) -> Order:
        """What is in force now."""
        now, sides, lines = self.settings, _sides(self.wiring, self.environ), self.links.shaping
        return {
            "state": "ready",
            "site": now.site,
            "profile": now.profile,
            "axes": now.axes,
            "profile6": now.profile6 if sides.lan6 else None,
            "firewall": now.firewall,
            "portmap": now.portmap,
            "mtu": now.mtu,
            "outer": [str(address) for address in sides.outer_addresses],
            "outer6": str(sides.outer6) if sides.outer6 else None,
            "lan": str(sides.inside) if sides.inside else None,
            "lan6": str(sides.lan6.network) if sides.lan6 else None,
            "shaping": lines.status() if lines.started else None,
            "changed": now != self._by_the_file or lines.changed or self._between,
            "unplugged": cable.unplugged(),
        }

    def _metrics(self) -> str:
        numbers, lines = mappings.numbers(_sides(self.wiring, self.environ)), self.links.shaping
        return counters.of_router(self.wiring, rules.dropped(), numbers, lines.status() if lines.started else None)

    # -- orders ----------------------------------------------------------------------------------------------------

    def _set(self, order: Order) -> Order:
        changes: Any = {key: str(order[key]) for key in CHANGEABLE if order.get(key) is not None}
        self._become(replace(self.settings, **changes))
        return self.status()

    def _forget(self, order: Order) -> Order:
        self.port_mapping.stop()
        self._apply(self.settings)
        return {}

    def _renew(self, order: Order) -> Order:
        try:
            outer = IPv4Address(str(order.get("outer")))
        except AddressValueError:
            raise ConfigError(f"expected an IPv4 address to renew to, got {order.get('outer')!r}") from None
        self._become(replace(self.settings, outer=None if outer == self.file_address else str(outer)))
        return self.status()

    def _mtu(self, order: Order) -> Order:
        """{"mtu"}: the longest packet of the line to the provider, in bytes; a larger one is refused with ICMP.

        Core has that line and knows what the file says of it, so it is no change of this router's own."""
        wanted = replace(self.settings, mtu=int(order.get("mtu") or FULL_MTU))
        mtu.set_up(self.wiring.wan.index, wanted.mtu)
        self.settings = wanted
        self._remember()
        return {}

    def _restore(self, order: Order) -> Order:
        self._become(self._by_the_file)
        self.links.restore()
        return self.status()

    # -- inside ----------------------------------------------------------------------------------------------------

    @property
    def _by_the_file(self) -> Settings:
        """What the compose file says of this router, on the line that it has now."""
        return replace(self.file, mtu=self.settings.mtu)

    def _have_links(self) -> None:
        """Those of the file, then what orders have made of them. An own line's MTU is that of the router's way out."""
        lines = self.links.shaping
        if lines.sites:
            lines.start()
        self.links.replay(self._kept_orders)

    def _held(self) -> tuple[IPv4Address | IPv6Address, ...]:
        """Its addresses on the WAN now."""
        wan, wan6 = self.wiring.wan, self.wiring.wan6
        return (wan.address.ip, *outer(self.environ), *([wan6.ip] if wan6 else []))

    def _remember(self) -> None:
        memory.remember({**asdict(self.settings), "links": self.links.kept})

    def _become(self, wanted: Settings) -> None:
        if wanted != self.settings or self._between:
            self._apply(wanted)
            self._remember()

    def _apply(self, wanted: Settings) -> None:
        """Rules are rendered, and so refused, before anything changes. No packet passes while the kernel is between
        two states, and nothing that it remembers survives: a flow of before would go on as it was translated then.
        Ports that hosts have asked for stay theirs, as long as the outer address does."""
        address = IPv4Address(wanted.outer) if wanted.outer else self.file_address
        plan = replace(self.wiring, wan=_at(self.wiring.wan, address))
        profile = nat.profile(wanted.profile, wanted.axes, wanted.profile6, wanted.portmap)
        firewall, sides = nat.firewall(wanted.firewall), _sides(plan, self.environ)
        nat.fits(profile, firewall, sides.site)
        rendered = nat.render(profile, firewall, sides)
        self._between = True
        attach.hold(self.wiring)
        if address != self.wiring.wan.address.ip:
            self.port_mapping.stop()
            readdress(self.wiring.wan, address)
            plan = attach.attach("router", self.environ)
        self.wiring, self._before_tracking = plan, nat.before_tracking(profile, sides)
        rules.load(rendered)
        self.links.shaping.again()
        rules.forget()
        mtu.set_up(plan.wan.index, wanted.mtu)
        if profile.port_mapping != self.port_mapping.offers:
            self.port_mapping.stop()
        self.settings = wanted
        attach.forward(plan)
        self._between = False
        if profile.port_mapping and not self.port_mapping.running:
            self.port_mapping.start(_sides(plan, self.environ), wanted.site, profile.port_mapping)


def _at(wan: Interface, address: IPv4Address) -> Interface:
    return replace(wan, address=IPv4Interface(f"{address}/{wan.address.network.prefixlen}"))


def _sides(plan: Wiring, environ: Mapping[str, str]) -> nat.Wiring:
    wan, lan = plan.wan, plan.lan
    assert lan is not None, "a router's wiring has a LAN side"
    proxy = environ.get("LAB_PROXY")
    return nat.Wiring(
        wan=wan.name,
        lan=lan.name,
        wan_address=wan.address,
        lan_address=None if alone(environ) else lan.address,
        wan6=plan.wan6,
        lan6=plan.lan6,
        outer6=prefix6(environ.get("lab.outer6", "")),
        outer=outer(environ),
        proxy=IPv4Address(proxy) if proxy else None,
    )
