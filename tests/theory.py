"""The theory of paths: what the best path between two clients is, by the axes of the networks between them alone.

A pure function of axes; no profile's name is asked for. Belongs here: what RFC 4787, 5128, 5382 and 6092 imply of two
networks. Never: how the clients find out, nor what any of them did. The suites hold matrices of calls against it.
"""

from dataclasses import dataclass
from enum import StrEnum

from lab.nat import firewall, profile
from lab.nat.axes import Allocation, Behaviour, Filtering, FirewallPolicy, Mapping, Pooling
from lab.topology.model import Node, Topology

RANK = ("direct/udp", "punched/udp", "direct/tcp", "punched/tcp", "relayed/udp", "relayed/mixed", "relayed/tcp")
"""Best first (design.md)."""
LARGEST_BLOCK = 2048
"""Ports of a block that can be searched where both sides draw theirs (a carrier's subscriber has 1,024). It has to be
both: where one draws from all ports, 200 packets a second find one pair in seven within 15 s."""

_MAPPINGS, _FILTERINGS = list(Mapping), list(Filtering)
_HARD = (Mapping.ADDRESS_DEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT)


class Search(StrEnum):
    """How a port comes to be known that nobody can name beforehand."""

    FORESEEN = "foreseen"
    """The router counts: the next ports are told, or met at."""
    TRIED = "tried"
    """One side opens sockets, the other tries ports, and whose sockets they are lets in where it is tried from."""
    BLOCKS = "both out of blocks"
    """Each side tries the few ports that the other's come from."""


@dataclass(frozen=True)
class Way:
    """A path between the two that may come about: for sure, or where chance or a client's diligence has it so.

    `search` is None where both ends are found where they are told to be.
    """

    sure: bool
    search: Search | None = None


@dataclass(frozen=True)
class Seen:
    """One transport protocol of a client, as the internet sees it: all routers on its way put together.

    `filtering` None: whoever knows the address may come. `foreseeable`: the next port can be told from the last ones.
    `block`: how many ports the next one is drawn from.
    """

    translated: bool
    mapping: Mapping
    filtering: Filtering | None
    foreseeable: bool = False
    block: int = 64 * 1024
    one_address: bool = True

    @property
    def hard(self) -> bool:
        """Whether the port that one peer is sent from says nothing about the port for another."""
        return self.mapping in _HARD

    @property
    def port_filtered(self) -> bool:
        """Whether only the endpoint that was sent to may answer."""
        return self.filtering is Filtering.ADDRESS_AND_PORT_DEPENDENT


@dataclass(frozen=True)
class Standing:
    """A client in one address family."""

    udp: Seen
    tcp: Seen


@dataclass(frozen=True)
class Side:
    """A client: where it is, what it has, and what its firewall lets out.

    `hairpins`: whether the router that it shares with a neighbour of its carrier turns packets back. `mapped`: whether
    its router gives it a port that is its own on the internet; what one behind a carrier gives, nobody outside knows.
    """

    site: str
    carrier: str | None
    hairpins: bool
    ipv4: Standing | None
    ipv6: Standing | None
    policy: FirewallPolicy
    mapped: bool = False

    @property
    def voice_by_udp(self) -> bool:
        """Whether its firewall lets UDP out, and as much of it as a voice is."""
        lets_out = any(permit.protocol in (None, "udp") and permit.source == "site" for permit in self.policy.outbound)
        return lets_out and self.policy.udp_rate is None

    @property
    def any_port(self) -> bool:
        """Whether TCP may be opened to every port, without TLS."""
        return any(
            permit.protocol in (None, "tcp") and permit.port is None and not permit.tls and permit.source == "site"
            for permit in self.policy.outbound
        )


@dataclass(frozen=True)
class Expected:
    """What a call may end on. `best` is sure to work; `hoped` is that, or a better one that chance or time decides on;
    `search` is how the port for that one is found, None where none has to be."""

    best: str
    hoped: str
    accepted: frozenset[str]
    search: Search | None = None

    def holds(self, path: str | None) -> bool:
        """Whether a call that took this path took one that it may."""
        return path in self.accepted


def side(topology: Topology, client: Node) -> Side:
    """A client of a topology, with every router before it."""
    routers = topology.routers_outward(client)
    policy = firewall(str(client.firewall))
    carrier = topology.behind(str(client.site))
    lan = topology.lan_of(str(client.site))
    outermost = profile(str(routers[-1].profile), routers[-1].axes or "").translation
    boxes = [profile(str(one.profile), one.axes or "").translation for one in routers]
    translations = [box for box in boxes if box is not None]
    ipv4 = None
    if not lan.ipv6_only:
        ipv4 = Standing(
            _chain([box.udp for box in translations], policy),
            _chain([box.tcp for box in translations], policy),
        )
    ipv6 = None
    if any(attachment.address6 for attachment in client.attachments):
        prefixes = profile(str(client.profile), client.axes or "", client.profile6 or "open").prefix_translation
        seen = Seen(prefixes, Mapping.ENDPOINT_INDEPENDENT, _stateful(None, policy))
        ipv6 = Standing(seen, seen)
    hairpins, mapped = (
        outermost is not None and outermost.hairpinning,
        client.portmap not in (None, "off") and carrier is None,
    )
    return Side(str(client.site), carrier, hairpins, ipv4, ipv6, policy, mapped)


def _stateful(filtering: Filtering | None, policy: FirewallPolicy) -> Filtering | None:
    """RFC 6092: a firewall that lets nothing be opened from outside lets in answers alone."""
    return filtering if policy.inbound else Filtering.ADDRESS_AND_PORT_DEPENDENT


def _chain(boxes: list[Behaviour], policy: FirewallPolicy) -> Seen:
    """Routers one after the other: the most dependent mapping, the strictest filter, the least foreseeable port."""
    mapping = max((box.mapping for box in boxes), key=_MAPPINGS.index, default=Mapping.ENDPOINT_INDEPENDENT)
    filtering = max((box.filtering for box in boxes), key=_FILTERINGS.index, default=None)
    foreseeable = bool(boxes) and all(box.allocation is Allocation.SEQUENTIAL for box in boxes)
    block = min((box.ports_per_host for box in boxes if box.ports_per_host), default=64 * 1024)
    paired = all(box.pooling is Pooling.PAIRED for box in boxes)
    return Seen(bool(boxes), mapping, _stateful(filtering, policy), foreseeable, block, paired)


def expected(one: Side, two: Side) -> Expected:
    """What a call between two clients ends on, whoever calls."""
    if one.site == two.site:
        return _certain("direct/udp")  # their LAN
    voice = one.voice_by_udp and two.voice_by_udp
    ways = {_relayed(one.voice_by_udp, two.voice_by_udp): Way(True)}
    for mine, theirs in ((one.ipv4, two.ipv4), (one.ipv6, two.ipv6)):
        if mine is None or theirs is None:
            continue
        neighbours = mine is one.ipv4 and one.carrier is not None and one.carrier == two.carrier
        if neighbours and not one.hairpins:
            continue
        kind = "punched" if mine.udp.translated and theirs.udp.translated else "direct"
        found: dict[str, Way | None] = {f"{kind}/tcp": _tcp(one, mine.tcp, two, theirs.tcp)}
        if voice:
            given = mine is one.ipv4 and (one.mapped or two.mapped)  # reached there, and answered where it came from
            found[f"{kind}/udp"] = Way(True) if given else _udp(mine.udp, theirs.udp, neighbours)
        ways |= {path: way for path, way in found.items() if way and not (path in ways and ways[path].sure)}
    best = min((path for path, way in ways.items() if way.sure), key=RANK.index)
    accepted = frozenset(
        path for path in ways if RANK.index(path) <= RANK.index(best) and (path == best or not ways[path].sure)
    )
    hoped = min(accepted, key=RANK.index)
    return Expected(best, hoped, accepted, ways[hoped].search)


def _certain(path: str) -> Expected:
    return Expected(path, path, frozenset({path}))


def _relayed(one: bool, two: bool) -> str:
    """By which transport each leg goes."""
    return "relayed/udp" if one and two else "relayed/mixed" if one or two else "relayed/tcp"


def _udp(one: Seen, two: Seen, neighbours: bool) -> Way | None:
    """Whether UDP between the two comes about; None: never. `neighbours`: they are turned back by one carrier."""
    hard = [seen for seen in (one, two) if seen.hard]
    if not hard:
        return Way(True)  # RFC 5128, 3.3.1: both are found where they are told to be
    for easy, other in ((one, two), (two, one)):
        by_address = easy.filtering is Filtering.ADDRESS_DEPENDENT
        if not easy.hard and not easy.port_filtered and (not by_address or other.one_address):
            return Way(True)  # whatever port the other comes from, it is let in, and answered where it came from
    if all(seen.foreseeable for seen in hard):
        return Way(True, Search.FORESEEN)
    if len(hard) == 1 or not all(seen.port_filtered for seen in hard):
        return Way(False, Search.TRIED)
    if neighbours:
        return None  # a packet to a port that is not mapped yet is not turned back, and gets no port of its own by it
    return Way(False, Search.BLOCKS) if all(seen.block <= LARGEST_BLOCK for seen in hard) else None


def _tcp(one: Side, mine: Seen, two: Side, theirs: Seen) -> Way | None:
    """Whether TCP between the two comes about: opened by one, or by both at once (RFC 6544, 4.1; RFC 5382, 4.3)."""
    if _listens(theirs) or _listens(mine):
        return Way(True)  # whoever is open is reached by every firewall: on port 443, in TLS, through a proxy
    if not (one.any_port and two.any_port):
        return None  # a mapped port is none of those that the firewall lets out to
    if not mine.hard and not theirs.hard:
        return Way(True)
    for easy, other, client in ((mine, theirs, one), (theirs, mine, two)):
        if not easy.hard and not easy.port_filtered:
            return Way(client.voice_by_udp)  # whom it has written to is let in; without UDP it does not know that
        if not easy.hard and other.foreseeable:
            return Way(False, Search.FORESEEN)
    return None


def _listens(seen: Seen) -> bool:
    return not seen.translated and seen.filtering is None
