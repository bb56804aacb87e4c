"""A test file in an empty folder, outside of the checkout: the environment's plugin finds the lab."""

import os
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typed import ROOT

pytestmark = pytest.mark.usefixtures("lab")

FILE = """\
def test_home_reaches_flat(call):
    call("bob", "frank", seconds=2)
    assert call.path == "punched/udp"


def test_home_reaches_flat_by_a_relay(lab, call):
    assert lab.status().nodes
    assert call("bob", "frank", seconds=2).path == "relayed/udp"
"""


def test_ten_lines_elsewhere_place_calls_and_tell_of_the_one_that_went_otherwise(tmp_path: Path) -> None:
    (tmp_path / "test_elsewhere.py").write_text(FILE)
    own = {name: value for name, value in os.environ.items() if name != "LAB_ROOT" and not name.startswith("PYTEST")}
    done = subprocess.run(
        [ROOT / ".venv" / "bin" / "pytest", "--junit-xml=junit.xml", "--lab-evidence=kept"],
        cwd=tmp_path,
        env=own,
        text=True,
        capture_output=True,
        timeout=100,
    )
    assert done.returncode == 1 and "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "bob ─── home-router ─── core ─── flat-router ─── frank" in done.stdout
    assert "first voice" in done.stdout and "candidates of each" in done.stdout, done.stdout
    assert re.search("[├◄][─═]+[┼╪►┤]", done.stdout), "a ladder, and no list in its place"
    (folder,) = (tmp_path / "kept").iterdir()
    (call,) = folder.iterdir()
    assert {"core.pcap", "timeline.jsonl", "report.json"} <= {file.name for file in call.iterdir()}
    told = [(one.get("name"), one.get("value")) for one in ElementTree.parse(tmp_path / "junit.xml").iter("property")]
    assert told.count(("path of bob to frank", "punched/udp")) == 2
    assert ("evidence of bob to frank", str(call)) in told
