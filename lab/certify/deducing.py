"""From sightings to axes: what a network must be like that treated packets so.

Pure. Belongs here: one function an axis. Never: claims.
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from lab.certify import behaviour
from lab.certify.behaviour import DEPENDENCES, IRREGULAR, Behaviour, Link, OneWay, Outbound, Tcp
from lab.certify.ends import Endpoint
from lab.certify.findings import (
    Fate,
    Filtered,
    Findings,
    Fragmented,
    Hairpinned,
    Mapped,
    PathMtu,
    Reach,
    Reported,
    Shared,
    Timed,
    Transport,
    Way,
)

LARGEST_STEP = 16
"""Between two mappings made one after the other, others may have taken ports as well."""


def deduce(found: Findings, pool: int) -> Behaviour:
    """The axes of one site in one family. `pool`: how many outer addresses its router is said to have."""
    udp, tcp = found.udp or Transport(), found.tcp or Transport()
    either = udp if found.udp else tcp
    prefix = translated(either) and all(":" in inner.address for inner, _ in either.allocated)
    return Behaviour(
        mapping=mapping(udp.mapped) if translated(udp) else None,
        filtering=_filtering(udp, prefix),
        allocation=allocation(udp.allocated) if translated(udp) and not prefix else None,
        hairpinning=None if prefix else _hairpinning(udp),
        hairpinning_source=None if prefix else hairpinning_source(udp.hairpinned),
        udp_timeout_s=timeout(found.timed.idle) if found.timed else None,
        same_port=same_port(udp.mapped, udp.shared) if translated(udp) and udp.shared and not prefix else None,
        pooling=pooling(udp.allocated, pool) if translated(udp) and not prefix else None,
        ports=port_range(udp) if translated(udp) and not prefix else None,
        ports_per_host=found.ports_of_one_host,
        unsolicited=udp.unsolicited,
        prefix_translation=prefix,
        refreshed_by=refreshed_by(found.timed),
        icmp_errors=icmp_errors(udp.reported),
        outlives_icmp=udp.reported.survived if udp.reported else None,
        fragments=whole(found.fragmented),
        tcp=_tcp(found, tcp, prefix, pool),
        outbound=outbound(found.reach),
        link=link(found),
    )


def _tcp(found: Findings, tcp: Transport, prefix: bool, pool: int) -> Tcp:
    whole = len(found.tcp_ports) > 1  # with one port let out, what depends on ports cannot be told
    return Tcp(
        mapping=mapping(tcp.mapped) if translated(tcp) and whole else None,
        filtering=_filtering(tcp, prefix),
        allocation=allocation(tcp.allocated) if translated(tcp) and not prefix else None,
        hairpinning=_hairpinning(tcp) if whole and not prefix else None,
        same_port=same_port(tcp.mapped, tcp.shared)
        if translated(tcp) and tcp.shared and whole and not prefix
        else None,
        pooling=pooling(tcp.allocated, pool) if translated(tcp) and not prefix else None,
        ports=port_range(tcp) if translated(tcp) and not prefix else None,
        ports_per_host=found.tcp_ports_of_one_host,
        simultaneous_open=found.simultaneous_open,
        unsolicited=tcp.unsolicited,
        timeout_s=timeout(found.tcp_timed.idle) if found.tcp_timed else None,
        transitory_timeout_s=timeout(found.half_open) if found.half_open else None,
        icmp_errors=icmp_errors(tcp.reported),
        outlives_icmp=tcp.reported.survived if tcp.reported else None,
    )


def translated(seen: Transport) -> bool:
    """Whether any inner endpoint is another one outside."""
    return any(inner != outer for inner, outer in seen.allocated)


def mapping(rows: Iterable[Mapped]) -> str | None:
    """RFC 5780, 4.3: what the outer endpoint changes with. A port that happens to come twice does not mislead."""
    by_address = by_port = False
    seen = 0
    for row in rows:
        if any(len(found) > 1 for found in row.outer.values()):
            return IRREGULAR  # one flow had two outer endpoints: a copy of a packet was mapped anew
        outer = {remote: next(iter(found)) for remote, found in row.outer.items() if found}
        seen += len(outer)
        for one, its in outer.items():
            for other, others in outer.items():
                if its != others:
                    by_port |= one.address == other.address
                    by_address |= one.address != other.address
    if seen == 0:
        return None
    if by_port:
        return behaviour.ADDRESS_AND_PORT_DEPENDENT
    return behaviour.ADDRESS_DEPENDENT if by_address else behaviour.ENDPOINT_INDEPENDENT


def filtering(sockets: Sequence[Filtered]) -> str | None:
    """RFC 5780, 4.4: who gets in to an inner endpoint that has written to one remote endpoint."""
    found = {_filtering_of(one) for one in sockets}
    return found.pop() if len(found) == 1 else (IRREGULAR if found else None)


def _filtering_of(one: Filtered) -> str:
    same = {remote for remote in one.tried if remote.address == one.contacted.address}
    if one.admitted == one.tried:
        return behaviour.ENDPOINT_INDEPENDENT
    if one.admitted == same:
        return behaviour.ADDRESS_DEPENDENT
    return IRREGULAR if one.admitted else behaviour.ADDRESS_AND_PORT_DEPENDENT


def _filtering(seen: Transport, prefix: bool) -> str | None:
    """Nothing is filtered where no port is translated and everybody gets in unasked."""
    if (prefix or not translated(seen)) and seen.unsolicited is Fate.ADMITTED:
        return None
    return filtering(seen.filtered)


def allocation(made: Sequence[tuple[Endpoint, Endpoint]]) -> str | None:
    """How outer ports follow from inner ones, of mappings in the order in which they were made."""
    if not made:
        return None
    if all(inner.port == outer.port for inner, outer in made):
        return behaviour.PRESERVING
    ports = [outer.port for _, outer in made]
    steps = [after - before for before, after in pairwise(ports)]
    small = [0 < step <= LARGEST_STEP for step in steps]
    if steps and small.count(False) <= 1:  # a range ends somewhere, and begins again
        return behaviour.SEQUENTIAL
    return behaviour.RANDOM


def mappings(seen: Transport) -> frozenset[tuple[Endpoint, Endpoint]]:
    """Every pair of an inner and an outer endpoint that was seen of one host: one for each port that was given out."""
    found = {(row.inner, outer) for row in seen.mapped for each in row.outer.values() for outer in each}
    return frozenset(found | set(seen.allocated))


def port_range(seen: Transport) -> tuple[int, int] | None:
    """The least and the greatest outer port of a host."""
    ports = [outer.port for _, outer in mappings(seen)]
    return (min(ports), max(ports)) if ports else None


def pooling(made: Iterable[tuple[Endpoint, Endpoint]], pool: int) -> str | None:
    """RFC 4787, 4.1: whether a host's mappings share one outer address. None: there is but one to share."""
    by_host: dict[str, set[str]] = {}
    for inner, outer in made:
        by_host.setdefault(inner.address, set()).add(outer.address)
    if any(len(found) > 1 for found in by_host.values()):
        return behaviour.ARBITRARY
    return behaviour.PAIRED if pool > 1 and by_host else None


def same_port(alone: Iterable[Mapped], seen: Shared) -> str:
    """What becomes of a host's mappings when another host uses its port."""
    if not seen.reachable:
        return behaviour.LOST
    return behaviour.KEPT if mapping(seen.mapped[:1]) == mapping(alone) else behaviour.SPLIT


def _hairpinning(seen: Transport) -> bool | None:
    if not translated(seen) or seen.hairpinned is None:
        return None
    return seen.hairpinned.source is not None


def hairpinning_source(seen: Hairpinned | None) -> str | None:
    """RFC 4787, REQ-9a: whose address a hairpinned packet bears."""
    if seen is None or seen.source is None or seen.outer == seen.inner:
        return None
    return behaviour.INTERNAL if seen.source == seen.inner else behaviour.EXTERNAL


def timeout(seen: Mapping[float, bool]) -> float | None:
    """Seconds, in the middle of the longest life and the earliest death that were seen; None where they contradict."""
    alive = [idle for idle, lives in seen.items() if lives]
    gone = [idle for idle, lives in seen.items() if not lives]
    if not gone:
        return round(max(alive), 1)
    if not alive:
        return round(min(gone), 1)
    if max(alive) > min(gone):
        return None
    return round((max(alive) + min(gone)) / 2, 1)


def refreshed_by(seen: Timed | None) -> str | None:
    """Which packets keep a mapping alive; None where one that was left alone lived as long."""
    if seen is None or all(lives for idle, lives in seen.idle.items() if idle <= seen.tested_s):
        return None
    ways = {behaviour.OUTBOUND: seen.outbound, behaviour.INBOUND: seen.inbound}
    kept = [way for way, keeps in ways.items() if keeps]
    return behaviour.BOTH if len(kept) == len(ways) else kept[0] if kept else behaviour.NOTHING


def icmp_errors(seen: Reported | None) -> str | None:
    """What became of errors about a mapped packet, of whatever kind."""
    if seen is None:
        return None
    if missing := sorted(seen.sent - seen.arrived):
        return f"not delivered: {', '.join(missing)}"
    return behaviour.DELIVERED if seen.quoted_inner else behaviour.OUTER_QUOTED


def whole(seen: Fragmented | None) -> bool | None:
    """Whether datagrams in fragments came through, in either order, both ways."""
    return None if seen is None else all((seen.up_in_order, seen.up_reversed, seen.down_in_order, seen.down_reversed))


def outbound(reach: Reach) -> Outbound:
    """What gets out."""
    passes = {(True, True): behaviour.ANYTHING, (True, False): behaviour.TLS}
    return Outbound(
        udp=reach.udp,
        icmp=reach.icmp,
        tcp_443=passes.get((bool(reach.tls_443), bool(reach.plain_443))) if reach.tcp_443 else None,
        tcp_80=reach.tcp_80,
        tcp_other=reach.tcp_other,
        proxy=reach.proxy,
        proxy_elsewhere=reach.proxy_elsewhere,
        udp_kbit_s=None if reach.udp_kbit_s is None else round(reach.udp_kbit_s, 1),
        udp_to={str(port): passes for port, passes in reach.udp_to.items()},
        tcp_to={str(port): passes for port, passes in reach.tcp_to.items()},
    )


def link(found: Findings) -> Link:
    """Delay, loss and MTU of both directions."""
    up, down = _one_way(found.up, found.mtu_up), _one_way(found.down, found.mtu_down)
    return Link(_mean(up.delay_ms, down.delay_ms, 3), _mean(up.loss, down.loss, 4), up, down)


def _one_way(way: Way | None, mtu: PathMtu | None) -> OneWay:
    loss = way.lost / way.sent if way and way.sent and way.lost is not None else None
    return OneWay(
        delay_ms=round(way.delay_ms, 3) if way else None,
        loss=None if loss is None else round(loss, 4),
        mtu=mtu.mtu if mtu else None,
        blackhole=(mtu.told is False) if mtu else None,
    )


def _mean(one: float | None, other: float | None, digits: int) -> float | None:
    return None if one is None or other is None else round(statistics.fmean((one, other)), digits)


def strictest(values: Iterable[str]) -> str:
    """Of mappings or filterings in a row, the one that shows: each adds what it depends on."""
    return max(values, key=DEPENDENCES.index)
