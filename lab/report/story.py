"""All that is known of a call that a test did not expect: verdict, picture, ladder, candidates, evidence.

Belongs here: putting the parts together. Never: what they say.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lab.errors import EvidenceError
from lab.harness.call_report import CallReport
from lab.harness.explaining import concluded, networks
from lab.harness.kept import kept_in
from lab.report.console import plain
from lab.report.explanation import explanation
from lab.report.happening import moments, table
from lab.report.ladder import ladder as drawn
from lab.report.result import result
from lab.report.route import picture
from lab.topology.model import Topology

WIDTH = 100
"""Columns of a story, which is read in a test's output."""


def story(report: CallReport, topology: Topology | None) -> str:
    """Everything, from the report and from the call's folder; of a folder that is gone or torn, the report alone."""
    parts: list[RenderableType] = [result(report, topology, report.evidence, None)]
    lines = timeline(report.evidence)
    if lines:
        why = concluded(report.to_json(), lines, networks(report.evidence))
        parts += [Text(), ladder(report.evidence, lines), Text(), explanation(why)]
    return plain(Group(*parts), WIDTH)


def ladder(folder: Path, lines: Sequence[Any]) -> RenderableType:
    """Who sent what to whom, by the packets; of a folder that has not all that takes, a list of what the nodes said."""
    try:
        found = kept_in(folder).ladder()
    except EvidenceError:
        found = None
    if found is not None and found.rows:
        return drawn(found, WIDTH)
    return Group(Text("what happened, ms after dialling", "dim"), table(moments(lines)))


def facts(report: CallReport, topology: Topology | None) -> list[str]:
    """The few lines that a failed comparison shows even where pytest cuts after eight; the story is in a section."""
    seen = report.observed or report.path
    what = report.error or "; ".join(report.disagreements) or (f"the packets show {seen}" if seen else "no path")
    told = [f"call {report.call} of {report.caller} to {report.callee}: {what}"]
    if seen and topology:
        told.append("  " + Text.from_markup(picture(topology, report.caller, report.callee, seen)).plain)
    lines = timeline(report.evidence)
    if lines:
        why = concluded(report.to_json(), lines, networks(report.evidence))
        better = [one for one in why.rungs if one.verdict == "ruled out"]
        told += [f"  no {one.path}: {one.reason}" for one in better[:2]]
    return [*told, f"  evidence: {report.evidence}"]


def timeline(folder: Path) -> list[Any]:
    """The lines of a call's timeline; none where there is no such file or it is torn."""
    try:
        return [json.loads(line) for line in (folder / "timeline.jsonl").read_text().splitlines()]
    except (OSError, ValueError):
        return []
