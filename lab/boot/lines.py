"""The access links of sites behind a carrier, as the two routers at their ends have them.

What goes up is held back at the carrier's router as it comes in from the site, what comes down at the site's own as it
comes in from the carrier: each before connection tracking, which would take two packets that wait for two first ones.
Belongs here: which end sees to what. Never: what a link does (lab.links), whose packets are whose (shaping.py).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_network

from lab.boot.emulating import MODULES, Emulating
from lab.boot.shaping import Shaping, drawn, say
from lab.boot.wiring import Wiring
from lab.links import Entry, Link, entries
from lab.links.emulator import Network
from lab.links.notation import Address

MEND = (
    f"a carrier's lines need one, for netem serves at core alone: modprobe {MODULES} on the machine of the engine, or "
    "leave LAB_LINKS away at carriers and behind them"
)


class Lines(Shaping):
    """Links that end at one router: the site's own, or those of a carrier's sites. Without any, nothing is started."""

    def __init__(
        self,
        wiring: Wiring,
        environ: Mapping[str, str],
        kept: int | None,
        before: Callable[[], Iterable[str]],
        held: Callable[[], Iterable[Address]],
    ) -> None:
        """`before`: the router's own rules of table raw. `held`: its addresses on the WAN. Raises ConfigError."""
        assert wiring.lan is not None, "a router's wiring has a LAN side"
        wan, lan = wiring.wan, wiring.lan
        self._site, self._held = environ["lab.site"], held
        # Of sites behind it a router holds back what comes from the LAN, of its own what comes from the WAN.
        watched = wan.name if "LAB_UPSTREAM" in environ else lan.name
        super().__init__(
            entries(environ.get("LAB_LINKS", "")),
            drawn(environ, kept),
            lambda seed: Emulating(seed, say, MEND, first=lambda: (*before(), f"! -i {watched} -j ACCEPT")),
            lan.index,
            part=self._end,
        )

    def _end(self, entry: Entry) -> Entry:
        """What of a link this router sees to."""
        if entry.site == self._site:
            return replace(entry, link=Link(down=entry.link.down))
        return replace(entry, link=Link(up=entry.link.up, toward=entry.link.toward))

    def _networks_of(self, entry: Entry) -> tuple[Network, ...]:
        """Its own are those that it has now; behind a carrier every site is translated to them."""
        if entry.site == self._site:
            return tuple(ip_network(address) for address in self._held())
        return super()._networks_of(entry)

    def _begins_here(self, entry: Entry) -> bool:
        return entry.site != self._site
