"""What outer addresses say about a router (RFC 4787, 4 and 5; RFC 5780, 4), and when they say nothing. Pure.

Belongs here: conclusions from what supernodes answered, each of which may be wrong or lie. Never: asking.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lab.wire.addresses import Address
from lab.wire.messages import Allocation, Behaviour

CLEAR_SHARE = 0.75
"""Of the evidence that must agree: other hosts behind the router take ports, and answers come late."""
SEQUENTIAL_STEP = 16
"""Ports that two fresh mappings in a row may lie apart where a router counts and others take ports meanwhile."""
LEAST_PAIRS = 3
"""Steps from one mapping to the next below which nothing is said of how ports are chosen."""
BLOCK_EVIDENCE = 12
"""Random ports that must all lie in a block: by chance they do in one of 10^16 cases."""
LARGEST_BLOCK = 2048
"""Ports; more are too many to try in a call."""
FIRST_PORT, LAST_PORT = 1024, 65535


@dataclass(frozen=True, slots=True)
class Sample:
    """A fresh mapping: the socket's own port, who was asked, and what the socket was seen as."""

    port: int
    server: str
    outer: Address


def outer_host(samples: Sequence[Sample]) -> str | None:
    """The outer address that supernodes agree on; None if they do not: one errs, lies, or the router has several."""
    votes = Counter(host for _, host in {(sample.server, sample.outer[0]) for sample in samples})
    if not votes:
        return None
    (host, most), *others = votes.most_common()
    return host if all(most > count for _, count in others) else None


def contradicts(samples: Sequence[Sample]) -> bool:
    """Whether one supernode always sees a socket's own port where another never does: one of them does not tell what
    it sees, for a router cannot know whom a socket will be asked about first."""
    kept: dict[str, set[bool]] = {}
    for sample in samples:
        kept.setdefault(sample.server, set()).add(sample.outer[1] == sample.port)
    return {True} in kept.values() and {False} in kept.values()


def mapping(
    own: Sequence[Address], outer: str | None, seen: Mapping[Address, Address], alternate: Address
) -> Behaviour | None:
    """How one socket is mapped, seen from several servers (RFC 5780, 4.3).

    `own` are its own addresses; `alternate` is the second port of the first server. None: not known.
    """
    agreeing = {server: at for server, at in seen.items() if at[0] == outer}
    first = next((at for server, at in agreeing.items() if server[0] == alternate[0] and server != alternate), None)
    second = agreeing.get(alternate)
    others = [at for server, at in agreeing.items() if server[0] != alternate[0]]
    if first is not None and second is not None and first != second:
        return None if first in others else "address-and-port-dependent"
    if first is None or not others:
        return None
    if first in others:
        return "none" if first in own else "endpoint-independent"
    return None if second is None else "address-dependent"


@dataclass(frozen=True, slots=True)
class Heard:
    """Whether answers came to a socket that had asked one address and port alone: from there, from its other port, and
    from another address; and whether the other address could have answered at all."""

    straight: bool
    other_port: bool
    other_address: bool
    other_answers: bool


def filtering(heard: Heard, mapped: Behaviour | None) -> Behaviour | None:
    """Who may answer to a mapping (RFC 5780, 4.4). None: not known."""
    if heard.other_address:
        return "none" if mapped == "none" else "endpoint-independent"
    if not heard.straight or (heard.other_port and not heard.other_answers):
        return None
    return "address-dependent" if heard.other_port else "address-and-port-dependent"


def allocation(samples: Sequence[Sample]) -> Allocation | None:
    """How outer ports are chosen, from fresh mappings in the order in which they were made (RFC 4787, 4.2)."""
    if len(samples) <= LEAST_PAIRS:
        return None
    kept = sum(sample.outer[1] == sample.port for sample in samples)
    if kept >= CLEAR_SHARE * len(samples):
        return "preserving"
    ports = [sample.outer[1] for sample in samples]
    steps = [after - before for before, after in pairwise(ports)]
    counted = sum(0 < step <= SEQUENTIAL_STEP for step in steps)
    return "sequential" if counted >= CLEAR_SHARE * len(steps) else "random"


def block(ports: Sequence[int]) -> tuple[int, int] | None:
    """The range that random ports come from, if it is small and the evidence strong; first and last port."""
    if len(set(ports)) < BLOCK_EVIDENCE:
        return None
    least, most = min(ports), max(ports)
    size = 1
    while least // size != most // size:
        size *= 2
    if size <= LARGEST_BLOCK:
        return least // size * size, least // size * size + size - 1
    margin = (most - least) // (len(ports) - 1) + 1  # what uniform draws leave free at either end, on average
    first, last = max(FIRST_PORT, least - 3 * margin), min(LAST_PORT, most + 3 * margin)
    return (first, last) if last - first < LARGEST_BLOCK else None
