"""The folder in which captures grow until they are written: it goes with its owner, unless somebody was told of it.

Belongs here: making, keeping and removing such folders. Never: what is in them.
"""

import fcntl
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "capture-"
LOCK = "owner.lock"
"""Held while its owner lives. A folder without one is kept."""


class Scratch:
    """One such folder, `path`, in the folder of what the lab keeps. Those whose owners were killed are removed."""

    def __init__(self, state: Path) -> None:
        """Raises OSError where it cannot be made."""
        state.mkdir(exist_ok=True)
        for folder in state.glob(f"{PREFIX}*"):
            _sweep(folder)
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=state))
        try:
            new = self.path / "owner.new"
            self._lock = new.open("wb")
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            new.rename(self.path / LOCK)  # held from the moment that it has its name
        except OSError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def keep(self) -> None:
        """Somebody was told that there is something in it: it stays when its owner is gone."""
        with suppress(OSError):
            (self.path / LOCK).unlink()

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _sweep(folder: Path) -> None:
    """Remove a folder whose owner is gone."""
    with suppress(OSError), (folder / LOCK).open("rb") as lock:  # a kept one has none
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
