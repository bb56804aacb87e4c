"""How often, and how soon, ports that nobody can name beforehand have to be found, and how many of some tries that is.

Belongs here: what is demanded, and counting. Never: which networks it is demanded of (theory.py), or how calls are
placed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, inf

from lab.harness.call_report import CallReport
from tests.theory import Search

DOUBT = 0.001
"""Chance that clients which find exactly as many as they must are said to find too few."""


@dataclass(frozen=True)
class Demand:
    """This share of all tries succeeds within so many seconds of the answer, and half of them within `half_s`."""

    share: float
    within_s: float
    half_s: float = inf


DEMANDS = {
    Search.FORESEEN: Demand(38 / 40, 1.0),
    Search.TRIED: Demand(36 / 40, 6.0, 2.5),
    Search.BLOCKS: Demand(36 / 40, 15.0),
}
TRIES = 40
"""Of a campaign: then the shares are whole numbers, and hold as they stand."""


def fewest(tries: int, share: float, doubt: float = DOUBT) -> int:
    """How many of some tries succeed at least, but for so much doubt, where each does with that chance (binomial)."""
    chance, count = 0.0, -1
    while chance <= doubt:
        count += 1
        chance += comb(tries, count) * share**count * (1 - share) ** (tries - count)
    return count


def after_the_answer(report: CallReport, path: str) -> float | None:
    """Seconds from the answer to the call's first stretch on this "kind/transport"; None: there was none."""
    answered = report.setup_ms.answered
    begun = [stretch.from_ms for stretch in report.history if f"{stretch.kind}/{stretch.transport}" == path]
    return None if answered is None or not begun else max(0, begun[0] - answered) / 1000


def shortfall(took: Sequence[float | None], demand: Demand, doubt: float | None = DOUBT) -> str | None:
    """What is wrong with these tries, seconds each or None where it was not found; None: nothing. Without `doubt`, the
    shares hold as they stand."""
    for share, limit in ((demand.share, demand.within_s), (0.5, demand.half_s)):
        needed = round(share * len(took)) if doubt is None else fewest(len(took), share, doubt)
        found = sum(one is not None and one <= limit for one in took)
        if found < needed:
            seen = ", ".join("never" if one is None else f"{one:.1f}" for one in sorted(took, key=_late))
            return f"{found} of {len(took)} within {limit:g} s, expected {needed} or more; found after {seen} s"
    return None


def _late(took: float | None) -> float:
    return inf if took is None else took
