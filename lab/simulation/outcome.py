"""What came of a story, as `lab simulate --json` prints it and the report draws it.

Belongs here: figures and their names. Never: how they are measured, or how they look.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from lab.simulation.measuring import Measures, Moment, share
from lab.simulation.population import Population
from lab.simulation.stories import Story


@dataclass(frozen=True)
class Load:
    """Clients at the supernodes that are up in the end: the least, the median, the most; and the places of each."""

    least: int
    median: int
    most: int
    room: int | None


@dataclass(frozen=True)
class Away:
    """Seconds: the median, what 99 of 100 stay below, and the longest; and of how many."""

    count: int
    median: float | None
    p99: float | None
    longest: float | None


@dataclass(frozen=True)
class Hops:
    """How many supernodes passed a word on to another one before it was at its client, of names that were found."""

    mean: float | None
    most: int | None
    asked: int
    found: int


@dataclass(frozen=True)
class Outcome:
    """One run. Rates are sign-ins a second at the busiest supernode; times are seconds of the simulated clock.

    `time_to_heal_s` is from the blow until no client is away any more whose supernode had gone, or that could not sign
    in at once; in churn, which has no blow, the longest time for which a client was away whose supernode had gone.
    `since` is when the blow fell, on the clock of `moments`.
    """

    story: str
    what: str
    clients: int
    seed: int
    span_s: float
    healed: bool
    time_to_heal_s: float | None
    peak_login_rate: int
    load_per_supernode: Load
    lookup_hops: Hops
    bytes_per_client_hour: int
    supernodes: int
    supernodes_up: int
    promoted: int
    dedicated: int
    turned_away: int
    overloaded: int
    lost: Away
    arrived: Away
    events: int
    heartbeats: int
    since: float
    moments: tuple[Moment, ...]
    loads: tuple[int, ...]

    @classmethod
    def of(
        cls,
        story: Story,
        population: Population,
        measures: Measures,
        *,
        inside: bool,
        resolved: tuple[int, int],
        bytes_per_hour: float,
    ) -> "Outcome":
        """`inside`: every client that is up sits at a supernode; `resolved`: names found in the end, of so many."""
        hubs = [node.hub for node in population.hubs() if node.hub is not None]
        loads = sorted(len(hub.clients) for hub in hubs)
        hops = [lookup.passed - 1 for lookup in measures.lookups.values() if lookup.found]
        lost = _away(measures.lost)
        heals = lost.longest if story.gradual else measures.last_in - measures.since
        return cls(
            story=story.name,
            what=story.what,
            clients=len(population.clients),
            seed=population.seed,
            span_s=round(population.network.now, 1),
            healed=inside and resolved[0] == resolved[1],
            time_to_heal_s=round(max(0.0, heals or 0.0), 3) if inside else None,
            peak_login_rate=measures.peak(),
            load_per_supernode=Load(loads[0], loads[len(loads) // 2], loads[-1], population.scale.room)
            if loads
            else Load(0, 0, 0, population.scale.room),
            lookup_hops=Hops(
                round(sum(hops) / len(hops), 3) if hops else None,
                max(hops, default=None),
                len(measures.lookups),
                len(hops),
            ),
            bytes_per_client_hour=round(bytes_per_hour),
            supernodes=len(loads),
            supernodes_up=len(loads),
            promoted=sum(node.promoted for node in population.clients),
            dedicated=sum(node.dedicated for node in population.supernodes),
            turned_away=measures.turned,
            overloaded=population.overloaded,
            lost=lost,
            arrived=_away(measures.arrived),
            events=population.network.happened,
            heartbeats=population.heartbeats.left_out if population.heartbeats is not None else 0,
            since=measures.since,
            moments=tuple(measures.moments),
            loads=tuple(loads),
        )

    def to_json(self) -> dict[str, Any]:
        """The figures, without the course of things."""
        told = asdict(self)
        for course in ("moments", "loads", "since"):
            del told[course]
        return told


def _away(seconds: Iterable[float]) -> Away:
    values = sorted(seconds)
    if not values:
        return Away(0, None, None, None)
    found = (round(value, 3) for value in (share(values, 0.5) or 0.0, share(values, 0.99) or 0.0, values[-1]))
    return Away(len(values), *found)
