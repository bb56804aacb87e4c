"""lab simulate: its document, its exit codes, its page, and what it says of requests that make no sense."""

import json
import sys
from pathlib import Path

import pytest

from lab import cli
from lab.simulation import simulating

pytestmark = pytest.mark.slow

WORDS = ("simulate", "outage-2010", "--clients", "30")


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["lab", *words])
    try:
        status = cli.run()
    except SystemExit as left:
        status = int(left.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.mark.slow
def test_the_document_has_the_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(monkeypatch, capsys, *WORDS, "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert (found["story"], found["clients"], found["healed"]) == ("outage-2010", 30, True)
    assert 0 <= found["time_to_heal_s"] < 30
    for figure in ("span_s", "peak_login_rate_per_s", "login_limit_per_s", "bytes_per_client_hour", "promoted"):
        assert found[figure] > 0, figure
    assert found["supernodes"] == found["dedicated"] + found["promoted"]
    assert found["load_per_supernode"]["most"] > 0
    assert found["lookup_hops"]["asked"] >= found["lookup_hops"]["found"] > 0
    assert "moments" not in found


@pytest.mark.slow
def test_the_seed_decides(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    seeds = ("1", "1", "2")
    documents = [run(monkeypatch, capsys, *WORDS, "--json", "--seed", seed)[1] for seed in seeds]
    assert documents[0] == documents[1] != documents[2]


def test_what_does_not_heal_ends_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(simulating, "HEAL_LIMIT", 5.0)
    monkeypatch.setattr(simulating, "HOLD", 1e9)
    status, out, _ = run(monkeypatch, capsys, *WORDS)
    assert status == 1
    assert out.startswith("outage-2010") and "not healed" in out.splitlines()[0]


def test_a_page_needs_no_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "page.html"
    status, out, err = run(monkeypatch, capsys, *WORDS, "--html", str(file))
    page = file.read_text()
    assert status == 0
    assert page.count("<svg") == 7 and "http" not in page and "$" not in page
    assert "healed after" in page and "healed after" in out
    assert "signing in" in err, "what takes longer than a second says where it is"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("simulate", "outage-2011"), "expected outage-2007, outage-2010, outage-cascade or churn, got outage-2011"),
        (("simulate",), "STORY"),
        (("simulate", "churn", "--clients", "9"), "expected a whole number of clients from 10"),
        (("simulate", "churn", "--clients", "many"), "expected a whole number of clients from 10"),
        (("simulate", "churn", "--seed", "-1"), "expected a whole number"),
        (("simulate", "churn", "--html", "/no/such/folder/x.html"), "there is no folder /no/such/folder"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    status, out, err = run(monkeypatch, capsys, *words)
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1 and said in err


def test_the_command_knows_the_stories_that_there_are() -> None:
    from lab.cli.simulations import STORIES
    from lab.simulation import STORIES as TOLD

    assert tuple(TOLD) == STORIES


def test_ctrl_c_ends_it_with_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(self: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(simulating.Simulation, "run", interrupted)
    status, out, err = run(monkeypatch, capsys, *WORDS, "--json")
    assert (status, out, err.strip()) == (130, "", "lab: interrupted")
