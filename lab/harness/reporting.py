"""What a report is made of: the last matrix, single calls, the last certification, and the topology, as they are kept.

Belongs here: keeping a certification, and finding the rest again; no lab has to run. Never: how any of it looks.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab.certify.certificate import Certification
from lab.errors import ConfigError, LabError, RuntimeUnavailable
from lab.harness import belonging, record
from lab.harness.call_report import CallReport
from lab.harness.checkout import Checkout
from lab.harness.matrix import DOCUMENT, TOPOLOGY, Matrix
from lab.topology import parse
from lab.topology.document import from_json
from lab.topology.model import Network, Node, Topology

Json = Mapping[str, Any]
Own = Callable[[Path, str], bool]
"""Whether a folder is of the lab that is reported, by the file in it that has a topology."""
FIRST = IPv4Address("0.0.0.0")
CERTIFICATION, SETTING = "certification-", "setting.json"


@dataclass(frozen=True)
class Reported:
    """Everything of it. `calls`: those placed by themselves, the newest first. `certification`: the document of
    `lab certify --json`, and `at`, epoch seconds. `whence`: where the topology is from, in words.

    `torn`: files that cannot be read, a sentence each. `others`: labs of which something is kept here too, by name.
    """

    matrix: Matrix | None
    calls: tuple[CallReport, ...]
    certification: Json | None
    topology: Topology | None
    whence: str
    torn: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def left_out(self) -> str | None:
        """That something is kept of other labs, and how to have it; None where nothing is."""
        return _left_out(self.others)


def keep(checkout: Checkout, lab: str, found: Certification) -> None:
    """Keep a lab's last certification, in place of the one before."""
    said = {"lab": lab, "at": round(time.time(), 3), **found.to_json()}
    # A full disk is no reason to lose what was measured for minutes.
    with contextlib.suppress(OSError, RuntimeUnavailable):
        checkout.state.mkdir(exist_ok=True)
        record.json_document(said, _certification(checkout, lab))


def reported(checkout: Checkout, lab: str, now: Callable[[], Topology | None]) -> Reported:
    """What is kept of a lab. `now` is asked for the topology that runs where none is kept; LabError from it means none.

    Raises ConfigError where there is nothing at all.
    """
    torn: list[str] = []
    certification = _document(_certification(checkout, lab), torn)
    others = {file.stem.removeprefix(CERTIFICATION) for file in checkout.state.glob(f"{CERTIFICATION}*.json")} - {lab}

    def own(folder: Path, topology: str) -> bool:
        whose = belonging.owners(checkout.state, folder, topology)
        others.update(() if lab in whose else whose)
        return lab in whose

    matrix, folder = _matrix(checkout, own, torn)
    single = [name for name in checkout.calls() if "-" not in name and own(checkout.call_folder(name), SETTING)]
    calls = tuple(_reports(checkout, reversed(single), torn))
    topology, whence = _topology(checkout, folder, (*(matrix.cells if matrix else ()), *calls), now, torn)
    if not (matrix or calls or certification or topology):
        said = f" ({'; '.join(torn)})" if torn else ""
        beside = f"; {told}" if (told := _left_out(sorted(others))) else ""
        raise ConfigError(
            f"there is nothing to report in {checkout.state}{said}: `lab up`, then `lab matrix` or `lab certify`"
            f"{beside}"
        )
    return Reported(matrix, calls, certification, topology, whence, tuple(torn), tuple(sorted(others)))


def _left_out(others: Sequence[str]) -> str | None:
    if not others:
        return None
    commands = ", ".join(f"`lab --lab {name} report DIR`" for name in others)
    return f"kept of {'another lab' if len(others) == 1 else 'other labs'}: {commands}"


def _certification(checkout: Checkout, lab: str) -> Path:
    return checkout.state / f"{CERTIFICATION}{lab}.json"


def _matrix(checkout: Checkout, own: Own, torn: list[str]) -> tuple[Matrix | None, Path | None]:
    """The last one of which anything is kept; one that was killed has calls and no document."""
    folders = [one for one in (checkout.state / "matrices").glob("m*") if one.name[1:].isdecimal()]
    for folder in sorted(folders, key=lambda one: int(one.name[1:]), reverse=True):
        if not own(folder, TOPOLOGY):
            continue
        said = _document(folder / DOCUMENT, torn)
        if said is not None:
            try:
                return Matrix.from_json(said, folder), folder
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                torn.append(f"{folder / DOCUMENT} is no matrix: {error!r}")
        names = [call for call in checkout.calls() if call.startswith(f"{folder.name}-")]
        cells = tuple(_reports(checkout, names, torn))
        if cells:
            sites = {client: client for pair in sorted((one.caller, one.callee) for one in cells) for client in pair}
            torn.append(f"{folder.name} was ended before it could say how many calls it was to be")
            return Matrix(folder.name, sites, cells, 0.0, {}, folder, len(cells)), folder
    return None, None


def _reports(checkout: Checkout, calls: Iterable[str], torn: list[str]) -> Iterator[CallReport]:
    for call in calls:
        folder = checkout.call_folder(call)
        said = _document(folder / "report.json", torn)
        if said is not None:
            try:
                yield CallReport.from_json(said, folder)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                torn.append(f"{folder / 'report.json'} is no report of a call: {error!r}")


def _topology(
    checkout: Checkout,
    matrix: Path | None,
    calls: Sequence[CallReport],
    now: Callable[[], Topology | None],
    torn: list[str],
) -> tuple[Topology | None, str]:
    """The world in which the matrix was called, else what the calls' settings say together, else what runs, else the
    topology's file of this checkout in which all these clients are."""
    if matrix and (said := _document(matrix / TOPOLOGY, torn)) is not None:
        try:
            return from_json(said), f"as it was when {matrix.name} was called"
        except ConfigError as error:
            torn.append(f"{matrix / TOPOLOGY} is no topology: {error}")
    if together := _together(calls):
        return together, "as the calls' settings have it: what they concern"
    try:
        running = now()
    except LabError:  # no engine: what is kept has to do
        running = None
    clients = {name for call in calls for name in (call.caller, call.callee)}
    if running and clients <= {node.name for node in running.nodes}:
        return running, "as it runs now"
    for file in sorted((checkout.root / "compose").glob("*.yml")) if clients else ():
        try:
            described = parse(file)
        except LabError:  # base.yml, or somebody's unfinished one
            continue
        if clients <= {node.name for node in described.nodes}:
            return described, f"as compose/{file.name} has it today; the calls kept no setting of their own"
    return None, ""


def _together(calls: Sequence[CallReport]) -> Topology | None:
    """One topology of what each call's setting has; the newest word on a node counts."""
    nodes: dict[str, Node] = {}
    networks: dict[str, Network] = {}
    for call in calls:
        try:
            part = from_json(json.loads((call.evidence / SETTING).read_text())["topology"])
        except (OSError, ValueError, KeyError, TypeError, ConfigError):  # its own details say so
            continue
        nodes = {node.name: node for node in part.nodes} | nodes
        networks = {network.name: network for network in part.networks} | networks
    in_order = sorted(nodes.values(), key=lambda node: max((one.address.ip for one in node.attachments), default=FIRST))
    return Topology(tuple(in_order), tuple(networks.values())) if nodes else None


def _document(file: Path, torn: list[str]) -> Json | None:
    try:
        said = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        torn.append(f"{file} cannot be read: {error}")
        return None
    return said if isinstance(said, dict) else None
