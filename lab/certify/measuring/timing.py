"""How long a UDP mapping lives after two-way traffic, and what keeps it alive (RFC 4787, 4.3).

Belongs here: many mappings left alone for different times, each asked once. Never: conclusions.
"""

import time
from dataclasses import dataclass

from lab.certify import asking
from lab.certify.asking import Shot, ask
from lab.certify.bench import PRIMARY, Bench
from lab.certify.conversation import Udp, open_udp
from lab.certify.findings import Timed

SHARES = (0.25, 0.5, 0.75, 0.9, 0.96, 1.04, 1.1, 1.25)
"""Of the timeout that is claimed: idle times after which a mapping is asked. Two of them stand 4 % around it."""
REFRESHED, TESTED = 0.6, 1.2
"""When a mapping is refreshed, and when it is asked: past its time, but not past what the refreshment gave it."""
TWO_WAY_S = 2.3
"""Linux calls a flow a stream when it has gone both ways for two seconds (nf_conntrack_proto_udp.c)."""
GAP_S = 0.02


@dataclass(frozen=True)
class _Idle:
    talk: Udp
    since: float  # epoch seconds at which the last packet passed


def timed(bench: Bench, timeout_s: float) -> Timed | None:
    """Ask mappings around the timeout that is claimed; None where none could be opened."""
    opened = [
        open_udp(bench.inside, bench.outside, bench.fresh(), bench.to(0, PRIMARY), bench.patience)
        for _ in range(len(SHARES) + 2)
    ]
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
    for at, shot in sorted(plan, key=lambda one: one[0]):
        bench.pause(max(0.0, at - bench.patience.delay_s / 2 - time.time()))
        _copies(bench, shot)
    bench.pause(bench.patience.wait_s)
    bench.inside.barrier()
    return Timed(
        idle={share * timeout_s: bool(bench.inside.seen(shot.key)) for share, (_, shot) in asked.items()},
        refreshed_s=REFRESHED * timeout_s,
        tested_s=TESTED * timeout_s,
        outbound=bool(bench.inside.seen(answer[True].key)),
        inbound=bool(bench.inside.seen(answer[False].key)),
    )


def _both_ways(bench: Bench, talks: list[Udp]) -> list[_Idle]:
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
