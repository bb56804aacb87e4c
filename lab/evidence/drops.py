"""Why a packet went no further: the rule of its router that counted it, or the line on which it was lost.

Belongs here: what rules have counted during a call, held against where a packet was seen last. Never: reading counters
(lab.harness.dropping), and what a router's profile makes likely (lab.harness.blocking).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Literal

from lab.evidence.journeys import Journey, inside
from lab.evidence.naming import Names, holders
from lab.evidence.pcap import Direction, Packet
from lab.topology.model import Node, Role, Topology

Counts = Mapping[str, Mapping[str, int]]
"""Router -> the rules that counted a packet they dropped during a call, and how many; {} where none did. Routers whose
counters nobody read are not in it."""
CUT = 0.2
"""Seconds at the end in which captures end one after the other: what is missing there was not dropped."""
_SIX = "IPv6 "
_OPTION = re.compile(r" (-p|-d|--dport|--sport) (\S+)")


@dataclass(frozen=True)
class Cause:
    """What became of a packet: a rule `counted` it (which, of several, nobody knows), it was lost on a `line`, it was
    for an address that `nobody` has; or it went no further at its router, though no rule counted one like it."""

    kind: Literal["counted", "line", "nobody", "unknown"]
    rules: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.kind == "counted":
            return " or ".join(self.rules)
        return {"line": "lost on the line", "nobody": "nobody's address"}.get(self.kind, "no rule counted it")


def causes(topology: Topology, journeys: Sequence[Journey], counts: Counts) -> dict[int, Cause]:
    """By id of the journey, of those that were dropped and of which anything is known."""
    world = _World(topology, counts)
    over = max((one.last.time for one in journeys), default=0.0) - CUT
    dropped = (one for one in journeys if one.dropped and one.last.time < over)
    return {id(one): cause for one in dropped if (cause := world.cause(one.last)) is not None}


class _World:
    def __init__(self, topology: Topology, counts: Counts) -> None:
        self._topology, self._counts = topology, counts
        self._nodes = {node.name: node for node in topology.nodes}
        self._owners, self._names = holders(topology), Names(topology)
        self._carriers = {topology.behind(site) for site in topology.sites()}

    def cause(self, last: Packet) -> Cause | None:
        """What a router lets nobody have was seen to come in there and not to leave; all else was lost after it."""
        place = self._nodes[last.place]
        if place.role is not Role.ROUTER or last.direction is not Direction.IN:
            if place.role is Role.CORE and self._names.private(last.destination.address):
                return Cause("nobody")
            return Cause("line") if last.destination.address in self._owners else None
        counted = self._counts.get(place.name)
        if counted is None:
            return None
        if rules := self._those(tuple(rule for rule, packets in counted.items() if packets), last, place):
            return Cause("counted", rules)
        return Cause("line" if self._ends_a_line(place, last) else "unknown")

    def _those(self, counted: Iterable[str], packet: Packet, router: Node) -> tuple[str, ...]:
        """The rules that can be the one for this packet, by family, chain, protocol, ports, and addresses before
        translation; a router's policy for what it is to pass on is for its own address where no other is."""
        rules = tuple(rule for rule in counted if self._fits(rule, packet, router))
        if any(_chain(rule).startswith("INPUT") for rule in rules):
            return tuple(rule for rule in rules if _chain(rule) != "FORWARD's policy")
        return rules

    def _fits(self, rule: str, packet: Packet, router: Node) -> bool:
        own, address = self._owners.get(packet.destination.address) == router, ip_address(packet.destination.address)
        asked = dict(_OPTION.findall(rule))
        chain = _chain(rule)
        if rule.startswith(_SIX) is not (address.version == 6) or (chain.startswith("INPUT") and not own):
            return False
        if chain.startswith("PREROUTING") and address not in ip_network(asked.get("-d", str(address))):
            return False
        known = {"-p": packet.protocol, "--sport": str(packet.source.port)}
        if not own:  # else it may have been translated before
            known["--dport"] = str(packet.destination.port)
        return all(asked.get(option, value) == value for option, value in known.items())

    def _ends_a_line(self, router: Node, came: Packet) -> bool:
        """Whether a carrier's line to a site ends at this side of a router, which holds back there what comes in."""
        if not router.site:
            return False
        if inside(self._topology, router, ip_address(came.source.address)):
            return router.site in self._carriers
        return self._topology.behind(router.site) is not None


def _chain(rule: str) -> str:
    """A rule from its chain on: without its family."""
    return rule.removeprefix(_SIX)
