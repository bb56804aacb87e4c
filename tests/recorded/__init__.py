"""Calls of a real lab, as their evidence folders hold them but for captures and progress: report and timeline.

They were calls of the zoo; their ends have the names and addresses of the reference lab, whose networks are the same.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.harness.call_report import CallReport, Hold, KeyChanged, Media, MediaPath, Observed, SetupTimes, Stretch

HERE = Path(__file__).parent
CALLS = ("direct", "punched", "symmetric", "outgoing-tcp", "relayed")


def report(name: str, **changes: Any) -> CallReport:
    """One of CALLS; its evidence is the folder here."""
    said = json.loads((HERE / name / "report.json").read_text())
    found = CallReport(
        call=said["call"],
        caller=said["caller"],
        callee=said["callee"],
        connected=said["connected"],
        error=said["error"],
        path=MediaPath(**said["path"]),
        observed=Observed(**said["observed"]),
        agrees=said["agrees"],
        disagreements=tuple(said["disagreements"]),
        history=tuple(Stretch(**one) for one in said["history"]),
        setup_ms=SetupTimes(**said["setup_ms"]),
        media={end: Media(**figures) for end, figures in said["media"].items()},
        dropped_by_captures=said["dropped_by_captures"],
        evidence=HERE / name,
        seed=said.get("seed"),
        on_hold=tuple(Hold(**one) for one in said.get("holds", ())),
        keys_changed=tuple(KeyChanged(**one) for one in said.get("keys_changed", ())),
    )
    return replace(found, **changes)
