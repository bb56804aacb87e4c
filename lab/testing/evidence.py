"""What is kept of a test that failed: a folder of its own, with the evidence of each of its calls.

The checkout's own folders of calls are the last fifty. Belongs here: files. Never: what is in them.
"""

import hashlib
import re
import shutil
from pathlib import Path

_LONGEST = 120
"""Characters of a folder's name; file systems take 255 bytes."""


def folder_of(test: str) -> str:
    """A test's id as the name of a folder; a long one is cut, and told from others by a few digits."""
    name = re.sub(r"[^\w.-]+", "-", test).strip("-.") or "test"
    digits = hashlib.sha256(test.encode()).hexdigest()[:8]
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}-{digits}"


class Kept:
    """One test's folder: below the one that was named, else below `tests` in the lab's own."""

    def __init__(self, state: Path, named: str | None, test: str) -> None:
        self.folder = (Path(named).resolve() if named else state / "tests") / folder_of(test)

    def forget(self) -> None:
        """Remove what a run before has left."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def keep(self, evidence: Path) -> Path:
        """Put a call's folder there as well, and return where it is now; the old place, where that cannot be done."""
        there = self.folder / evidence.name
        try:
            shutil.copytree(evidence, there, copy_function=_link, dirs_exist_ok=True)
        except (OSError, shutil.Error):
            return evidence
        return there


def _link(source: str, to: str) -> None:
    """Captures are large, and nobody writes to those of a call that is over: one file by two names, where that goes."""
    Path(to).unlink(missing_ok=True)
    try:
        Path(to).hardlink_to(source)
    except OSError:
        shutil.copy2(source, to)
