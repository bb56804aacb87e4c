"""Claimed against measured, axis by axis, each with its tolerance.

Pure. Belongs here: what counts as the same. Never: where either comes from.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from types import MappingProxyType
from typing import Any

from lab.certify.behaviour import RANDOM, Behaviour

DELAY_MS, DELAY_SHARE = 1.0, 0.05
"""A median one-way delay agrees within so many ms and that share of what is claimed."""
SIGMAS = 4.0
"""A loss agrees within so many standard deviations of the binomial distribution: one in 16,000 strays."""
TIMEOUT_S, TIMEOUT_SHARE = 0.5, 0.05
"""A timeout is looked for 4 % around what is claimed; packets that ask for it are not all of one instant."""
FULL_SHARE = 0.9
"""A host's block of ports is full when so much of it is used."""
RATE_SHARE = 0.3
"""A throttle is measured by some fifteen packets of three seconds."""

FALSE_ALARM = 1e-6
"""Probability at which ports that are drawn from a whole range lie as close together as those that were seen."""
UNEVEN = 2.0
"""How much likelier than others a port may be: Linux takes 16 random bits modulo the size of the range
(nf_nat_core.c), so of 64,512 ports the first 1,024 come twice as often."""


@dataclass(frozen=True)
class Draw:
    """Outer ports that one host was given by chance: from how many by the claim, and how often one was drawn."""

    among: int
    times: int

    def covers(self, ports: tuple[int, int]) -> bool:
        """Whether all of them may lie between these two by chance. Each may be the lowest, and then the others lie in
        the `width` above it: that has a probability of at most times * (UNEVEN * width / among) ** (times - 1)."""
        share = UNEVEN * (ports[1] - ports[0] + 1) / self.among
        return self.times < 2 or self.times * min(1.0, share) ** (self.times - 1) >= FALSE_ALARM

    @property
    def words(self) -> str:
        """The tolerance."""
        return f"the spread of {self.times} draws from {self.among}"


NO_DRAWS: Mapping[str, Draw] = MappingProxyType({})


@dataclass(frozen=True)
class Difference:
    """One axis on which the two do not agree; `within`: the tolerance, in words, where there is one."""

    axis: str
    claimed: object
    measured: object
    within: str = ""

    def __str__(self) -> str:
        within = f" (within {self.within})" if self.within else ""
        return f"{self.axis}: claimed {shown(self.claimed)}{within}, measured {shown(self.measured)}"


def differences(
    claimed: Behaviour, measured: Behaviour, probes: int, clumping: float = 1.0, draws: Mapping[str, Draw] = NO_DRAWS
) -> tuple[Difference, ...]:
    """Every axis on which they disagree. `probes`: how many a loss was measured with, one way.

    `clumping`: by how much losses that come in bursts widen the variance of their number. `draws`: by the axis of a
    range of ports, how a host's were drawn from it; where there is none, any within the range will do.
    """
    found = []
    for axis, one, other in _paired(claimed.to_json(), measured.to_json(), draws):
        within = _tolerance(axis, one, probes * (2 if axis == "link.loss" else 1), clumping)
        if not _same(one, other, within):
            words = draws[axis].words if axis in draws and _inside(one, other) else ""
            found.append(Difference(axis, one, other, within[1] if within else words))
    return tuple(found)


def _paired(
    claimed: Mapping[str, Any], measured: Mapping[str, Any], draws: Mapping[str, Draw], above: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for key, one in claimed.items():
        other = measured[key]
        if isinstance(one, Mapping):
            yield from _paired(one, other, draws, f"{above}{key}.")
        elif key == "ports":
            # what is not drawn by chance at all is the allocation's to tell
            draw = draws.get(f"{above}{key}") if measured["allocation"] == RANDOM else None
            yield f"{above}{key}", one, _widened(one, other, draw)
        elif key == "ports_per_host":
            yield f"{above}{key}", one, _rounded(one, other)
        else:
            yield f"{above}{key}", one, other


def _inside(claimed: tuple[int, int] | None, seen: tuple[int, int] | None) -> bool:
    return bool(claimed and seen and claimed[0] <= seen[0] and seen[1] <= claimed[1])


def _widened(
    claimed: tuple[int, int] | None, seen: tuple[int, int] | None, draw: Draw | None
) -> tuple[int, int] | None:
    """Ports that were seen inside the range that is claimed are the range, as far as one can see: ports that are drawn
    by chance lie apart."""
    if seen and _inside(claimed, seen) and (draw is None or draw.covers(seen)):
        return claimed
    return seen if claimed else None


def _rounded(claimed: int | None, seen: int | None) -> int | None:
    """A block drawn from at random is never used to its last port; more than the block is more."""
    return claimed if claimed and seen and FULL_SHARE * claimed <= seen <= claimed else seen


Tolerance = tuple[float, str]
_TOLERANCES: Mapping[str, Callable[[float, int, float], Tolerance]] = {
    "delay_ms": lambda claimed, probes, clumping: (
        DELAY_MS + DELAY_SHARE * claimed, f"{DELAY_MS:g} ms + {DELAY_SHARE:.0%}",
    ),
    "loss": lambda claimed, probes, clumping: (
        SIGMAS * deviation(claimed, probes) * sqrt(clumping), f"{SIGMAS:g} sigma of {probes} probes",
    ),
    **dict.fromkeys(("udp_timeout_s", "timeout_s", "transitory_timeout_s"), lambda claimed, probes, clumping: (
        TIMEOUT_S + TIMEOUT_SHARE * claimed, f"{TIMEOUT_S:g} s + {TIMEOUT_SHARE:.0%}",
    )),
    "udp_kbit_s": lambda claimed, probes, clumping: (RATE_SHARE * claimed, f"{RATE_SHARE:.0%}"),
}  # fmt: skip


def deviation(share: float, probes: int) -> float:
    """Standard deviation of a share that `probes` packets measure; none measures finer than one packet."""
    share = max(share, 1 / probes)
    return sqrt(share * (1 - share) / probes)


def _tolerance(axis: str, claimed: object, probes: int, clumping: float) -> Tolerance | None:
    rule = _TOLERANCES.get(axis.rpartition(".")[2])
    return rule(float(claimed), probes, clumping) if rule and isinstance(claimed, int | float) else None


def _same(one: object, other: object, within: Tolerance | None) -> bool:
    if within and isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= within[0]
    return one == other


def shown(value: object) -> str:
    """A value as people write it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
