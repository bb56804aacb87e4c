"""What came of a story, as `lab simulate --json` prints it and the report draws it.

Belongs here: figures and their names. Never: how they are measured, or how they look.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from lab.simulation.measuring import Blow, Measures, Moment, share
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
class Borne:
    """A blow, and whether it was borne (measuring.Blow): times are seconds."""

    what: str
    after_s: float
    survivors: int
    waiting: int
    limit_s: float
    longest_away_s: float
    all_in_s: float
    kept: bool

    @classmethod
    def of(cls, blow: Blow, since: float) -> "Borne":
        return cls(
            blow.what,
            round(blow.at - since, 3),
            blow.survivors,
            blow.waiting,
            round(blow.limit_s, 3),
            round(blow.longest_s, 3),
            round(blow.all_in_s, 3),
            blow.kept,
        )


@dataclass(frozen=True)
class Calls:
    """Calls that were placed before the story, those of them that ran when it began, and those that ended in it; and
    the longest time, seconds, for which an end had no path for its voice."""

    placed: int
    running: int
    ended: int
    longest_silence_s: float


@dataclass(frozen=True)
class Outcome:
    """One run. Rates are sign-ins a second at the busiest supernode; times are seconds of the simulated clock.

    `broken` says, a sentence each, which promises were not kept; healed is what keeps them all, once every client sits
    at a supernode and a sample of names is found.

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
    broken: tuple[str, ...]
    blows: tuple[Borne, ...]
    calls: Calls
    login_limit_per_s: float
    peak_login_rate_per_s: int
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
    traffic: tuple[tuple[float, float], ...]
    """Until when, and bytes a client and hour since the time before."""
    hops: tuple[tuple[float, int], ...]
    """Of each lookup that found its name: when it was asked, and its hops."""

    @classmethod
    def of(
        cls,
        story: Story,
        population: Population,
        measures: Measures,
        *,
        inside: bool,
        resolved: tuple[int, int],
        running: int,
        bytes_per_hour: float,
    ) -> "Outcome":
        """`inside`: every client that is up sits at a supernode; `resolved`: names found in the end, of so many;
        `running`: calls that ran when the story began."""
        hubs = [node.hub for node in population.hubs() if node.hub is not None]
        loads = sorted(len(hub.clients) for hub in hubs)
        found = [lookup for lookup in measures.lookups.values() if lookup.found]
        hops = [lookup.hops for lookup in found]
        ended = [talk for talk in measures.calls.values() if talk.ended is not None]
        silence = max((talk.silence for talk in measures.calls.values()), default=0.0)
        calls = Calls(len(measures.calls), running, len(ended), round(silence, 3))
        blows = tuple(Borne.of(blow, measures.since) for blow in measures.blows)
        broken = tuple(_broken(measures, blows, calls))
        lost = _away(measures.lost)
        heals = lost.longest if story.gradual else measures.last_in - measures.since
        return cls(
            story=story.name,
            what=story.what,
            clients=len(population.clients),
            seed=population.seed,
            span_s=round(population.network.now, 1),
            healed=inside and resolved[0] == resolved[1] and not broken,
            time_to_heal_s=round(max(0.0, heals or 0.0), 3) if inside else None,
            broken=broken,
            blows=blows,
            calls=calls,
            login_limit_per_s=measures.login_limit,
            peak_login_rate_per_s=measures.peak(),
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
            traffic=tuple(measures.traffic),
            hops=tuple((lookup.at, lookup.hops) for lookup in found),
        )

    def to_json(self) -> dict[str, Any]:
        """The figures, without the course of things."""
        told = asdict(self)
        for course in ("moments", "loads", "traffic", "hops", "since"):
            del told[course]
        return told


def _broken(measures: Measures, blows: Iterable[Borne], calls: Calls) -> Iterator[str]:
    """What was promised, and not kept."""
    if (peak := measures.peak()) > math.ceil(measures.login_limit):
        yield f"a supernode let {peak} clients in within a second, more than its {measures.login_limit:g}"
    for blow in blows:
        if not blow.kept:
            yield (
                f"{blow.what}: all were in after {blow.all_in_s:.1f} s, none was away for more than "
                f"{blow.longest_away_s:.1f} s, and {blow.limit_s:.1f} s are allowed"
            )
    if calls.running < calls.placed:
        yield f"{calls.placed - calls.running} of {calls.placed} calls did not run when it began"
    yield from (f"a call ended at {talk.ended}" for talk in measures.calls.values() if talk.ended is not None)


def _away(seconds: Iterable[float]) -> Away:
    values = sorted(seconds)
    if not values:
        return Away(0, None, None, None)
    found = (round(value, 3) for value in (share(values, 0.5) or 0.0, share(values, 0.99) or 0.0, values[-1]))
    return Away(len(values), *found)
