"""A checkout in which a lab has been used: a matrix of three sites, single calls, a certification; no lab runs.

The calls are those of the world of packets (tests/unit/evidence), as they lie in their folders.
"""

import json
import math
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "unit" / "evidence"))

from lab_calls import files, moved, punched, setting  # noqa: E402
from packet_world import START, TOPOLOGY, World  # noqa: E402

from lab.certify.behaviour import Behaviour, Link, OneWay, Outbound  # noqa: E402
from lab.certify.certificate import Certification, SiteCertificate, Verdict  # noqa: E402
from lab.certify.comparing import differences  # noqa: E402
from lab.certify.requirements import Requirement  # noqa: E402
from lab.harness import record, reporting  # noqa: E402
from lab.harness.call_report import CallReport, Media, MediaPath, Observed, SetupTimes, Stretch  # noqa: E402
from lab.harness.checkout import Checkout  # noqa: E402
from lab.harness.matrix import DOCUMENT, Matrix  # noqa: E402
from lab.harness.matrix import TOPOLOGY as TOPOLOGY_FILE  # noqa: E402
from lab.topology.document import to_json  # noqa: E402

SITES = {"bob": "home", "frank": "flat", "carol": "office"}
FAILED = ("carol", "bob")
"""The cell whose call failed; and the one whose setting is not kept."""
OLDER = ("carol", "frank")
Story = tuple[World, list[dict[str, Any]]]


def checkout(root: Path) -> Checkout:
    """m1 with six cells of three sites, c1 punched, c2 moved from the relay, and a site that is not what it claims."""
    (root / "compose").mkdir(parents=True)
    (root / "compose" / "base.yml").write_text("")
    found = Checkout(root)
    name, folder = found.new_matrix()
    pairs = [(one, two) for one in SITES for two in SITES if one != two]
    cells = [_cell(f"{name}-{number}", folder, pair) for number, pair in enumerate(pairs, 1)]
    record.json_document(to_json(TOPOLOGY), folder / TOPOLOGY_FILE)
    record.json_document(Matrix(name, SITES, tuple(cells), 9.0, {}, folder, len(cells)).to_json(), folder / DOCUMENT)
    for make, path in ((punched, "punched"), (moved, "punched")):
        call, place = found.new_call()
        _keep(place, _report(call, ("bob", "frank"), path, place), make)
    reporting.keep(found, "lab", _certification())
    return found


def _cell(call: str, folder: Path, pair: tuple[str, str]) -> CallReport:
    place = folder / call
    place.mkdir()
    report = _report(call, pair, "relayed" if "carol" in pair else "punched", place)
    if pair == FAILED:
        report = replace(report, connected=False, error="nobody <rang>", path=None, observed=None, agrees=False)
    _keep(place, report, punched)
    if pair == OLDER:
        (place / "setting.json").unlink()
    return report


def _report(call: str, pair: tuple[str, str], kind: str, place: Path) -> CallReport:
    via = "relay-1" if kind == "relayed" else None
    media = {end: Media(150, 148, 2, 0.7, 40.7, 71.7, 4.3) for end in pair}
    path, seen = MediaPath(kind, "udp", via), Observed(kind, "udp", via, 300)
    stretch = Stretch(kind, "udp", via, 600, 3600, True)
    return CallReport(
        call, *pair, True, None, path, seen, True, (), (stretch,), SetupTimes(29, 518, 606, 606), media, {}, place
    )


def _keep(place: Path, report: CallReport, make: Callable[[], Story]) -> None:
    world, lines = make()
    files(world, place)
    lines += [_said(end, second) for end in (report.caller, report.callee) for second in range(1, 9)]
    if report.error is None:
        lines[0]["node"] = report.caller
    (place / "timeline.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (place / "setting.json").write_text(json.dumps(replace(setting(), call=report.call).to_json()))
    record.document(report, place)


def _said(end: str, second: int) -> dict[str, Any]:
    lost = 3 if second > 4 else 0
    wave = abs(math.sin(second * (1 if end == "bob" else 2)))
    figures = {"received": 49 * second, "lost": lost, "jitter_ms": round(0.4 + 3 * wave, 2), "mos": 4.38 - 0.4 * wave}
    return {"at": START + 0.6 + second, "node": end, "event": "progress", "call": "c1", "sent": 50 * second, **figures}


def _certification() -> Certification:
    way = OneWay(10.0, 0.0, 1500, False)
    out = Outbound(True, True, "anything", True, True)
    claims = Behaviour(
        "endpoint-independent", "address-dependent", "preserving", False, 30.0, Link(10.0, 0.0, way, way), out
    )
    lies = replace(claims, filtering="endpoint-independent")
    required = (Requirement("RFC4787-REQ-1", True, "it is"), Requirement("RFC4787-REQ-9", False, "it does not"))

    def site(name: str, does: Behaviour) -> SiteCertificate:
        verdict = Verdict(claims, does, differences(claims, does, 1000), required)
        return SiteCertificate(name, "linux", "none", None, verdict, None, 20.0)

    cut = SiteCertificate("office", "symmetric", "none", None, None, None, 3.0, failure="the way was cut")
    return Certification((site("home", claims), site("flat", lies), cut), 42.0)
