"""Why a call took its path, for the eye: candidates, attempts on one clock, and the table's rungs with their reasons.

Belongs here: layout. Never: conclusions; they come with the explanation.
"""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.harness.chapters import BEGINNING
from lab.harness.explaining import Explanation

_OUTCOMES = {"valid": "good", "failed": "yellow", "in-progress": "dim"}
_WHAT = {"worked": "good", "in use": "good", "failed": "yellow", "ranked down": "yellow", "tried": "dim"}
_VERDICTS = {"taken": "good", "ruled out": "yellow", "not needed": "dim", "worked": "dim"}


def explanation(found: Explanation) -> RenderableType:
    """Everything of it in one block."""
    parts: list[RenderableType] = [_headline(found), Text(), _rungs(found)]
    if any(rung.story for rung in found.rungs):
        parts += [Text(), Text("what befell each path, ms after dialling", "dim"), _stories(found)]
    if found.candidates:
        parts += [Text(), Text("candidates of each, told to the other or found by it", "dim"), _candidates(found)]
    if found.attempts:
        parts += [Text(), Text("what each tried, ms after dialling", "dim"), _attempts(found)]
    if found.guesses:
        parts += [Text(), Text("guesses of ports: " + "; ".join(found.guesses))]
    if found.moves:
        parts += [Text(), Text("voice went out on", "dim"), _moves(found)]
    return Group(*parts)


def _headline(found: Explanation) -> Text:
    text = Text.assemble((found.caller, "bold"), " → ", (found.callee, "bold"), f"  call {found.call}")
    if found.path:
        text.append("  ")
        text.append(found.path, f"bold {found.path.partition('/')[0]}")
    if found.error:
        text.append(f"  {found.error}", "bad")
    elif not found.path:
        text.append("  no path", "bad")
    return text


def _rungs(found: Explanation) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for rung in found.rungs:
        style = _VERDICTS[rung.verdict]
        table.add_row(Text(f"  {rung.path}", style), Text(rung.verdict, style), rung.reason)
    return table


def _stories(found: Explanation) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0))
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column(overflow="fold")
    for rung in found.rungs:
        for number, chapter in enumerate(rung.story):
            if rung.untold and number == BEGINNING:
                table.add_row("", "", "", Text(f"and {rung.untold} more, left out here", "dim"))
            path = Text("" if number else f"  {rung.path}", _VERDICTS[rung.verdict])
            told = Text.assemble((chapter.what, _WHAT.get(chapter.what, "")), f" {chapter.detail}".rstrip())
            table.add_row(path, chapter.node, str(chapter.at_ms), told)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("  ")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _candidates(found: Explanation) -> Table:
    table = _table("kind", "transport", "address", "told at")
    for one in found.candidates:
        table.add_row(f"  {one.node}", one.kind, one.transport, one.address, f"{one.at_ms} ms")
    return table


def _attempts(found: Explanation) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1, 0, 0))
    table.add_column("  ", no_wrap=True, min_width=max((len(one.node) + 2 for one in found.attempts), default=0))
    for column in ("towards", "over", "from", "to", "outcome"):
        table.add_column(column, no_wrap=True)
    table.add_column("as", overflow="fold")
    table.add_column("ms there and back", justify="right", overflow="fold")
    for one in found.attempts:
        table.add_row(
            f"  {one.node}",
            one.remote,
            one.transport,
            str(one.from_ms),
            "—" if one.to_ms is None else str(one.to_ms),
            Text(one.outcome, _OUTCOMES.get(one.outcome, "")),
            one.path or "",
            "" if one.rtt_ms is None else f"{one.rtt_ms:.1f}",
        )
    return table


def _moves(found: Explanation) -> Table:
    table = _table("from", "path")
    for node, at, path in _in_order(found.moves):
        table.add_row(f"  {node}", f"{at} ms", Text(path, path.partition("/")[0]))
    return table


def _in_order(moves: Iterable[tuple[str, int, str]]) -> list[tuple[str, int, str]]:
    return sorted(moves, key=lambda move: move[1])
