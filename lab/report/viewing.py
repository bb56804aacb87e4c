"""What somebody sees of packets that pass: where they look, what they have filtered, what they were asked for.

A state machine that is fed rows and keys. Pure. Belongs here: positions, filters, prompts. Never: how it is drawn, or
where rows and keys come from.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from lab.harness.passing import Row

KEEP = 50_000
"""Rows that can be looked at again; a file has all."""
_SLACK = 5_000
"""Rows beyond that before the oldest are let go, all at once."""

Asked = Literal["filter", "write"]


@dataclass(frozen=True)
class Wanted:
    """What a key has asked for that is not the view's to do: to leave, or to write a file of that name."""

    what: Literal["quit", "write"]
    file: str = ""


class View:
    """Rows that scroll by, until somebody stops them. `message` is for them to read."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.shown: list[Row] = []
        self.paused = False
        self.awaiting = False
        self.at = 0
        self.filter = ""
        self.asked: Asked | None = None
        self.typed = ""
        self.message = ""
        self.packets = self.dropped = 0
        self._keys: dict[str, Callable[[int], Wanted | None]] = {
            " ": self._toggle,
            "f": lambda page: self._ask("filter"),
            "/": lambda page: self._ask("filter"),
            "w": lambda page: self._ask("write"),
            "n": self._next,
            "p": self._previous,
            "q": lambda page: Wanted("quit"),
            "esc": self._clear,
            "up": lambda page: self._move(-1),
            "k": lambda page: self._move(-1),
            "down": lambda page: self._move(1),
            "j": lambda page: self._move(1),
            "page up": lambda page: self._move(-page),
            "page down": lambda page: self._move(page),
            "home": lambda page: self._move(-len(self.shown)),
            "g": lambda page: self._move(-len(self.shown)),
            "end": self._follow,
            "G": self._follow,
        }

    def add(self, rows: Iterable[Row]) -> None:
        """More rows, later than all before."""
        for row in rows:
            self.rows.append(row)
            if row.fate != "note":
                self.packets += 1
            self.dropped += row.fate in ("dropped", "lost")
            if not self._passes(row):
                continue
            self.shown.append(row)
            if self.awaiting and row.event:
                self.awaiting, self.paused = False, True
                self._look_at(len(self.shown) - 1)
        if len(self.rows) > KEEP + _SLACK:
            self._let_go()
        if not self.paused:
            self.at = max(0, len(self.shown) - 1)

    def press(self, key: str, page: int = 20) -> Wanted | None:
        """A key: a character, or the name of one that is none. `page`: rows that are seen at once."""
        if self.asked is not None:
            return self._type(key)
        self.message = ""
        act = self._keys.get(key)
        return act(page) if act else None

    def window(self, height: int) -> tuple[list[Row], int | None]:
        """The rows that so many lines show, and which of them is looked at while it stands still."""
        if not self.paused:
            return self.shown[max(0, len(self.shown) - height) :], None
        first = max(0, min(self.at - height // 2, len(self.shown) - height))
        return self.shown[first : first + height], self.at - first if self.shown else None

    # -- inside --------------------------------------------------------------------------------------------------

    def _passes(self, row: Row) -> bool:
        """All words of the filter are in it; of those behind a minus none. Notes are always seen."""
        if not self.filter or row.fate == "note":
            return True
        text = f"{row.place} {row.source} {row.destination} {row.what} {row.became} {row.event or ''}".lower()
        words = self.filter.lower().split()
        return all((word[1:] not in text) if word[0] == "-" and word[1:] else word in text for word in words)

    def _let_go(self) -> None:
        gone = len(self.rows) - KEEP
        last = self.rows[gone - 1]
        del self.rows[:gone]
        before = next((n for n, row in enumerate(self.shown) if row.at > last.at), len(self.shown))
        before = min(before, max(0, len(self.shown) - 1))
        del self.shown[:before]
        self.at = max(0, self.at - before)

    def _toggle(self, page: int) -> None:
        self.paused, self.awaiting = not self.paused, False
        self.at = max(0, len(self.shown) - 1)

    def _follow(self, page: int) -> None:
        self.paused = self.awaiting = False
        self.at = max(0, len(self.shown) - 1)

    def _move(self, by: int) -> None:
        self.paused, self.awaiting = True, False
        self.at = max(0, min(len(self.shown) - 1, self.at + by))

    def _look_at(self, number: int) -> None:
        self.at, self.paused = number, True
        self.message = self.shown[number].event or ""

    def _next(self, page: int) -> None:
        """The next event; where there is none yet, it is waited for."""
        found = next((n for n in range(self.at + 1, len(self.shown)) if self.shown[n].event), None)
        if found is None:
            self.paused, self.awaiting = False, True
            self.at = max(0, len(self.shown) - 1)
        else:
            self.awaiting = False
            self._look_at(found)

    def _previous(self, page: int) -> None:
        start = self.at if self.paused else len(self.shown)
        found = next((n for n in range(start - 1, -1, -1) if self.shown[n].event), None)
        if found is None:
            self.message = "there is no event before this one"
        else:
            self.awaiting = False
            self._look_at(found)

    def _clear(self, page: int) -> None:
        self.awaiting = False
        if self.filter:
            self._set("")

    def _ask(self, what: Asked) -> None:
        self.asked, self.typed, self.message = what, self.filter if what == "filter" else "", ""

    def _type(self, key: str) -> Wanted | None:
        """A key while something is asked for: part of a text, its end, or the end of the question."""
        if key == "esc":
            self.asked = None
        elif key == "enter":
            asked, text, self.asked = self.asked, self.typed.strip(), None
            if asked == "write":
                return Wanted("write", text) if text else None
            self._set(text)
        elif key == "backspace":
            self.typed = self.typed[:-1]
        elif len(key) == 1 and key.isprintable():
            self.typed += key
        return None

    def _set(self, text: str) -> None:
        """Another filter; what is looked at stays where it is in time."""
        moment = self.shown[self.at].at if self.shown and self.at < len(self.shown) else 0.0
        self.filter = text
        self.shown = [row for row in self.rows if self._passes(row)]
        last = max(0, len(self.shown) - 1)
        self.at = next((n for n, row in enumerate(self.shown) if row.at >= moment), last) if self.paused else last


_SEQUENCES = {
    "[A": "up",
    "[B": "down",
    "OA": "up",
    "OB": "down",
    "[5~": "page up",
    "[6~": "page down",
    "[H": "home",
    "OH": "home",
    "[1~": "home",
    "[F": "end",
    "OF": "end",
    "[4~": "end",
}
_NAMED = {"\r": "enter", "\n": "enter", "\x7f": "backspace", "\b": "backspace"}


_LONGEST = 16
"""Characters of a sequence that may still be one."""


class Keys:
    """The keys of what a terminal sends: characters, and names for what is none. What a slow line has torn is one."""

    def __init__(self) -> None:
        self._begun = ""

    def read(self, typed: str) -> list[str]:
        """The keys that are whole with what was read now. Where nothing has come since (`typed` is empty), what was
        begun will not be ended: a lone escape is the key of that name."""
        if not typed:
            alone, self._begun = self._begun == "\x1b", ""
            return ["esc"] if alone else []
        typed, self._begun = self._begun + typed, ""
        found, at = list[str](), 0
        while at < len(typed):
            if typed[at] != "\x1b":
                found.append(_NAMED.get(typed[at], typed[at]))
                at += 1
                continue
            rest = typed[at + 1 :]
            if rest and rest[0] not in ("[", "O"):
                found.append("esc")
                at += 1
                continue
            length = next((n for n, one in enumerate(rest[1:], 2) if one.isalpha() or one == "~"), None)
            if length is None:
                self._begun = typed[at:] if len(rest) < _LONGEST else ""
                break
            if name := _SEQUENCES.get(rest[:length]):
                found.append(name)
            at += 1 + length
        return found
