"""The lab that tests ask for: which checkout, which topology, and whether it was up before.

Belongs here: finding it and having it up. Never: pytest.
"""

import os
from pathlib import Path

import lab
from lab.errors import ConfigError
from lab.harness import Lab
from lab.harness.checkout import MARK, Checkout


def root() -> Path:
    """The checkout of LAB_ROOT, else the one around the current folder, else the one that this package is imported
    from, as it is after `make lab-up` or `pip install -e`. Raises ConfigError where it was installed without one."""
    try:
        return Checkout.find().root
    except ConfigError:
        own = Path(lab.__file__).resolve().parents[1]
        if os.environ.get("LAB_ROOT") or not (own / MARK).is_file():
            raise
        return own


def up(name: str | None, topology: str | None) -> tuple[Lab, bool]:
    """The lab, as its file says, and whether it was up already. Raises LabError."""
    found = Lab(root(), name)
    runs = found.file_that_runs()
    was_up = runs is not None or found.world() is not None
    found.up(Path(topology) if topology else runs, say=print)
    return found, was_up


def put_back(found: Lab, since: float) -> None:
    """All as its file says, where anything has been done to the lab since then, epoch seconds. Raises LabError."""
    if any(line["event"] not in ("up", "down") for line in found.timeline.read(since)):
        found.up(found.file_that_runs(), say=print)
