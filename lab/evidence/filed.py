"""The verdict on a call from one capture file, with no lab, no engine and no checkout beside it.

Belongs here: what kind of file it is, and what can be said of it. Never: parsing (pcapng.py, whole.py, foreign.py).
"""

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address
from pathlib import Path
from typing import Any

from lab.errors import ConfigError, EvidenceError
from lab.evidence import foreign, pcapng, whole
from lab.evidence.claims import conclude
from lab.evidence.cutting import ORDERS
from lab.evidence.flows import Captures
from lab.evidence.scene import Scene
from lab.evidence.unclaimed import unclaimed
from lab.evidence.verdict import Observed
from lab.topology.model import Attachment, Node, Role, Topology

Address = IPv4Address | IPv6Address
Named = tuple[Address | str, Address | str, Address | str | None]
"""The caller, the callee, and a relay, where somebody names them: by name where the file says who is called what."""
Ends = tuple[str | None, str, str]
"""The call, its caller, its callee."""
ONE_PLACE = "one place alone does not show whether a router has translated an end"


@dataclass(frozen=True)
class Filed:
    """What a file's packets say: of the call's last second, and of all of it. `call`: None where no lab placed it."""

    call: str | None
    caller: str
    callee: str
    observed: Observed
    scene: Scene
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of `lab verdict --json`."""
        seen = self.observed
        begun = min((path.first for path in self.scene.paths), default=0.0)
        return {
            "kind": seen.kind,
            "transport": seen.transport,
            "via": seen.via,
            "packets": seen.packets,
            "why": seen.reason,
            "finding": str(seen.finding),
            "call": self.call,
            "caller": self.caller,
            "callee": self.callee,
            "paths": [
                {
                    "kind": path.kind,
                    "transport": path.transport,
                    "via": path.via,
                    "packets": path.packets,
                    "from_ms": round((path.first - begun) * 1000),
                    "to_ms": round((path.last - begun) * 1000),
                }
                for path in self.scene.paths
            ],
            "dropped_by_captures": dict(seen.dropped),
            "note": self.note,
        }


def verdict(file: Path, named: Named | None = None) -> Filed:
    """The verdict on the call that a file holds; `named` are its ends where the file says of no call.

    Raises ConfigError where there is nothing to read, or not the whole of a call, EvidenceError where packets are there
    and name no path.
    """
    data = _content(file)
    try:
        if data[:4] == pcapng.MAGIC and (found := whole.read(data)) is not None:
            if found.setting and named:
                raise ConfigError("it says itself who called whom; leave the addresses out")
            if not found.packets:
                none = f"it holds no packet{f' of the filter {found.filter!r}' if found.filter else ''}"
                raise ConfigError(
                    "it ends before its first packet" if found.torn or found.expected or found.cut else none
                )
            return _judged(*_meant(found, named), found.window, found.incomplete, None)
        others = foreign.read(data)
        if not others.seen:  # nobody's addresses help there
            raise ConfigError(others.torn or "it holds no packet of UDP or TCP")
        if named is None:
            raise ConfigError(
                "it says nothing of a call of a lab (`lab call --capture` writes that); name the addresses that its "
                "two ends have in it: --caller ADDRESS --callee ADDRESS, and --relay ADDRESS where there was one"
            )
        addresses = _addresses(named)
        topology, captures = foreign.staged(others, *addresses)
        window = others.seen[0][1].time, others.seen[-1][1].time
        ends: Ends = None, foreign.CALLER, foreign.CALLEE
        return _judged(topology, captures, ends, window, others.torn, None if named[2] else ONE_PLACE)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except EvidenceError as error:
        raise EvidenceError(f"{file}: {error}") from None


def _addresses(named: Named) -> tuple[Address, Address, Address | None]:
    """The same, of a file in which nobody has a name."""
    for one in named:
        if isinstance(one, str):
            raise ConfigError(f"it does not say who is called {one}; name the addresses that the two ends have in it")
    return named  # type: ignore[return-value]  # none of them is a name


def _meant(found: whole.Whole, named: Named | None) -> tuple[Topology, Captures, Ends]:
    """Whose call is judged, in which world: that which the file is of, else the one between those who are named."""
    topology, setting = found.topology, found.setting
    if setting is not None:
        return topology, found.captures, (setting.call, setting.caller, setting.callee)
    if named is None:
        clients = ", ".join(sorted(node.name for node in topology.clients()))
        raise ConfigError(f"it is of no call; say whose is to be judged: --caller NAME --callee NAME, of {clients}")
    caller, callee = (_end(topology, one) for one in named[:2])
    if caller == callee:
        raise ConfigError(f"{named[0]} and {named[1]} are both {caller.name}; a call has two ends")
    if named[2] is not None:
        _end(topology, named[2])
    strange = [one for one in (caller, callee) if one not in topology.nodes]
    world = replace(topology, nodes=(*topology.nodes, *strange))
    return world, found.captures, (None, caller.name, callee.name)


def _end(topology: Topology, asked: Address | str) -> Node:
    """Who is meant by a name or an address; by a router's, the one client that stands behind it."""
    node = topology.node(asked) if isinstance(asked, str) else topology.owner_of(asked)
    if node is None:
        return _host(topology, ip_address(asked))
    if node.role not in (Role.ROUTER, Role.PROXY):
        return node
    behind = [client for client in topology.clients() if node in _before(topology, client)]
    if len(behind) == 1:
        return behind[0]
    who = ", ".join(client.name for client in behind) or "no client"
    raise ConfigError(f"{asked} is {node.name}, with {who} behind it; name an end")


def _before(topology: Topology, client: Node) -> tuple[Node | None, ...]:
    return *topology.routers_outward(client), topology.proxy_of(client.site) if client.site else None


def _host(topology: Topology, address: Address) -> Node:
    """Somebody on a LAN who has no name there. Raises ConfigError for an address of no LAN."""
    for lan in topology.networks:
        if lan.site and isinstance(address, IPv4Address) and address in lan.subnet:
            held = Attachment(lan.name, IPv4Interface((address, lan.subnet.prefixlen)))
        elif lan.site and lan.subnet6 and isinstance(address, IPv6Address) and address in lan.subnet6:
            nobody = IPv4Interface("0.0.0.1/32")  # RFC 6890: no packet on any wire comes from there
            held = Attachment(lan.name, nobody, IPv6Interface((address, lan.subnet6.prefixlen)))
        else:
            continue
        return Node(str(address), Role.CLIENT, lan.site, None, None, (held,))
    raise ConfigError(f"nobody of its lab has the address {address}, and it is of no LAN of it")


def _judged(
    topology: Topology,
    captures: Captures,
    ends: Ends,
    window: tuple[float, float],
    cut: str | None,
    note: str | None,
) -> Filed:
    limit: str | None = None
    try:
        if ends[0] is None:
            observed, scene, limit = unclaimed(topology, captures, *ends[1:], *window)
        else:
            observed, scene = conclude(topology, captures, *ends[1:], *window)
    except EvidenceError as error:
        raise EvidenceError(f"{cut}, and {error}" if cut else str(error)) from None
    if cut and observed.kind is None:
        raise EvidenceError(f"{cut}, and what is there shows {observed.reason}")
    if cut:
        shown = f"{observed.kind}/{observed.transport}" + (f" via {observed.via}" if observed.via else "")
        raise ConfigError(f"{cut}: what is there shows {shown}, which need not be how the call ended")
    limits = (limit, note if observed.kind in ("direct", "punched") else None)
    return Filed(*ends, observed, scene, "; ".join(one for one in limits if one) or None)


def _content(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from None
    if not data:
        raise ConfigError(f"{file} is empty")
    if data[:4] != pcapng.MAGIC and data[:4] not in ORDERS:
        raise ConfigError(f"{file} is no capture: expected a pcapng or pcap file, which begins otherwise")
    return data
