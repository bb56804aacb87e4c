"""The documented commands as a user types them.

Belongs here: running the program. Never: expectations.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".venv" / "bin" / "lab"


def cli(*words: str, stdin: str | None = None, timeout: float = 60) -> "subprocess.CompletedProcess[str]":
    """Run `lab WORDS` in the checkout to its end."""
    return subprocess.run(
        [PROGRAM, *words], cwd=ROOT, input=stdin, text=True, capture_output=True, timeout=timeout, check=False
    )
