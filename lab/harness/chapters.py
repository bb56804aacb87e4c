"""What befell each path of the table in the course of a call: tried, found to work, in use, ranked down, left, lost.

Read from the call's timeline, both ends' words in order of time. Never: why the path at the end is the one that it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Line = Mapping[str, Any]
Way = tuple[str, str, str]
"""Who tried it, over what (`relay` whatever its legs), and the relay or the address that it leads to."""

RUNGS = (
    "direct/udp",
    "punched/udp",
    "direct/tcp",
    "punched/tcp",
    "relayed/udp",
    "relayed/mixed",
    "relayed/tcp",
)
"""The table, best first (design)."""
AT_THE_END = 0.05
"""Seconds before the first end says that the call is over in which it has closed what it no longer needs."""
BEGINNING, ENDING = 4, 8
"""Chapters that are kept of a long story: how it came to work, and how it went on last."""

_REASONS = {
    "loss": "it lost {lost} of the voice",
    "narrow": "UDP was known to carry no voice there",
    "silent": "it fell silent",
    "leaving": "its relay was about to end",
}
LASTING = ("narrow", "leaving")
"""Of these, what speaks against a path for as long as it is the same; the rest is forgotten when it is taken again."""
NO_ANSWER, BETTER = "it answered no more", "a better one works"


@dataclass(frozen=True)
class Chapter:
    """Who says it, when (ms since the call was dialled), and what: `tried`, `worked`, `failed`, `ranked down`, `in use`
    (that end's voice went out on it from then on) or `left`; beyond that, in words."""

    node: str
    at_ms: int
    what: str
    detail: str


@dataclass(frozen=True)
class Story:
    """What befell a path, in order of time; of a long story `untold` chapters are left out, behind BEGINNING."""

    chapters: tuple[Chapter, ...] = ()
    untold: int = 0


def milliseconds(line: Line, dialled: float) -> int:
    """Since the call was dialled."""
    return round((float(line["at"]) - dialled) * 1000)


def over(lines: Iterable[Line]) -> float:
    """From when on, epoch seconds, what is closed is closed because the call is over."""
    return min((float(line["at"]) for line in lines if line["event"] == "ended"), default=float("inf")) - AT_THE_END


def way(line: Line) -> Way:
    """What a line of a check, a connection or a demotion is about."""
    tried = str(line.get("tried", "tcp"))
    via = tried.partition(" via ")[2]
    return line["node"], "relay" if via else tried.rpartition("/")[2], via or line["remote"]


def shown(path: Line) -> str:
    """A path as it is named everywhere."""
    return f"{path['kind']}/{path['transport']}" + (f" via {path['via']}" if path.get("via") else "")


def stories(lines: Iterable[Line], dialled: float) -> dict[str, Story]:
    """By path of the table, those of which there is anything to tell. What never worked is of no path: whether it would
    have been direct or punched nobody knows."""
    lines = sorted(lines, key=lambda line: float(line["at"]))
    teller = _Teller(lines, dialled)
    for line in lines:
        teller.hear(line)
    return {rung: _bounded(chapters) for rung, chapters in teller.told.items()}


def _bounded(chapters: list[Chapter]) -> Story:
    untold = max(0, len(chapters) - BEGINNING - ENDING)
    return Story((*chapters[:BEGINNING], *chapters[BEGINNING + untold :]), untold)


def _rung(name: str) -> str:
    return name.partition(" via ")[0]


class _Teller:
    """Hears a call's lines in order of time."""

    def __init__(self, lines: list[Line], dialled: float) -> None:
        self.dialled, self.over = dialled, over(lines)
        self.told: dict[str, list[Chapter]] = {}
        self.rungs: dict[Way, str] = {}
        """What each way is: at first what it will turn out to be."""
        for line in lines:
            if line["event"] == "check" and line["state"] == "valid":
                self.rungs.setdefault(way(line), _rung(line["tried"]))
        self.states: dict[Way, str] = {}
        self.using: dict[str, str | None] = {}
        self.blamed: dict[str, tuple[str, str]] = {}
        """By path, what speaks against it, and in words; until it works again, or is taken again in spite of it."""

    def hear(self, line: Line) -> None:
        match line["event"]:
            case "check" | "connecting":
                self._checked(line)
            case "ranked-down":
                self._demoted(line)
            case "path":
                self._moved(line)

    def _tell(self, rung: str, line: Line, what: str, detail: str) -> None:
        chapter = Chapter(line["node"], milliseconds(line, self.dialled), what, detail)
        self.told.setdefault(rung, []).append(chapter)

    def _checked(self, line: Line) -> None:
        which, state = way(line), line["state"]
        before, at_the_end = self.states.get(which), float(line["at"]) >= self.over
        if state == "valid":
            self.rungs[which] = _rung(line["tried"])
        rung = self.rungs.get(which)
        if rung is None or state == before or (state == "failed" and at_the_end):
            return
        towards = which[2]
        if state == "valid":
            self.states[which] = state
            self.blamed.pop(rung, None)
            trip = "" if line.get("rtt_ms") is None else f", round trip {line['rtt_ms']:g} ms"
            self._tell(rung, line, "worked", f"{towards}{trip}")
        elif state == "failed":
            self.states[which] = state
            if before == "valid":
                self.blamed[rung] = ("failed", NO_ANSWER)
            self._tell(rung, line, "failed", towards)
        elif before is None:
            self.states[which] = state
            self._tell(rung, line, "tried", towards)

    def _demoted(self, line: Line) -> None:
        name = _rung(line["tried"])
        rung = name if "/" in name else self.rungs.get(way(line))
        if rung is not None:
            lost = "much" if line.get("lost_percent") is None else f"{line['lost_percent']} %"
            reason = _REASONS[line["why"]].format(lost=lost)
            self.blamed[rung] = (line["why"], reason)
            self._tell(rung, line, "ranked down", f"{way(line)[2]}: {reason}")

    def _moved(self, line: Line) -> None:
        node, path = line["node"], line.get("path")
        name = shown(path) if path else None
        left, self.using[node] = self.using.get(node), name
        if left == name:
            return
        if left is not None:
            self._tell(_rung(left), line, "left", f"for {name or 'none'}{self._why(_rung(left), name)}")
        if name is not None:
            if self.blamed.get(_rung(name), ("", ""))[0] not in LASTING:
                self.blamed.pop(_rung(name), None)
            self._tell(_rung(name), line, "in use", name.partition(" ")[2])

    def _why(self, left: str, taken: str | None) -> str:
        if left in self.blamed:
            return f": {self.blamed[left][1]}"
        better = taken is not None and RUNGS.index(_rung(taken)) < RUNGS.index(left)
        return f": {BETTER}" if better else ""
