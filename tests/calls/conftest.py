"""The reference lab, up for as long as the session runs; the one that was up already stays up.

Belongs here: having a lab. Never: what is expected of it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess, run

import pytest

from lab.harness import Lab

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """The reference lab of this checkout, every node ready."""
    lab = Lab(ROOT)
    was_up = lab.world() is not None
    lab.up(say=print)
    yield lab
    if not was_up:
        lab.down()


Cli = Callable[..., "CompletedProcess[str]"]


@pytest.fixture(scope="session")
def cli(lab: Lab) -> Cli:
    """Runs the documented command line on the running lab."""

    def typed(*words: str, timeout: float = 60) -> "CompletedProcess[str]":
        program = ROOT / ".venv" / "bin" / "lab"
        return run([program, *words], cwd=ROOT, text=True, capture_output=True, timeout=timeout, check=False)

    return typed
