"""What two clients can do for a UDP path between two networks where plain hole punching cannot find one.

Pure: from what each side knows of its own network to the part that each side plays, and the ports worth trying.
"""

import random
from collections.abc import Iterator
from enum import StrEnum

from lab.overlay.reflexive import MediaSocket
from lab.wire.addresses import family
from lab.wire.messages import Allocation, Network

LARGEST_BLOCK = 2048
"""Ports of a block that two hard sides may hope to meet in; a pair of them is one in four million."""
BLOCK = 1024
"""Ports of a block as carriers deal them out, beginning at multiples of it (RFC 7422, 2; RFC 6888, REQ-7)."""
PORTS = range(1024, 65536)
FAVOURED = range(1024, 2048)
"""What Linux draws twice as often as other ports: a 16-bit number modulo the 64,512 ports from 1024 on."""
IN_A_ROW = 8
"""How far two ports that a router gave within one moment may lie apart if it counts: other hosts take some as well."""


class Part(StrEnum):
    """What one side does."""

    NOTHING = "nothing"
    TELL = "tell the next port"
    TRY_TOLD = "try the ports told"
    MEET = "meet at a port"
    OPEN = "open sockets"
    TRY = "try ports"
    BOTH = "open sockets and try ports"


CHEAP = {Part.TELL, Part.TRY_TOLD, Part.MEET}
"""A few packets, so that it may begin while it rings; the others wait until somebody has picked up."""

_STEADY = ("none", "endpoint-independent")
_LENIENT = ("none", "endpoint-independent", "address-dependent")


def _steady(network: Network) -> bool:
    return network.mapping in _STEADY


def _lenient(network: Network) -> bool:
    """Whether it lets in whatever port of a peer that it has written to."""
    return network.filtering in _LENIENT


def _counts(network: Network) -> bool:
    return network.allocation == "sequential"


def tcp_may_come(own: Network, peer: Network) -> bool:
    """Whether a peer that has TCP alone, out of ports that nobody can name, may come in at the port of this end: its
    router keeps one for everybody, and lets in whoever this end has written to, for TCP as it was seen to for UDP.
    """
    unforeseen = peer.tcp_mapping is not None and peer.tcp_mapping not in _STEADY
    return peer.udp is False and unforeseen and own.tcp_mapping == "endpoint-independent" and _lenient(own)


def part(own: Network, peer: Network, controlling: bool) -> Part:
    """What this side does; the peer, who knows the same, does what goes with it. NOTHING where there are no prospects,
    or no need: both outer ports are known, or one that anybody may write to who has been written to.
    """
    if any(_steady(one) and _lenient(one) for one in (own, peer)):
        return Part.NOTHING
    return part_if_strict(own, peer, controlling)


def part_if_strict(own: Network, peer: Network, controlling: bool) -> Part:
    """The same, if a side whose port is known turns out not to let in whoever has been written to: its router may have
    been configured anew since it was measured."""
    if False in (own.udp, peer.udp) or own.mapping is None or peer.mapping is None:
        return Part.NOTHING
    if own.outer and peer.outer and family(own.outer) != family(peer.outer):
        return Part.NOTHING  # what is known of one is of IPv4, of the other of IPv6
    if _steady(own) and _steady(peer):
        return Part.NOTHING
    if _counts(own) and _steady(peer):
        return Part.TELL
    if _steady(own) and _counts(peer):
        return Part.TRY_TOLD
    if _counts(own) and _counts(peer):
        return Part.MEET
    # Whose sockets are tried must let in the port that the other side tries from: known to it, or of no account.
    mine = not _steady(own) and (_steady(peer) or _lenient(own))
    theirs = not _steady(peer) and (_steady(own) or _lenient(peer))
    if mine and theirs:
        return Part.OPEN if controlling else Part.TRY
    if mine or theirs:
        return Part.OPEN if mine else Part.TRY
    if own.outer is not None and own.outer == peer.outer:
        return Part.NOTHING  # one router for both: it turns back what goes to a port that it has given, and to no other
    return Part.BOTH if block(own) and block(peer) else Part.NOTHING


def block(network: Network) -> range | None:
    """The ports that a router draws from, if they are few; ports that were merely seen are rounded to whole blocks."""
    if network.ports is None:
        return None
    first, last = network.ports
    if last - first + 1 > LARGEST_BLOCK or last < first:
        return None
    start, stop = first // BLOCK * BLOCK, (last // BLOCK + 1) * BLOCK
    whole = range(max(start, PORTS.start), min(stop, PORTS.stop))
    return whole if len(whole) <= LARGEST_BLOCK else range(first, last + 1)


def ports_to_try(network: Network, rng: random.Random) -> Iterator[int]:
    """In random order without repeat, likely ones first, for ever."""
    known = block(network)
    stages = [known] if known else [FAVOURED, range(FAVOURED.stop, PORTS.stop)]
    while True:
        for stage in stages:
            yield from rng.sample(stage, len(stage))


def refined(known: Network, media: MediaSocket) -> Network:
    """What is known of this side's network, unless the outer addresses of a call's socket show it to be another by now,
    or nothing is known: two supernodes asked within one moment see one port, two in a row, or any two. In a small block
    any two may lie in a row.
    """
    seen = [media.mapped[server] for server in media.servers if server in media.mapped and family(server[0]) == 4]
    if len(seen) < 2 or len({host for host, _ in seen}) > 1:
        return known
    (host, first), (_, second) = seen[:2]
    in_a_row = 0 < abs(second - first) <= IN_A_ROW
    alike = in_a_row == _counts(known) or known.ports is not None or _steady(known)
    if known.mapping is not None and _steady(known) == (first == second) and alike:
        return known
    if seen[0] in media.own_addresses:
        return Network(udp=True, mapping="none")
    if first == second:
        kept: Allocation = "preserving" if first == media.port else "random"
        return Network(True, "endpoint-independent", None, kept, known.tcp_mapping, host)
    order: Allocation = "sequential" if in_a_row else "random"
    return Network(True, "address-and-port-dependent", None, order, known.tcp_mapping, host)
