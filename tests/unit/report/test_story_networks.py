"""A failed test's story says what of the two networks was in the way, as `lab explain` does."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from lab.evidence.whole import Setting
from lab.report.story import facts, story
from lab.topology import parse
from tests.recorded import report as recorded

ROOT = Path(__file__).parents[3]


def test_the_firewalls_of_both_ends_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "c1"
    shutil.copytree(ROOT / "tests" / "recorded" / "relayed", folder)
    call = replace(recorded("relayed"), evidence=folder)
    without = "\n".join(facts(call, None))
    assert "lets no UDP out" not in without
    here = parse(ROOT / "compose" / "reference.yml", {})
    (folder / "setting.json").write_text(json.dumps(Setting("c1", "dave", "erin", 0.0, 9.0, here).to_json()))
    assert "hotel (symmetric, udp-blocked)" in "\n".join(facts(call, None))
    assert "hotel (symmetric, udp-blocked)" in story(call, None)
