"""Why a packet went no further: the rule of its router that counted it, or the line on which it was lost.

Belongs here: what rules have counted during a call, held against where a packet was seen last. Never: reading counters
(lab.harness.dropping), and what a router's profile makes likely (lab.harness.blocking).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from math import inf
from typing import Literal

from lab.evidence.gaps import Gaps
from lab.evidence.journeys import Journey, inside
from lab.evidence.naming import Names, holders
from lab.evidence.pcap import Direction, Packet
from lab.topology.model import Node, Role, Topology

Address = IPv4Address | IPv6Address

Counts = Mapping[str, Mapping[str, int]]
"""Router -> the rules that counted a packet they dropped during a call, and how many; {} where none did. Routers whose
counters nobody read are not in it."""
CUT = 0.2
"""Seconds at the end in which captures end one after the other: what is missing there was not dropped."""
NO_GAPS = Gaps()
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


def causes(
    topology: Topology, journeys: Sequence[Journey], counts: Counts, since: float = 0.0, gaps: Gaps = NO_GAPS
) -> dict[int, Cause]:
    """By id of the journey, of those that were dropped and of which anything is known. `since`, epoch seconds, all
    captures ran: they begin one after the other, and what is missing before that was not dropped. `gaps`: what of them
    says nothing."""
    world = _World(topology, counts, journeys, gaps)
    over = max((one.last.time for one in journeys), default=0.0) - CUT
    dropped = (one for one in journeys if one.dropped and since <= one.at and one.last.time < over)
    return {id(one): cause for one in dropped if (cause := world.cause(one.last)) is not None}


def unseen(topology: Topology, journeys: Sequence[Journey], gaps: Gaps) -> set[int]:
    """The ids of journeys whose next place was captured no more: nobody knows that those packets were dropped."""
    if not gaps.ends:
        return set()
    world = _World(topology, {}, (), gaps)
    return {id(one) for one in journeys if one.dropped and world.unseen(one.last)}


class _World:
    def __init__(self, topology: Topology, counts: Counts, journeys: Iterable[Journey], gaps: Gaps) -> None:
        self._topology, self._counts, self._gaps = topology, counts, gaps
        self._begun: dict[str, float] = {}
        for packet in (packet for one in journeys for packet in one.sightings):
            self._begun[packet.place] = min(packet.time, self._begun.get(packet.place, packet.time))
        self._nodes = {node.name: node for node in topology.nodes}
        self._owners, self._names = holders(topology), Names(topology)
        self._carriers = {topology.behind(site) for site in topology.sites()}

    def cause(self, last: Packet) -> Cause | None:
        """What a router lets nobody have was seen to come in there and not to leave; all else was lost after it."""
        place, address = self._nodes[last.place], ip_address(last.destination.address)
        if address.is_multicast:
            return None
        silent = self._silent(last)
        if silent is not None and self._gaps.unsure(silent.name, last.time):
            return None
        if place.role is not Role.ROUTER or last.direction is not Direction.IN:
            if place.role is Role.CORE and self._names.private(str(address)):
                return Cause("nobody")
            watched = silent is not None and self._begun.get(silent.name, inf) <= last.time
            return Cause("line") if watched else None
        counted = self._counts.get(place.name)
        if counted is None:
            return None
        if rules := self._those(tuple(rule for rule, packets in counted.items() if packets), last, place):
            return Cause("counted", rules)
        return Cause("line" if self._ends_a_line(place, last) else "unknown")

    def unseen(self, last: Packet) -> bool:
        """Whether the place that has not seen a packet again had by then nobody who captured there."""
        silent = self._silent(last)
        return silent is not None and self._gaps.over(silent.name, last.time)

    def _silent(self, last: Packet) -> Node | None:
        """The place that would have seen a packet next: the router that it came to as it leaves, else the next one."""
        place = self._nodes[last.place]
        if place.role is Role.ROUTER and last.direction is Direction.IN:
            return place
        return self._further(place, ip_address(last.destination.address))

    def _further(self, place: Node, address: Address) -> Node | None:
        """The place that a packet comes to next, which is known where its destination is."""
        topology, target = self._topology, self._owners.get(str(address))
        if target is None:
            return None
        inward = (*reversed(topology.routers_outward(target)), target)
        if place in inward:
            return inward[inward.index(place) + 1] if place is not target else None
        outward = () if place.role is Role.CORE else topology.routers_outward(place)
        core = () if place.role is Role.CORE else topology.by_role(Role.CORE)
        return next(iter((*outward, *core, *inward)))

    def _those(self, counted: Iterable[str], packet: Packet, router: Node) -> tuple[str, ...]:
        """The rules that can be the one for this packet, by family, chain, protocol, ports, and addresses before
        translation; a router's policy for what it is to pass on is for its own address where no other is."""
        rules = tuple(rule for rule in counted if self._fits(rule, packet, router))
        if any(_chain(rule).startswith("INPUT") for rule in rules):
            return tuple(rule for rule in rules if _chain(rule) != "FORWARD's policy")
        return rules

    def _fits(self, rule: str, packet: Packet, router: Node) -> bool:
        address, owner = ip_address(packet.destination.address), self._owners.get(packet.destination.address)
        strange = owner is None and not self._inside(router, packet)  # for an address that it had, and has no more
        own = owner == router or strange
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
        if self._inside(router, came):
            return router.site in self._carriers
        return self._topology.behind(router.site) is not None

    def _inside(self, router: Node, came: Packet) -> bool:
        """Whether a packet came in from a router's LAN."""
        return inside(self._topology, router, ip_address(came.source.address))


def _chain(rule: str) -> str:
    """A rule from its chain on: without its family."""
    return rule.removeprefix(_SIX)
