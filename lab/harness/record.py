"""What is kept of a call in its folder: log lines, the timeline of all nodes on one clock, the report.

Belongs here: writing files, each whole or not at all. Never: captures, which are streamed there while the call runs.
"""

import json
import shutil
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from lab.errors import LabError, RuntimeUnavailable
from lab.evidence.whole import Setting
from lab.harness.call_report import CallReport
from lab.harness.placing import Placed
from lab.runtime.connection import Engine
from lab.runtime.control import Json
from lab.runtime.logs import Log
from lab.runtime.world import World
from lab.topology.document import part_of
from lab.topology.model import Role, Topology

TALKATIVE = (Role.SUPERNODE, Role.RELAY)
DROPPED = "dropped.json"
"""In the folder of a call: what the rules of its routers counted that they dropped."""


def logs(engine: Engine, world: World, placed: Placed) -> list[Json]:
    """The lines about this call of both clients, the supernodes and the relays, a client that relayed it among them."""
    own = {placed.request.caller, placed.request.callee, *placed.relays}
    names = [node.name for node in world.topology.nodes if node.role in TALKATIVE or node.name in own]

    def lines(name: str) -> list[Json]:
        try:
            printed = list(Log(engine, world.containers[name].id, since=placed.started))
        except LabError as error:
            return [{"at": placed.started, "node": name, "event": "log-missing", "error": str(error)}]
        return [said for _, said in printed if said and about(said) == placed.call]

    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="logs") as pool:
        found = list(pool.map(lines, names))
    return [line for said in found for line in said]


def logged(lines: Iterable[Json], folder: Path) -> None:
    """Keep lines about a call, one file a node."""
    files: dict[str, list[Json]] = {}
    for line in lines:
        files.setdefault(str(line.get("node")), []).append(line)
    for name, said in files.items():
        _write(folder / f"{name}.log", said)


def timeline(placed: Placed, lines: Iterable[Json], folder: Path) -> None:
    """Merge what the clients reported and what every node logged, each once, in the order of the one clock."""
    reported = [dict(event.detail) for event in placed.events]
    told = {(line.get("node"), line.get("event"), line.get("at")): line for line in (*lines, *reported)}
    _write(folder / "timeline.jsonl", sorted(told.values(), key=lambda line: float(line.get("at") or 0)))


def setting(topology: Topology, placed: Placed, lines: Iterable[Json], folder: Path) -> None:
    """Keep who called whom, when, and where all were who had to do with it: what a verdict needs beside the packets."""
    ends = (placed.request.caller, placed.request.callee)
    known = {node.name for node in topology.nodes}
    others = (*sorted(placed.relays), *(str(line.get("node")) for line in lines))
    concerned = dict.fromkeys((*ends, *(name for name in others if name in known)))
    times = [end.at for end in placed.reports.values()] or [event.at for event in placed.events]
    over = max(times, default=placed.started)
    kept = Setting(placed.call, *ends, placed.started, over, part_of(topology, concerned))
    json_document(kept.to_json(), folder / "setting.json")


def dropped(placed: Placed, folder: Path) -> None:
    """Keep what the routers' rules have counted, where any could be asked."""
    if placed.dropped:
        json_document(placed.dropped, folder / DROPPED)


def document(report: CallReport, folder: Path) -> None:
    """Keep the report as the CLI prints it."""
    json_document(report.to_json(), folder / "report.json")


def json_document(document: Json, file: Path) -> None:
    """Keep a document as the CLI prints it."""
    written(file, json.dumps(document, indent=2) + "\n")


def written(file: Path, text: str, *, secret: bool = False) -> None:
    """Write a file whole or not at all: what it held stays. A `secret` one is for the user's eyes alone. Raises
    RuntimeUnavailable where there is no room for it."""
    part = file.with_name(f"{file.name}.part")
    try:
        if secret:
            part.touch(0o600)
            part.chmod(0o600)
        part.write_text(text)
        part.replace(file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise RuntimeUnavailable(f"{file} cannot be written: {error.strerror or error}") from None


def discard(folder: Path) -> None:
    """Remove the folder of a call that was never dialled."""
    shutil.rmtree(folder, ignore_errors=True)


def _write(file: Path, lines: Iterable[Json]) -> None:
    written(file, "".join(json.dumps(line) + "\n" for line in lines))


def about(line: Json) -> str:
    """The call that a line is about: nodes know it as the user's name for it, a dot, and what makes it unique."""
    return str(line.get("call") or "").partition(".")[0]
