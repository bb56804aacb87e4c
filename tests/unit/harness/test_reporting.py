"""What a report is made of: the last that is kept of each, and what is said where a part is missing, torn or old."""

import json
import shutil
from pathlib import Path

import pytest

from lab.certify.certificate import Certification
from lab.errors import ConfigError, RuntimeUnavailable
from lab.harness import Lab, belonging, certifying
from lab.harness.checkout import Checkout
from lab.harness.handing import MARK, Handout
from lab.harness.reporting import reported
from lab.report.page import page
from lab.topology.model import Topology
from tests.kept_lab import TOPOLOGY, checkout

ROOT = Path(__file__).parents[3]


def nothing() -> Topology | None:
    return None


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return checkout(tmp_path_factory.mktemp("kept"))


@pytest.fixture
def fresh(tmp_path: Path) -> Checkout:
    return checkout(tmp_path / "kept")


@pytest.mark.slow
def test_the_last_of_each_is_found_without_a_lab(kept: Checkout) -> None:
    found = reported(kept, "lab", nothing)
    assert found.matrix and found.matrix.name == "m1" and len(found.matrix.cells) == 6 and not found.matrix.interrupted
    assert [one.call for one in found.calls] == ["c2", "c1"]
    assert found.certification and [one["site"] for one in found.certification["sites"]] == ["home", "flat", "office"]
    assert found.topology == TOPOLOGY and found.whence == "as it was when m1 was called"
    assert found.torn == ()


def test_what_is_certified_is_kept_in_place_of_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAB_NAME", raising=False)
    monkeypatch.setattr(Lab, "engine", None)
    monkeypatch.setattr(Lab, "running_world", lambda self: None)
    for seconds in (1.0, 2.0):
        monkeypatch.setattr(certifying, "certify", lambda *words, took=seconds: Certification((), took))
        Lab(tmp_path).certify()
    said = json.loads((tmp_path / ".lab" / "certification-lab.json").read_text())
    assert (said["lab"], said["sites"], said["seconds"]) == ("lab", [], 2.0) and said["at"] > 1e9


def test_a_certification_is_of_its_own_lab(kept: Checkout) -> None:
    assert reported(kept, "two", lambda: TOPOLOGY).certification is None


def of_lab(name: str, fresh: Checkout, call: str, internet: str) -> None:
    """Have a call of a lab whose internet is another."""
    folder = fresh.call_folder(call)
    said = json.loads((folder / "setting.json").read_text())
    text = json.dumps(said["topology"]).replace("203.0.113.", f"{internet}.")
    (folder / "setting.json").write_text(json.dumps(said | {"topology": json.loads(text)}))
    if name:
        belonging.mark(folder, name)


@pytest.mark.slow
@pytest.mark.parametrize("named", [True, False])
def test_what_is_of_another_lab_is_left_out_and_named(fresh: Checkout, named: bool) -> None:
    of_lab("two" if named else "", fresh, "c2", "198.18.1")
    if not named:  # as an older version has left it: the set that the lab had tells it
        (fresh.state / "subnets-two").write_text("1")
        (fresh.state / "subnets-three").write_text("2")
    shutil.rmtree(fresh.state / "matrices")
    found = reported(fresh, "lab", nothing)
    assert [one.call for one in found.calls] == ["c1"] and found.certification
    assert found.left_out == "kept of another lab: `lab --lab two report DIR`"
    assert "<p>Kept of another lab: <code>lab --lab two report DIR</code>.</p>" in page(found, {}, 0.0)
    assert found.topology and {str(one.subnet) for one in found.topology.networks if one.kind == "internet"} == {
        "203.0.113.0/24"
    }
    other = reported(fresh, "two", nothing)
    assert [one.call for one in other.calls] == ["c2"] and other.others == ("lab",) and other.certification is None
    assert other.topology and {str(one.subnet) for one in other.topology.networks if one.kind == "internet"} == {
        "198.18.1.0/24"
    }


@pytest.mark.slow
def test_a_matrix_is_of_its_own_lab_and_without_a_name_and_a_set_of_the_first(fresh: Checkout) -> None:
    assert reported(fresh, "lab", nothing).left_out is None
    with pytest.raises(ConfigError, match=r"nothing to report .*; kept of another lab: `lab --lab lab report DIR`"):
        reported(fresh, "two", nothing)
    belonging.mark(fresh.state / "matrices" / "m1", "two")
    assert reported(fresh, "lab", nothing).matrix is None
    found = reported(fresh, "two", nothing)
    assert found.matrix and found.matrix.name == "m1" and found.calls == ()


@pytest.mark.slow
def test_a_matrix_that_was_killed_has_its_calls_and_says_so(fresh: Checkout) -> None:
    (fresh.state / "matrices" / "m1" / "matrix.json").unlink()
    found = reported(fresh, "lab", nothing)
    assert found.matrix and len(found.matrix.cells) == 6 and "ended before" in found.torn[0]


@pytest.mark.slow
def test_where_no_topology_is_kept_settings_are_put_together_then_what_runs_then_a_file(fresh: Checkout) -> None:
    (fresh.state / "matrices" / "m1" / "topology.json").unlink()
    found = reported(fresh, "lab", nothing)
    assert found.topology and {"home", "flat"} <= set(found.topology.sites()) and "settings" in found.whence
    for setting in fresh.state.rglob("setting.json"):
        setting.unlink()
    assert reported(fresh, "lab", lambda: TOPOLOGY).whence == "as it runs now"
    (fresh.root / "compose" / "base.yml").unlink()
    (fresh.root / "compose").rmdir()
    (fresh.root / "compose").symlink_to(ROOT / "compose")
    found = reported(fresh, "lab", nothing)
    assert found.topology and "compose/reference.yml" in found.whence


@pytest.mark.slow
def test_an_engine_that_is_not_there_is_no_error_where_something_is_kept(fresh: Checkout) -> None:
    def gone() -> Topology | None:
        raise RuntimeUnavailable("no engine")

    for file in (*fresh.state.rglob("setting.json"), *fresh.state.rglob("topology.json")):
        file.unlink()
    assert reported(fresh, "lab", gone).topology is None


@pytest.mark.slow
def test_torn_files_are_a_sentence_each_and_the_rest_is_there(fresh: Checkout) -> None:
    (fresh.call_folder("c1") / "report.json").write_text('{"torn')
    (fresh.call_folder("c2") / "report.json").write_text("{}")
    (fresh.state / "certification-lab.json").write_text("[")
    found = reported(fresh, "lab", nothing)
    assert found.matrix and found.calls == () and found.certification is None and len(found.torn) == 3


def test_where_nothing_is_kept_and_nothing_runs_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing to report in .*`lab up`, then `lab matrix`"):
        reported(Checkout(tmp_path), "lab", nothing)
    assert reported(Checkout(tmp_path), "lab", lambda: TOPOLOGY).topology == TOPOLOGY


@pytest.mark.parametrize("held", ["notes.txt", "index.html", "captures"])
def test_a_folder_that_holds_something_else_is_refused_and_left_alone(tmp_path: Path, held: str) -> None:
    (tmp_path / held).write_text("mine")
    with pytest.raises(ConfigError, match=f"holds something else .{held}"):
        Handout(tmp_path)
    assert (tmp_path / held).read_text() == "mine"


def test_a_report_of_before_is_replaced_unless_something_was_put_beside_it(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(f"<html>{MARK}")
    (tmp_path / "captures").mkdir()
    (tmp_path / "captures" / "old.pcapng").write_text("")
    Handout(tmp_path).open()
    assert [one.name for one in tmp_path.iterdir()] == ["index.html"]
    Handout(tmp_path).open()  # one that was ended in the middle
    (tmp_path / "thesis.pdf").write_text("")
    with pytest.raises(ConfigError, match=r"thesis\.pdf"):
        Handout(tmp_path)


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_sentence(fresh: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*words: object, **more: object) -> None:
        raise OSError(28, "No space left on device")

    target = Handout(tmp_path / "out")
    target.open()
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RuntimeUnavailable, match="captures cannot be written: No space left on device"):
        target.captures(fresh.call_folder("c1"), None)
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RuntimeUnavailable, match=r"index\.html cannot be written: No space"):
        target.write("page")


def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        Handout(tmp_path / ("x" * 300))


def test_a_file_or_a_place_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        Handout(tmp_path / "file")
    with pytest.raises(ConfigError, match="there is no folder"):
        Handout(tmp_path / "no" / "where")


@pytest.mark.slow
def test_a_document_of_a_call_is_read_as_it_was_written(kept: Checkout) -> None:
    for cell in reported(kept, "lab", nothing).matrix.cells:  # type: ignore[union-attr]
        assert cell.to_json() == json.loads((cell.evidence / "report.json").read_text())
