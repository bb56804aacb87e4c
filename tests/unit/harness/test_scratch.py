"""Folders in which captures grow: which of them go, and which stay."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.harness.scratch import PREFIX, Scratch

ROOT = Path(__file__).parents[3]
OWNER = """
import sys, time
from pathlib import Path
from lab.harness.scratch import Scratch
one = Scratch(Path(sys.argv[1]))
(one.path / "core.pcap").write_bytes(b"packets")
print(one.path, flush=True)
time.sleep(60)
"""


def test_what_a_killed_owner_left_is_removed_by_the_next_and_that_of_a_living_one_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as owner:
        assert owner.stdout is not None
        left = Path(owner.stdout.readline().decode().strip())
        beside = Scratch(tmp_path)
        assert (left / "core.pcap").exists(), "its owner lives"
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    after = Scratch(tmp_path)
    assert set(tmp_path.iterdir()) == {beside.path, after.path}
    beside.remove()
    after.remove()
    assert not list(tmp_path.iterdir())


def test_one_of_which_somebody_was_told_stays_and_so_do_those_of_older_versions(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}older").mkdir(parents=True)
    told = Scratch(tmp_path)
    (told.path / "core.pcap").write_bytes(b"packets")
    told.keep()
    path = told.path
    del told  # its owner is gone
    Scratch(tmp_path).remove()
    assert {one.name for one in tmp_path.iterdir()} == {path.name, f"{PREFIX}older"}
    assert [one.name for one in path.iterdir()] == ["core.pcap"]


def test_where_there_is_no_room_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fcntl.flock", full)
    with pytest.raises(OSError, match="No space left"):
        Scratch(tmp_path / "state")
    assert not list((tmp_path / "state").iterdir())
