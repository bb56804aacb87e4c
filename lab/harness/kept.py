"""What is kept of a call that is over, read again: its setting, captures and timeline.

Belongs here: the call's folder, and the one file made of it. Never: what packets mean; the judge's room has that.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lab.errors import ConfigError, EvidenceError, RecordTorn, RuntimeUnavailable
from lab.evidence import Captures, conclude, read, unsealed, whole
from lab.evidence.drops import Cause, Counts, causes
from lab.evidence.gaps import Gaps
from lab.evidence.journeys import Journey, follow
from lab.evidence.ladder import Ladder, ladder
from lab.evidence.moments import Moment, comments, moments, relays
from lab.evidence.passages import Passage, passages
from lab.evidence.scene import Scene
from lab.evidence.whole import Setting
from lab.harness.checkout import Checkout
from lab.harness.keys import FILE as KEYS
from lab.harness.record import DROPPED
from lab.topology.model import Role

PCAP_HEADER = 24
"""Bytes that a pcap file begins with."""


@dataclass(frozen=True)
class Kept:
    """A call's folder: who called whom and where, a pcap a place, the timeline's lines, the report as a document."""

    folder: Path
    setting: Setting
    lines: tuple[Mapping[str, Any], ...]
    report: Mapping[str, Any]

    @property
    def files(self) -> dict[str, Path]:
        """The captures, by place; one that never began has not even the header of a file."""
        files = (file for file in sorted(self.folder.glob("*.pcap")) if file.stat().st_size >= PCAP_HEADER)
        known = {node.name for node in self.setting.topology.nodes}
        return {file.stem: file for file in files if file.stem in known}

    @property
    def dropped(self) -> dict[str, int]:
        """What captures say that they lost, by place."""
        return {str(place): int(count) for place, count in (self.report.get("dropped_by_captures") or {}).items()}

    @cached_property
    def captures(self) -> Captures:
        """Those that can be read: of others the verdict has said so."""
        found = []
        for place, file in self.files.items():
            with suppress(EvidenceError):
                found.append(read(file, place, self.dropped.get(place, 0)))
        return Captures(found)

    @cached_property
    def gaps(self) -> Gaps:
        """What its captures have missed."""
        return Gaps.of(self.captures)

    @cached_property
    def journeys(self) -> list[Journey]:
        """Every packet followed from place to place."""
        return follow(self.setting.topology, self.captures)

    @cached_property
    def scene(self) -> Scene | None:
        """All media of the call; None where the judge cannot tell voice from the captures."""
        one = self.setting
        with suppress(EvidenceError):
            return conclude(one.topology, self.captures, one.caller, one.callee, one.start, one.end)[1]
        return None

    @cached_property
    def moments(self) -> list[Moment]:
        """The packets that matter; without a scene without those of voice."""
        one = self.setting
        return moments(one.topology, (one.caller, one.callee), self.journeys, self.scene, self.lines)

    @property
    def passages(self) -> list[Passage]:
        """The same with what each router made of it, relays included."""
        return passages(self.setting.topology, self.journeys, self.causes)

    @cached_property
    def counted(self) -> Counts:
        """What rules have counted that they dropped, by router: of a call of a matrix, or an older one, none are known.
        Raises RecordTorn where what is kept of that is torn."""
        file = self.folder / DROPPED
        try:
            said = json.loads(file.read_text()) if file.is_file() else {}
            return {
                str(router): {str(rule): int(packets) for rule, packets in rules.items()}
                for router, rules in said.items()
            }
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise _unreadable(self.folder, error) from None

    @cached_property
    def causes(self) -> Mapping[int, Cause]:
        """Why packets went no further, as far as that is known: by id of the journey."""
        return causes(self.setting.topology, self.journeys, self.counted, self.dialled, self.gaps)

    @property
    def keys(self) -> str:
        """The keys of its TLS connections, where they were asked for."""
        file = self.folder / KEYS
        return file.read_text(errors="replace") if file.is_file() else ""

    @property
    def dialled(self) -> float:
        """When the caller dialled, epoch seconds: what times of a call begin with."""
        said = (line["at"] for line in self.lines if line.get("event") == "dialled")
        return float(next(said, self.setting.start))

    def ladder(self) -> Ladder:
        """Who sent what to whom. Raises RecordTorn where a capture that it takes is missing or cannot be read."""
        self._complete()
        one, seen = self.setting, self.report.get("observed")
        path = f"{seen['kind']}/{seen['transport']}" + (f" via {seen['via']}" if seen["via"] else "") if seen else None
        ends = (one.caller, one.callee)
        relayed = relays(one.topology, ends, self.journeys, self.scene)
        known = self.causes, unsealed.names(self.captures, self.keys), relayed, self.gaps
        return ladder(one.topology, one.call, ends, path, self.journeys, self.moments, self.dialled, *known)

    def _complete(self) -> None:
        """Raises RecordTorn where there is not the capture of each place that every packet between the two passes."""
        topology = self.setting.topology
        ends = [topology.node(name) for name in (self.setting.caller, self.setting.callee)]
        passed = [*topology.by_role(Role.CORE), *(router for end in ends for router in topology.routers_outward(end))]
        for place in dict.fromkeys((*(node.name for node in passed), *self.files)):
            if place in self.captures:
                continue
            file = self.folder / f"{place}.pcap"
            try:
                file.stat()
                read(file, place)
            except (EvidenceError, OSError) as error:
                raise _unreadable(self.folder, error) from None


def kept(checkout: Checkout, call: str) -> Kept:
    """Raises ConfigError naming the calls that are kept where this one is not, RecordTorn where it is torn."""
    return kept_in(checkout.kept(call, "setting.json"))


def kept_in(folder: Path) -> Kept:
    """What is kept of a call in this folder; raises RecordTorn where a part is torn, or not there."""
    report, lines = told(folder)
    try:
        setting = Setting.parse(json.loads((folder / "setting.json").read_text()))
    except (OSError, ValueError, ConfigError) as error:
        raise _unreadable(folder, error) from None
    return Kept(folder, setting, lines, report)


def told(folder: Path) -> tuple[Mapping[str, Any], tuple[Mapping[str, Any], ...]]:
    """The report of a call in this folder as a document, and its timeline's lines; raises RecordTorn as above."""
    try:
        report = json.loads((folder / "report.json").read_text())
        lines = [json.loads(one) for one in (folder / "timeline.jsonl").read_text().splitlines()]
        if not all(isinstance(one, dict) for one in (*lines, report)):
            raise ValueError("expected JSON objects in timeline.jsonl and report.json")
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from None
    return report, tuple(lines)


def _unreadable(folder: Path, error: Exception) -> RecordTorn:
    if isinstance(error, FileNotFoundError):
        return RecordTorn(f"of what was to be kept of {folder.name} in {folder} {Path(error.filename).name} is missing")
    return RecordTorn(f"what is kept of {folder.name} in {folder} cannot be read: {error}")


def one_file(call: Kept, target: Path, expression: str = "", keys: str | None = None, growing: bool = False) -> int:
    """Write all that was captured of a call as one file; returns how many packets it holds.

    `expression`: the filter by which it was captured. `keys`: those of the call, where they are not in its folder.
    `growing`: its captures still go on; of others the file says which end in mid-packet.

    Raises RuntimeUnavailable where it cannot be written to its end: what was written by then can be read.
    """
    said, log = comments(call.moments), call.keys if keys is None else keys
    try:
        return whole.write(call.setting, call.files, target, said, call.dropped, log, expression, growing)
    except OSError as error:
        raise RuntimeUnavailable(
            f"{target} is not whole: {error.strerror or error}; what it holds so far can be read, and the captures "
            f"themselves are in {call.folder}"
        ) from None
