"""The documented commands as a user types them.

Belongs here: running the program. Never: expectations.
"""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".venv" / "bin" / "lab"


def cli(
    *words: str, stdin: str | None = None, timeout: float = 60, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Run `lab WORDS` in the checkout to its end, with these variables in its environment as well."""
    return subprocess.run(
        [PROGRAM, *words],
        cwd=ROOT,
        env=os.environ | environment,
        input=stdin,
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
