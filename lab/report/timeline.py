"""The lab's timeline for a person: one line an event, which fits a terminal of 80 columns.

Belongs here: wording and layout. Never: reading it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

_OF_EVERY_EVENT = ("at", "lab", "event", "took_ms", "node", "site", "error")


def timeline(events: Sequence[Mapping[str, Any]]) -> RenderableType:
    """Local time, how long it took, and what it was; a day is named once, above its first event."""
    if not events:
        return Text("nothing has been done to this lab yet", "dim")
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    day = ""
    for line in events:
        moment = datetime.fromtimestamp(line["at"])
        if day != (day := f"{moment:%Y-%m-%d}"):
            table.add_row(Text(day, "dim"))
        table.add_row(Text(f"{moment:%H:%M:%S.%f}"[:-3], "dim"), Text(_took(line), "dim"), _told(line))
    return table


def _took(line: Mapping[str, Any]) -> str:
    milliseconds = int(line.get("took_ms") or 0)
    return f"{milliseconds} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def _told(line: Mapping[str, Any]) -> Text:
    """`renew home  203.0.113.32 to 203.0.113.99`: what was done to whom, and what of it is worth a word."""
    event = str(line["event"])
    whom = str(line.get("node") or line.get("site") or "")
    told = Text.assemble((f"{event} {whom}".rstrip(), "bold"))
    words = _words(line)
    if words:
        told.append(f"  {words}")
    if "error" in line:
        told.append(f"  failed: {line['error']}", "bold red")
    return told


def _words(line: Mapping[str, Any]) -> str:
    if line["event"] == "move":
        came = f"from {line['left']} " if "left" in line else ""
        return f"{came}to {line.get('site')}"
    if line["event"] == "renew":
        return f"{line['before']} to {line['after']}" if "after" in line else ""
    about = {key: value for key, value in line.items() if key not in _OF_EVERY_EVENT}
    link = about.pop("link", None)
    seeds = about.pop("line_seeds", {})
    way, toward = about.pop("direction", "both"), about.pop("toward", None)
    words = [f"{key} {value}" for key, value in about.items()]
    if isinstance(link, Mapping):
        where = f" toward {toward}" if toward else f" {way}" if way != "both" else ""
        words.append(", ".join(f"{name} {value}" for name, value in link.items()) + where)
    words += [f"seed of {router}'s lines {seed}" for router, seed in seeds.items()]
    return ", ".join(words)
