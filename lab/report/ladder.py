"""A ladder diagram for the terminal: times at the left, a lifeline a node, what was sent at the right; 80 columns do.

Belongs here: layout. Never: which rows there are; they come with the ladder.
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from lab.evidence.ladder import Ladder, Row

LINES = {"udp": ("─", "┼"), "tcp": ("═", "╪")}
"""The line of each transport, alone and across a lifeline: single for UDP, double for TCP."""
TIME, LABEL = 9, 31
"""Characters at both sides of the lifelines: times, and what was sent, at least."""
NARROW, WIDE = 5, 14
"""Characters from one lifeline to the next."""
SPREAD = 120
"""Characters in which the lifelines are spread at the most: where there are more, they are for the words."""


def ladder(found: Ladder, width: int) -> RenderableType:
    """The whole diagram, no wider than `width` characters."""
    step = max(NARROW, min(WIDE, (min(width, SPREAD) - TIME - LABEL) // max(1, len(found.columns))))
    parts: list[RenderableType] = [_headline(found), Text()]
    parts += _names(found, step, width)
    parts += [_row(row, len(found.columns), step, width) for row in found.rows]
    if not found.rows:
        parts.append(Text("  the captures hold no packet of this call", "dim"))
    parts += [Text(), *(Text(f"  {gap}", "bad") for gap in found.gaps)]
    parts += [
        Text("  times in ms   ─ UDP   ═ TCP   ✓ answered   ✗ dropped there, or lost after it", "dim"),
    ]
    return Group(*parts)


def _headline(found: Ladder) -> Text:
    text = Text.assemble((found.caller, "bold"), " → ", (found.callee, "bold"), f"  call {found.call}  ")
    if found.path:
        return text.append(found.path, f"bold {found.path.partition('/')[0]}")
    return text.append("no path", "bad")


def _names(found: Ladder, step: int, width: int) -> Iterator[Text]:
    """Each column's name above its lifeline, on a line of its own: names are longer than columns are wide."""
    for number, column in enumerate(found.columns):
        text = Text(" " * TIME)
        text.append(f"│{' ' * (step - 1)}" * number, "dim")
        room = max(1, width - text.cell_len)
        yield text.append(column.name if len(column.name) <= room else f"{column.name[: room - 1]}…", "bold")


def _row(row: Row, columns: int, step: int, width: int) -> Text:
    line, crossing = LINES[row.protocol]
    low, high = sorted((row.sender, row.receiver))
    style = "red" if row.dropped else "bold" if row.moment else ""
    text = Text(f"{row.at_ms:>{TIME - 2},.0f}  ", "dim", no_wrap=True, overflow="ellipsis")
    for number in range(columns):
        inside = low <= number < high
        if number == row.receiver == row.sender:  # between two nodes of one column
            text.append("●", style)
        elif number == row.receiver:
            head = "✗" if row.dropped else "►" if row.receiver > row.sender else "◄"
            text.append(head, "bold red" if row.dropped else style)
        elif number == row.sender:
            text.append("├" if row.receiver > row.sender else "┤", style)
        elif low < number < high:
            text.append(crossing, style)
        else:
            text.append("│", "dim")
        if number + 1 < columns:
            text.append((line if inside else " ") * (step - 1), style if inside else "")
    label = row.within(max(1, width - text.cell_len - 2))
    return text.append("  ").append(label, style)
