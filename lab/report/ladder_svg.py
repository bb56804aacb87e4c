"""The ladder diagram as an SVG that stands by itself: text is text, and it reads on light and on dark.

Belongs here: layout. Never: which rows there are; they come with the ladder.
"""

from html import escape

from lab.evidence.ladder import Ladder, Row

ROW, TOP, TIME, COLUMN, LABEL = 22, 74, 70, 130, 320
"""Pixels: a row, what is above the first, the times at the left, from lifeline to lifeline, the words at the right at
the least."""
LETTERS = 46
"""As many as there is room for at the right; all of them are told where one points at the row."""
LETTER, BOLD = 7.4, 8.2
"""Pixels of a letter of words, as wide as they come: DejaVu Sans, which Linux has for system-ui, has 7.1 and 7.9."""
SHRUNK = 0.75
"""As narrow as it becomes where there is less room, before one has to scroll."""
_STYLE = """
svg { max-width: 100%; height: auto }
svg { background: var(--paper); font: 13px system-ui, sans-serif; --paper: #fff; --ink: #1b1f24; --faint: #8b949e;
  --line: #0b62c4; --moment: #0a7a3d; --dropped: #c62828 }
@media (prefers-color-scheme: dark) { svg { --paper: #14181d; --ink: #e6e9ec; --faint: #7d8790; --line: #6cb0ff;
  --moment: #5fd38d; --dropped: #ff7b72 } }
text { fill: var(--ink) } .faint { fill: var(--faint) } .name { font-weight: 600; text-anchor: middle }
.time { fill: var(--faint); text-anchor: end; font-variant-numeric: tabular-nums }
.life { stroke: var(--faint); stroke-width: 1; opacity: .5 }
.row { stroke: var(--line); fill: var(--line); stroke-width: 1.5 } .row text { stroke: none; fill: var(--ink) }
.moment { stroke: var(--moment); fill: var(--moment) } .moment text { font-weight: 600 }
.dropped { stroke: var(--dropped); fill: var(--dropped) } .dropped text { fill: var(--dropped) }
.gap { fill: var(--dropped) }
"""


def svg(found: Ladder) -> str:
    """The whole document."""
    last = TIME + COLUMN // 2 + COLUMN * max(0, len(found.columns) - 1)
    below = TOP + ROW * (len(found.rows) + 1)
    width, height = last + 20 + _room(found), below + 26 + ROW * len(found.gaps)
    width = max(width, *(round(24 + len(gap) * LETTER) for gap in found.gaps), 0)
    title = escape(f"{found.caller} → {found.callee}, call {found.call}: {found.path or 'no path'}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{title}</title><style>{_STYLE}svg {{ min-width: {round(width * SHRUNK)}px }}</style>',
        f'<text x="12" y="22" font-size="16" font-weight="600">{title}</text>',
    ]
    for number, column in enumerate(found.columns):
        x, y = _x(number), 46 if number % 2 == 0 else 62  # two lines: names are longer than columns are wide
        parts.append(f'<line class="life" x1="{x}" y1="{y + 6}" x2="{x}" y2="{below}"/>')
        parts.append(f'<text class="name" x="{x}" y="{y}">{escape(column.name)}</text>')
    parts += [_row(row, TOP + ROW * (number + 1), last) for number, row in enumerate(found.rows)]
    told = "times in ms; a double line is TCP; ✓ answered; ✗ dropped there, or lost after it"
    for number, gap in enumerate(reversed(found.gaps), 1):
        parts.append(f'<text class="gap" x="12" y="{height - 8 - ROW * number}">{escape(gap)}</text>')
    parts.append(f'<text class="faint" x="12" y="{height - 8}">{told}</text></svg>\n')
    return "\n".join(parts)


def _room(found: Ladder) -> int:
    """Pixels for the words at the right: the longest are whole, and the view ends behind them."""
    longest = (len(row.within(LETTERS)) * (BOLD if _kind(row) == "moment" else LETTER) for row in found.rows)
    return max(LABEL, round(max(longest, default=0)) + 12)


def _kind(row: Row) -> str:
    return "dropped" if row.dropped else "moment" if row.moment else ""


def _x(column: int) -> int:
    return TIME + COLUMN // 2 + COLUMN * column


def _row(row: Row, y: int, last: int) -> str:
    start, end = _x(row.sender), _x(row.receiver)
    way = 1 if end > start else -1
    kind = f"row {_kind(row)}".rstrip()
    tip = end - 7 * way
    shifts = (-1.5, 1.5) if row.protocol == "tcp" else (0,)
    lines = "".join(f'<line x1="{start}" y1="{y + shift}" x2="{tip}" y2="{y + shift}"/>' for shift in shifts)
    if row.sender == row.receiver:  # between two nodes of one column
        lines, head = "", f'<circle stroke="none" cx="{end}" cy="{y}" r="4"/>'
    elif row.dropped:
        head = f'<path fill="none" d="M{end - 5} {y - 5}l10 10m0 -10l-10 10"/>'
    else:
        head = f'<path stroke="none" d="M{end} {y}l{-9 * way} -5v10z"/>'
    when = f"{row.at_ms:,.0f}" if row.count == 1 else f"{row.at_ms:,.0f} to {row.until_ms:,.0f}"
    where = f", dropped at {row.dropped}" if row.dropped else ""
    return (
        f'<g class="{kind}"><title>{escape(f"{when} ms: {row.label}{where}")}</title>{lines}{head}'
        f'<text class="time" x="{TIME - 10}" y="{y + 4}">{row.at_ms:,.0f}</text>'
        f'<text x="{last + 20}" y="{y + 4}">{escape(row.within(LETTERS))}</text></g>'
    )
