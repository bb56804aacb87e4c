"""Calls of a real lab, as their evidence folders hold them but for captures and progress: report and timeline.

They were calls of the zoo; their ends have the names and addresses of the reference lab, whose networks are the same.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.harness.call_report import CallReport

HERE = Path(__file__).parent
CALLS = ("direct", "punched", "symmetric", "outgoing-tcp", "relayed")


def report(name: str, **changes: Any) -> CallReport:
    """One of CALLS; its evidence is the folder here."""
    found = CallReport.from_json(json.loads((HERE / name / "report.json").read_text()), HERE / name)
    return replace(found, **changes)
