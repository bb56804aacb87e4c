"""A call's timeline in words: who did what, and when, a line each.

Belongs here: wording and layout. Never: reading files, or concluding anything from them.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

Line = Mapping[str, Any]
Naming = Callable[[str], str]
"""An endpoint as text, `203.0.113.32:40000`, to what a person calls it."""


@dataclass(frozen=True)
class Moment:
    """What happened at `node`, `at_ms` after the call was dialled, in words."""

    at_ms: int
    node: str
    event: str
    words: str


def moments(lines: Iterable[Line], naming: Naming = str) -> Iterator[Moment]:
    """The lines of a timeline that have something to say, in their order."""
    lines = list(lines)
    if not lines:
        return
    dialled = next((line for line in lines if line.get("event") == "dialled"), lines[0])
    began = float(dialled["at"])
    for line in lines:
        event = str(line.get("event"))
        if event == "ringing" and line.get("node") == dialled.get("node"):
            words = f"hears that it rings at {line['peer']}"
        else:
            words = _WORDS.get(event, _as_it_is)(line, naming)
        if words:
            yield Moment(round((float(line["at"]) - began) * 1000), str(line.get("node")), event, words)


def table(found: Iterable[Moment]) -> Table:
    """A row each: milliseconds, who, what; long words go on below."""
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(justify="right", no_wrap=True)
    shown.add_column(no_wrap=True)
    shown.add_column()
    for one in found:
        shown.add_row(Text(f"{one.at_ms:>7} ms", "dim"), Text(one.node, "bold"), one.words)
    return shown


def _as_it_is(line: Line, naming: Naming) -> str:
    return str(line.get("event"))


def _candidates(line: Line, naming: Naming) -> str:
    told = [f"{kind} {transport} {naming(address)}" for kind, transport, address in line["candidates"]]
    return f"tells {len(told)} candidates: {', '.join(told)}"


def _check(line: Line, naming: Naming) -> str:
    tried, remote = str(line.get("tried", "tcp")), naming(str(line["remote"]))
    over = tried.rpartition("/")[2] if " via " not in tried else tried
    match line["state"]:
        case "in-progress":
            return f"checks {remote} over {over}" if " via " not in tried else f"checks the way {tried}"
        case "valid":
            rtt = "" if line.get("rtt_ms") is None else f" after {line['rtt_ms']:.0f} ms"
            return f"has an answer of {remote}{rtt}: {tried} works"
        case "failed":
            return f"leaves {remote} over {over}: no answer"
        case other:
            return f"{tried} towards {remote}: {other}"


def _connecting(line: Line, naming: Naming) -> str:
    remote = naming(str(line["remote"]))
    states = {"in-progress": "opens TCP to", "valid": "is connected to", "failed": "gets no TCP connection to"}
    return f"{states.get(line['state'], line['state'])} {remote}"


def _bound(line: Line, naming: Naming) -> str:
    host, port = line["address"]
    where = f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
    end = "the caller's" if line.get("leg") == 0 else "the callee's"
    return f"has {end} leg, over {line['transport']} from {naming(where)}"


def _path(line: Line, naming: Naming) -> str:
    path = line.get("path")
    if not path:
        return "has no path for its voice"
    via = f" via {path['via']}" if path.get("via") else ""
    return f"sends its voice {path['kind']}/{path['transport']}{via}"


def _guessing(line: Line, naming: Naming) -> str:
    if line.get("under_way"):
        return f"begins to guess ports: {line.get('part')}"
    return f"has guessed ports: {line.get('sent')} packets, {line.get('sockets')} sockets"


def _ranked_down(line: Line, naming: Naming) -> str:
    lost = "" if line.get("lost_percent") is None else f", {line['lost_percent']} % lost"
    return f"ranks {line['tried']} last: {line['why']}{lost}"


def _ended(line: Line, naming: Naming) -> str:
    return f"has ended the call: {line.get('reason')}"


_WORDS: Mapping[str, Callable[[Line, Naming], str]] = {
    "dialled": lambda line, naming: f"dials {line['callee']}",
    "candidates": _candidates,
    "carried": lambda line, naming: f"carries a sealed envelope of {line['sender']} to {line['recipient']}",
    "offered": lambda line, naming: f"offers both a session at {' and '.join(line['relays'])}",
    "relay-offered": lambda line, naming: f"hears of {line['relay']} at {naming(str(line['addresses'][0]))}",
    "ringing": lambda line, naming: f"rings: {line['peer']} calls",
    "bound": _bound,
    "check": _check,
    "connecting": _connecting,
    "met": lambda line, naming: f"is written to from an address that nobody had told: {naming(str(line['remote']))}",
    "guessing": _guessing,
    "answered": lambda line, naming: "has the call answered",
    "path": _path,
    "first-media": lambda line, naming: "hears the first voice",
    "checklist-finished": lambda line, naming: "has nothing left to check",
    "ranked-down": _ranked_down,
    "progress": lambda line, naming: "",
    "ended": _ended,
}
