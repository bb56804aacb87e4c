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

KEPT_CALLS = 50
MARK = Path("compose/base.yml")


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
        calls = self.state / "calls"
        calls.mkdir(parents=True, exist_ok=True)
        number = max(self._numbers(calls), default=0)
        while True:
            number += 1
            folder = calls / f"c{number}"
            try:
                folder.mkdir()
            except FileExistsError:  # another call took it at the same moment
                continue
            break
        for old in sorted(self._numbers(calls))[:-KEPT_CALLS]:
            shutil.rmtree(calls / f"c{old}", ignore_errors=True)
        return folder.name, folder

    def call_folder(self, call: str) -> Path:
        """Where what is kept of a call lies."""
        return self.state / "calls" / call

    @staticmethod
    def _numbers(calls: Path) -> list[int]:
        names = [one.name for one in calls.iterdir()]
        return [int(name[1:]) for name in names if name.startswith("c") and name[1:].isdecimal()]

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
