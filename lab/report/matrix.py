"""A matrix for the eye: a grid of paths with setup times, how often each path was, and what went wrong.

Belongs here: layout and wording. Never: verdicts; they come with the cells.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from lab.harness.call_report import CallReport
from lab.harness.chapters import RUNGS
from lab.harness.matrix import FirstVoice, Matrix
from lab.harness.matrix import Progress as Step
from lab.report.bars import Barred

CODES = {
    "direct/udp": "du",
    "punched/udp": "pu",
    "direct/tcp": "dt",
    "punched/tcp": "pt",
    "relayed/udp": "ru",
    "relayed/mixed": "rm",
    "relayed/tcp": "rt",
}
_FULL, _SHORT = 18, 8
"""Columns of a cell with the path written out, and with its code; both end with the setup time in ms."""


class Calling(Barred):
    """A matrix while it goes on: a bar on a terminal, elsewhere a line for each cell that failed."""

    def __init__(self, console: Console) -> None:
        super().__init__(
            console,
            TextColumn("calling"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[failed]}", style="bad"),
            TimeRemainingColumn(),
        )
        self._task: TaskID | None = None

    def follow(self, step: Step) -> None:
        """A cell has ended, or the first calls begin."""
        failed = f"{step.failed} failed" if step.failed else ""
        if self._task is None:
            self._task = self._bar.add_task("calls", total=step.total, failed=failed)
        self._bar.update(self._task, completed=step.done, failed=failed)
        if step.ended and not step.ended.holds():
            self._console.print(str(step.ended), style="bad", markup=False, soft_wrap=True)


def path_of(cell: CallReport) -> str | None:
    """The path that the packets showed, None where they showed none."""
    return f"{cell.observed.kind}/{cell.observed.transport}" if cell.observed else None


def matrix(found: Matrix, width: int) -> RenderableType:
    """Everything of it, in `width` columns: the grid is written in several blocks where it is too wide for one."""
    names = _labels(found)
    wide = max(len(name) for name in names.values())
    size = _FULL if wide + _FULL * len(names) <= width else _SHORT
    room = max(1, (width - wide) // size)
    clients = list(names)
    blocks = [clients[at : at + room] for at in range(0, len(clients), room)]
    parts: list[RenderableType] = []
    for block in blocks:
        parts += [_grid(found, names, block, size), Text()]
    note = Text("ms: from the answer to the first voice, at the worse end", "dim")
    return Group(*parts, _counts(found, size == _SHORT), note, *_failures(found), Text(), _end(found))


def _labels(found: Matrix) -> dict[str, str]:
    """Each client as its site, and by its own name where a site has two."""
    sites = list(found.sites.values())
    return {client: site if sites.count(site) == 1 else client for client, site in found.sites.items()}


def _grid(found: Matrix, names: dict[str, str], columns: Sequence[str], size: int) -> Table:
    cells = {(cell.caller, cell.callee): cell for cell in found.cells}
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("caller ↓  callee →", no_wrap=True, style="bold")
    for client in columns:
        table.add_column(names[client], width=size - 1, overflow="fold")
    for caller in names:
        table.add_row(names[caller], *(_cell(cells.get((caller, callee)), size) for callee in columns))
    return table


def _cell(cell: CallReport | None, size: int) -> Text:
    if cell is None:
        return Text("")
    path, took = path_of(cell), cell.setup_ms.first_voice
    word = "failed" if path is None else path if size == _FULL else CODES[path]
    style = "bad" if not cell.holds() or path is None else path.partition("/")[0]
    mark = "" if cell.holds() or path is None else "!"
    return Text(f"{word}{mark}" + (f" {took}" if took is not None and path else ""), style, no_wrap=True)


def _counts(found: Matrix, with_codes: bool) -> Table:
    """How often each path was, and how soon voice came on it; then of all calls together."""
    by_path: defaultdict[str, list[CallReport]] = defaultdict(list)
    for cell in found.cells:
        if path := path_of(cell):
            by_path[path].append(cell)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("path", no_wrap=True)
    for column in ("calls", "median", "95 of 100", "most"):
        table.add_column(column, justify="right")
    for path in RUNGS:
        if path in by_path:
            name = f"{CODES[path]}  {path}" if with_codes else path
            table.add_row(Text(name, path.partition("/")[0]), str(len(by_path[path])), *_figures(by_path[path]))
    if len(by_path) > 1:
        table.add_row("all", str(sum(map(len, by_path.values()))), *_figures(found.cells))
    return table


def _figures(cells: Sequence[CallReport]) -> list[str]:
    voice = FirstVoice.of(cells)
    return ["—"] * 3 if voice is None else [f"{value:.0f} ms" for value in (voice.median, voice.p95, voice.most)]


def _failures(found: Matrix) -> Iterable[RenderableType]:
    if found.failed:
        yield Text()
    for cell in found.failed:
        yield Text(str(cell), "bad")
    for node, number in found.dropped_by_captures.items():
        yield Text(f"the capture at {node} dropped {number} packets", "yellow")


def _end(found: Matrix) -> Text:
    count = len(found.cells)
    each = f" ({found.seconds / count:.2f} s each)" if count else ""
    told = f"{count} calls in {found.seconds:.0f} s{each}: "
    if found.failed:
        return Text(f"{told}{len(found.failed)} failed. Evidence: {found.evidence}", "bad")
    return Text(f"{told}clients and packets agree on every path. Evidence: {found.evidence}", "good")
