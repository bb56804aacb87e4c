"""A report made: every call's details one after the other, its captures beside, then the page.

Belongs here: the order of it, and how far it is. Never: layout, and whose folder it is.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.errors import ConfigError, EvidenceError
from lab.evidence.ladder import Ladder
from lab.harness.call_report import CallReport
from lab.harness.checkout import Checkout
from lab.harness.handing import File, Handout
from lab.harness.kept import Kept, kept
from lab.harness.reporting import Reported
from lab.report.call_page import details
from lab.report.page import packed, page
from lab.report.story import timeline
from lab.topology.model import Topology

NO_CAPTURES = "left out of this report (--no-captures); they are in {folder}"


@dataclass(frozen=True)
class Made:
    """What lies there now; `ladders`: calls that have one."""

    calls: int
    ladders: int
    page_bytes: int
    captures_bytes: int


def make(
    checkout: Checkout, found: Reported, target: Handout, captures: bool, follow: Callable[[int, int], None]
) -> Made:
    """Fill the folder. `follow` hears how many calls are done, of how many."""
    target.open()
    reports = [*(found.matrix.cells if found.matrix else ()), *found.calls]
    parts: dict[str, str] = {}
    ladders = size = 0
    follow(0, len(reports))
    for number, report in enumerate(reports, 1):
        call, ladder = _ladder(checkout, report)
        where = f".lab/{report.evidence.relative_to(checkout.state)}"
        files = target.captures(report.evidence, call) if captures else NO_CAPTURES.format(folder=where)
        ladders += isinstance(ladder, Ladder)
        size += sum(one for _, one in files) if not isinstance(files, str) else 0
        parts[report.call] = packed(_part(report, ladder, files, found.topology))
        follow(number, len(reports))
    text = page(found, parts, time.time())
    target.write(text)
    return Made(len(reports), ladders, len(text.encode()), size)


def _part(report: CallReport, ladder: Ladder | str, files: Sequence[File] | str, topology: Topology | None) -> str:
    """A call's details; with a timeline that makes no sense, without it: one call is no reason to have no report."""
    try:
        return details(report, timeline(report.evidence), ladder, files, topology)
    except (AttributeError, KeyError, TypeError, ValueError):
        return details(report, (), ladder, files, topology)


def _ladder(checkout: Checkout, report: CallReport) -> tuple[Kept | None, Ladder | str]:
    """What is kept of a call, None where that is not enough to read its packets by, and its ladder, or why not."""
    call = None
    try:
        call = kept(checkout, report.call)
        return call, call.ladder()
    except ConfigError:
        return None, (
            "no ladder: the setting of this call (setting.json) is not kept, as a call of an older version has none; "
            "place it again"
        )
    except EvidenceError as error:
        return call, f"no ladder: {error}"
