"""The link: one-way delay and loss of each direction, the longest packet that passes, and a throttle on UDP.

Belongs here: trains of packets, and packets of all sizes. Never: conclusions.
One clock serves both ends: they are containers of one kernel.
"""

import itertools
import statistics

from lab.certify import ends
from lab.certify.asking import ask
from lab.certify.bench import Bench
from lab.certify.conversation import Conversation, Udp
from lab.certify.ends import End
from lab.certify.findings import PathMtu, Way
from lab.certify.measuring.errors import KINDS, TOO_BIG

PROBES, GAP_S = 1000, 0.01
"""A train: a thousand probes one way, 100 a second: 40 kbit/s, which no link here is too narrow for."""
LEAST, MOST = {4: 576, 6: 1280}, 1500
"""Bytes of an IP packet: what every host or link takes (RFC 791, RFC 8200), and what an Ethernet carries."""
THROTTLE_PROBES, THROTTLE_GAP_S, THROTTLE_BYTES = 80, 0.05, 400
"""64 kbit/s for four seconds; the first one is a throttle's burst and does not count."""
BURST_S = 1.0

_trains = itertools.count(1)


def ways(bench: Bench, talk: Conversation) -> tuple[Way, Way]:
    """Up and down, measured at once, while not many others do the same."""
    with bench.quiet:
        up = _Train(bench.inside, bench.outside, talk, True)
        down = _Train(bench.outside, bench.inside, talk, False)
        up.start()
        down.start()
        bench.pause(PROBES * GAP_S + bench.patience.wait_s)  # the trains' own length
        return up.way(), down.way()


class _Train:
    def __init__(self, sender: End, receiver: End, talk: Conversation, upward: bool) -> None:
        self._sender, self._receiver, self._packet = sender, receiver, talk.packet(upward)
        self._number = next(_trains)

    def start(self, count: int = PROBES, gap_s: float = GAP_S) -> None:
        self._count = count
        started = self._sender.order("train", train=self._number, packet=self._packet, count=count, gap_s=gap_s)
        self._size = int(started["size"])

    def way(self) -> Way:
        arrived = self._receiver.order("arrivals", train=self._number)["arrived"]
        delays = [microseconds for _, microseconds in arrived]
        delay_ms = statistics.median(delays) / 1000 if delays else 0.0
        return Way(delay_ms, self._count, self._count - len(delays), self._size)


def throttle(bench: Bench, talk: Udp) -> float | None:
    """What passes of 64 kbit/s of outgoing UDP once a burst is over, kbit/s; None where it all does, but for losses."""
    train = next(_trains)
    packet = {**talk.packet(True), "size": THROTTLE_BYTES}
    bench.inside.order("train", train=train, packet=packet, count=THROTTLE_PROBES, gap_s=THROTTLE_GAP_S)
    bench.pause(THROTTLE_PROBES * THROTTLE_GAP_S + bench.patience.wait_s)  # the train's own length
    first = BURST_S / THROTTLE_GAP_S
    arrived = [number for number, _ in bench.outside.order("arrivals", train=train)["arrived"] if number >= first]
    sent = THROTTLE_PROBES - first
    if len(arrived) > sent * (1 - bench.patience.loss) * 0.7:
        return None
    return len(arrived) * THROTTLE_BYTES * 8 / 1000 / (sent * THROTTLE_GAP_S)


def mtu(bench: Bench, talk: Conversation, upward: bool) -> PathMtu:
    """The longest packet that passes unfragmented, by halves; whether longer ones are reported."""
    sender = bench.inside if upward else bench.outside
    source, to = (talk.inner, talk.remote) if upward else (talk.remote, talk.outer)
    protocol = "udp" if isinstance(talk, Udp) else "tcp"
    told_key = ends.report(protocol, source, to, KINDS[bench.family][TOO_BIG])

    def passes(size: int) -> bool:
        shot = talk.up() if upward else talk.down()
        shot.packet.update(size=size, df=True)
        told = len(sender.seen(told_key))
        for _ in range(bench.patience.tries):
            if ask([shot], bench.patience, talk.up if upward else talk.down, tries=1)[shot.key]:
                return True
            if len(sender.seen(told_key)) > told:
                return False
        return False

    if passes(MOST):
        return PathMtu(MOST, None)
    low, high = LEAST[bench.family], MOST
    named = {one.mtu for one in sender.seen(told_key)}
    for guess in sorted(named):  # a router that names the MTU saves most of the halving
        if low < guess < MOST and passes(guess):
            low = guess
            high = guess + 1 if not passes(guess + 1) else high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return PathMtu(low, bool(sender.seen(told_key)))


def proxied(bench: Bench, proxy: tuple[str, int], listener: tuple[str, int]) -> tuple[bool, Way | None, Way | None]:
    """CONNECT through the site's proxy, and the delay each way of records on that connection. TCP hides its losses."""
    with bench.quiet:
        said = bench.inside.order("connect", arguments=[*proxy, *listener, 50])
    if not said["up_us"]:
        return False, None, None
    up, down = (Way(statistics.median(said[key]) / 1000, None, None) for key in ("up_us", "down_us"))
    return True, up, down
