"""The link: one-way delay and loss of each direction, the longest packet that passes, and a throttle on UDP.

Belongs here: trains of packets, and packets of all sizes. Never: conclusions.
One clock serves both ends: they are containers of one kernel.
"""

import itertools
import statistics
from collections.abc import Sequence

from lab.certify import ends
from lab.certify.asking import ask
from lab.certify.bench import PRIMARY, Bench
from lab.certify.conversation import Conversation
from lab.certify.ends import End
from lab.certify.findings import PathMtu, Way
from lab.certify.measuring.errors import KINDS, TOO_BIG
from lab.certify.measuring.mapping import open_one

PROBES, GAP_S, PROBE_BYTES = 1000, 0.01, 100
"""A train: a thousand probes one way, 100 a second, each of at most so many bytes (IPv6, TCP, TLS): up to 80 kbit/s."""
FILLED, LONGEST_TRAIN_S = 0.5, 30.0
"""What a train takes of a link's rate, so that none of it waits or is dropped; where that would take longer than this,
it has fewer probes, and a loss is held to be what was asked within a wider bound."""
LEAST, MOST = {4: 576, 6: 1280}, 1500
"""Bytes of an IP packet: what every host or link takes (RFC 791, RFC 8200), and what an Ethernet carries."""
LATE_S, STALL_S, BUSY_TIMES = 0.002, 0.5, 4
"""A train whose packets left so late in the median, or one of them so very late, was measured on a machine that had no
time: it says nothing of the link, whatever it says, and is sent again; so many times at most."""
THROTTLE_S, THROTTLE_GAP_S, THROTTLE_BYTES, THROTTLE_FILLED = 4.0, 0.05, 400, 0.8
"""64 kbit/s for four seconds, or so much of a narrower link's rate; the first one is a throttle's burst and does not
count."""
BURST_S = 1.0
MOST_TRAINS, SAME_RATE = 6, 0.9
"""Trains where the first one shows a throttle, of which the greatest counts: the site's own hosts, and others behind
the same carrier, share what passes. They go on until a second one has shown so much of the greatest."""
TRAINS = 3
"""Trains that each have to show a throttle where losses come in bursts: one of them may have met a long one."""

_trains = itertools.count(1)


def ways(bench: Bench, tcp: bool, ports: Sequence[int]) -> tuple[Way, Way] | tuple[None, None]:
    """Up and down, measured at once, while not many others do the same; None where nothing gets out."""
    with bench.quiet:
        talk = open_one(bench, tcp, bench.fresh(), bench.to(0, ports[0]))  # now: waiting may outlast a mapping
        if talk is None:
            return None, None
        for _ in range(BUSY_TIMES):
            up = _Train(bench.inside, bench.outside, talk, True)
            down = _Train(bench.outside, bench.inside, talk, False)
            count, gap_s = train_on(bench.patience.rate)
            up.start(count, gap_s)
            down.start(count, gap_s)
            bench.pause(count * gap_s + bench.patience.wait_s)  # the trains' own length
            found = up.way(), down.way()
            if up.punctual() and down.punctual():
                break
        return found


def train_on(rate: int | None) -> tuple[int, float]:
    """How many probes a link of that rate is measured with, bit/s, and the seconds between two of them."""
    gap_s = max(GAP_S, PROBE_BYTES * 8 / (rate * FILLED)) if rate else GAP_S
    return min(PROBES, int(LONGEST_TRAIN_S / gap_s)), gap_s


class _Train:
    def __init__(self, sender: End, receiver: End, talk: Conversation, upward: bool) -> None:
        self._sender, self._receiver, self._packet = sender, receiver, talk.packet(upward)
        self._number = next(_trains)

    def start(self, count: int, gap_s: float) -> None:
        self._count = count
        started = self._sender.order("train", train=self._number, packet=self._packet, count=count, gap_s=gap_s)
        self._size = int(started["size"])

    def punctual(self) -> bool:
        """Whether the machine had time for it: its packets left when they were to."""
        late: list[float] = self._sender.order("departures", train=self._number)["late_s"]
        return statistics.median(late) < LATE_S and max(late) < STALL_S

    def way(self) -> Way:
        arrived = self._receiver.order("arrivals", train=self._number)["arrived"]
        delays = [microseconds for _, microseconds in arrived]
        delay_ms = statistics.median(delays) / 1000 if delays else 0.0
        return Way(delay_ms, self._count, self._count - len(delays), self._size)


def throttle(bench: Bench) -> float | None:
    """What passes of 64 kbit/s of outgoing UDP once a burst is over, kbit/s; None where it all does, but for losses."""
    talk = open_one(bench, False, bench.fresh(), bench.to(0, PRIMARY))
    if talk is None:
        return None
    bursts = bench.patience.again > bench.patience.loss
    rates: list[float] = []
    while len(rates) < TRAINS if bursts else not _settled(rates):
        passing = _passing(bench, talk)
        if passing is None:
            return None
        rates.append(passing)
    return statistics.median(rates) if bursts else max(rates)


def _settled(rates: Sequence[float]) -> bool:
    """Whether the greatest rate was seen twice, or there were as many trains as there may be."""
    greatest = max(rates, default=0.0)
    return len(rates) == MOST_TRAINS or sum(rate >= SAME_RATE * greatest for rate in rates) > 1


def _passing(bench: Bench, talk: Conversation) -> float | None:
    """The same of one train."""
    rate = bench.patience.rate
    gap_s = max(THROTTLE_GAP_S, THROTTLE_BYTES * 8 / (rate * THROTTLE_FILLED)) if rate else THROTTLE_GAP_S
    count, first = round(THROTTLE_S / gap_s), round(BURST_S / gap_s)
    train = next(_trains)
    packet = {**talk.packet(True), "size": THROTTLE_BYTES}
    bench.inside.order("train", train=train, packet=packet, count=count, gap_s=gap_s)
    bench.pause(count * gap_s + bench.patience.wait_s)  # the train's own length
    arrived = [number for number, _ in bench.outside.order("arrivals", train=train)["arrived"] if number >= first]
    sent = count - first
    if len(arrived) > sent * (1 - bench.patience.loss) * 0.7:
        return None
    return len(arrived) * THROTTLE_BYTES * 8 / 1000 / (sent * gap_s)


def mtu(bench: Bench, tcp: bool, ports: Sequence[int], upward: bool) -> PathMtu | None:
    """The longest packet that passes unfragmented, by halves; whether longer ones are reported."""
    sender = bench.inside if upward else bench.outside
    named: set[int] = set()

    def passes(size: int) -> bool:
        talk = open_one(bench, tcp, bench.fresh(), bench.to(0, ports[0]))
        if talk is None:
            return False
        source, to = (talk.inner, talk.remote) if upward else (talk.remote, talk.outer)
        told = ends.report("tcp" if tcp else "udp", source, to, KINDS[bench.family][TOO_BIG])
        shot = talk.up() if upward else talk.down()
        shot.packet.update(size=size, df=True)
        for _ in range(bench.patience.tries):
            if ask([shot], bench.patience, talk.up if upward else talk.down, tries=1)[shot.key]:
                return True
            if seen := sender.seen(told):
                named.update(one.mtu for one in seen)
                return False
        return False

    if passes(MOST):
        return PathMtu(MOST, None)
    low, high = LEAST[bench.family], MOST
    for guess in sorted(named):  # a router that names the MTU saves most of the halving
        if low < guess < MOST and passes(guess):
            low, high = guess, high if passes(guess + 1) else guess + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return PathMtu(low, low in named)  # a wider link on the way may name its own, and this one swallow the rest


def proxied(bench: Bench, proxy: tuple[str, int], listener: tuple[str, int]) -> tuple[bool, Way | None, Way | None]:
    """CONNECT through the site's proxy, and the delay each way of records on that connection. TCP hides its losses."""
    with bench.quiet:
        said = bench.inside.order("connect", arguments=[*proxy, *listener, 50])
    if not said["up_us"]:
        return False, None, None
    up, down = (Way(statistics.median(said[key]) / 1000, None, None) for key in ("up_us", "down_us"))
    return True, up, down
