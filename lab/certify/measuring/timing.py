"""How long a mapping or a state lives after two-way traffic, and what keeps it alive (RFC 4787, 4.3; RFC 5382, 5).

Belongs here: many of them left alone for different times, each asked once. Never: conclusions.
On a link with a rate a question that no control packet follows through has said nothing, and is asked again: a queue
that the site's own clients fill drops copies one after the other. What counts is when it was asked, and not when it was
to be. Losses by luck take no control packet: there are copies enough against them, and waiting would blunt the figure.
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
AGAIN = 2
"""Times that a lost packet, one out or one back, keeps the conversations waiting between which time is counted."""
GAP_S = 0.02
REFRESH_S = 2.0
"""Between two packets of the conversation that control packets are of, while nothing is asked."""


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
    lifeline = _Lifeline(bench, tcp, port)
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
    sent = _follow(bench, plan, lifeline)
    return Timed(
        idle=dict(_lived(bench, one.since, shot, sent) for one, shot in asked.values()),
        refreshed_s=REFRESHED * timeout_s,
        tested_s=TESTED * timeout_s,
        outbound=bool(bench.inside.seen(answer[True].key)),
        inbound=bool(bench.inside.seen(answer[False].key)),
    )


def least_s(patience: asking.Patience) -> float:
    """The shortest timer that can be looked for with that patience: each conversation has to outlast the pause that is
    made between its packets, and its turn among the others."""
    return TWO_WAY_S + _turn_s(patience, len(SHARES) + 2)


def least_half_open_s(patience: asking.Patience) -> float:
    """The same of a connection half open."""
    return _turn_s(patience, len(SHARES))


def _turn_s(patience: asking.Patience, others: int) -> float:
    """How long a packet may be on its way, and those of so many others before it."""
    return patience.wait_s * (1 + (AGAIN if patience.loss else 0)) + others * patience.pace_s


def half_open(bench: Bench, port: int, timeout_s: float) -> Mapping[float, bool] | None:
    """Connections left after their SYN, each answered once around the timeout that is claimed: whether it came in."""
    lifeline = _Lifeline(bench, True, port)
    syns = [asking.syn(bench.inside, bench.fresh(), bench.outside, bench.to(0, port)) for _ in SHARES]
    seen = ask(syns, bench.patience)
    plan: list[tuple[float, Shot]] = []
    since = []
    for share, syn in zip(SHARES, syns, strict=True):
        if not seen[syn.key]:
            return None
        last = max(seen[syn.key], key=lambda one: one.at)
        number = asking.new_seq()
        back = asking.between(bench.to(0, port), last.source)
        answer = {"proto": "tcp", **back, "flags": "SA", "seq": number, "ack": last.seq + 1}
        passed = last.at - bench.patience.delay_s  # the router stands before the link
        since.append(passed)
        plan.append((passed + share * timeout_s, Shot(bench.outside, answer, bench.inside, ends.syn_ack(number))))
    sent = _follow(bench, plan, lifeline)
    return dict(_lived(bench, passed, shot, sent) for passed, (_, shot) in zip(since, plan, strict=True))


Sent = Mapping[str, tuple[float, float]]
"""By key, the epoch seconds at which a question reached the router, for the first and for the last time."""


def _lived(bench: Bench, since: float, shot: Shot, sent: Sent) -> tuple[float, bool]:
    """How long a mapping had been left alone when it was asked, and whether the answer came in."""
    first, last = sent[shot.key]
    alive = bool(bench.inside.seen(shot.key))
    return (first if alive else last) - since, alive


def _follow(bench: Bench, plan: Iterable[tuple[float, Shot]], lifeline: "_Lifeline") -> Sent:
    """Send each at its epoch second, and wait until the last one has had its time. Raises Severed."""
    early = bench.patience.delay_s / 2
    found = {}
    for at, shot in sorted(plan, key=lambda one: one[0]):
        while (left := at - early - time.time()) > REFRESH_S:
            bench.pause(REFRESH_S)
            lifeline.refresh()
        bench.pause(max(0.0, left))
        found[shot.key] = _asked(bench, shot, lifeline, early)
    bench.pause(bench.patience.wait_s)
    bench.inside.barrier()
    return found


def _asked(bench: Bench, shot: Shot, lifeline: "_Lifeline", early: float) -> tuple[float, float]:
    """Send a question until a control packet behind it has come through; when that began, and when it was so."""
    first = time.time() + early
    for _ in range(asking.SEVERED):
        last = time.time() + early
        _copies(bench, shot)
        if lifeline.holds(inward=shot.receiver is bench.inside):
            return first, last
    raise asking.Severed(f"{asking.SEVERED} control packets in a row were lost on a way that was open")


class _Lifeline:
    """A conversation that is kept alive beside those that are left alone, on a link with a rate; a router that forgets
    it all the same is given another."""

    def __init__(self, bench: Bench, tcp: bool, port: int) -> None:
        self._bench, self._tcp, self._port = bench, tcp, port
        self._needed = bench.patience.rate is not None
        self._talk = self._open() if self._needed else None

    def _open(self) -> Conversation | None:
        return open_one(self._bench, self._tcp, self._bench.fresh(), self._bench.to(0, self._port))

    def refresh(self) -> None:
        for shot in (self._talk.up(), self._talk.down()) if self._talk else ():
            shot.sender.send([shot.packet])

    def holds(self, inward: bool) -> bool:
        """Whether a packet that way comes through now, where that can be in doubt."""
        if not self._needed:
            return True
        if self._talk and asking.passes(self._talk.down() if inward else self._talk.up(), self._bench.patience):
            return True
        self._talk = self._open()
        return False


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
