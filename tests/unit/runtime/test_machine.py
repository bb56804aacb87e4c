"""Running programs on the machine: their words, their failures, their deadlines."""

import sys
import time
from pathlib import Path

import pytest

from lab.errors import RuntimeUnavailable
from lab.runtime import machine


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_both_streams_are_heard_and_returned() -> None:
    heard: list[str] = []
    program = "import sys; print('one', flush=True); print('two', file=sys.stderr)"
    assert machine.run(python(program), "it", timeout_s=20, each_line=heard.append) == "one\ntwo"
    assert heard == ["one", "two"]


def test_output_can_go_to_a_file_while_the_words_are_heard(tmp_path: Path) -> None:
    program = "import sys; print('data'); print('word', file=sys.stderr)"
    with (tmp_path / "out").open("wb") as out:
        assert machine.run(python(program), "it", timeout_s=20, stdout=out) == "word"
    assert (tmp_path / "out").read_text() == "data\n"


def test_a_failure_is_told_with_its_last_words() -> None:
    with pytest.raises(RuntimeUnavailable, match="making it failed: one / two"):
        machine.run(python("print('one'); print(); print('two'); raise SystemExit(3)"), "making it", timeout_s=20)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(RuntimeUnavailable, match="/nowhere/program does not start"):
        machine.run(["/nowhere/program"], "it", timeout_s=20)


@pytest.mark.slow
def test_a_program_that_does_not_end_is_ended() -> None:
    begun = time.monotonic()
    with pytest.raises(RuntimeUnavailable, match=r"did not end within 0.* s: waiting"):
        machine.run(python("import time; print('waiting', flush=True); time.sleep(60)"), "it", timeout_s=0.5)
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize(("value", "expected"), [("", True), ("0", True), ("1", False), ("yes", False)])
def test_installing_is_allowed_unless_it_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    monkeypatch.setenv("LAB_NO_INSTALL", value)
    assert machine.may_install() is expected


def test_programs_of_root_are_found_for_a_plain_user_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert machine.find("ldconfig")


@pytest.mark.slow
def test_a_package_that_apt_does_not_know_is_not_known() -> None:
    if not machine.find("apt-cache"):
        pytest.skip("no apt here")
    assert not machine.package_known("no-such-package-of-any-distribution")
