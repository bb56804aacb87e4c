"""What routers dropped while packets were captured: by which rule, as the rules themselves have counted.

The reason in a packet's row is inferred from what its router says that it is; a rule's counter, read before and after,
is not. Pure but for asking. Belongs here: the two held against each other. Never: which packet it was (passing.py).
"""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lab.errors import LabError
from lab.harness import standing
from lab.runtime.connection import Engine
from lab.runtime.world import World

Counted = Mapping[str, int]
"""Packets that each rule of a router that drops has counted since it was loaded, by the rule's own text."""
Ask = Callable[[str], Counted]
"""The counters of a router by its name; raises LabError."""


@dataclass(frozen=True)
class Dropped:
    """One router's: `rules` that have counted and how many, None where they could not be read; `seen` packets that went
    no further."""

    router: str
    rules: tuple[tuple[str, int], ...] | None
    seen: int

    def __str__(self) -> str:
        if self.rules is None:
            return f"{self.router} passed {_packets(self.seen)} on to nobody; no rule's counter could be read: inferred"
        counted = sum(packets for _, packets in self.rules)
        more = self.seen - counted
        if not counted:
            return f"{self.router} passed {_packets(self.seen)} on to nobody, and no rule counted one: inferred"
        by = ", ".join(f"{packets:,} by {rule}" for rule, packets in self.rules)
        rest = f"; of {more:,} more that went no further no rule counted one: inferred" if more > 0 else ""
        return f"{self.router} dropped {_packets(counted)}: {by} (counted){rest}"


def _packets(number: int) -> str:
    return "1 packet" if number == 1 else f"{number:,} packets"


def asking(engine: Engine, world: World) -> Ask:
    """Asks each router over a conversation of its own."""
    return lambda router: dict(standing.order(engine, world, router, "dropped")["rules"])


def read(ask: Ask | None, routers: Iterable[str]) -> dict[str, Counted]:
    """The counters of those routers that tell them."""
    names = list(routers)
    if ask is None or not names:
        return {}

    def told(name: str) -> Counted | None:
        try:
            return ask(name)
        except LabError:
            return None

    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="rules") as pool:
        found = zip(names, pool.map(told, names), strict=True)
        return {name: counted for name, counted in found if counted is not None}


def counted(before: Mapping[str, Counted], after: Mapping[str, Counted]) -> dict[str, dict[str, int]]:
    """What the rules of each router have counted, those that have counted nothing left out; one whose rules were loaded
    anew meanwhile has counted nothing that can be told, and is not in it."""
    found = {}
    for router in before.keys() & after.keys():
        grown = {rule: packets - before[router].get(rule, 0) for rule, packets in after[router].items()}
        if before[router].keys() <= after[router].keys() and all(count >= 0 for count in grown.values()):
            found[router] = {rule: count for rule, count in grown.items() if count}
    return found


def between(before: Mapping[str, Counted], after: Mapping[str, Counted], seen: Mapping[str, int]) -> list[Dropped]:
    """Each router that has dropped anything."""
    told = counted(before, after)
    found = []
    for router in dict.fromkeys((*before, *seen)):
        rules = tuple(told[router].items()) if router in told else None
        one = Dropped(router, rules, seen.get(router, 0))
        if one.seen or one.rules:
            found.append(one)
    return found
