"""All links at once: packets with two addresses in, and which of them go on when.

Pure: a clock in, verdicts out. Belongs here: who passes which lines, and the order of leaving. Never: netlink.
"""

from collections.abc import Iterable, Mapping
from heapq import heapify, heappop, heappush
from ipaddress import IPv4Network, IPv6Network, ip_address
from itertools import count
from random import Random

from lab.links.axes import CLEAN, FULL_MTU, Impairment
from lab.links.line import Line
from lab.links.notation import Entry

Network = IPv4Network | IPv6Network

_REMEMBERED_PAIRS = 10_000  # pairs of addresses; a scan must not fill the memory


class Emulator:
    """Packets by a number of the caller's. `verdicts` holds (number, whether it goes on), in the order of leaving."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.verdicts: list[tuple[int, bool]] = []
        self._entries: tuple[Entry, ...] = ()
        self._sites: dict[Network, str] = {}
        self._lines: dict[tuple[str, str], Line] = {}
        self._passages: dict[bytes, tuple[tuple[Line, ...], int]] = {}
        # (when it leaves the line, order of arrival, number, size, the lines of its way, which of them it is in)
        self._under_way: list[tuple[float, int, int, int, tuple[Line, ...], int]] = []
        self._order = count()

    def become(self, entries: Iterable[Entry], networks: Mapping[str, Iterable[Network]], now: float) -> None:
        """Have these links, the sites at these networks; what is under way goes on and is retimed where it must."""
        self._entries = tuple(entries)
        self._sites = {network: site for site, owned in networks.items() for network in owned}
        self._passages.clear()
        wanted: dict[tuple[str, str], Impairment] = {}
        for entry in self._entries:
            wanted[entry.site, "up"] = entry.link.up
            wanted[entry.site, "down"] = entry.link.down
            wanted |= {(entry.site, f"toward {other}"): there for other, there in entry.link.toward.items()}
        for key in self._lines.keys() | wanted.keys():
            self._change(key, wanted.get(key, CLEAN), now)

    def _change(self, key: tuple[str, str], impairment: Impairment, now: float) -> None:
        line = self._lines.get(key)
        if line is None:
            # A stream of luck for each line: one site's traffic does not change another's.
            self._lines[key] = Line(impairment, Random(f"{self.seed} {key[0]} {key[1]}"))
        elif line.impairment != impairment:
            retimed = line.change(impairment, now)
            self._under_way = [
                (retimed(packet[0]), *packet[1:]) if packet[4][packet[5]] is line else packet
                for packet in self._under_way
            ]
            heapify(self._under_way)

    def arrive(self, number: int, at: float, size: int, addresses: bytes) -> None:
        """A packet of `size` bytes from and to `addresses` (both, as they stand in its header) came at `at`."""
        passage = self._passages.get(addresses)
        if passage is None:
            passage = self._passage(addresses)
        lines, mtu = passage
        if size > mtu:
            self.verdicts.append((number, False))
        elif lines:
            self._enter(at, next(self._order), number, size, lines, 0)
        else:
            self.verdicts.append((number, True))

    def run(self, now: float) -> None:
        """Let go what has left its last line by `now`."""
        under_way = self._under_way
        while under_way and under_way[0][0] <= now:
            left, order, number, size, lines, stage = heappop(under_way)
            if stage + 1 == len(lines):
                self.verdicts.append((number, True))
            else:
                self._enter(left, order, number, size, lines, stage + 1)

    @property
    def next_at(self) -> float | None:
        """When `run` has something to do next."""
        return self._under_way[0][0] if self._under_way else None

    @property
    def under_way(self) -> int:
        """How many packets the lines hold."""
        return len(self._under_way)

    def counts(self) -> dict[str, dict[str, int]]:
        """What lines have lost and what overflowed their queues, of those that did: {"home up": {"lost": 3, ...}}."""
        return {
            f"{site} {way}": {"lost": line.lost, "overflowed": line.overflowed}
            for (site, way), line in self._lines.items()
            if line.lost or line.overflowed
        }

    def _enter(self, at: float, order: int, number: int, size: int, lines: tuple[Line, ...], stage: int) -> None:
        left = lines[stage].cross(at, size)
        if left is None:
            self.verdicts.append((number, False))
        else:
            heappush(self._under_way, (left, order, number, size, lines, stage))

    def _passage(self, addresses: bytes) -> tuple[tuple[Line, ...], int]:
        """The lines between two addresses, and the largest packet that gets through."""
        half = len(addresses) // 2
        source, destination = self._site(addresses[:half]), self._site(addresses[half:])
        keys = [(source, "up"), (source, f"toward {destination}"), (destination, "down")]
        if source == destination:  # one router's own addresses are no way across the internet
            keys = []
        lines = tuple(self._lines[key] for key in keys if key in self._lines and not self._lines[key].impairment.clean)
        ways = [e.link.up for e in self._entries if e.site == source]
        ways += [e.link.down for e in self._entries if e.site == destination]
        holes = [way.swallowed_above for way in ways if way.swallowed_above is not None]
        if len(self._passages) >= _REMEMBERED_PAIRS:
            self._passages.clear()
        passage = self._passages[addresses] = (lines, min(holes, default=2 * FULL_MTU + 0xFFFF))
        return passage

    def _site(self, address: bytes) -> str | None:
        found = ip_address(address)
        owners = [network for network in self._sites if network.version == found.version and found in network]
        return self._sites[max(owners, key=lambda network: network.prefixlen)] if owners else None
