"""Mapping, allocation, filtering, and two hosts on one port: RFC 4787, 4 and 5, by RFC 5780's procedure.

Belongs here: the questions that UDP and TCP have in common, and how each asks them. Never: conclusions.
"""

from collections.abc import Sequence

from lab.certify import asking, conversation
from lab.certify.asking import Shot, ask
from lab.certify.bench import Bench
from lab.certify.conversation import Conversation
from lab.certify.ends import Endpoint
from lab.certify.findings import Filtered, Mapped, Shared

SOCKETS = 8
"""Inner endpoints whose mappings are compared; eight random ports look sequential once in 10^20."""
FILTER_SOCKETS, FILTER_TRIES = 2, 8
"""Inner endpoints whose filters are tried, and how many may turn out to share their outer one with an earlier flow: of
256 ports that are drawn at random, one in ten."""
SPARE_PORTS, BEYOND, AT_ONCE = 30_000, 64, 128
"""Inner ports of the host that asks for more than its share, how many more, and how many packets at once."""
LEAST_PORT, LAST_PORT = 1024, 65_535
"""Inner ports that can be asked with: a share that takes more than there are above SPARE_PORTS is asked for from lower
ones, and no host has more than all of these."""


def mapped(
    bench: Bench, tcp: bool, ports: Sequence[int]
) -> tuple[tuple[Mapped, ...], tuple[tuple[Endpoint, Endpoint], ...]]:
    """The outer endpoints of several inner ones, each toward all remote ones; and the first of each, in order."""
    inner = [bench.fresh() for _ in range(SOCKETS)]
    matrix = bench.matrix(ports)
    allocated = []
    seen: dict[Endpoint, dict[Endpoint, frozenset[Endpoint]]] = {one: {} for one in inner}
    for one in inner:  # one after the other: their order is what sequential allocation shows in
        outer = _outer(bench, tcp, [(one, matrix[0])])
        seen[one].update({remote: found for (_, remote), found in outer.items()})
        allocated += [(one, next(iter(found))) for found in outer.values() if found]
    rest = _outer(bench, tcp, [(one, remote) for one in inner for remote in matrix[1:]])
    for (one, remote), found in rest.items():
        seen[one][remote] = found
    return tuple(Mapped(one, seen[one]) for one in inner), tuple(allocated)


def _outer(
    bench: Bench, tcp: bool, pairs: Sequence[tuple[Endpoint, Endpoint]]
) -> dict[tuple[Endpoint, Endpoint], frozenset[Endpoint]]:
    make = asking.syn if tcp else asking.udp
    shots = {pair: make(bench.inside, pair[0], bench.outside, pair[1]) for pair in pairs}
    seen = ask(shots.values(), bench.patience)
    return {pair: frozenset(one.source for one in seen[shot.key]) for pair, shot in shots.items()}


def open_one(bench: Bench, tcp: bool, inner: Endpoint, remote: Endpoint) -> Conversation | None:
    """A conversation of either kind."""
    ends = bench.inside, bench.outside, inner, remote, bench.patience
    return conversation.open_tcp(*ends) if tcp else conversation.open_udp(*ends)


def filtered(bench: Bench, tcp: bool, ports: Sequence[int], strangers: Sequence[int]) -> tuple[Filtered, ...]:
    """Who of the remote endpoints gets in to an inner one that has written to the first alone.

    `strangers`: the two remote ports that try; for them the firewall's word on what goes out does not matter.
    """
    found: list[Filtered] = []
    unopened = 0
    for _ in range(FILTER_TRIES):
        if len(found) + unopened == FILTER_SOCKETS:
            break
        talk = open_one(bench, tcp, bench.fresh(), bench.to(0, ports[0]))
        if talk is None:
            unopened += 1
            continue
        others = [one for one in bench.matrix(strangers) if one != talk.remote]
        shots = {one: _stranger(bench, tcp, one, talk.outer) for one in others}
        seen = ask(shots.values(), bench.patience, talk.down)
        admitted = frozenset(one for one, shot in shots.items() if seen[shot.key])
        at = {each.destination for shot in shots.values() for each in seen[shot.key]} - {talk.inner}
        if any(each.address == talk.inner.address for each in at):
            continue  # it got in by a flow of before, to which the router had given the same outer endpoint
        found.append(Filtered(talk.remote, frozenset(others), admitted))
    return tuple(found)


def _stranger(bench: Bench, tcp: bool, source: Endpoint, to: Endpoint) -> Shot:
    return (asking.syn if tcp else asking.udp)(bench.outside, source, bench.inside, to)


def shared(bench: Bench, tcp: bool, ports: Sequence[int]) -> Shared | None:
    """Two hosts on the same port. The second one's flow to the second remote endpoint comes first: there it clashes."""
    port = bench.ports.take()
    second, first = Endpoint(bench.inner[1], port), Endpoint(bench.inner[0], port)
    matrix = bench.matrix(ports)
    talks: dict[Endpoint, list[Conversation]] = {first: [], second: []}
    for inner, remote in [(second, matrix[1]), *((first, one) for one in matrix), (second, matrix[0])]:
        talk = open_one(bench, tcp, inner, remote)
        if talk is None:
            return None
        talks[inner].append(talk)
    every = [talk for both in talks.values() for talk in both]
    shots = [talk.down() for talk in every]
    seen = ask(shots, bench.patience)
    reachable = all(
        seen[shot.key] and {one.destination for one in seen[shot.key]} == {talk.inner}
        for shot, talk in zip(shots, every, strict=True)
    )
    both = tuple(
        Mapped(inner, {talk.remote: frozenset({talk.outer}) for talk in talks[inner]}) for inner in (first, second)
    )
    return Shared((both[0], both[1]), reachable)


def exhausted(bench: Bench, tcp: bool, port: int, limit: int) -> int:
    """How many outer ports one host gets that asks for more than `limit`; a host that does nothing else.

    `port`: of the other end. Over TCP it asks with SYNs: a mapping is made by the first packet.
    """
    host, make = bench.inner[-1], asking.syn if tcp else asking.udp
    first = max(LEAST_PORT, min(SPARE_PORTS, LAST_PORT + 1 - limit - BEYOND))
    inner = [Endpoint(host, number) for number in range(first, min(first + limit + BEYOND, LAST_PORT + 1))]
    shots = [make(bench.inside, one, bench.outside, bench.to(0, port)) for one in inner]
    for start in range(0, len(shots), AT_ONCE):
        ask(shots[start : start + AT_ONCE], bench.patience, tries=1)
    unseen = [shot for shot in shots if not bench.outside.seen(shot.key)]
    for start in range(0, len(unseen), AT_ONCE):
        ask(unseen[start : start + AT_ONCE], bench.patience)
    return len({one.source for shot in shots for one in bench.outside.seen(shot.key)})
