"""How long a mapping or a state lives after two-way traffic, and what keeps it alive (RFC 4787, 4.3; RFC 5382, 5).

Belongs here: many of them left alone for different times, each asked once. Never: conclusions.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lab.certify import asking, ends
from lab.certify.asking import Shot, ask
from lab.certify.bench import Bench
from lab.certify.conversation import Conversation
from lab.certify.findings import Timed
from lab.certify.measuring.mapping import open_one

SHARES = (0.25, 0.5, 0.75, 0.9, 0.96, 1.04, 1.1, 1.25)
"""Of the timeout that is claimed: idle times after which a mapping is asked. Two of them stand 4 % around it."""
REFRESHED, TESTED = 0.6, 1.2
"""When a mapping is refreshed, and when it is asked: past its time, but not past what the refreshment gave it."""
TWO_WAY_S = 2.3
"""Linux calls a flow a stream when it has gone both ways for two seconds (nf_conntrack_proto_udp.c)."""
GAP_S = 0.02


@dataclass(frozen=True)
class _Idle:
    talk: Conversation
    since: float  # epoch seconds at which the last packet passed


def timed(bench: Bench, tcp: bool, port: int, timeout_s: float) -> Timed | None:
    """Ask mappings around the timeout that is claimed; None where none could be opened. `port`: of the other end."""
    opened = [open_one(bench, tcp, bench.fresh(), bench.to(0, port)) for _ in range(len(SHARES) + 2)]
    talks = [talk for talk in opened if talk]
    if len(talks) < len(opened):
        return None
    _both_ways(bench, talks)
    bench.pause(TWO_WAY_S)  # the traffic's own length
    *idle, outbound, inbound = _both_ways(bench, talks)
    asked = {share: (idle[number], idle[number].talk.down()) for number, share in enumerate(SHARES)}
    refresh = {True: outbound.talk.up(), False: inbound.talk.down()}
    answer = {True: outbound.talk.down(), False: inbound.talk.down()}
    plan: list[tuple[float, Shot]] = [
        *((one.since + share * timeout_s, shot) for share, (one, shot) in asked.items()),
        (outbound.since + REFRESHED * timeout_s, refresh[True]),
        (inbound.since + REFRESHED * timeout_s, refresh[False]),
        (outbound.since + TESTED * timeout_s, answer[True]),
        (inbound.since + TESTED * timeout_s, answer[False]),
    ]
    _follow(bench, plan)
    return Timed(
        idle={share * timeout_s: bool(bench.inside.seen(shot.key)) for share, (_, shot) in asked.items()},
        refreshed_s=REFRESHED * timeout_s,
        tested_s=TESTED * timeout_s,
        outbound=bool(bench.inside.seen(answer[True].key)),
        inbound=bool(bench.inside.seen(answer[False].key)),
    )


def half_open(bench: Bench, port: int, timeout_s: float) -> Mapping[float, bool] | None:
    """Connections left after their SYN, each answered once around the timeout that is claimed: whether it came in."""
    syns = [asking.syn(bench.inside, bench.fresh(), bench.outside, bench.to(0, port)) for _ in SHARES]
    seen = ask(syns, bench.patience)
    plan: list[tuple[float, Shot]] = []
    for share, syn in zip(SHARES, syns, strict=True):
        if not seen[syn.key]:
            return None
        last = max(seen[syn.key], key=lambda one: one.at)
        number = asking.new_seq()
        back = asking.between(bench.to(0, port), last.source)
        answer = {"proto": "tcp", **back, "flags": "SA", "seq": number, "ack": last.seq + 1}
        passed = last.at - bench.patience.delay_s  # the router stands before the link
        plan.append((passed + share * timeout_s, Shot(bench.outside, answer, bench.inside, ends.syn_ack(number))))
    _follow(bench, plan)
    return {share * timeout_s: bool(bench.inside.seen(shot.key)) for share, (_, shot) in zip(SHARES, plan, strict=True)}


def _follow(bench: Bench, plan: Iterable[tuple[float, Shot]]) -> None:
    """Send each at its epoch second, and wait until the last one has had its time."""
    for at, shot in sorted(plan, key=lambda one: one[0]):
        bench.pause(max(0.0, at - bench.patience.delay_s / 2 - time.time()))
        _copies(bench, shot)
    bench.pause(bench.patience.wait_s)
    bench.inside.barrier()


def _both_ways(bench: Bench, talks: Sequence[Conversation]) -> list[_Idle]:
    """A packet out and one back on each, as often as it takes; the last that passed a router is the one back."""
    ask([talk.up() for talk in talks], bench.patience)
    shots = [talk.down() for talk in talks]
    seen = ask(shots, bench.patience)
    return [
        _Idle(talk, max((one.at for one in seen[shot.key]), default=time.time()))
        for talk, shot in zip(talks, shots, strict=True)
    ]


def _copies(bench: Bench, shot: Shot) -> None:
    """So many at once that losses cannot take them all; they pass or fail as one."""
    gap = max(GAP_S if bench.patience.loss else 0.0, bench.patience.pace_s)
    for _ in range(bench.patience.tries):
        shot.sender.send([shot.packet])
        bench.pause(gap)


def copies_s(patience: asking.Patience) -> float:
    """How long the copies of one question take, and so how blunt the figure is."""
    return patience.tries * max(GAP_S if patience.loss else 0.0, patience.pace_s)
