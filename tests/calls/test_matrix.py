"""The reference lab's matrix against the theory of its networks; the whole zoo's is `make test-zoo`."""

import json
from pathlib import Path

import pytest
from typed import cli

from lab.harness import Lab
from lab.harness.matrix import Matrix
from tests.theory import expected, side


@pytest.fixture(scope="module")
def matrix(lab: Lab) -> Matrix:
    return lab.matrix()


def test_every_pair_takes_a_path_that_its_networks_allow(lab: Lab, matrix: Matrix) -> None:
    topology = lab.running_world().topology
    sides = {client.name: side(topology, client) for client in topology.clients()}
    assert len(matrix.cells) == 30
    for cell in matrix.cells:
        allowed = expected(sides[cell.caller], sides[cell.callee]).accepted
        assert any(cell.holds(path) for path in allowed), (str(cell), allowed)


def test_several_calls_at_a_time_lose_no_voice(matrix: Matrix) -> None:
    for cell in matrix.cells:
        for name, media in cell.media.items():
            assert media.received >= 0.9 * 50, (str(cell), name, media)
    assert matrix.dropped_by_captures == {}


def test_each_cell_keeps_its_captures_and_can_be_explained(lab: Lab, matrix: Matrix) -> None:
    cell = next(cell for cell in matrix.cells if cell.observed and cell.observed.kind == "relayed")
    assert {"core.pcap", "report.json", "timeline.jsonl", f"{cell.caller}.log"} <= {
        file.name for file in cell.evidence.iterdir()
    }
    found = lab.explain(cell.call)
    assert {one.node for one in found.candidates} == {cell.caller, cell.callee}
    assert [rung.path for rung in found.rungs if rung.verdict == "taken"] == [str(cell.observed).partition(" ")[0]]
    assert all(rung.reason for rung in found.rungs)
    (seed,) = {node.seed for node in lab.status().nodes if node.role == "core"}
    assert json.loads((cell.evidence / "report.json").read_text())["seed"] == seed is not None


def test_a_cell_that_fails_keeps_its_captures_and_logs(lab: Lab) -> None:
    """Two that have no UDP find no relay; it is one call, and nobody has tried again."""
    relays = ("relay-1", "relay-2")
    for relay in relays:
        lab.kill(relay)
    try:
        found = lab.matrix(["hotel", "bank"])
    finally:
        for relay in relays:
            lab.start(relay)
        lab.settle()
    assert {(cell.caller, cell.callee) for cell in found.cells} == {("dave", "erin"), ("erin", "dave")}
    assert found.failed
    for cell in found.failed:
        kept = {file.name: file.stat().st_size for file in cell.evidence.iterdir()}
        logs = {f"{cell.caller}.log", f"{cell.callee}.log", "supernode-1.log"}
        assert {"core.pcap", "report.json", "timeline.jsonl", *logs} <= kept.keys()
        assert kept["core.pcap"] > 1000
        assert lab.explain(cell.call).error


def test_the_command_prints_one_document_and_writes_a_page(lab: Lab, tmp_path: Path) -> None:
    done = cli("matrix", "--sites", "park,home", "--html", str(tmp_path / "m.html"), "--json")
    assert done.returncode == 0, done.stderr
    assert {(cell["caller"], cell["callee"]) for cell in json.loads(done.stdout)["cells"]} == {
        ("alice", "bob"),
        ("bob", "alice"),
    }
    assert "direct/udp" in (tmp_path / "m.html").read_text()


@pytest.mark.parametrize("words", [("matrix", "--sites", "home,nowhere"), ("explain", "c0"), ("explain", "../x")])
def test_what_is_not_there_is_one_sentence(lab: Lab, words: tuple[str, ...]) -> None:
    done = cli(*words)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == "", done
