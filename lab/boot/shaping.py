"""The access links of all sites, as core has them: what the file says at start, what orders change afterwards.

Belongs here: which links there are and whose addresses are whose. Never: how a packet is held back.
"""

import json
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import randrange
from typing import Any

from pyroute2 import IPRoute

from lab.boot import mtu
from lab.boot.emulating import Emulating
from lab.boot.netem import Netem
from lab.errors import ConfigError, RuntimeUnavailable
from lab.internet import Route, Route6, routes, routes6
from lab.links import Entry, changed, describe, entries
from lab.links.axes import FULL_MTU, SMALLEST_MTU_IPV6
from lab.links.emulator import Network
from lab.links.notation import Address, has_ipv6


class Shaping:
    """Links of sites in core. Every change returns when it is in effect, or raises and changes nothing."""

    def __init__(
        self, links: Iterable[Entry], seed: int, interface: int, routes: Iterable[Route | Route6] = ()
    ) -> None:
        """`interface`: index of core's one interface. `routes`: what core routes to the sites' routers."""
        self._entries = {entry.site: entry for entry in links}
        self._file = dict(self._entries)
        self._seed, self._interface = seed, interface
        # A prefix stays its site's, also when the router that it is routed to gets another address.
        self._prefixes: dict[str, tuple[Network, ...]] = {
            site: tuple(route.prefix for route in routes if route.via in entry.addresses)
            for site, entry in self._entries.items()
        }
        self._by: Emulating | Netem | None = None

    @classmethod
    def told(cls, environ: Mapping[str, str], interface: int) -> "Shaping":
        """What the compose file says in LAB_LINKS, with the luck of LAB_SEED or a drawn one. Raises ConfigError."""
        seed = environ.get("LAB_SEED", "") or str(randrange(2**32))
        if not seed.isdecimal() or len(seed) > 20:
            raise ConfigError(f"expected a whole number in LAB_SEED, got {seed!r}")
        text = environ.get("LAB_ROUTES", "")
        return cls(entries(environ.get("LAB_LINKS", "")), int(seed), interface, (*routes(text), *routes6(text)))

    def start(self) -> None:
        """Have the links that the file says. Raises RuntimeUnavailable where the kernel cannot."""
        self._by = _means(self._seed, self._interface)
        self._by.apply(self._links(), self._networks())
        for entry in self._links():
            if entry.link.refused_above != FULL_MTU:
                self._set_mtu(entry)

    def set_link(
        self, site: str, direction: str, changes: Mapping[str, str], toward: str | None = None, *, dry: bool = False
    ) -> None:
        """Change figures of one site's link: `direction` is up, down, both, or toward with the other site's name.

        `changes` are axes and values as LAB_LINKS writes them; `dry` only says whether they make sense. Raises
        ConfigError.
        """
        entry = self._entry(site)
        if toward is not None and (toward == site or toward not in self._entries):
            others = ", ".join(other for other in self._entries if other != site)
            raise ConfigError(f"unknown site {toward!r} to impair {site} toward; allowed: {others}")
        link = changed(entry.link, direction, changes, toward, ipv6=has_ipv6(entry.addresses))
        if not dry:
            self._become(replace(entry, link=link))

    def set_address(self, site: str, addresses: Iterable[str]) -> None:
        """The site's router has these addresses on the internet now. Raises ConfigError."""
        entry = self._entry(site)
        try:
            outer = tuple(ip_address(text) for text in addresses)
        except ValueError as error:
            raise ConfigError(f"expected addresses of {site}'s router, got {error}") from error
        for other in self._entries.values():
            if other.site != site and (shared := set(outer) & set(other.addresses)):
                raise ConfigError(f"{min(map(str, shared))} is {other.site}'s; {site} needs an address of its own")
        if has_ipv6(outer):
            entry.link.check_mtu(SMALLEST_MTU_IPV6)
        self._become(replace(entry, addresses=outer))

    def status(self) -> dict[str, Any]:
        """What is true now: {"by", "seed", "links": {site: {"up", "down", "toward", "mtu", "blackhole"}}, ...}."""
        links = {site: self.link(site) for site in self._entries}
        by = self._started
        return {"by": by.by, "seed": self._seed, "links": links, **by.status()}

    def link(self, site: str) -> dict[str, Any]:
        """One site's link now: {"up", "down", "toward": {other site: ...}, "mtu", "blackhole"}. Raises ConfigError."""
        link = self._entry(site).link
        return {
            "up": describe(link.up),
            "down": describe(link.down),
            "toward": {other: describe(there) for other, there in link.toward.items()},
            "mtu": link.mtu,
            "blackhole": link.blackhole,
        }

    @property
    def sites(self) -> tuple[str, ...]:
        """Those that have a link."""
        return tuple(self._entries)

    def addresses(self, site: str) -> list[str]:
        """The addresses that the site's router has on the internet. Raises ConfigError."""
        return [str(address) for address in self._entry(site).addresses]

    @property
    def changed(self) -> bool:
        """Whether anything is not as it was at the start."""
        return self._entries != self._file

    def restore(self) -> None:
        """Have the links that the file says, as at the start."""
        for site, entry in self._file.items():
            if entry != self._entries[site]:
                self._become(entry)

    def stop(self) -> None:
        """Let go."""
        if self._by:
            self._by.stop()

    def _entry(self, site: str) -> Entry:
        if site not in self._entries:
            known = ", ".join(self._entries) or "none"
            raise ConfigError(f"{site!r} has no link in LAB_LINKS of core's environment; those that have one: {known}")
        return self._entries[site]

    @property
    def _started(self) -> "Emulating | Netem":
        if self._by is None:
            raise RuntimeUnavailable("core's links have not been started")
        return self._by

    def _become(self, entry: Entry) -> None:
        before, self._entries[entry.site] = self._entries[entry.site], entry
        try:
            self._started.apply(self._links(), self._networks())
        except RuntimeUnavailable:
            self._entries[entry.site] = before
            raise
        if before.addresses != entry.addresses and before.link.refused_above != FULL_MTU:
            mtu.set_down(self._interface, map(ip_network, before.addresses), FULL_MTU)
        if (before.addresses, before.link.refused_above) != (entry.addresses, entry.link.refused_above):
            self._set_mtu(entry)

    def _set_mtu(self, entry: Entry) -> None:
        mtu.set_down(self._interface, self._networks()[entry.site], entry.link.refused_above)

    def _links(self) -> tuple[Entry, ...]:
        return tuple(self._entries.values())

    def _networks(self) -> dict[str, tuple[Network, ...]]:
        return {
            site: (*(ip_network(address) for address in entry.addresses), *self._prefixes[site])
            for site, entry in self._entries.items()
        }


def _means(seed: int, interface: int) -> Emulating | Netem:
    """netem where the kernel has it, tried and not guessed; else the netfilter queue."""
    try:
        return Netem(seed, interface)
    except RuntimeUnavailable:
        return Emulating(seed, _addresses(interface), _say)


def _addresses(interface: int) -> list[Address]:
    with IPRoute() as kernel:
        return [ip_address(message.get("address")) for message in kernel.get_addr(index=interface)]


def _say(event: str, **more: object) -> None:
    print(json.dumps({"at": time.time(), "node": socket.gethostname(), "event": event, **more}), flush=True)
