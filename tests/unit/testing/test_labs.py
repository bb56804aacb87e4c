"""Which lab a test gets: the checkout, the topology, and whether it stays up."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar, cast

import pytest

from lab.errors import ConfigError
from lab.testing import labs
from lab.testing.evidence import Kept, folder_of
from lab.testing.taken import Taken

ROOT = Path(__file__).parents[3]


def test_in_an_empty_folder_it_is_the_checkout_that_the_package_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAB_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    assert labs.root() == ROOT
    monkeypatch.setattr(labs.lab, "__file__", str(tmp_path / "site-packages" / "lab" / "__init__.py"))
    with pytest.raises(ConfigError, match="set LAB_ROOT"):
        labs.root()


def test_a_checkout_around_the_folder_comes_before_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_ROOT", raising=False)
    (tmp_path / "compose").mkdir()
    (tmp_path / "compose" / "base.yml").touch()
    monkeypatch.chdir(tmp_path)
    assert labs.root() == tmp_path


class FakeLab:
    runs: ClassVar[Path | None] = None
    asked: ClassVar[list[Path | None]] = []
    timeline: Any = None

    def __init__(self, root: Path, name: str | None) -> None:
        pass

    def file_that_runs(self) -> Path | None:
        return self.runs

    def world(self) -> object | None:
        return self.runs

    def up(self, topology: Path | None, say: Any) -> None:
        self.asked.append(topology)


@pytest.mark.parametrize(
    ("runs", "wanted", "file", "was_up"),
    [
        (None, None, None, False),
        (Path("zoo.yml"), None, Path("zoo.yml"), True),
        (Path("zoo.yml"), "crowd.yml", Path("crowd.yml"), True),
    ],
)
def test_what_runs_is_put_in_order_unless_another_topology_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, runs: Path | None, wanted: str | None, file: Path | None, was_up: bool
) -> None:
    monkeypatch.setattr(labs, "Lab", FakeLab)
    monkeypatch.setattr(labs, "root", lambda: ROOT)
    monkeypatch.setattr(FakeLab, "runs", runs)
    monkeypatch.setattr(FakeLab, "asked", [])
    assert labs.up(None, wanted)[1] is was_up
    assert FakeLab.asked == [file]


@pytest.mark.parametrize(("events", "asked"), [(["renew"], 1), ([], 0), (["up"], 0)])
def test_a_lab_that_stays_up_is_put_back_if_a_test_has_touched_it(
    monkeypatch: pytest.MonkeyPatch, events: list[str], asked: int
) -> None:
    monkeypatch.setattr(FakeLab, "asked", [])
    found = FakeLab(ROOT, None)
    done = [{"event": event, "at": 7.0} for event in events]
    found.timeline = SimpleNamespace(read=lambda since: done if since == 5.0 else [])
    labs.put_back(cast(Any, found), 5.0)
    assert len(FakeLab.asked) == asked


def test_folders_of_tests_tell_long_names_apart() -> None:
    assert folder_of("tests/test_a.py::test_it[bob-frank]") == "tests-test_a.py-test_it-bob-frank"
    one, other = (folder_of(f"test_a.py::test_it[{'x' * 200}{end}]") for end in "ab")
    assert one != other and len(one) < 140


def test_evidence_that_is_gone_stays_where_it_was(tmp_path: Path) -> None:
    assert Kept(tmp_path, None, "a").keep(tmp_path / "gone") == tmp_path / "gone"


def test_a_path_is_a_word_like_another() -> None:
    path = Taken("relayed/udp")
    assert path in {"relayed/udp"} and path.startswith("relayed/") and path != "direct/udp"
    assert path is not None and path != 3
    with pytest.raises(ValueError, match="one of direct/udp"):
        assert path == "relayed"
