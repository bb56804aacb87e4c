"""ICMP errors about what was sent (RFC 4787 REQ-12, RFC 5508 REQ-4), and fragments (RFC 4787 REQ-14).

Belongs here: packets that a router has to look into, or to put together. Never: conclusions.
"""

from lab.certify import asking, ends
from lab.certify.asking import Shot, ask
from lab.certify.bench import PRIMARY, Bench
from lab.certify.findings import LONGER_BYTES, Fragmented, Reported
from lab.certify.measuring.mapping import open_one

HOST, PORT, TOO_BIG = "host unreachable", "port unreachable", "packet too big"
KINDS = {  # RFC 792 (and 1191), RFC 4443: type and code
    4: {HOST: (3, 1), PORT: (3, 3), TOO_BIG: (3, 4)},
    6: {HOST: (1, 3), PORT: (1, 4), TOO_BIG: (2, 0)},
}


def reported(bench: Bench, tcp: bool, port: int) -> Reported | None:
    """Report a mapped packet as undelivered in every way, from another address, and see whether it still works."""
    talk = open_one(bench, tcp, bench.fresh(), bench.to(0, port))
    if talk is None:
        return None
    protocol = "tcp" if tcp else "udp"
    about = {**talk.packet(True), **asking.between(talk.outer, talk.remote), "token": asking.new_token()}
    shots, untranslated = {}, []
    for name, (kind, code) in KINDS[bench.family].items():
        packet = {
            "proto": "error", "src": bench.remote[1], "dst": talk.outer.address, "type": kind, "code": code,
            "mtu": 1400 if name == TOO_BIG else 0, "about": about,
        }  # fmt: skip
        key = ends.report(protocol, talk.inner, talk.remote, (kind, code))
        shots[name] = Shot(bench.outside, packet, bench.inside, key)
        untranslated.append(ends.report(protocol, talk.outer, talk.remote))
    seen = ask(shots.values(), bench.patience, talk.down)
    arrived = frozenset(name for name, shot in shots.items() if seen[shot.key])
    raw = any(bench.inside.seen(key) for key in untranslated) and talk.outer != talk.inner
    up, down = talk.up(), talk.down()
    after = ask([up, down], bench.patience)
    kept = bool(after[down.key]) and {one.source for one in after[up.key]} == {talk.outer}
    return Reported(frozenset(shots), arrived, bool(arrived) and not raw, kept)


def fragmented(bench: Bench) -> Fragmented:
    """Long datagrams, their fragments in order and the last one first, both ways; each on a mapping of its own."""

    def passes(upward: bool, order: str) -> bool:
        talk = open_one(bench, False, bench.fresh(), bench.to(0, PRIMARY))
        lifeline = open_one(bench, False, bench.fresh(), bench.to(0, PRIMARY))
        if talk is None or lifeline is None:
            return False
        shot = talk.up() if upward else talk.down()
        shot.packet.update(size=LONGER_BYTES, fragments=order)
        guard = lifeline.up if upward else lifeline.down
        return bool(ask([shot], bench.patience, guard)[shot.key])

    return Fragmented(
        up_in_order=passes(True, "in-order"),
        up_reversed=passes(True, "reversed"),
        down_in_order=passes(False, "in-order"),
        down_reversed=passes(False, "reversed"),
    )
