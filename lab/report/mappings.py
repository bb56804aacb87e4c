"""What a router remembers, for the eye: a table, and while it is watched what appears, is refreshed, and expires.

Belongs here: layout and wording. Never: asking, or comparing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab.harness.mappings import Change, Flow, Mapped, SiteMappings

LINGER = 4.0
"""Seconds for which a row that has changed or is gone stays marked while somebody looks."""
WIDE = 100
"""Columns from which on packets have room beside outer addresses."""
_STYLES = {"appeared": "green", "refreshed": "cyan", "is two-way": "cyan", "expired": "strike dim"}
_GAP = 2
_Row = tuple[object, ...]
_Line = tuple[list[str], _Row]
"""The cells of a row, and the key that a change of it has."""


def mappings(found: SiteMappings, width: int, marks: dict[_Row, str] | None = None) -> RenderableType:
    """A row a mapping, and under it one for each remote endpoint that it has beside the first."""
    parts: list[RenderableType] = [_headline(found)]
    if not found.mappings:
        nothing = Text("  it remembers nothing of its hosts: none has sent anything lately", "dim")
        return Group(*parts, nothing, *_of_udp(found))
    counted = any(flow.packets for one in found.mappings for flow in one.flows)
    short = counted and width < WIDE and len(found.outer) == 1
    heads = ["", "inside", "outside", "remote", "state", "left", "out/in"]
    rows = [row for one in found.mappings for row in _rows(one, short)]
    if not found.translates:
        heads, rows = _without(2, heads, rows)
    if not counted:
        heads, rows = _without(-1, heads, rows)
    if _wide(heads, rows) > width:
        heads = ["", "inside, and under it remote", *heads[heads.index("state") :]]
        rows = [row for one in found.mappings for row in _stacked(one, found.translates, len(heads))]
        if counted and _wide(heads, rows) > width:
            heads, rows = _without(-1, heads, rows)
    parts.append(_table(heads, rows, marks or {}))
    if found.left_out:
        parts.append(Text(f"  and {found.left_out} more that it has not told", "yellow"))
    return Group(*parts, *(() if any(one.protocol == "udp" for one in found.mappings) else _of_udp(found)))


def _without(column: int, heads: list[str], rows: list[_Line]) -> tuple[list[str], list[_Line]]:
    def rest(cells: list[str]) -> list[str]:
        return [cell for number, cell in enumerate(cells) if number != column % len(heads)]

    return rest(heads), [(rest(cells), key) for cells, key in rows]


def _wide(heads: list[str], rows: Iterable[_Line]) -> int:
    """Columns that a table takes in which no address is broken."""
    columns = zip(heads, *(cells for cells, _ in rows), strict=True)
    return sum(max(map(len, column)) for column in columns) + _GAP * (len(heads) - 1)


def _table(heads: Sequence[str], rows: Iterable[_Line], marks: dict[_Row, str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
    for head in heads:
        to_the_right = head in ("left", "out/in")
        whole = to_the_right or head in ("", "state")
        table.add_column(head, justify="right" if to_the_right else "left", no_wrap=whole, overflow="fold")
    for cells, key in rows:
        table.add_row(*cells, style=_STYLES.get(marks.get(key, ""), ""))
    return table


def _of_udp(found: SiteMappings) -> list[Text]:
    """Why none of UDP is there, and what makes one: a client that is signed in has its connection alone."""
    lives = f"after {found.udp_timeout_s} s of silence"
    if found.udp_timeout_one_way_s != found.udp_timeout_s:
        lives += f", unanswered after {found.udp_timeout_one_way_s} s"
    return [
        Text(f"  no UDP mapping: it forgets one {lives}", "dim"),
        Text(f"  signing in and calls make some: lab nat {found.site} --watch", "dim"),
    ]


def _headline(found: SiteMappings) -> Text:
    outside = ", ".join(found.outer) if found.translates else "nothing is translated"
    number = f"{len(found.mappings)} mapping{'' if len(found.mappings) == 1 else 's'}"
    return Text.assemble((found.site, "bold"), f"  {found.profile}, firewall {found.firewall}  {outside}  {number}")


def _stacked(one: Mapped, translates: bool, columns: int) -> Iterable[_Line]:
    """For where there is too little room: both ends of a mapping in a row of their own, and what is remote under it."""
    ends = f"{one.inner} as {one.outer}" if translates else one.inner
    yield [one.protocol.upper(), ends, *[""] * (columns - 2)], one.key
    for cells, key in _rows(one, short=False):
        _, _, _, remote, *rest = cells
        yield ["", f"  {remote}", *rest[: columns - 2]], key


def _rows(one: Mapped, short: bool) -> Iterable[_Line]:
    """A mapping's first words stand in its first row."""
    outer = f":{one.outer.rpartition(':')[2]}" if short else one.outer
    head = [one.protocol.upper(), one.inner, outer]
    if one.kept:
        yield [*head, one.remote or "any", "kept", _left(one.seconds_left), ""], one.key
        head = [""] * 3
    for flow in one.flows:
        packets = f"{flow.packets[0]}/{flow.packets[1]}" if flow.packets else ""
        state = flow.state if flow.opened == "inside" else f"{flow.state}, in"
        yield [*head, flow.remote, state, _left(flow.seconds_left), packets], (*one.key, flow.remote_address)
        head = [""] * 3


def _left(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def line(change: Change) -> str:
    """One change in a line."""
    one, flow = change.mapping, change.flow
    to = f" to {flow.remote}" if flow else f" for {one.remote or 'anybody'}" if one.kept else ""
    ends = one.inner if one.inner_address == one.outer else f"{one.inner} as {one.outer}"
    left = flow.seconds_left if flow else one.seconds_left
    rest = "" if change.happened == "expired" else f", {_left(left)} left"
    state = f", {flow.state}" if flow and change.happened in ("appeared", "refreshed") else ""
    return f"{change.happened:<10}  {one.protocol.upper()} {ends}{to}{state}{rest}"


class Watching:
    """Feed it each moment; on a terminal it draws the table anew, elsewhere it prints a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._first = True
        self._marks: dict[_Row, tuple[str, float]] = {}
        self._gone: dict[_Row, tuple[Mapped, float]] = {}
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def follow(self, now: SiteMappings, changed: Sequence[Change], at: float) -> None:
        """Take in how it stands at a moment, epoch seconds, and what has changed since the one before."""
        if self._live is None:
            if self._first:
                self._console.print(_headline(now))
            moment = f"{datetime.fromtimestamp(at):%H:%M:%S}"
            for change in changed:
                self._console.print(f"{moment}  {line(change)}", markup=False)
        else:
            self._live.start()
            self._mark([] if self._first else changed, at)
            self._live.update(mappings(self._with_the_gone(now), self._console.width, self._marked()), refresh=True)
        self._first = False

    def _mark(self, found: Iterable[Change], at: float) -> None:
        self._marks = {key: mark for key, mark in self._marks.items() if at - mark[1] < LINGER}
        self._gone = {key: gone for key, gone in self._gone.items() if at - gone[1] < LINGER}
        for change in found:
            one, flow = change.mapping, change.flow
            key: _Row = (*one.key, flow.remote_address) if flow else one.key
            self._marks[key] = (change.happened, at)
            if change.happened == "expired":
                self._gone[key] = (_alone(one, flow), at)
            else:
                self._gone.pop(key, None)

    def _marked(self) -> dict[_Row, str]:
        return {key: mark for key, (mark, _) in self._marks.items()}

    def _with_the_gone(self, now: SiteMappings) -> SiteMappings:
        """As it stands, and what has lately gone once more, struck through."""
        return replace(now, mappings=(*now.mappings, *(one for one, _ in self._gone.values())))


def _alone(one: Mapped, flow: Flow | None) -> Mapped:
    """What is shown of what has gone: the mapping by itself, or one flow of it."""
    return replace(one, flows=(flow,) if flow else (), kept=flow is None)
