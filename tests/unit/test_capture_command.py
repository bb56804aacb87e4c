"""`lab capture`: on a terminal, without one, with a file; what ends it, and that the terminal is as before."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import cli
from lab.cli import captures
from lab.errors import ConfigError, Interrupted, LabError, NotNow
from lab.harness.beside import Calling
from tests.unit.capture_program import WRITTEN, Lab, Session
from tests.unit.test_command_line import good
from tests.unit.unread import unread

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parent / "capture_program.py"
ROOT = Path(__file__).parents[2]


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["lab", "capture", *words])
    try:
        status = cli.run()
    except SystemExit as left:
        status = int(left.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[Lab]:
    monkeypatch.setattr("lab.harness.Lab", Lab)
    monkeypatch.setattr(Lab, "sessions", [])
    monkeypatch.setattr(Lab, "asked", [])
    monkeypatch.setattr(Lab, "keyed", [])
    return Lab


def interrupted_after(monkeypatch: pytest.MonkeyPatch, polls: int) -> None:
    ask = Session.poll

    def poll(self: Session, now: float) -> object:
        if self.number == polls:
            raise KeyboardInterrupt
        return ask(self, now)

    monkeypatch.setattr(Session, "poll", poll)


def test_a_pipe_has_a_line_a_packet_until_ctrl_c(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    interrupted_after(monkeypatch, 3)
    status, out, err = run(monkeypatch, capsys, "core", "--filter", "udp")
    assert status == 130 and "lab: interrupted; 1,234 packets captured" in err
    assert "bob:3 → frank:1  STUN check  [first check of bob]" in out and out.endswith("the last one\n")
    assert "the kernel dropped 7 packets at core" in err
    assert "lab: relay-1 was stopped or restarted: what the kernel had dropped there before is not known" in err
    assert "home-router dropped 2 packets: 2 by INPUT's policy (counted)" in err
    assert fake.sessions[0].done == ["finished", "closed", "discarded"]
    assert fake.asked[0]["nodes"] == ("core",) and fake.asked[0]["expression"] == "udp" and fake.asked[0]["told"]


def test_a_file_alone_is_written_in_silence(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    interrupted_after(monkeypatch, 2)
    target = tmp_path / "all.pcapng"
    status, out, err = run(monkeypatch, capsys, "-w", str(target))
    assert (status, out) == (130, "") and f"interrupted; capture: {target}, 1,234 packets" in err
    assert "capturing at core until Ctrl-C" in err and target.read_bytes() == WRITTEN
    assert not fake.asked[0]["told"]


def test_a_capture_that_fails_is_one_sentence_and_keeps_what_there_is(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Session, "fails_after", 2)
    status, _, err = run(monkeypatch, capsys, "-w", str(tmp_path / "all.pcapng"))
    assert status == 2 and "No space left on device" in err and "all.pcapng, 1,234 packets" in err
    assert fake.sessions[0].done == ["finished", "closed", "written of None"]


def test_a_file_that_is_full_is_left_as_it_is(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Session, "fails_after", 2)
    monkeypatch.setattr(Session, "full", True)
    status, _, err = run(monkeypatch, capsys, "-w", str(tmp_path / "all.pcapng"))
    assert status == 2 and not (tmp_path / "all.pcapng").exists() and err.count("\n") == 5


@pytest.mark.parametrize(
    "words", [("-w", "/nowhere/at/all.pcapng"), ("-w", "/"), ("--call", "bob"), ("--filter",), ("--keys", "k")]
)
def test_a_wrong_request_is_one_sentence(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    status, out, err = run(monkeypatch, capsys, *words)
    assert (status, out, err.count("\n")) == (2, "", 1) and not fake.asked


def test_without_a_wireshark_one_sentence_says_so(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status, _, err = run(monkeypatch, capsys, "--wireshark")
    assert status == 2 and err.startswith("lab: no Wireshark is installed") and err.count("\n") == 1 and not fake.asked


def test_a_wireshark_gets_the_packets_and_its_end_ends_the_capture(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = tmp_path / "wireshark"
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words; head -c 6 > {tmp_path}/got\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    status, _, err = run(monkeypatch, capsys, "--wireshark")
    assert status == 0 and "until Wireshark is closed" in err
    assert (tmp_path / "words").read_text() == "-k -i - -N n --enable-heuristic rtp_udp\n" and (
        tmp_path / "got"
    ).read_text() == "pcapng"


def shows_nothing(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """What is installed as Wireshark."""
    program = folder / "wireshark"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo no screen >&2; echo found nothing. >&2; echo >&2; exit 1", "ended with status 1: found nothing"),
        ("exec 0<&-; sleep 0.5; exit 3", "ended with status 3"),
        ("kill -ABRT $$", "was ended by SIGABRT"),
    ],
)
def test_a_wireshark_that_shows_nothing_is_one_sentence_and_no_success(
    fake: type[Lab],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    script: str,
    told: str,
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    shows_nothing(monkeypatch, tmp_path, script)
    ask = Session.poll

    def poll(self: Session, now: float) -> object:
        fake.asked[0]["pipe"](b"more")
        return ask(self, now)

    monkeypatch.setattr(Session, "poll", poll)
    status, _, err = run(monkeypatch, capsys, "--wireshark", "-w", str(tmp_path / "all.pcapng"))
    assert status == 2 and err.endswith(f"lab: Wireshark {told}\n")
    assert (tmp_path / "all.pcapng").read_bytes() == WRITTEN and fake.sessions[0].done[-1] == "discarded"


def test_over_ssh_it_says_what_to_do_instead(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    shows_nothing(monkeypatch, tmp_path, "exit 1")
    status, _, err = run(monkeypatch, capsys, "--wireshark")
    assert status == 2 and "ended with status 1; without a display, write a file with -w\n" in err


@pytest.fixture(params=[(0, 0), (1, 2)], ids=["closed", "failed"])
def left(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> int:
    """Wireshark ends before the call is seen to be over; the exit status that this makes."""
    status, exit_code = request.param
    shows_nothing(monkeypatch, tmp_path, f"exit {status}")
    monkeypatch.setattr(Calling, "over", property(lambda self: False))
    return int(exit_code)


def test_the_call_that_the_end_of_wireshark_hung_up_is_told_of(
    fake: type[Lab], left: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = Interrupted("interrupted; what is known of call c7 is in e")
    stopped.call = "c7"
    monkeypatch.setattr(Lab, "report", stopped)
    status, _, err = run(monkeypatch, capsys, "--call", "bob", "frank", "--wireshark")
    assert status == left and "lab: interrupted; what is known of call c7 is in e\n" in err


def test_the_call_that_was_over_by_then_is_reported(
    fake: type[Lab], left: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Lab, "report", good())
    status, out, _ = run(monkeypatch, capsys, "--call", "bob", "frank", "--wireshark")
    assert status == left and "bob → frank  call c1  punched/udp" in out


def test_a_call_that_is_placed_ends_it_and_is_reported_and_its_file_tells_it(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(Lab, "report", good())
    target = tmp_path / "call.pcapng"
    status, out, _ = run(monkeypatch, capsys, "--call", "bob", "frank", "-w", str(target))
    assert status == 0 and "bob → frank  call c1  punched/udp" in out and f"capture: {target}, 1,234 packets" in out
    done = fake.sessions[0].done
    assert done == ["bob: dialled", "bob: ringing", "bob: answered", "finished", "closed", "written of c1", "discarded"]
    assert fake.asked[0]["call"] == ("bob", "frank")


@pytest.mark.parametrize("asked", [True, False])
def test_the_keys_of_a_call_are_asked_for_and_written_where_they_are_wanted(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, asked: bool
) -> None:
    monkeypatch.setattr(Lab, "report", good())
    target = tmp_path / "keys"
    file = tmp_path / "call.pcapng"
    file.touch(0o644)
    file.chmod(0o644)
    more = ["--keys", str(target)] if asked else []
    status, _, _ = run(monkeypatch, capsys, "--call", "bob", "frank", "-w", str(file), *more)
    assert file.read_bytes() == WRITTEN and file.stat().st_mode & 0o777 == (0o600 if asked else 0o644)
    assert status == 0 and fake.keyed == [asked] and target.exists() is asked
    assert not asked or (target.read_text(), target.stat().st_mode & 0o777) == ("the keys of c1", 0o600)


def test_a_call_that_was_hung_up_leaves_its_keys_too_and_one_that_was_not_placed_none(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stopped = Interrupted("interrupted; what is known of call c7 is in e")
    stopped.call = "c7"
    for report, left in ((stopped, 0), (NotNow("bob keeps no keys"), 2)):
        monkeypatch.setattr(Lab, "report", report)
        target = tmp_path / f"keys-{left}"
        assert run(monkeypatch, capsys, "--call", "bob", "frank", "--keys", str(target))[0] == left
        assert (target.read_text() if left == 0 else target.exists()) == ("the keys of c7" if left == 0 else False)


def test_a_file_that_is_written_beside_a_call_tells_it_once_it_is_over(fake: type[Lab], tmp_path: Path) -> None:
    session, calling = Session(None), Calling(lambda follow: good(), lambda at, text, event: None)
    for ended in (False, True):
        if ended:
            calling.start()
            calling.stop()
        assert "1,234 packets so far" in captures._written(fake(), session, calling, f"{tmp_path}/x.pcapng")  # type: ignore[arg-type]
    assert session.done == ["written of None", "written of c1"]
    assert (tmp_path / "x.pcapng").stat().st_mode & 0o777 == 0o600, "the keys of the call are in it"


def test_a_tilde_that_is_typed_is_the_user_s_home(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    said = captures._written(fake(), Session(None), None, "~/now.pcapng")  # type: ignore[arg-type]
    assert said == f"1,234 packets so far are in {tmp_path}/now.pcapng"
    own = Session(tmp_path / "now.pcapng")
    assert captures._written(fake(), own, None, "~/now.pcapng").endswith("is being written already")  # type: ignore[arg-type]


def test_a_file_of_another_kind_stays_whatever_is_typed(fake: type[Lab], tmp_path: Path) -> None:
    session, file = Session(None), tmp_path / "notes.txt"
    file.write_text("of yesterday")
    said = captures._written(fake(), session, None, str(file))  # type: ignore[arg-type]
    assert said == f"{file} is there and is no capture; name another file, or remove that one"
    assert not session.done and file.read_text() == "of yesterday"


@pytest.mark.parametrize(
    ("report", "left", "told"),
    [
        (good(connected=False, error="frank did not answer"), 1, "frank did not answer"),
        (ConfigError("bob cannot call itself; name two clients"), 2, "lab: bob cannot call itself"),
    ],
)
def test_a_call_that_fails_is_its_exit_code(
    fake: type[Lab],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    report: object,
    left: int,
    told: str,
) -> None:
    monkeypatch.setattr(Lab, "report", report)
    status, out, err = run(monkeypatch, capsys, "--call", "bob", "frank")
    assert status == left and told in out + err
    assert fake.sessions[0].done[-3:] == ["finished", "closed", "discarded"]


def test_where_nobody_reads_its_lines_any_more_the_file_is_there_and_what_is_said_too(
    fake: type[Lab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    target = tmp_path / "all.pcapng"
    with unread():
        status, _, err = run(monkeypatch, capsys, "--live", "-w", str(target))
    assert status == 0 and target.read_bytes() == WRITTEN
    assert f"capture: {target}, 1,234 packets" in err and "the kernel dropped 7 packets at core" in err
    assert fake.sessions[0].done == ["finished", "closed", "written of None", "discarded"]


@pytest.mark.parametrize("live", [("--live",), ()])
@pytest.mark.parametrize(("connected", "left"), [(False, 1), (True, 0)])
def test_a_call_whose_end_nobody_reads_keeps_its_exit_code(
    fake: type[Lab],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    live: tuple[str, ...],
    connected: bool,
    left: int,
) -> None:
    monkeypatch.setattr(Lab, "report", good() if connected else good(connected=False, error="frank did not answer"))
    target = tmp_path / "call.pcapng"
    with unread():
        status, _, err = run(monkeypatch, capsys, "--call", "bob", "frank", "-w", str(target), *live)
    assert status == left and "bob → frank  call c1" in err and f"capture: {target}, 1,234 packets" in err
    assert fake.sessions[0].done[-2:] == ["written of c1", "discarded"]


def test_nor_does_a_standard_error_that_nobody_reads_change_it(tmp_path: Path) -> None:
    target, reader, writer = tmp_path / "all.pcapng", *os.pipe()
    command = [sys.executable, str(PROGRAM), "capture", "--live", "-w", str(target)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=writer, stderr=writer) as process:
        os.close(writer)
        assert os.read(reader, 100)
        os.close(reader)
        assert process.wait(20) == 0
    assert target.read_bytes() == WRITTEN


@contextlib.contextmanager
def going_on(target: Path, hang_up: signal.Handlers = signal.SIG_DFL) -> Iterator["subprocess.Popen[bytes]"]:
    """The command as a program of its own, once it has shown a packet. `hang_up`: what SIGHUP is to who starts it."""
    options: dict[str, Any] = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, hang_up)}
    command = [sys.executable, str(PROGRAM), "capture", "--live", "-w", str(target)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as found:
        try:
            assert found.stdout is not None and found.stdout.readline()
            yield found
        finally:
            found.kill()


def test_a_hang_up_ends_it_as_ctrl_c_does(tmp_path: Path) -> None:
    target = tmp_path / "all.pcapng"
    with going_on(target) as process:
        for _ in range(3):  # a shell that ends too says so as well
            process.send_signal(signal.SIGHUP)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 129 and target.read_bytes() == WRITTEN
    assert f"interrupted; capture: {target}, 1,234 packets" in err.decode()


def test_nohup_lets_it_go_on(tmp_path: Path) -> None:
    target = tmp_path / "all.pcapng"
    with going_on(target, signal.SIG_IGN) as process:
        process.send_signal(signal.SIGHUP)
        assert process.stdout is not None and process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 143 and target.read_bytes() == WRITTEN


# --- on a terminal


class Terminal:
    """The command on a pseudo-terminal of 80 columns and 24 lines."""

    def __init__(self, *words: str) -> None:
        self.master, self.slave = pty.openpty()
        termios.tcsetwinsize(self.slave, (24, 80))
        self.before = termios.tcgetattr(self.slave)
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)}
        ends = {"stdin": self.slave, "stdout": self.slave, "stderr": self.slave}
        command = [sys.executable, str(PROGRAM), "capture", *words]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True, preexec_fn=self._own, **ends)
        self.seen = ""

    def _own(self) -> None:
        import fcntl

        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup

    def until(self, wanted: str, seconds: float = 20.0) -> str:
        """All that was shown up to the words that are waited for."""
        deadline, start = time.monotonic() + seconds, len(self.seen)
        os.set_blocking(self.master, False)
        while wanted not in self.seen[start:]:
            assert time.monotonic() < deadline, f"{wanted!r} was not shown; {self.seen[-2000:]!r}"
            with contextlib.suppress(BlockingIOError):
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            time.sleep(0.01)
        return self.seen[start:]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def left(self) -> int:
        """Its exit status, once it has ended; the terminal is as it was."""
        deadline = time.monotonic() + 20
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            with contextlib.suppress(BlockingIOError):
                self.seen += os.read(self.master, 65536).decode(errors="replace")
            time.sleep(0.01)
        with contextlib.suppress(BlockingIOError):
            self.seen += os.read(self.master, 65536).decode(errors="replace")
        assert termios.tcgetattr(self.slave) == self.before
        assert self.seen.count("\x1b[?1049h") == self.seen.count("\x1b[?1049l") == 1
        assert self.seen.rindex("\x1b[?25h") > self.seen.rindex("\x1b[?25l")
        return self.process.returncode

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    found = Terminal()
    yield found
    found.close()


@pytest.mark.slow
def test_keys_pause_filter_jump_write_and_leave(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until("space pause")
    terminal.type("n")
    terminal.until("paused")
    terminal.until("first check of bob")
    terminal.type("f-check\r")
    terminal.until("filter: -check")
    terminal.type(f"w{tmp_path}/now.pcapng\r")
    terminal.until("packets so far")
    assert (tmp_path / "now.pcapng").read_bytes() == WRITTEN
    terminal.type("w/nowhere/at/all\r")
    terminal.until("there is no folder")
    terminal.type("q")
    assert terminal.left() == 0
    assert re.search(r"1,234 packets captured", terminal.seen) and "kernel dropped 7" in terminal.seen


@pytest.mark.slow
def test_ctrl_c_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.until("space pause")
    terminal.type("\x03")
    assert terminal.left() == 130
    assert "interrupted; 1,234 packets captured" in terminal.seen


@pytest.mark.slow
def test_so_does_the_end_by_a_signal(terminal: Terminal) -> None:
    terminal.until("space pause")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.left() == 143


@pytest.mark.slow
def test_a_terminal_that_is_gone_leaves_the_file_in_order(tmp_path: Path) -> None:
    target = tmp_path / "all.pcapng"
    terminal = Terminal("--live", "-w", str(target))
    try:
        terminal.until("space pause")
        os.close(terminal.master)
        assert terminal.process.wait(20) == 129
        assert target.read_bytes() == WRITTEN
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.slave)


@pytest.mark.slow
def test_no_line_is_longer_than_the_terminal(terminal: Terminal) -> None:
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.until("space pause"))
    assert all(len(line.rstrip("\r")) <= 80 for line in shown.split("\n"))
    terminal.type("q")
    terminal.left()


def test_an_error_of_the_lab_in_mid_table_leaves_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    from lab.cli.keyboard import Keyboard

    master, slave = pty.openpty()
    try:
        before = termios.tcgetattr(slave)
        with os.fdopen(os.dup(slave), "r") as stdin, pytest.raises(LabError):
            monkeypatch.setattr(sys, "stdin", stdin)
            with Keyboard() as keyboard:
                assert termios.tcgetattr(slave) != before
                os.write(master, "é".encode()[:1])
                assert keyboard.read(1) == ""
                os.write(master, "é".encode()[1:])
                assert keyboard.read(1) == "é" and keyboard.read(0) == ""
                raise LabError
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_a_file_that_an_option_writes_is_none_to_write_all_so_far_to(tmp_path: Path) -> None:
    words = ["--call", "bob", "frank", "-w", str(tmp_path / "all"), "--keys", str(tmp_path / "keys")]
    lab: Any = None
    session: Any = SimpleNamespace(watched=SimpleNamespace(file=tmp_path / "all"))
    with captures.capture.make_context("capture", words):
        said = [captures._written(lab, session, None, str(tmp_path / name)) for name in ("all", "keys")]
    assert said == [
        f"{tmp_path}/all is being written already",
        f"{tmp_path}/keys is what --keys writes; name another file",
    ]
