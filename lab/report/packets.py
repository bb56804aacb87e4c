"""Packets that pass, for the eye: a table that fills a terminal, and a line each where there is none.

Belongs here: layout and wording. Never: what is looked at (viewing.py), and what a packet is.
"""

from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from lab.harness.passing import Row
from lab.report.viewing import View

WIDE = 110
"""Columns from which on times, places and what became of a packet stand in full."""
LEAST = 20
"""Columns that who sends to whom has in any case, where it needs them."""
AROUND = 4
"""Lines that are no packets: headings, and what can be done."""
_STYLES = {"dropped": "red", "lost": "red", "passed": "dim", "own": "dim", "translated": "green", "note": "bold cyan"}


def line(row: Row) -> str:
    """One packet in a line, whole."""
    when = f"{_clock(row.at, whole=True)}"
    if row.fate == "note":
        return f"{when}  {row.what}"
    said = [f"{row.place:<12}  {row.source} → {row.destination}", row.what, row.became]
    return f"{when}  " + "  ".join([*filter(None, said), *([f"[{row.event}]"] if row.event else [])])


def screen(view: View, width: int, height: int, recording: str) -> RenderableType:
    """All of a terminal: as many rows as fit, what is watched, and what can be done."""
    wide = width >= WIDE
    window, looked_at = view.window(max(1, height - AROUND))
    head = _columns("time", "place", "from → to", "what, and what became of it", width, wide)
    parts = [Text(head, "bold", no_wrap=True, overflow="ellipsis")]
    for number, row in enumerate(window):
        parts.append(_row(row, width, wide, marked=number == looked_at))
    parts += [Text()] * (height - AROUND - len(window))
    parts.append(Text("─" * width, "dim"))
    parts += [_told(view, width, recording), _prompt(view, width)]
    return Group(*parts)


def _row(row: Row, width: int, wide: bool, *, marked: bool) -> Text:
    back = " reverse" if marked else ""
    when = _clock(row.at, whole=wide)
    if row.fate == "note":
        return Text(_cut(f"{when} {row.what}", width), f"bold cyan{back}")
    what, became = row.what, row.became if wide else row.brief
    if row.event:
        what = f"◆ {row.event}" if wide else f"◆ {row.what}"
    place = _placed(row.place, 18 if wide else 10)
    said = f"{what}  {became}" if became else what
    text = _columns(when, place, f"{row.source} → {row.destination}", said, width, wide)
    style = _STYLES.get(row.fate, "")
    return Text(text, f"{'bold ' if row.event else ''}{style}{back}".strip(), no_wrap=True)


def _columns(when: str, place: str, way: str, said: str, width: int, wide: bool) -> str:
    """Where there is little room, what a packet is and what became of it come before the end of its way."""
    times, places, ways = (12, 18, 46) if wide else (6, 10, 31)
    free = max(width - times - places - 3 - len(said), min(len(way), LEAST))
    return _cut(f"{when:<{times}} {place:<{places}} {_cut(way, free):<{min(ways, free)}} {said}", width)


def _placed(place: str, room: int) -> str:
    """A place that is too long keeps its side."""
    if len(place) <= room:
        return place
    name, space, side = place.rpartition(" ")
    if space and side in ("lan", "wan"):
        return f"{name[: room - len(side) - 2]}… {side}"
    return _cut(place, room)


def _told(view: View, width: int, recording: str) -> Text:
    state = "paused" if view.paused else "until the next event" if view.awaiting else "live"
    words = [state, f"{view.packets:,} packets, {view.dropped:,} dropped or lost"]
    if view.filter:
        words.append(f"filter: {view.filter}")
    words.append(recording)
    return Text(_cut("  ".join(filter(None, words)), width), "bold" if view.paused else "")


def _prompt(view: View, width: int) -> Text:
    if view.asked == "filter":
        return Text(_end(f"words to show, -word to hide: {view.typed}█", width), "bold")
    if view.asked == "write":
        return Text(_end(f"write all so far to: {view.typed}█", width), "bold")
    if view.message:
        return Text(_cut(view.message, width), "bold yellow")
    return Text(_cut("space pause  ↑↓ look  n next event  p previous  f filter  w write  q quit", width), "dim")


def _clock(at: float, *, whole: bool) -> str:
    moment = datetime.fromtimestamp(at)
    text = f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}"
    return text if whole else text[6:]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"


def _end(text: str, width: int) -> str:
    return text if len(text) <= width else f"…{text[-(width - 1) :]}"
