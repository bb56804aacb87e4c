"""A matrix as it runs: how many calls at once, what one that fails leaves, and what an interrupt leaves."""

import contextlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ConfigError, Interrupted
from lab.harness import matrix as matrices
from lab.harness.call_report import SetupTimes
from lab.harness.checkout import Checkout
from lab.harness.matrix import FirstVoice, Matrix, Progress
from lab.harness.placing import Placed, Request
from lab.harness.testimony import NOBODY, Asking
from lab.runtime.world import Container, World
from lab.topology import parse

REFERENCE = Path(__file__).parents[3] / "compose" / "reference.yml"
TOPOLOGY = parse(REFERENCE)
WORLD = World("lab", TOPOLOGY, {node.name: Container(node.name, node.name, "running") for node in TOPOLOGY.nodes}, None)


class FakeSession:
    """Calls that fail at once, as those of clients that are silent; says who was in a call when."""

    def __init__(self, engine: Any, world: World, clients: list[str], folder: Path, routers: object) -> None:
        self.clients, self.captures = clients, folder
        self.busy: list[str] = []
        self.most, self.clashes, self.closed = 0, 0, 0
        self._lock = threading.Lock()
        made.append(self)

    def place(self, request: Request, call: str, folder: Path, follow: object, over: Callable[[], None]) -> Placed:
        ends = [request.caller, request.callee]
        with self._lock:
            self.clashes += any(name in self.busy for name in ends)
            self.busy += ends
            self.most = max(self.most, len(self.busy) // 2)
        try:
            for hook in hooks:
                hook(request)
        finally:
            with self._lock:
                for name in ends:
                    self.busy.remove(name)
            over()
        return Placed(call, request, 100.0, trouble=f"{request.callee} is silent")

    def asking(self, changes: object) -> Asking:
        return NOBODY

    def lines(self, call: str) -> list[dict[str, Any]]:
        return [{"at": 100.0, "node": "supernode-1", "event": "invited", "call": f"{call}.1"}]

    def close(self) -> list[Any]:
        self.closed += 1
        return []


made: list[FakeSession] = []
hooks: list[Callable[[Request], None]] = []
"""What happens during a call."""


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch) -> None:
    made.clear()
    hooks.clear()
    monkeypatch.setattr(matrices, "Session", FakeSession)
    monkeypatch.setattr(matrices.standing, "routers", lambda *about: {})
    monkeypatch.setattr(matrices.settling, "find_out", lambda *about: None)


def run(
    root: Path, sites: tuple[str, ...] = (), at_once: int = 3, follow: Callable[[Progress], None] = print
) -> Matrix:
    return matrices.run(None, Checkout(root), WORLD, sites, 1, 500, at_once, follow)  # type: ignore[arg-type]


@pytest.mark.slow
def test_every_pair_is_a_cell_and_no_client_is_in_two_calls(tmp_path: Path) -> None:
    together = threading.Barrier(3)

    def meet(request: Request) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):  # the last calls of a round are fewer
            together.wait(0.5)

    hooks.append(meet)
    found = run(tmp_path)
    assert len({(cell.caller, cell.callee) for cell in found.cells}) == len(found.cells) == 30
    assert (made[0].most, made[0].clashes) == (3, 0)


def test_networks_stand_in_the_order_of_the_topology(tmp_path: Path) -> None:
    found = run(tmp_path)
    assert list(found.sites) == [client.name for client in WORLD.topology.clients()]


def test_a_cell_that_failed_keeps_its_logs_and_report_and_is_placed_once(tmp_path: Path) -> None:
    found = run(tmp_path, ("home", "flat"))
    assert {cell.error for cell in found.failed} == {"frank is silent", "bob is silent"} and len(found.failed) == 2
    for cell in found.cells:
        assert json.loads((cell.evidence / "report.json").read_text())["error"] == cell.error
        assert (cell.evidence / "supernode-1.log").is_file() and (cell.evidence / "timeline.jsonl").is_file()


def test_the_document_has_a_call_report_for_each_cell_and_lies_in_the_folder(tmp_path: Path) -> None:
    found = run(tmp_path, ("home", "flat"))
    kept = json.loads((found.evidence / "matrix.json").read_text())
    assert (found.evidence / "lab").read_text() == f"{WORLD.name}\n", "whose matrix it is"
    assert kept == json.loads(json.dumps(found.to_json()))
    assert {"caller", "callee", "connected", "agrees", "path", "observed", "setup_ms"} <= kept["cells"][0].keys()
    assert kept["sites"] == {"bob": "home", "frank": "flat"}


def test_calls_may_be_named_one_by_one_and_again(tmp_path: Path) -> None:
    order = [("bob", "frank"), ("frank", "bob"), ("bob", "frank"), ("alice", "carol")]
    found = matrices.play(None, Checkout(tmp_path), WORLD, order, 1, 500, 3, print)  # type: ignore[arg-type]
    assert sorted((cell.caller, cell.callee) for cell in found.cells) == sorted(order)
    assert len({cell.call for cell in found.cells}) == found.pairs == 4 and not found.interrupted
    assert set(made[0].clients) == {"alice", "bob", "carol", "frank"} and made[0].clashes == 0


@pytest.mark.parametrize(
    ("order", "told"),
    [([], "needs calls"), ([("bob", "bob")], "between two clients"), ([("bob", "nobody")], "no client .* 'nobody'")],
)
def test_calls_that_make_no_sense_are_refused(tmp_path: Path, order: list[tuple[str, str]], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        matrices.play(None, Checkout(tmp_path), WORLD, order, 1, 500, 3, print)  # type: ignore[arg-type]
    assert not made


def test_the_document_tells_how_soon_voice_came_at_the_worse_end(tmp_path: Path) -> None:
    cell = run(tmp_path, ("home", "flat")).cells[0]
    times = [SetupTimes(44, 500, 500 + took, None) for took in range(1, 101)]
    cells = tuple(replace(cell, setup_ms=one) for one in (*times, SetupTimes(44, 500, None, None)))
    assert FirstVoice.of(cells) == FirstVoice(50.5, 95.0, 100)
    document = Matrix("m1", {}, cells, 1.0, {}, tmp_path, len(cells)).to_json()
    assert document["first_voice_ms"] == {"median": 50.5, "p95": 95.0, "most": 100}
    assert Matrix("m1", {}, (cell,), 1.0, {}, tmp_path, 1).to_json()["first_voice_ms"] is None


def test_progress_is_told_from_nothing_to_everything(tmp_path: Path) -> None:
    told: list[Progress] = []
    run(tmp_path, ("home", "flat", "park"), follow=told.append)
    assert [step.done for step in told] == list(range(7)) and told[-1].failed == told[-1].total == 6
    assert told[0].ended is None and all(step.ended for step in told[1:])


def test_an_interrupt_ends_the_session_and_leaves_what_is_known(tmp_path: Path) -> None:
    def interrupted(step: Progress) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"what is known of matrix m1 is in .*m1$"):
        run(tmp_path, at_once=1, follow=interrupted)
    (folder,) = (tmp_path / ".lab" / "matrices").iterdir()
    known = json.loads((folder / "matrix.json").read_text())
    assert made[0].closed and 2 <= len(known["cells"]) < 30
    assert (known["interrupted"], known["pairs"]) == (True, 30)
    assert not (folder / "captures").exists()


def test_a_call_that_an_interrupt_has_hung_up_is_no_cell_that_failed(tmp_path: Path) -> None:
    begun = threading.Event()

    def last_until_hung_up(request: Request) -> None:
        if begun.is_set():
            return
        begun.set()
        while not made[0].closed:
            time.sleep(0.005)

    told: list[Progress] = []

    def interrupted(step: Progress) -> None:
        told.append(step)
        if step.done == 1:
            begun.wait(5)
            raise KeyboardInterrupt

    hooks.append(last_until_hung_up)
    with pytest.raises(Interrupted):
        run(tmp_path, at_once=2, follow=interrupted)
    (folder,) = (tmp_path / ".lab" / "matrices").iterdir()
    reports = [json.loads(file.read_text()) for file in folder.glob("*/report.json")]
    hung_up = [report["call"] for report in reports if report["error"] == "interrupted"]
    assert hung_up
    assert not {cell["call"] for cell in json.loads((folder / "matrix.json").read_text())["cells"]}.intersection(
        hung_up
    )
    assert not {step.ended.call for step in told if step.ended}.intersection(hung_up)


def test_a_whole_matrix_says_so(tmp_path: Path) -> None:
    assert not run(tmp_path, ("home", "flat")).to_json()["interrupted"]


def test_a_session_that_cannot_be_opened_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*about: object) -> None:
        raise ConfigError("no")

    monkeypatch.setattr(matrices, "Session", refused)
    with pytest.raises(ConfigError):
        run(tmp_path)
    assert list((tmp_path / ".lab" / "matrices").iterdir()) == []


def test_the_last_three_matrices_are_kept(tmp_path: Path) -> None:
    for _ in range(5):
        run(tmp_path, ("home", "flat"))
    assert sorted(folder.name for folder in (tmp_path / ".lab" / "matrices").iterdir()) == ["m3", "m4", "m5"]


@pytest.mark.parametrize("at_once", [0, -1])
def test_a_matrix_of_no_calls_at_a_time_is_refused(tmp_path: Path, at_once: int) -> None:
    with pytest.raises(ConfigError, match="at least one"):
        run(tmp_path, at_once=at_once)
