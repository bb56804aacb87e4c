"""The checkout that the lab is used from, and the folder of what it keeps there: `.lab/`.

Belongs here: where things lie on this side, and how many are kept. Never: what is in them.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.errors import ConfigError, RuntimeUnavailable

KEPT_CALLS, KEPT_MATRICES = 50, 3
MARK = Path("compose/base.yml")
NAMED = 12
"""Calls that are named to somebody who asks for one that there is not; the others are counted."""


class Checkout:
    """A checkout by its root; folders are made when they are needed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.state = root / ".lab"

    @classmethod
    def find(cls) -> "Checkout":
        """The one of LAB_ROOT, else the one around the current folder; raises ConfigError."""
        named = os.environ.get("LAB_ROOT")
        if named:
            if not (Path(named) / MARK).is_file():
                raise ConfigError(f"LAB_ROOT is {named}, which holds no {MARK}; it must name a checkout of the lab")
            return cls(Path(named).resolve())
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / MARK).is_file():
                return cls(folder)
        raise ConfigError(f"{here} is in no checkout of the lab (no {MARK} here or above): go there, or set LAB_ROOT")

    def topology(self, named: Path | None) -> Path:
        """The file that was asked for, else compose/reference.yml; raises ConfigError where there is none."""
        file = Path.cwd() / named if named else self.root / "compose" / "reference.yml"
        if not file.is_file() and named:
            file = self.root / named
        if not file.is_file():
            there = ", ".join(
                sorted(f"compose/{one.name}" for one in (self.root / "compose").glob("*.yml") if one.name != "base.yml")
            )
            raise ConfigError(f"there is no topology {named or file}; the checkout has {there or 'none'}")
        return file.resolve()

    def new_call(self) -> tuple[str, Path]:
        """The next call's id and its new folder; the oldest folders beyond the last fifty are removed."""
        return self._new(self.state / "calls", "c", KEPT_CALLS)

    def new_matrix(self) -> tuple[str, Path]:
        """The next matrix's id and its new folder, in which each of its calls has one; the last three are kept."""
        return self._new(self.state / "matrices", "m", KEPT_MATRICES)

    def call_folder(self, call: str) -> Path:
        """Where what is kept of a call lies: `c17`, or `m2-17`, a call of a matrix."""
        matrix, dash, _ = call.partition("-")
        return self.state / "matrices" / matrix / call if dash else self.state / "calls" / call

    def kept(self, call: str, file: str = "report.json") -> Path:
        """The folder of a call of which this file is kept; where none is, ConfigError names those that are kept."""
        folder = self.call_folder(call)
        if call in (known := self.calls()) and folder.is_dir():
            missing = next((name for name in ("report.json", file) if not (folder / name).is_file()), None)
            if missing is None:
                return folder
            raise ConfigError(
                f"of call {call} there is no {missing} in {folder}: it is not over, the disk was full, or it is older "
                "than that; place it again"
            )
        if not known:
            raise ConfigError(f"there is no call {call!r}, and none is kept; place one with `lab call`")
        shown = ", ".join(known[-NAMED:]) + (f", and {len(known) - NAMED} before them" if len(known) > NAMED else "")
        raise ConfigError(f"there is no call {call!r}; kept are {shown}")

    def calls(self) -> list[str]:
        """The calls that are kept, those of matrices before the others, each in the order of their numbers."""
        single = [f"c{number}" for number in sorted(self._numbers(self.state / "calls", "c"))]
        matrices = [f"m{number}" for number in sorted(self._numbers(self.state / "matrices", "m"))]
        folders = [folder for one in matrices for folder in (self.state / "matrices" / one).glob(f"{one}-*")]
        cells = sorted(
            (folder.name for folder in folders), key=lambda name: [int(part) for part in name[1:].split("-")]
        )
        return [*cells, *single]

    def _new(self, folders: Path, letter: str, kept: int) -> tuple[str, Path]:
        folders.mkdir(parents=True, exist_ok=True)
        number = max(self._numbers(folders, letter), default=0)
        while True:
            number += 1
            folder = folders / f"{letter}{number}"
            try:
                folder.mkdir()
            except FileExistsError:  # another took it at the same moment
                continue
            break
        for old in sorted(self._numbers(folders, letter))[:-kept]:
            shutil.rmtree(folders / f"{letter}{old}", ignore_errors=True)
        return folder.name, folder

    @staticmethod
    def _numbers(folders: Path, letter: str) -> list[int]:
        names = [one.name for one in folders.iterdir()] if folders.is_dir() else []
        return [int(name[1:]) for name in names if name.startswith(letter) and name[1:].isdecimal()]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One `up` or `down` at a time in a checkout; raises RuntimeUnavailable where another is at work."""
        self.state.mkdir(exist_ok=True)
        with (self.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RuntimeUnavailable(
                    f"another `lab up` or `lab down` is at work in {self.root}; wait for it to end"
                ) from None
            yield
