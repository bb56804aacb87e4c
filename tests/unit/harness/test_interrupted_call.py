"""A call that somebody interrupts: what is known of it is kept, and said where."""

import errno
import json
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import ConfigError, EvidenceError, Interrupted, NotNow, RuntimeUnavailable
from lab.harness import calling
from lab.harness.call_report import CallReport
from lab.harness.checkout import Checkout
from lab.harness.events import CallEvent
from lab.harness.explaining import explain
from lab.harness.kept import kept
from lab.harness.placing import Placed, Request
from lab.runtime.world import Container, World
from lab.topology import parse

ROOT = Path(__file__).parents[3]
REQUEST = Request("bob", "frank")


SAID = {"profile": "linux", "firewall": "none", "shaping": {"seed": 9}}
"""By a router at which a line ends."""


@pytest.fixture
def world() -> World:
    topology = parse(ROOT / "compose" / "reference.yml", {})
    return World(
        "lab", topology, {node.name: Container(node.name, node.name, "running") for node in topology.nodes}, None
    )


def call(patch: pytest.MonkeyPatch, world: World, state: Path, *events: str, end: BaseException | None) -> None:
    def place(engine: Any, world: Any, request: Any, call: str, folder: Path, follow: Any, placed: Placed) -> None:
        placed.events.extend(CallEvent(name, call, "bob", 1.0) for name in events)
        if end is not None:
            raise end

    patch.setattr(calling, "place", place)
    patch.setattr(calling.standing, "routers", lambda *words: {"home": SAID})
    patch.setattr(calling.standing, "seed", lambda *words: 7)
    patch.setattr(calling.record, "logs", lambda *words: [])
    patch.setattr(calling.testimony, "of_relays", lambda *words: {})
    calling.call(cast(Any, None), Checkout(state), world, REQUEST, lambda event: None)


def test_what_is_known_is_reported_as_interrupted_in_the_folder_that_is_named(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path
) -> None:
    with pytest.raises(Interrupted) as left:
        call(monkeypatch, world, tmp_path, "dialled", end=KeyboardInterrupt())
    folder = tmp_path / ".lab" / "calls" / "c1"
    assert str(folder) in str(left.value) and isinstance(left.value.__cause__, KeyboardInterrupt)
    report = json.loads((folder / "report.json").read_text())
    assert (report["error"], report["agrees"], report["call"]) == ("interrupted", False, "c1")
    assert report["seed"] == 7, "of core, so that the same luck can be had again"
    assert report["line_seeds"] == {"home-router": 9}, "and of lines that end at a router on the way"
    assert CallReport.from_json(report, folder).line_seeds == {"home-router": 9}
    assert (folder / "timeline.jsonl").is_file()


def full(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the disk have half of each of these files and no more."""
    write = Path.write_text

    def written(self: Path, text: str) -> int:
        if self.name.removesuffix(".part") in names:
            write(self, text[: len(text) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, text)

    patch.setattr(Path, "write_text", written)


@pytest.mark.parametrize("name", ["timeline.jsonl", "setting.json", "report.json"])
def test_a_full_disk_is_one_sentence_and_what_had_room_is_whole(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path, name: str
) -> None:
    full(monkeypatch, name)
    with pytest.raises(RuntimeUnavailable) as left:
        call(monkeypatch, world, tmp_path, "dialled", end=None)
    folder = tmp_path / ".lab" / "calls" / "c1"
    assert str(left.value) == (
        f"of call c1 (the call never connected) not all is kept: {folder}/{name} cannot be written: "
        "No space left on device; make room and place it again"
    )
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        {"lab", "timeline.jsonl", "setting.json", "report.json"} - {name}
    )
    assert (folder / "lab").read_text() == "lab\n", "whose call it is"
    checkout = Checkout(tmp_path)
    with pytest.raises((EvidenceError, ConfigError), match=f"{name}( is missing| in {folder}: .*the disk was full)"):
        kept(checkout, "c1")
    if name != "setting.json":  # without it the networks are not known, and that is all
        with pytest.raises((EvidenceError, ConfigError), match=name):
            explain(checkout, "c1")
    else:
        assert explain(checkout, "c1").error == "the call never connected"


def test_an_interrupt_on_a_full_disk_is_one_as_well(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path
) -> None:
    full(monkeypatch, "report.json", "timeline.jsonl")
    with pytest.raises(Interrupted, match=r"is in .*c1, but for this: .*timeline\.jsonl cannot be written") as left:
        call(monkeypatch, world, tmp_path, "dialled", end=KeyboardInterrupt())
    assert left.value.call is None, "there is no file of the call to be made"


@pytest.mark.parametrize("end", [KeyboardInterrupt(), NotNow("bob is in call c9 already")])
def test_a_call_that_was_not_dialled_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch, world: World, tmp_path: Path, end: BaseException
) -> None:
    with pytest.raises(type(end)) as left:
        call(monkeypatch, world, tmp_path, end=end)
    assert left.value is end
    assert list((tmp_path / ".lab" / "calls").iterdir()) == []
