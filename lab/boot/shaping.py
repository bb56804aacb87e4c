"""The access links of sites at the hop where they end: what the file says at start, what orders change afterwards.

Core is that hop for the sites on the internet; those behind a carrier have theirs between its router and their own.
Belongs here: which links there are and whose addresses are whose. Never: how a packet is held back.
"""

import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from random import randrange
from types import MappingProxyType
from typing import Any

from pyroute2 import IPRoute

from lab.boot import mtu
from lab.boot.emulating import MODULES, Emulating
from lab.boot.netem import Netem
from lab.errors import ConfigError, RuntimeUnavailable
from lab.internet import Route, Route6, routes, routes6
from lab.links import Entry, Link, changed, entries
from lab.links.axes import FULL_MTU, SMALLEST_MTU_IPV6
from lab.links.emulator import Network
from lab.links.notation import SEED, Address, has_ipv6, read_seed, told

NOBODY: Mapping[str, Iterable[str]] = MappingProxyType({})
MEND = f"it has no netem either: modprobe sch_netem ifb, or {MODULES}, on the machine of the engine, and `lab up` again"
Means = Callable[[int], "Emulating | Netem"]
"""What holds packets back, from the seed of its luck. Raises RuntimeUnavailable."""


class Shaping:
    """Links of sites at one hop. Every change returns when it is in effect, or raises and changes nothing."""

    def __init__(
        self,
        links: Iterable[Entry],
        seed: int,
        means: Means,
        interface: int,
        routes: Iterable[Route | Route6] = (),
        part: Callable[[Entry], Entry] = lambda entry: entry,
    ) -> None:
        """`interface`: index of that towards the sites. `routes`: what this hop routes to the sites' routers. `part`:
        what of an entry this hop sees to, where another does the rest; the MTU of the way down is for who has that."""
        self._entries = {entry.site: entry for entry in links}
        self._file = dict(self._entries)
        self.seed, self._means, self._interface, self._routes = seed, means, interface, tuple(routes)
        self._part = part
        # A prefix stays its site's, also when the router that it is routed to gets another address.
        self._prefixes = {site: self._routed_to(entry) for site, entry in self._entries.items()}
        self._by: Emulating | Netem | None = None

    @classmethod
    def of_core(cls, environ: Mapping[str, str], interface: int, kept: int | None = None) -> "Shaping":
        """What the compose file says in LAB_LINKS, with the luck of LAB_SEED, else of `kept`, else of a drawn number.

        Raises ConfigError.
        """
        text = environ.get("LAB_ROUTES", "")
        return cls(
            entries(environ.get("LAB_LINKS", "")),
            drawn(environ, kept),
            lambda seed: _means(seed, interface),
            interface,
            (*routes(text), *routes6(text)),
        )

    def start(self) -> None:
        """Have the links that the file says. Raises RuntimeUnavailable where the kernel cannot."""
        self._started.apply(self._links(), self._networks())
        for entry in self._entries.values():
            if entry.link.down.refused_above != FULL_MTU and self._begins_here(entry):
                self._set_mtu(entry)

    def again(self) -> None:
        """Have the same links after everything around them has been put in place anew. Raises RuntimeUnavailable."""
        if self._by is not None:
            self._by.apply(self._links(), self._networks(), anew=True)

    def set_link(
        self,
        site: str,
        direction: str,
        changes: Mapping[str, str],
        toward: str | None = None,
        *,
        addresses: Mapping[str, Iterable[str]] = NOBODY,
        prefixes: Mapping[str, Iterable[str]] = NOBODY,
        dry: bool = False,
    ) -> dict[str, Any]:
        """Change figures of one site's link: `direction` is up, down, both, or toward with the other site's name.

        `changes` are axes and values as LAB_LINKS writes them; `dry` only says whether they make sense. `addresses` of
        sites' routers on the internet: one without a link in LAB_LINKS has, from now on, one that did nothing so far;
        `prefixes`: networks behind it that are not translated, where this hop has no route that says so.
        Returns the link as `link` does. Raises ConfigError.
        """
        known = {**self._entries, **self._met(addresses)}
        entry = _entry(site, known)
        if toward is not None and (toward == site or toward not in known):
            others = ", ".join(other for other in known if other != site)
            raise ConfigError(f"unknown site {toward!r} to impair {site} toward; allowed: {others}")
        link = changed(entry.link, direction, changes, toward, ipv6=has_ipv6(entry.addresses))
        if not dry:
            for one in prefixes.keys() - self._entries.keys():
                self._prefixes[one] = tuple(ip_network(text) for text in prefixes[one])
            new = {one: known[one] for one in (site, toward) if one is not None}
            self._become({**self._entries, **new, site: replace(entry, link=link)})
        return told(entry.link if dry else link)

    def set_address(self, site: str, addresses: Iterable[str]) -> None:
        """The site's router has these addresses on the internet now. Raises ConfigError."""
        entry = _entry(site, self._entries)
        outer = _read(site, addresses)
        self._free(site, outer)
        if has_ipv6(outer):
            entry.link.check_mtu(SMALLEST_MTU_IPV6)
        self._become({**self._entries, site: replace(entry, addresses=outer)})

    def status(self) -> dict[str, Any]:
        """What is true now: {"by", "seed", "links": {site: {"up", "down", "toward"}}, ...}."""
        links = {site: self.link(site) for site in self._entries}
        by = self._started
        return {"by": by.by, "seed": self.seed, "links": links, **by.status()}

    @property
    def started(self) -> bool:
        """Whether anything holds packets back, be it for no time."""
        return self._by is not None

    def link(self, site: str) -> dict[str, Any]:
        """One site's link now: {"up", "down", "toward": {other site: ...}}. Raises ConfigError."""
        return told(_entry(site, self._entries).link)

    @property
    def sites(self) -> tuple[str, ...]:
        """Those that have a link."""
        return tuple(self._entries)

    @property
    def mtus(self) -> dict[str, int]:
        """Network -> the longest packet of this hop's routes there, where that is not the full one."""
        shorter = [one for one in self._entries.values() if one.link.down.refused_above != FULL_MTU]
        return {
            str(network): entry.link.down.refused_above
            for entry in shorter
            if self._begins_here(entry)
            for network in self._networks_of(entry)
        }

    def addresses(self, site: str) -> list[str]:
        """The addresses that the site's router has on the internet. Raises ConfigError."""
        return [str(address) for address in _entry(site, self._entries).addresses]

    @property
    def changed(self) -> bool:
        """Whether anything is not as it was at the start."""
        return self._entries != self._file

    def restore(self) -> None:
        """Have the links that the file says, as at the start."""
        if self.changed:
            self._become(dict(self._file))

    def stop(self) -> None:
        """Let go."""
        if self._by:
            self._by.stop()

    @property
    def _started(self) -> "Emulating | Netem":
        if self._by is None:
            self._by = self._means(self.seed)
        return self._by

    def _met(self, addresses: Mapping[str, Iterable[str]]) -> dict[str, Entry]:
        """Sites that have no link so far, with one that does nothing."""
        met = {site: _read(site, held) for site, held in addresses.items() if site not in self._entries}
        for site, outer in met.items():
            self._free(site, outer)
        return {site: Entry(site, outer, Link()) for site, outer in met.items()}

    def _free(self, site: str, outer: tuple[Address, ...]) -> None:
        for other in self._entries.values():
            if other.site != site and (shared := set(outer) & set(other.addresses)):
                raise ConfigError(f"{min(map(str, shared))} is {other.site}'s; {site} needs an address of its own")

    def _routed_to(self, entry: Entry) -> tuple[Network, ...]:
        return tuple(route.prefix for route in self._routes if route.via in entry.addresses)

    def _become(self, wanted: dict[str, Entry]) -> None:
        """Have these links; where the kernel refuses, those of before stay."""
        begun = self._by is None
        before, self._entries = self._entries, wanted
        for site in wanted.keys() - self._prefixes.keys():
            self._prefixes[site] = self._routed_to(wanted[site])
        try:
            self._started.apply(self._links(), self._networks())
        except RuntimeUnavailable:
            self._entries = before
            if begun:  # nothing holds packets back, and what could not says nothing of itself either
                self.stop()
                self._by = None
            raise
        for site, entry in (before | wanted).items():
            self._follow(before.get(site), wanted.get(site) or replace(entry, link=Link()))

    def _begins_here(self, entry: Entry) -> bool:
        """Whether this hop has the routes of the way down."""
        return True

    def _follow(self, before: Entry | None, entry: Entry) -> None:
        """Let the routes to a site have the MTU of a link that has changed. None: it did nothing so far."""
        if not self._begins_here(entry):
            return
        before = before or replace(entry, link=Link())
        was, now = before.link.down.refused_above, entry.link.down.refused_above
        if before.addresses != entry.addresses and was != FULL_MTU:
            mtu.set_down(self._interface, map(ip_network, before.addresses), FULL_MTU)
        if (before.addresses, was) != (entry.addresses, now):
            self._set_mtu(entry)

    def _set_mtu(self, entry: Entry) -> None:
        mtu.set_down(self._interface, self._networks_of(entry), entry.link.down.refused_above)

    def _links(self) -> tuple[Entry, ...]:
        return tuple(self._part(entry) for entry in self._entries.values())

    def _networks(self) -> dict[str, tuple[Network, ...]]:
        return {site: self._networks_of(entry) for site, entry in self._entries.items()}

    def _networks_of(self, entry: Entry) -> tuple[Network, ...]:
        return (*(ip_network(address) for address in entry.addresses), *self._prefixes[entry.site])


def drawn(environ: Mapping[str, str], kept: int | None) -> int:
    """The number that all begins with which a link leaves to chance. Raises ConfigError."""
    wanted = read_seed(environ.get(SEED, ""))
    return next((one for one in (wanted, kept) if one is not None), randrange(2**32))


def _entry(site: str, known: Mapping[str, Entry]) -> Entry:
    if site not in known:
        linked = ", ".join(known) or "none"
        raise ConfigError(f"{site!r} has no link in LAB_LINKS of this environment; those that have one: {linked}")
    return known[site]


def _read(site: str, addresses: Iterable[str]) -> tuple[Address, ...]:
    try:
        return tuple(ip_address(text) for text in addresses)
    except ValueError as error:
        raise ConfigError(f"expected addresses of {site}'s router, got {error}") from error


def _means(seed: int, interface: int) -> Emulating | Netem:
    """netem where the kernel has it, tried and not guessed; else the netfilter queue."""
    try:
        return Netem(seed, interface)
    except RuntimeUnavailable:
        return Emulating(seed, say, MEND, own=_addresses(interface))


def _addresses(interface: int) -> list[Address]:
    with IPRoute() as kernel:
        return [ip_address(message.get("address")) for message in kernel.get_addr(index=interface)]


def say(event: str, **more: object) -> None:
    print(json.dumps({"at": time.time(), "node": socket.gethostname(), "event": event, **more}), flush=True)
