"""A simulated story for the eye: its figures, and its course as rows of bars; and how far it is while it runs.

Belongs here: layout and wording. Never: verdicts; they come with the outcome. Charts for a browser are
simulation_svg.py's.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, TextColumn
from rich.table import Table
from rich.text import Text

from lab.report.bars import Barred
from lab.simulation import Outcome, Stage
from lab.simulation.measuring import Moment
from lab.simulation.outcome import Borne, Calls

_BARS = " ▁▂▃▄▅▆▇█"
_WIDEST = 100
_BEFORE = 30.0
"""Seconds before the blow that are drawn as well."""
_REFRESH = 0.25
"""Seconds between two looks at a simulation that runs."""


class Simulating(Barred):
    """A simulation while it runs: a bar of the clients that are in; where there is no terminal, a line a stage."""

    def __init__(self, console: Console, quiet: bool = False) -> None:
        """`quiet`: no lines where there is no terminal."""
        super().__init__(console, TextColumn("{task.fields[stage]}"), BarColumn(), TextColumn("{task.fields[told]}"))
        self._quiet, self._stage, self._next = quiet, "", 0.0
        self._task = self._bar.add_task("", total=1, stage="", told="making keys")

    def follow(self, stage: Stage) -> None:
        """A simulated second is over."""
        if stage.name != self._stage:
            self._stage = stage.name
            if not self._quiet and not self._console.is_terminal:
                self._console.print(f"{stage.name}: {stage.inside} of {stage.up} clients are in", style="dim")
        if (now := time.monotonic()) >= self._next:
            self._next = now + _REFRESH
            told = f"{stage.inside} of {stage.up} clients are in, {span(stage.now)} simulated"
            total = max(1, stage.up)
            self._bar.update(self._task, completed=stage.inside, total=total, stage=stage.name, told=told)


def simulation(found: Outcome, width: int) -> RenderableType:
    """The verdict, the course and the figures, on a terminal of `width` columns."""
    columns = max(20, min(_WIDEST, width) - 34)
    plots = Table.grid(padding=(0, 2))
    for each in courses(found):
        drawn = bars(each.values, columns, each.limit)
        plots.add_row(Text(f"  {each.name}"), Text(drawn, "cyan"), Text(each.told, "dim"))
    plots.add_row(
        Text("  clients at each supernode"), Text(bars(found.loads, columns), "cyan"), Text(load(found), "dim")
    )
    axis = f"from {_BEFORE:g} s before to {span(found.moments[-1].at - found.since)} after" if found.moments else ""
    return Group(
        verdict(found), Text(f"  {found.what}", "dim"), Text(), plots, Text(f"  {axis}", "dim"), Text(), _table(found)
    )


def verdict(found: Outcome) -> Text:
    """The story and how it ended, in one line."""
    end = (f"healed after {seconds(found.time_to_heal_s)}", "good") if found.healed else ("not healed", "bad")
    return Text.assemble((found.story, "bold"), f"  {size(found)}  ", end)


def size(found: Outcome) -> str:
    """How many there are, in words."""
    told = f"{found.clients:,} clients, {found.supernodes} supernodes ({found.dedicated} dedicated"
    return told + (f", {found.promoted} promoted)" if found.promoted else ")")


@dataclass(frozen=True)
class Course:
    """What is drawn over time: a value for each second that is `shown`, and in words how high it goes; `limit` is what
    it may not pass, where there is such a thing."""

    name: str
    values: list[float]
    told: str
    limit: float | None = None


def courses(found: Outcome) -> list[Course]:
    """The story's, in the order in which they are drawn."""
    moments, limit = shown(found), found.login_limit_per_s

    def course(name: str, value: Callable[[Moment], float], words: str, limit: float | None = None) -> Course:
        values = [value(moment) for moment in moments]
        return Course(name, values, words.format(max(values, default=0)), limit)

    hops = found.lookup_hops
    lookups = Course("hops of a lookup", _hops_by_second(found, moments), _hops(hops.mean, hops.most))
    traffic = Course("kB of a client and hour", _traffic_by_second(found, moments), "")
    return [
        course("clients up", lambda moment: moment.up, "most {:,}"),
        course("clients away", lambda moment: moment.away, "most {:,}"),
        course("sign-ins a second, all", lambda moment: moment.logins, "most {:,}"),
        course("sign-ins a second, busiest", lambda moment: moment.busiest, f"most {{:,}}, limit {limit:g}", limit),
        lookups,
        replace(traffic, told=f"most {max(traffic.values, default=0):,.0f}"),
    ]


def _hops_by_second(found: Outcome, moments: Sequence[Moment]) -> list[float]:
    """The most that a lookup of that second took; of one without any, those of the last that had some."""
    most: dict[int, int] = {}
    for at, hops in found.hops:
        most[int(at) + 1] = max(hops, most.get(int(at) + 1, 0))
    values, last = [], 0
    for moment in moments:
        last = most.get(moment.at, last)
        values.append(float(last))
    return values


def _traffic_by_second(found: Outcome, moments: Sequence[Moment]) -> list[float]:
    """What all have sent and received in the stretch that the second lies in, in kB a client and hour."""
    ends = [until for until, _ in found.traffic]
    if not ends:
        return [0.0 for _ in moments]
    stretches = (min(bisect_left(ends, moment.at), len(ends) - 1) for moment in moments)
    return [found.traffic[stretch][1] / 1000 for stretch in stretches]


def shown(found: Outcome) -> list[Moment]:
    """The seconds that are drawn: those of the story, and a few before."""
    return [moment for moment in found.moments if moment.at >= found.since - _BEFORE]


def bars(values: Sequence[float], columns: int, limit: float | None = None) -> str:
    """One row of bars from nothing to the highest value, or to what it may not pass; where there are more values than
    columns, the highest of each column's."""
    if not values:
        return ""
    highest = crests(values, min(columns, len(values)))
    most = max(*highest, limit or 0)
    return "".join(_BARS[math.ceil(value * (len(_BARS) - 1) / most) if most else 0] for value in highest)


def crests(values: Sequence[float], count: int) -> list[float]:
    """`count` values in place of more: of those that fall on one, the highest."""
    edges = [len(values) * at // count for at in range(count + 1)]
    return [max(values[first:last]) for first, last in pairwise(edges)]


def load(found: Outcome) -> str:
    """What the supernodes bear in the end, in words."""
    at = found.load_per_supernode
    room = f", room for {at.room:,}" if at.room is not None else ""
    return f"{at.least:,} to {at.most:,}, median {at.median:,}{room}"


def figures(found: Outcome) -> list[tuple[str, str]]:
    """Everything that was measured, in words."""
    hops, lost, arrived = found.lookup_hops, found.lost, found.arrived
    rows = [
        ("time to heal", seconds(found.time_to_heal_s)),
        ("clients that lost their supernode", f"{lost.count:,}"),
        ("  away", _spread(lost.median, lost.p99, lost.longest)),
        ("clients that were started", f"{arrived.count:,}"),
        ("  until they were in", _spread(arrived.median, arrived.p99, arrived.longest)),
        *((f"{blow.what[:1].upper()}{blow.what[1:]}", _borne(blow)) for blow in found.blows),
        *([("calls that ran all through it", _calls(found.calls))] if found.calls.placed else []),
        (
            "peak login rate of one supernode",
            f"{found.peak_login_rate_per_s:,} a second, {found.login_limit_per_s:g} are the limit",
        ),
        ("clients turned to another supernode", f"{found.turned_away:,}"),
        ("supernodes that broke down under load", f"{found.overloaded:,}"),
        ("supernodes that are up in the end", f"{found.supernodes_up} of {found.supernodes}"),
        ("load per supernode", load(found)),
        ("names found", f"{hops.found:,} of {hops.asked:,}, between supernodes {_hops(hops.mean, hops.most)}"),
        ("traffic of a client", f"{found.bytes_per_client_hour / 1000:,.0f} kB an hour, headers included"),
        ("simulated", f"{span(found.span_s)}, {found.events:,} events, {found.heartbeats:,} heartbeats left out"),
    ]
    return rows + [("not kept", sentence) for sentence in found.broken]


def _borne(blow: Borne) -> str:
    """What came of one blow."""
    return (
        f"{blow.waiting:,} clients, {blow.survivors} supernodes: all in after {seconds(blow.all_in_s)}, "
        f"longest away {seconds(blow.longest_away_s)}, allowed {seconds(blow.limit_s)}"
    )


def _calls(calls: Calls) -> str:
    return f"{calls.running - calls.ended} of {calls.placed}, longest without a path {seconds(calls.longest_silence_s)}"


def _table(found: Outcome) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in figures(found):
        table.add_row(Text(f"  {name}"), Text(value))
    return table


def _hops(mean: float | None, most: int | None) -> str:
    return "none" if mean is None else f"{mean:g} hops, {most} at the most"


def _spread(median: float | None, p99: float | None, longest: float | None) -> str:
    if median is None:
        return "-"
    return f"median {seconds(median)}, 99 % below {seconds(p99)}, longest {seconds(longest)}"


def seconds(value: float | None) -> str:
    """A duration that may be short; None where it has no end."""
    if value is None:
        return "never"
    return f"{value:.1f} s" if value < 120 else span(value)


def span(value: float) -> str:
    """A duration of minutes or hours."""
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"
