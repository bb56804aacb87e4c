"""What a link does to packets, as data.

Belongs here: frozen values in SI units, and which of them make sense. Never: text (notation.py), time (line.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from lab.errors import ConfigError
from lab.links.units import print_rate, print_share, print_time

LONGEST_DELAY = 10.0  # seconds; the longest path of the internet, over a geostationary satellite, has 0.6
SLOWEST, FASTEST = 1_000, 1_000_000_000  # bit/s
FULL_MTU = 1500  # Ethernet's, and that of every network of the lab
SMALLEST_MTU = 576  # RFC 1122, 3.3.2: what every IPv4 host can put together
SMALLEST_MTU_IPV6 = 1280  # RFC 8200, 5
DEFAULT_QUEUE = 0.1  # seconds at the link's rate: one round trip of a far path, the old rule for a router's buffer


class Direction(StrEnum):
    """Which packets of a site are meant: those from it, to it, both, or from it to one other site alone."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"
    TOWARD = "toward"


def _share(name: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigError(f"{name} of {print_share(share)}; allowed: 0% to 100%")


@dataclass(frozen=True)
class Burst:
    """Loss in bursts: the Gilbert-Elliott model, with the parameters that netem calls p, r, 1-h and 1-k.

    Shares from 0 to 1. At each packet a good link turns bad with `p` and a bad one good with `r`; a bad one loses
    `loss_bad` (1-h) of its packets, a good one `loss_good` (1-k).
    """

    p: float
    r: float
    loss_bad: float = 1.0
    loss_good: float = 0.0

    def __post_init__(self) -> None:
        for name, share in (("p", self.p), ("r", self.r), ("1-h", self.loss_bad), ("1-k", self.loss_good)):
            _share(f"burst's {name}", share)
        if self.p > 0 and self.r == 0:
            raise ConfigError("burst's r of 0% never ends a burst; allowed: above 0%, up to 100%")

    @property
    def loss(self) -> float:
        """The share that is lost in the long run."""
        bad = self.p / (self.p + self.r) if self.p else 0.0
        return bad * self.loss_bad + (1 - bad) * self.loss_good

    @property
    def loss_after_loss(self) -> float:
        """The share that is lost of the packets that come right after one that was lost, at most."""
        return max(self.loss, (1 - self.r) * self.loss_bad + self.r * self.loss_good)


@dataclass(frozen=True)
class Queue:
    """How much waits for a link with a rate before more is dropped: bytes, or seconds at the link's rate."""

    bytes: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.bytes is None) == (self.seconds is None) or (self.bytes or self.seconds or 0) <= 0:
            got = [f"{self.bytes} bytes"] if self.bytes is not None else []
            got += [print_time(self.seconds)] if self.seconds is not None else []
            raise ConfigError(f"expected a queue of bytes or of time above zero, got {' and '.join(got) or 'none'}")

    def limit(self, rate: int) -> float:
        """The same in bytes, at `rate` bit/s."""
        return self.bytes if self.bytes is not None else (self.seconds or 0) * rate / 8


@dataclass(frozen=True)
class Impairment:
    """What happens to packets in one direction. Raises ConfigError for what makes no sense.

    `delay` and `jitter` in seconds: a packet takes between delay - jitter and delay + jitter, in the median the delay,
    and none overtakes another (with the jitter of a kernel's netem one may). `loss` is a share, 0.05 for 5 %. `rate` in
    bit/s of IP packets; what exceeds it waits in `queue`. `mtu` in bytes of an IP packet: the router before the line
    refuses a larger one with ICMP, or it vanishes where `blackhole`.
    """

    delay: float = 0.0
    jitter: float = 0.0
    loss: float = 0.0
    burst: Burst | None = None
    rate: int | None = None
    queue: Queue | None = None
    mtu: int = FULL_MTU
    blackhole: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.delay <= LONGEST_DELAY:
            raise ConfigError(f"delay of {print_time(self.delay)}; allowed: 0ms to {print_time(LONGEST_DELAY)}")
        if not 0 <= self.jitter <= self.delay:
            raise ConfigError(
                f"jitter of {print_time(self.jitter)} with a delay of {print_time(self.delay)}; allowed: 0ms up to the "
                "delay, since no packet arrives before it was sent"
            )
        _share("loss", self.loss)
        if self.loss and self.burst:
            raise ConfigError(
                "loss and burst in one direction; allowed: one of them, loss=0% or burst=none for the other"
            )
        if self.rate is not None and not SLOWEST <= self.rate <= FASTEST:
            allowed = f"{print_rate(SLOWEST)} to {print_rate(FASTEST)}, or none for no limit"
            raise ConfigError(f"rate of {print_rate(self.rate)}; allowed: {allowed}")
        if self.queue and self.rate is None:
            raise ConfigError("a queue without a rate; nothing waits where there is no limit: give a rate as well")
        self.check_mtu(SMALLEST_MTU)

    def check_mtu(self, smallest: int) -> None:
        """Raises ConfigError where the MTU is below `smallest` (SMALLEST_MTU_IPV6 where the site has IPv6)."""
        if not smallest <= self.mtu <= FULL_MTU:
            where = " where a site has IPv6" if smallest == SMALLEST_MTU_IPV6 else ""
            raise ConfigError(f"mtu of {self.mtu}; allowed: {smallest} to {FULL_MTU}{where}")

    @property
    def refused_above(self) -> int:
        """The size above which the router before the line refuses packets; 1500 in a black hole, where core drops."""
        return FULL_MTU if self.blackhole else self.mtu

    @property
    def swallowed_above(self) -> int | None:
        """The size above which packets vanish unreported; None where none do."""
        return self.mtu if self.blackhole else None

    @property
    def clean(self) -> bool:
        """Whether packets that no router refuses pass as if there were no link."""
        return replace(self, mtu=FULL_MTU) == CLEAN

    @property
    def loses(self) -> bool:
        """Whether packets may be lost that no router refuses: by luck, in a full queue, in a black hole."""
        by_luck = bool(self.loss) or (self.burst is not None and self.burst.loss > 0)
        return by_luck or self.rate is not None or (self.blackhole and self.mtu < FULL_MTU)

    @property
    def queue_limit(self) -> float:
        """Bytes that may wait; without a meaning where there is no rate."""
        return (self.queue or Queue(seconds=DEFAULT_QUEUE)).limit(self.rate or 0)


CLEAN = Impairment()


@dataclass(frozen=True)
class Link:
    """A site's access link: `up` from the site, `down` to it, `toward` between it and the sites named there alone."""

    up: Impairment = CLEAN
    down: Impairment = CLEAN
    toward: Mapping[str, Impairment] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if any(way.mtu != FULL_MTU or way.blackhole for way in self.toward.values()):
            raise ConfigError("an mtu toward one site alone; a line's holds whoever its packets go to")

    def check_mtu(self, smallest: int) -> None:
        """Raises ConfigError where an MTU is below `smallest` (SMALLEST_MTU_IPV6 where the site has IPv6)."""
        for way in (self.up, self.down):
            way.check_mtu(smallest)
