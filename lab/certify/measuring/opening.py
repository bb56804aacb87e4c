"""What comes in that nobody has asked for, hairpinning, and TCP simultaneous open.

Belongs here: packets that a router has to decide about by itself. Never: conclusions.
"""

from collections.abc import Sequence

from lab.certify import asking, ends
from lab.certify.asking import Shot, ask
from lab.certify.bench import Bench
from lab.certify.conversation import Conversation, Tcp
from lab.certify.ends import Endpoint
from lab.certify.findings import Fate, Hairpinned
from lab.certify.measuring.mapping import open_one

SILENCE_S = 6.0
"""RFC 5382, REQ-4: so long a NAT must not answer an unsolicited SYN."""


def unsolicited_udp(bench: Bench, ports: Sequence[int]) -> Fate | None:
    """A datagram to an outer address, at ports that are not mapped, from an endpoint that nobody has written to.

    None where nothing gets out.
    """
    lifeline = open_one(bench, False, bench.fresh(), bench.to(0, ports[0]))
    if lifeline is None:
        return None
    stranger = bench.to(1, bench.ports.take())
    at = [_unmapped(bench, lifeline.outer.address) for _ in range(2)]
    shots = [asking.udp(bench.outside, stranger, bench.inside, one) for one in at]
    seen = ask(shots, bench.patience, lifeline.down)
    errors = [ends.report("udp", stranger, _to(shot)) for shot in shots]
    bench.outside.barrier()
    if any(seen[shot.key] and not _is_mapped(bench, _to(shot)) for shot in shots):
        return Fate.ADMITTED
    return Fate.REJECTED if any(bench.outside.seen(key) for key in errors) else Fate.DROPPED


def unsolicited_tcp(bench: Bench, ports: Sequence[int]) -> Fate | None:
    """A SYN to a port that is not mapped, and one to a port that is, both from strangers; then six seconds."""
    lifeline = open_one(bench, True, bench.fresh(), bench.to(0, ports[0]))
    if lifeline is None:
        return None
    outer = lifeline.outer
    strangers = [bench.to(1, bench.ports.take()) for _ in range(2)]
    fresh = asking.syn(bench.outside, strangers[0], bench.inside, _unmapped(bench, outer.address))
    mapped = asking.syn(bench.outside, strangers[1], bench.inside, outer)
    seen = ask([fresh, mapped], bench.patience, lifeline.down)
    answers = [
        key
        for shot in (fresh, mapped)
        for key in (ends.reset(int(shot.packet["seq"])), ends.report("tcp", _from(shot), _to(shot)))
    ]
    bench.pause(SILENCE_S)  # what is measured: nothing may come for so long
    bench.outside.barrier()
    if seen[fresh.key] and not _is_mapped(bench, _to(fresh)):
        return Fate.ADMITTED
    return Fate.REJECTED if any(bench.outside.seen(key) for key in answers) else Fate.DROPPED


def _unmapped(bench: Bench, address: str) -> Endpoint:
    """An endpoint at an outer address that nothing has come from: a router may give any port to others' mappings."""
    while _is_mapped(bench, found := Endpoint(address, bench.ports.take())):
        pass
    return found


def _is_mapped(bench: Bench, outer: Endpoint) -> bool:
    """Whether the internet has seen it, if only while it was asked: what comes in there may have been asked for."""
    return outer.port in bench.outside.ports_of(outer.address)


def hairpinned(bench: Bench, tcp: bool, port: int) -> Hairpinned | None:
    """Two hosts inside, each with an outer endpoint, write to each other's: each has then asked for the other."""
    one = open_one(bench, tcp, bench.fresh(0), bench.to(0, port))
    other = open_one(bench, tcp, bench.fresh(1), bench.to(0, port))
    if one is None or other is None:
        return None
    there, back = _inside(bench, tcp, other, one), _inside(bench, tcp, one, other)
    guard = one.up
    ask([back, there], bench.patience, guard)
    seen = bench.inside.seen(there.key)
    return Hairpinned(seen[0].source if seen else None, other.outer, other.inner)


def _inside(bench: Bench, tcp: bool, source: Conversation, to: Conversation) -> Shot:
    return (asking.syn if tcp else asking.udp)(bench.inside, source.inner, bench.inside, to.outer)


def simultaneous_open(bench: Bench, ports: Sequence[int]) -> bool | None:
    """RFC 5382, REQ-2: two SYNs that cross, each answered by a SYN-ACK; then data. None where nothing gets out."""
    lifeline = open_one(bench, True, bench.fresh(), bench.to(0, ports[0]))
    if lifeline is None:
        return None
    inner, remote = bench.fresh(), bench.to(0, ports[0])
    out = asking.syn(bench.inside, inner, bench.outside, remote)
    seen = ask([out], bench.patience)[out.key]
    if not seen:
        return None
    outer, first = seen[0].source, int(out.packet["seq"])
    crossing = asking.syn(bench.outside, remote, bench.inside, outer)
    second = int(crossing.packet["seq"])
    if not ask([crossing], bench.patience, lifeline.down)[crossing.key]:
        return False
    answer = {"proto": "tcp", **asking.between(inner, remote), "flags": "SA", "seq": first, "ack": second + 1}
    agreed = Shot(bench.inside, answer, bench.outside, ends.syn_ack(first))
    if not ask([agreed], bench.patience)[agreed.key]:
        return False
    talk = Tcp(bench.inside, bench.outside, inner, remote, outer, first, second)
    up, down = talk.up(), talk.down()
    return bool(ask([up], bench.patience)[up.key] and ask([down], bench.patience, lifeline.down)[down.key])


def _from(shot: Shot) -> Endpoint:
    return Endpoint(str(shot.packet["src"]), int(shot.packet["sport"]))


def _to(shot: Shot) -> Endpoint:
    return Endpoint(str(shot.packet["dst"]), int(shot.packet["dport"]))
