"""The page of `lab report`: it stands alone, has everything that is kept, and says what it has not."""

import base64
import re
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lab import cli
from lab.evidence import filed
from lab.harness.call_report import Witness
from lab.harness.checkout import Checkout
from lab.harness.handing import Handout
from lab.harness.reporting import reported
from lab.report import call_page
from lab.report.handout import make
from lab.report.quality_svg import curves
from lab.report.topology_svg import svg
from lab.topology import parse
from tests.kept_lab import checkout
from tests.recorded import report as recorded

pytestmark = pytest.mark.slow


ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return checkout(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def folder(kept: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report")
    heard: list[tuple[int, int]] = []
    made = make(kept, reported(kept, "lab", lambda: None), Handout(target), True, lambda *step: heard.append(step))
    assert (made.calls, made.ladders) == (8, 7) and heard[0] == (0, 8) and heard[-1] == (8, 8)
    return target


def details(folder: Path) -> dict[str, str]:
    found = re.findall(
        r'<script type="text/plain" id="of-([^"]+)">([^<]+)</script>', (folder / "index.html").read_text()
    )
    return {call: zlib.decompress(base64.b64decode(text), -15).decode() for call, text in found}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.buttons: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.outside += [said[name] or "" for name in ("src", "href") if name in said]
        if "data-call" in said:
            self.buttons.append(said["data-call"] or "")


@pytest.mark.slow
def test_there_is_one_page_and_it_loads_nothing(folder: Path) -> None:
    assert [one.name for one in folder.glob("*.html")] == ["index.html"]
    text = (folder / "index.html").read_text()
    reader = _Page()
    reader.feed(text)
    assert reader.outside == ["data:,"] and not re.search(r"@import|url\(|fetch\(|\$[a-z]", text)
    assert re.findall(r"https?://[^\"'<> ]+", text) == ["http://www.w3.org/2000/svg"]  # a name, and never loaded
    assert set(reader.buttons) == set(details(folder)) == {"c1", "c2", *(f"m1-{number}" for number in range(1, 7))}


def test_a_call_has_its_ladder_timeline_curve_reasons_and_one_file(folder: Path) -> None:
    part = details(folder)["c1"]
    for words in ("bob → frank, call c1: punched/udp", "first voice", "rang 29 ms", "ruled out", "dials frank"):
        assert words in part, words
    assert part.count('<svg class="quality"') == 3 and part.count("<svg xmlns") == 1
    assert 'href="captures/c1.pcapng" download' in part
    assert filed.verdict(folder / "captures" / "c1.pcapng").observed.kind == "punched"


def test_a_call_without_its_setting_says_so_and_has_each_place_as_it_is(folder: Path) -> None:
    part = details(folder)["m1-6"]
    assert "no ladder: the setting of this call (setting.json) is not kept" in part
    assert 'href="captures/m1-6/core.pcap" download' in part and (folder / "captures" / "m1-6" / "core.pcap").is_file()


def test_a_call_says_which_witnesses_agree_and_why_one_is_absent() -> None:
    why = "absent: it tracks no flow, for the lab was changed while they talked: forget home, 1.5 s into the call"
    witnesses = Witness("packets", "", True), Witness("bob", "", True), Witness("home-router", why, None)
    part = call_page.details(recorded("punched", witnesses=witnesses), (), "no ladder", "no captures", None)
    assert "<li>witnesses that agree: packets, bob</li>" in part and f"<li>home-router {why}</li>" in part
    none = call_page.details(recorded("punched", witnesses=()), (), "no ladder", "no captures", None)
    assert "witnesses" not in none, "a call of an older version"


def test_words_of_a_call_cannot_break_out_of_it(folder: Path) -> None:
    part = details(folder)["m1-5"]
    assert "nobody &lt;rang&gt;" in part and "<rang>" not in part


@pytest.mark.slow
@pytest.mark.parametrize("torn", ['{"at": 1}\n', "[]\n", '{"at": "then", "event": "progress"}\n', "{"])
def test_a_timeline_that_makes_no_sense_costs_its_own_call_alone(tmp_path: Path, torn: str) -> None:
    found = checkout(tmp_path)
    (found.call_folder("c1") / "timeline.jsonl").write_text(torn)
    for capture in found.call_folder("c2").glob("*.pcap"):
        capture.write_bytes(capture.read_bytes()[:700])
    make(found, reported(found, "lab", lambda: None), Handout(tmp_path / "out"), True, lambda *step: None)
    parts = details(tmp_path / "out")
    assert "300 packets agree" in parts["c1"] and len(parts) == 8


def test_what_is_not_kept_is_said_with_what_makes_it(kept: Checkout, tmp_path: Path) -> None:
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / "calls").symlink_to(kept.state / "calls")
    bare = Checkout(tmp_path)
    make(bare, reported(bare, "lab", lambda: None), Handout(tmp_path / "out"), False, lambda *step: None)
    text = (tmp_path / "out" / "index.html").read_text()
    assert "No matrix is kept" in text and "No certification is kept. It takes a lab that runs" in text
    assert not (tmp_path / "out" / "captures").exists()
    assert "--no-captures); they are in .lab/calls/c1" in details(tmp_path / "out")["c1"]


def test_what_a_site_claims_stands_beneath_what_differs(folder: Path) -> None:
    text = (folder / "index.html").read_text()
    assert "independent<br><small>claimed address</small>" in text and "not measured: the way was cut" in text


@pytest.mark.parametrize("file", ["reference", "zoo", "families", "crowd"])
def test_every_node_of_a_topology_is_in_its_picture(file: str) -> None:
    topology = parse(ROOT / "compose" / f"{file}.yml")
    picture = svg(topology)
    for node in topology.nodes:
        assert f">{node.name}</text>" in picture, node.name
    wide, high = (int(float(number)) for number in re.findall(r'viewBox="0 0 (\S+) ([^"]+)"', picture)[0])
    for x, y, w, h in re.findall(
        r'<rect class="\w+" x="([^"]+)" y="([^"]+)" width="([^"]+)" height="([^"]+)"', picture
    ):
        assert float(x) >= 0 and float(x) + float(w) <= wide and float(y) >= 0 and float(y) + float(h) <= high


def test_a_curve_is_of_what_was_lost_since_the_word_before() -> None:
    def said(at: float, heard: int, lost: int) -> dict[str, object]:
        return {"at": at, "node": "bob", "event": "progress", "received": heard, "lost": lost, "mos": 4, "jitter_ms": 1}

    drawn = curves([{"at": 0.0, "node": "bob", "event": "dialled"}, said(1, 50, 0), said(2, 90, 10)], ("bob", "frank"))
    assert "bob, 1.0 s: 0.00" in drawn and "bob, 2.0 s: 20.00" in drawn
    assert curves([], ("bob", "frank")) == ""


@pytest.mark.slow
def test_the_command_makes_it_and_refuses_a_folder_of_something_else(
    kept: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["lab", "report", *words])
        return cli.run()

    monkeypatch.setenv("LAB_ROOT", str(kept.root))
    assert run(str(tmp_path / "out")) == 0
    said = capsys.readouterr()
    assert "8 calls, 7 of them with a ladder; page " in said.out and " kB, captures " in said.out
    (tmp_path / "out" / "other").write_text("")
    assert run(str(tmp_path / "out")) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and "holds something else (other)" in said.err
