"""The command line: help with examples, one sentence and an exit code for what goes wrong, JSON alone on stdout."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, cast

import click
import pytest
from click.testing import CliRunner

import lab.harness
from lab import cli, evidence
from lab.cli import program, reports
from lab.cli.program import HungUp, Terminated
from lab.errors import ConfigError, Interrupted, RuntimeUnavailable, Unread
from lab.evidence import cutting, filed, pcapng
from lab.evidence.ladder import Column, Ladder, Row
from lab.evidence.scene import Scene
from lab.harness import passing
from lab.harness.call_report import CallReport, MediaPath, Observed, SetupTimes
from lab.harness.changing import SiteChange
from lab.harness.checkout import Checkout
from lab.harness.explaining import Explanation
from lab.harness.mappings import Flow, Mapped, SiteMappings
from lab.harness.matrix import Matrix
from lab.harness.status import LabStatus, NodeStatus
from lab.runtime.world import World
from lab.topology import Node, Role, parse
from lab.topology.model import Topology
from tests.unit.unread import unread, unread_from_now_on

COMPOSE = Path(__file__).parents[2] / "compose"


@pytest.mark.parametrize("name", sorted(cli.commands.commands))
def test_every_command_shows_an_example(name: str) -> None:
    shown = CliRunner().invoke(cli.commands, [name, "--help"]).output
    assert f"  lab {name}" in shown or f"| lab {name}" in shown


def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["lab", *words])
    try:
        status = cli.run()
    except SystemExit as left:
        status = int(left.code or 0)
    said = capsys.readouterr()
    return status, said.out, said.err


class FakeLab:
    """A lab whose call goes as it is told."""

    report: CallReport | BaseException
    changes: ClassVar[list[SiteChange]] = []
    shells: ClassVar[list[tuple[str, tuple[str, ...]]]] = []
    names: ClassVar[list[str | None]] = []
    sites: ClassVar[list[list[str]]] = []
    traced: ClassVar[list[str]] = []
    session: ClassVar[Any] = None

    def __init__(self, name: str | None = None) -> None:
        self.names.append(name)

    def call(self, *names: str, **options: Any) -> CallReport:
        if isinstance(self.report, BaseException):
            raise self.report
        return self.report

    def one_file(self, call: str, target: Path) -> int:
        target.write_text(f"the packets of {call}")
        return 902

    def watch_between(self, one: str, two: str, seconds: float) -> Any:
        found = evidence.Finding.PATH
        seen = evidence.Observed(found, "punched", "udp", None, int(seconds), "UDP", 0, 1, (), (), {}, {})
        return filed.Filed(None, one, two, seen, Scene((), ()))

    def run(self, site: str, command: tuple[str, ...], image: str | None, say: Any) -> int:
        say(f"{command} in {image} at {site}")
        return 7

    def keys(self, call: str) -> str:
        return f"the keys of {call}\n"

    def ladder(self, call: str) -> Ladder:
        if call != "c1":
            raise ConfigError(f"there is no call {call!r}; kept are c1")
        row = Row(1.0, 1.0, 0, 1, "invite", "tcp", 1, None, False, True)
        return Ladder(call, "bob", "frank", "punched/udp", (Column("bob", ("bob",)), Column("core", ("core",))), (row,))

    def running_world(self) -> World:
        nodes = (*(Node(f"{site}-router", Role.ROUTER, site, None, None, ()) for site in ("home", "flat")),
                 Node("core", Role.CORE, None, None, None, ()), Node("bob", Role.CLIENT, "home", None, None, ()),
                 Node("frank", Role.CLIENT, "flat", None, None, ()))  # fmt: skip
        return World("lab", Topology(nodes, ()), {}, None)

    @property
    def checkout(self) -> Checkout:
        return Checkout(Path("e"))

    def shell(self, node: str, command: tuple[str, ...]) -> int:
        self.shells.append((node, command))
        return 7

    def matrix(self, sites: list[str], **options: Any) -> Matrix:
        self.sites.append(sites)
        assert isinstance(self.report, CallReport)
        return Matrix("m1", {"bob": "home", "frank": "flat"}, (self.report,), 2.0, {}, Path("e"), 1)

    def explain(self, call: str) -> Explanation:
        if call != "c1":
            raise ConfigError(f"there is no call {call!r}; kept are c1")
        return Explanation(call, "bob", "frank", "punched/udp", None, (), (), (), (), ())

    def may_tour(self) -> Topology:
        if isinstance(self.report, BaseException):
            raise self.report
        return parse(COMPOSE / "reference.yml", {})

    def trace(self, call: str) -> list[Any]:
        self.traced.append(call)
        return []

    def capture(self, nodes: tuple[str, ...] = (), **options: Any) -> Any:
        if self.session is None:
            raise RuntimeUnavailable("no capture starts")
        return self.session

    def mappings(self, site: str) -> SiteMappings:
        return next(self.watch_mappings(site))

    def watch_mappings(self, site: str) -> Iterator[SiteMappings]:
        flow = Flow("relay-1:33034", "203.0.113.21:33034", "inside", "two-way", 97, None)
        ends = ("bob:40000", "192.168.32.10:40000", "203.0.113.32:40000")
        yield SiteMappings(site, "linux", "none", True, (), (Mapped("udp", *ends, None, False, 97, (flow,)),))

    def set(self, site: str, change: SiteChange) -> dict[str, Any]:
        self.changes.append(change)
        return {"link": {"ways": {"up": "delay=10ms", "down": "mtu=1492 blackhole=yes"}}}

    def status(self) -> LabStatus:
        return LabStatus((NodeStatus("bob", "client", "home", "linux", "none", "ready", "supernode-1", None),))


def good(**changes: Any) -> CallReport:
    path = MediaPath("punched", "udp", None)
    times = SetupTimes(10, 510, 530, 530)
    fields: dict[str, Any] = {
        "call": "c1", "caller": "bob", "callee": "frank", "connected": True, "error": None, "path": path,
        "observed": Observed("punched", "udp", None, 300), "agrees": True, "disagreements": (), "history": (),
        "setup_ms": times, "media": {}, "dropped_by_captures": {},
    }  # fmt: skip
    return CallReport(**{**fields, **changes})


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeLab]:
    monkeypatch.setattr(lab.harness, "Lab", FakeLab)
    return FakeLab


@pytest.mark.parametrize(
    ("changes", "expect", "status"),
    [
        ({}, [], 0),
        ({}, ["--expect", "punched/udp"], 0),
        ({}, ["--expect", "relayed/tcp"], 1),
        ({"agrees": False, "disagreements": ("they differ",)}, [], 1),
        ({"connected": False, "error": "no answer", "path": None, "observed": None, "agrees": False}, [], 1),
    ],
)
def test_the_exit_status_of_a_call(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, changes: Any, expect: list[str], status: int
) -> None:
    fake.report = good(**changes)
    left, out, _ = run(monkeypatch, capsys, "call", "bob", "frank", "--json", *expect)
    assert left == status
    assert json.loads(out) == fake.report.to_json()


@pytest.mark.parametrize(
    "words",
    [
        ("call", "bob"),
        ("call", "bob", "frank", "--expect", "punched/mixed"),
        ("call", "bob", "frank", "--seconds", "0"),
        ("call", "bob", "frank", "--seconds", "many"),
        ("call", "bob", "frank", "--ring", "-1"),
        ("call", "bob", "frank", "--ring", "0.5"),
        ("call", "bob", "frank", "--seconds", "nan"),
        ("call", "bob", "frank", "--hold", "5"),
        ("call", "bob", "frank", "--hold", "5:many"),
        ("call", "bob", "frank", "--capture", "/nowhere/at/all.pcapng"),
        ("call", "bob", "frank", "--capture", "/"),
        ("verdict",),
        ("verdict", "x", "--live", "home", "flat"),
        ("verdict", "--live", "home"),
        ("verdict", "--live", "home", "flat", "--caller", "192.0.2.1", "--callee", "192.0.2.2"),
        ("call", "bob", "frank", "--keys", "/"),
        ("run",),
        ("verdict", "x", "--caller", "192.0.2", "--callee", "192.0.2.1"),
        ("verdict", "x", "--caller", "bob", "--callee", "bob"),
        ("verdict", "x", "--caller", "192.0.2.1"),
        ("verdict", "x", "--relay", "192.0.2.1"),
        ("verdict", "x", "--caller", "192.0.2.1", "--callee", "192.0.2.1"),
        ("ladder", "c1", "--svg", "/nowhere/at/all.svg"),
        ("matrix", "--at-once", "65"),
        ("dance",),
    ],
)
def test_a_wrong_request_is_one_sentence_and_exit_2(monkeypatch: pytest.MonkeyPatch, capsys: Any, words: Any) -> None:
    status, out, err = run(monkeypatch, capsys, *words)
    assert (status, out, err.count("\n")) == (2, "", 1) and err.startswith("lab: ")


def test_what_flows_between_two_sites_is_a_verdict(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    status, out, _ = run(monkeypatch, capsys, "verdict", "--live", "home", "flat", "--seconds", "9", "--json")
    said = json.loads(out)
    assert status == 0 and (said["kind"], said["caller"], said["callee"], said["packets"]) == (
        "punched", "home", "flat", 9
    )  # fmt: skip


def test_how_long_to_watch_is_nothing_that_a_file_has(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(filed, "verdict", lambda file, named: pytest.fail("judged"))
    for seconds in ("3", "5"):
        status, out, said = run(monkeypatch, capsys, "verdict", "x.pcapng", "--seconds", seconds)
        assert (status, out) == (2, "") and "--seconds is how long --live watches" in said and said.count("\n") == 1


def test_what_flows_is_watched_for_five_seconds_unless_told(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    watched, whole = list[float](), fake.watch_between

    def watch_between(self: FakeLab, one: str, other: str, seconds: float) -> Any:
        watched.append(seconds)
        return whole(self, one, other, 9)

    monkeypatch.setattr(fake, "watch_between", watch_between)
    for more in ((), ("--seconds", "2")):
        run(monkeypatch, capsys, "verdict", "--live", "home", "flat", *more)
    assert watched == [5, 2]


def test_a_guest_s_command_is_handed_on_and_its_status_too(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    status, _, err = run(monkeypatch, capsys, "run", "home", "--image", "debian:13", "--", "ls", "-l", "--image")
    assert (status, err) == (7, "lab: ('ls', '-l', '--image') in debian:13 at home\n")


def test_keys_of_a_call_are_written(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    fake.report = good()
    assert run(monkeypatch, capsys, "call", "bob", "frank", "--json", "--keys", str(tmp_path / "keys"))[0] == 0
    assert (tmp_path / "keys").read_text() == f"the keys of {fake.report.call}\n"
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("before", "after"), [(None, 0o600), (0o644, 0o600), (0o666, 0o600), (0o200, 0o200)])
def test_keys_are_for_the_eyes_of_the_user_alone(tmp_path: Path, before: int | None, after: int) -> None:
    file = tmp_path / "keys"
    if before is not None:
        file.write_text("# SRTP of a former and longer call")
        file.chmod(before)
    program.secret(file, "the keys")
    assert file.stat().st_mode & 0o777 == after
    file.chmod(0o600)
    assert file.read_text() == "the keys"


def test_keys_go_to_no_file_that_another_user_could_read_them_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(*told: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.fchmod", refused)
    file = tmp_path / "keys"
    file.write_text("of another")
    with pytest.raises(ConfigError, match="keys is another user's, who could read the keys; name another file"):
        program.secret(file, "the keys")
    assert file.read_text() == "of another"
    program.secret(Path("/dev/null"), "the keys")


def test_a_pipe_has_the_keys_and_no_end_before_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE) as reader:
        program.secret(tmp_path / "pipe", "the keys")
        assert reader.communicate(timeout=20)[0] == b"the keys"


@pytest.mark.parametrize(("keyed", "mode"), [(True, 0o600), (False, 0o644)])
def test_a_capture_with_keys_in_it_is_for_the_same_eyes(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path, keyed: bool, mode: int
) -> None:
    target, stopped = tmp_path / "call.pcapng", Interrupted("interrupted; what is known of call c7 is in e")
    stopped.call = "c7"
    more = ["--keys", str(tmp_path / "keys")] if keyed else []
    for fake.report, left in ((good(), 0), (stopped, 130)):
        (tmp_path / "keys").unlink(missing_ok=True)  # those of this lab are no key log
        target.write_bytes(b"")
        target.chmod(0o644)
        assert run(monkeypatch, capsys, "call", "bob", "frank", "--capture", str(target), *more)[0] == left
        assert target.stat().st_mode & 0o777 == mode and target.stat().st_size


def test_an_error_of_the_lab_is_one_sentence(fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    fake.report = RuntimeUnavailable("the lab is not up; `lab up` starts it")
    assert run(monkeypatch, capsys, "call", "bob", "frank")[::2] == (2, "lab: the lab is not up; `lab up` starts it\n")


def test_a_defect_is_one_sentence_that_says_where_its_details_are(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".lab").mkdir()
    fake.report = ZeroDivisionError("by zero")
    status, _, err = run(monkeypatch, capsys, "call", "bob", "frank")
    assert status == 2 and "Traceback" not in err and ".lab/errors.log" in err
    assert "ZeroDivisionError" in (tmp_path / ".lab" / "errors.log").read_text()


@pytest.mark.parametrize(
    ("interrupt", "left"),
    [(KeyboardInterrupt, 130), (click.Abort, 130), (Terminated, 143), (HungUp, 129), (Unread, 141)],
)
def test_an_interrupt_leaves_with_128_and_the_number_of_its_signal(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, interrupt: type[BaseException], left: int
) -> None:
    fake.report = interrupt()
    assert run(monkeypatch, capsys, "call", "bob", "frank")[0] == left


@pytest.mark.parametrize(
    "words", [("tour",), ("explain", "c1"), ("explain", "c1", "--json"), ("--help",), ("nat", "--help")]
)
def test_an_output_that_its_reader_closes_ends_a_command_as_sigpipe_does(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, words: tuple[str, ...]
) -> None:
    fake.report = good()
    with unread():
        status, _, err = run(monkeypatch, capsys, *words)
    assert status == 128 + signal.SIGPIPE and "lab:" not in err


def test_an_exit_status_that_a_command_chose_is_left_as_it_is(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake.report = good(agrees=False)
    assert run(monkeypatch, capsys, "call", "bob", "frank")[0] == 1


def test_a_tour_that_nobody_reads_any_more_leaves_no_capture_behind(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake.report, session = good(), Session(*ROWS)
    monkeypatch.setattr(fake, "session", session)
    poll = session.poll
    with unread_from_now_on() as close:
        monkeypatch.setattr(session, "poll", lambda now: (close(), poll(now))[1])
        status, *_ = run(monkeypatch, capsys, "tour", "punched")
    assert status == 128 + signal.SIGPIPE and session.done[-2:] == ["closed", "discarded"]


@pytest.mark.parametrize(("cause", "left"), [(KeyboardInterrupt(), 130), (Terminated(), 143), (HungUp(), 129)])
def test_an_interrupted_call_says_what_was_kept(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, cause: BaseException, left: int
) -> None:
    fake.report = Interrupted("interrupted; what is known of call c7 is in .lab/calls/c7")
    fake.report.__cause__ = cause
    status, _, said = run(monkeypatch, capsys, "call", "bob", "frank")
    assert (status, said.strip()) == (left, "lab: interrupted; what is known of call c7 is in .lab/calls/c7")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("bob",), ()),
        (("bob", "--", "ls", "-l"), ("ls", "-l")),
        (("bob", "ls", "-l", "--", "x"), ("ls", "-l", "--", "x")),
    ],
)
def test_a_shell_runs_what_it_is_given_and_leaves_with_its_status(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, words: Any, command: tuple[str, ...]
) -> None:
    assert run(monkeypatch, capsys, "shell", *words)[0] == 7
    assert fake.shells[-1] == ("bob", command)


def test_a_number_out_of_bounds_is_refused_in_the_words_of_the_lab(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    _, _, said = run(monkeypatch, capsys, "call", "bob", "frank", "--seconds", "0.5")
    assert "'--seconds': expected a number of seconds from 1 to 3,600, got 0.5" in said


@pytest.mark.parametrize("path", ["punched", "udp", "punched/mixed", ""])
def test_a_path_that_is_none_is_an_error_and_no_no(path: str) -> None:
    for ask in (good().holds, good().missed):
        with pytest.raises(ValueError, match="expected a path as kind/transport, one of direct/udp, punched/udp"):
            ask(path)


def test_a_report_shows_path_verdict_and_folder_within_what_pytest_shows_of_an_object() -> None:
    shown = repr(good(evidence=Path.cwd() / ".lab" / "calls" / "c1"))
    assert shown == "<call c1 bob -> frank: path punched/udp, observed punched/udp, agrees, in .lab/calls/c1>"
    failed = repr(good(connected=False, error="no answer within 30 s", path=None, observed=None, agrees=False))
    assert "no answer within 30 s" in failed and "does not agree" in failed and len(failed) < 240


@pytest.mark.parametrize(
    ("words", "name"), [(("status",), None), (("--lab", "two", "status"), "two"), (("--lab=lab", "status"), "lab")]
)
def test_the_lab_is_the_one_that_is_named(
    fake: type[FakeLab],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    name: str | None,
) -> None:
    monkeypatch.delenv("LAB_NAME", raising=False)
    assert run(monkeypatch, capsys, *words)[0] == 0
    assert fake.names[-1] == name


def test_the_environment_may_name_the_lab(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAB_NAME", "three")
    run(monkeypatch, capsys, "status")
    run(monkeypatch, capsys, "--lab", "two", "status")
    assert fake.names[-2:] == ["three", "two"]


@pytest.mark.parametrize("name", ["Two", "-two", "two labs", "../two", "t" * 33])
def test_a_name_that_no_lab_can_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    status, _, said = run(monkeypatch, capsys, f"--lab={name}", "status")
    assert status == 2
    assert "expected a lab's name of at most 32 lower-case letters, digits, - and _" in " ".join(said.split())
    assert repr(name) in said


@pytest.mark.parametrize(
    ("words", "direction", "toward"),
    [
        ([], None, None),
        (["--up"], "up", None),
        (["--down"], "down", None),
        (["--up", "--down"], "both", None),
        (["--toward", "park"], None, "park"),
    ],
)
def test_which_way_is_handed_on_as_it_was_said(
    fake: type[FakeLab],
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    words: list[str],
    direction: str | None,
    toward: str | None,
) -> None:
    """What was not said is told from what was: only the latter needs a figure to go with it."""
    status, out, _ = run(monkeypatch, capsys, "set", "home", "--loss", "5%", *words)
    assert (status, out) == (0, "home is up: delay=10ms; down: mtu=1492 blackhole=yes\n")
    assert fake.changes[-1] == SiteChange(link={"loss": "5%"}, direction=cast(Any, direction), toward=toward)


def test_what_takes_a_figure_away_is_in_the_help(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    _, out, _ = run(monkeypatch, capsys, "set", "--help")
    options = {part.split()[0]: " ".join(part.split()) for part in out.split("\n  --")}
    for option in ("rate", "queue", "burst"):
        assert "none" in options[option]
    assert "1492" in options["mtu"]


def test_status_as_json_is_one_document(fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    _, out, _ = run(monkeypatch, capsys, "status", "--json")
    (node,) = json.loads(out)["nodes"]
    of_a_place = ["name", "role", "site", "profile", "firewall", "state"]
    of_a_client = ["network", "lets_out", "finding_out", "keepalive_s", "tcp_keepalive_s", "port_mapped"]
    assert list(node) == [
        *of_a_place,
        "supernode",
        "promoted",
        "promoted_because",
        "waits_at",
        "behind",
        "forwarding",
        "link",
        "seed",
        *of_a_client,
    ]


def test_help_loads_nothing_heavy() -> None:
    code = "import sys, lab.cli; print(*{'docker', 'scapy', 'rich', 'yaml'} & sys.modules.keys())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == ""


@pytest.mark.parametrize(("agrees", "status"), [(True, 0), (False, 1)])
def test_a_matrix_is_one_document_of_call_reports_and_fails_with_any_of_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: type[FakeLab], agrees: bool, status: int
) -> None:
    fake.report = good(agrees=agrees)
    left, out, _ = run(monkeypatch, capsys, "matrix", "--sites", "home, flat", "--json")
    assert left == status and fake.sites[-1] == ["home", "flat"]
    assert json.loads(out)["cells"] == [json.loads(json.dumps(fake.report.to_json()))]


def test_a_matrix_goes_to_a_page_and_to_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: type[FakeLab], tmp_path: Path
) -> None:
    fake.report = good()
    left, out, _ = run(monkeypatch, capsys, "matrix", "--html", str(tmp_path / "m.html"))
    assert left == 0 and "punched/udp 20" in out and '<table class="heat">' in (tmp_path / "m.html").read_text()


def test_a_page_in_a_folder_that_is_not_there_is_refused_before_any_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: type[FakeLab], tmp_path: Path
) -> None:
    before = len(fake.sites)
    left, _, said = run(monkeypatch, capsys, "matrix", "--html", str(tmp_path / "none" / "m.html"))
    assert left == 2 and "none" in said and len(fake.sites) == before


@pytest.mark.parametrize(("call", "status"), [("c1", 0), ("c2", 2)])
def test_a_call_is_explained_or_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: type[FakeLab], call: str, status: int
) -> None:
    left, out, said = run(monkeypatch, capsys, "explain", call, "--json")
    assert left == status and (json.loads(out)["path"] == "punched/udp" if status == 0 else said.count("\n") == 1)


def test_what_a_router_remembers_is_a_table_a_document_or_a_line_a_change(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    status, out, _ = run(monkeypatch, capsys, "nat", "home")
    assert status == 0 and "bob:40000  203.0.113.32:40000  relay-1:33034  two-way" in out
    status, out, _ = run(monkeypatch, capsys, "nat", "home", "--json")
    assert status == 0 and json.loads(out)["mappings"][0]["flows"][0]["remote"] == "relay-1:33034"
    status, out, _ = run(monkeypatch, capsys, "nat", "home", "--watch")
    assert status == 0 and out.splitlines()[1].endswith("to relay-1:33034, two-way, 97 s left")
    status, out, _ = run(monkeypatch, capsys, "nat", "home", "--watch", "--json")
    assert status == 0 and json.loads(out)["happened"] == "appeared"


def test_a_tour_is_printed_whole_where_there_is_no_terminal(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake.report = good()
    status, out, _ = run(monkeypatch, capsys, "tour")
    assert status == 0
    assert [line[:6] for line in out.splitlines() if " of 5  " in line] == [f"{number} of 5" for number in range(1, 6)]
    status, out, _ = run(monkeypatch, capsys, "tour", "punched")
    assert status == 0 and "1 of 1  a hole is punched" in out and "lab call dave erin" not in out
    fake.report = good(agrees=False, disagreements=("they differ",))
    status, out, _ = run(monkeypatch, capsys, "tour", "punched")
    assert status == 1 and "should not have: they differ" in out
    fake.report = ConfigError("the tour is of the reference lab")
    assert run(monkeypatch, capsys, "tour") == (2, "", "lab: the tour is of the reference lab\n")


class Session:
    """Captures that bring these rows at once. `fails`: what befalls them by their end."""

    def __init__(self, *rows: passing.Row, fails: str = "") -> None:
        self.rows, self.fails, self.done = list(rows), fails, list[str]()

    def note(self, at: float, text: str, event: str | None = None) -> None:
        pass

    def poll(self, now: float) -> list[passing.Row]:
        rows, self.rows = self.rows, []
        return rows

    def rest(self) -> list[passing.Row]:
        if self.fails:
            raise RuntimeUnavailable(self.fails)
        return self.poll(0.0)

    def close(self) -> None:
        self.done.append("closed")

    def discard(self) -> None:
        self.done.append("discarded")


ROWS = (
    passing.Row(1.0, "", "", "", "bob: dialled", "note", event="bob: dialled"),
    passing.Row(1.1, "home lan", "bob:1", "flat wan:2", "STUN check", "translated", "as home wan:1"),
    passing.Row(1.2, "flat wan", "home wan:1", "flat wan:2", "STUN check", "dropped", "dropped: not asked for"),
    passing.Row(1.3, "home lan", "bob:1", "flat wan:2", "RTP 7", "translated", "as home wan:1"),
)


def test_a_tour_tells_packets_while_they_pass_and_does_not_repeat_them(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake.report, session = good(), Session(*ROWS)
    monkeypatch.setattr(fake, "session", session)
    monkeypatch.setattr(fake, "traced", [])
    monkeypatch.setenv("NO_COLOR", "1")
    status, out, _ = run(monkeypatch, capsys, "tour", "punched")
    lines = out.splitlines()
    assert status == 0 and "  100 ms  bob → flat wan  checks this way: as home wan:1" in lines
    told = lines.index("  200 ms  home wan → flat wan  check: flat-router drops it, not asked for")
    assert told < next(number for number, text in enumerate(lines) if "call c1  punched/udp" in text)
    assert (
        "\x1b" not in out and max(map(len, lines)) <= 80 and out.count("The packets that matter while they pass") == 1
    )
    assert fake.traced == [] and session.done[-2:] == ["closed", "discarded"]


@pytest.mark.parametrize("rows", [ROWS, ROWS[:3], ()])
def test_a_tour_whose_captures_fail_on_the_way_tells_the_packets_after_the_call(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, rows: tuple[passing.Row, ...]
) -> None:
    fake.report, session = good(), Session(*rows, fails="the capture at core ended early")
    monkeypatch.setattr(fake, "session", session)
    monkeypatch.setattr(fake, "traced", [])
    status, out, _ = run(monkeypatch, capsys, "tour", "punched")
    assert status == 0 and "after the call: the capture at core ended early" in " ".join(out.split())
    assert fake.traced == ["c1"] and session.done[-2:] == ["closed", "discarded"]


def test_a_tour_whose_captures_saw_no_voice_tells_the_packets_after_the_call(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake.report = good()
    monkeypatch.setattr(fake, "session", Session(*ROWS[:3]))
    monkeypatch.setattr(fake, "traced", [])
    assert run(monkeypatch, capsys, "tour", "punched")[0] == 0 and fake.traced == ["c1"]


def test_a_tour_without_captures_tells_the_packets_after_the_call(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    fake.report = good()
    monkeypatch.setattr(fake, "traced", [])
    status, out, _ = run(monkeypatch, capsys, "tour", "punched")
    assert status == 0 and "after the call: no capture starts" in out and fake.traced == ["c1"]


@pytest.mark.parametrize(("keys", "calls"), [("q", 0), ("  q", 1), ("   q", 1), ("x" * 15, 5)])
def test_on_a_terminal_a_tour_goes_on_at_a_key(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, keys: str, calls: int
) -> None:
    fake.report = good()
    pressed = iter(keys)
    monkeypatch.setattr(cli.tours, "_terminal", lambda: True)
    monkeypatch.setattr(click, "getchar", lambda: next(pressed))
    status, out, _ = run(monkeypatch, capsys, "tour")
    assert status == 0 and out.count("call c1  punched/udp") == calls
    assert next(pressed, None) is None


@pytest.mark.parametrize("changes", [{}, {"agrees": False, "disagreements": ("they differ",)}])
def test_a_call_is_kept_in_one_file_whatever_came_of_it(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path, changes: dict[str, Any]
) -> None:
    fake.report, file = good(**changes), tmp_path / "call.pcapng"
    file.write_bytes(pcapng.MAGIC + b"a former one")
    left, out, _ = run(monkeypatch, capsys, "call", "bob", "frank", "--capture", str(file))
    assert left == (1 if changes else 0) and f"capture: {file}, 902 packets" in out
    assert file.read_text() == "the packets of c1"


def test_a_call_as_json_is_one_document_with_a_capture_too(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    fake.report, file = good(), tmp_path / "call.pcapng"
    left, out, _ = run(monkeypatch, capsys, "call", "bob", "frank", "--json", "--capture", str(file))
    assert left == 0 and json.loads(out) == fake.report.to_json() and file.exists()


def test_a_capture_that_cannot_be_written_is_refused_before_the_call(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    fake.report = ZeroDivisionError("the call was placed")
    for target in (tmp_path / "none" / "call.pcapng", tmp_path, Path("/proc/call.pcapng")):
        left, _, said = run(monkeypatch, capsys, "call", "bob", "frank", "--capture", str(target))
        assert left == 2 and said.count("\n") == 1 and "--capture" in said


def test_captures_are_known_by_what_they_begin_with() -> None:
    assert set(program.CAPTURE.beginnings) == {pcapng.MAGIC, *cutting.ORDERS}


FORMER = {
    "capture": pcapng.MAGIC,
    "key log": b"CLIENT_TRAFFIC_SECRET_0 07 aa\n",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "page": b"<!doctype html>\n<p>",
}


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("call", "bob", "frank", "--capture"), "capture"),
        (("call", "bob", "frank", "--keys"), "key log"),
        (("capture", "-w"), "capture"),
        (("capture", "--call", "bob", "frank", "--keys"), "key log"),
        (("verdict", "x.pcapng", "--voice"), "capture"),
        (("ladder", "c1", "--svg"), "SVG"),
        (("matrix", "--html"), "page"),
        (("simulate", "churn", "--html"), "page"),
        (("simulate", "churn", "--svg"), "SVG"),
    ],
)
def test_a_file_of_another_kind_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: Any, kind: str
) -> None:
    done: list[object] = []
    monkeypatch.setattr(lab.harness, "Lab", done.append)
    file = tmp_path / "thesis.tex"
    others = [begins for other, begins in FORMER.items() if other != kind]
    for content in (b"\\documentclass{article}", b"\n", *others):
        file.write_bytes(content)
        left, out, said = run(monkeypatch, capsys, *words, str(file))
        assert (left, out, said.count("\n")) == (2, "", 1), said
        assert f"{file} is there and is no {kind}; name another file, or remove that one" in said
        assert file.read_bytes() == content and not done


@pytest.mark.parametrize(
    ("words", "one", "two"),
    [
        (("call", "bob", "frank"), "--capture", "--keys"),
        (("capture", "--call", "bob", "frank"), "-w", "--keys"),
        (("simulate", "churn"), "--html", "--svg"),
    ],
)
@pytest.mark.parametrize("there", [False, True])
def test_one_file_for_two_outputs_is_refused_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, words: Any, one: str, two: str,
    there: bool,
) -> None:  # fmt: skip
    done: list[object] = []
    monkeypatch.setattr(lab.harness, "Lab", done.append)
    monkeypatch.chdir(tmp_path)
    file, link = tmp_path / "out", tmp_path / "link"
    if there:
        file.touch()
        link.symlink_to(file)
    for other in ("out", f"../{tmp_path.name}/out", "link")[: 3 if there else 2]:
        for first, second in ((one, two), (two, one)):
            left, out, said = run(monkeypatch, capsys, *words, first, str(file), second, other)
            assert (left, out, said.count("\n")) == (2, "", 1), said
            assert f"{other} is what {first} writes; name another file" in said and not done
            assert file.exists() == there


def test_a_device_takes_what_two_outputs_bring(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.report = good()
    words = ("call", "bob", "frank", "--json", "--keys", "/dev/null", "--capture", "/dev/null")
    assert run(monkeypatch, capsys, *words)[0] == 0


@pytest.mark.parametrize("there", [False, True])
def test_voice_is_not_written_over_its_capture_whether_that_is_there_or_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, there: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "x.pcapng").write_bytes(pcapng.MAGIC)
    left, _, said = run(monkeypatch, capsys, "verdict", "x.pcapng", "--voice", str(tmp_path / "x.pcapng"))
    assert (left, said.count("\n")) == (2, 1) and "is the capture itself" in said
    (tmp_path / "voice.pcapng").write_bytes(pcapng.MAGIC)
    left, _, said = run(monkeypatch, capsys, "verdict", "none.pcapng", "--voice", "voice.pcapng")
    assert (left, said.count("\n")) == (2, 1) and "none.pcapng cannot be read" in said


@pytest.mark.parametrize("kind", [program.CAPTURE, program.KEYS, program.SVG, program.PAGE], ids=lambda one: one.kind)
def test_a_former_file_of_the_same_kind_is_replaced_and_a_device_is_written_to(
    tmp_path: Path, kind: program.Output
) -> None:
    file, pipe = tmp_path / "former", tmp_path / "pipe"
    os.mkfifo(pipe)
    for content in (FORMER[kind.kind], *(one + b" and more" for one in kind.beginnings), b""):
        file.write_bytes(content)
        assert kind.convert(str(file), None, None) == file and file.read_bytes() == content
    for target in (pipe, Path("/dev/null"), Path("/dev/full"), tmp_path / "new"):
        assert kind.convert(str(target), None, None) == target


def test_what_is_drawn_and_written_is_of_its_kind(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    fake.report = good()
    ladder, page = tmp_path / "ladder.svg", tmp_path / "matrix.html"
    for _ in range(2):
        assert run(monkeypatch, capsys, "ladder", "c1", "--svg", str(ladder))[0] == 0
        assert run(monkeypatch, capsys, "matrix", "--html", str(page), "--json")[0] == 0


def test_a_call_that_is_refused_leaves_no_empty_capture(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    fake.report = RuntimeUnavailable("the lab is not up; `lab up` starts it")
    assert run(monkeypatch, capsys, "call", "bob", "frank", "--capture", str(tmp_path / "call.pcapng"))[0] == 2
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("count", "told"),
    [(24, "1 kB"), (38_400, "38 kB"), (99_999, "100 kB"), (100_000, "0.1 MB"), (1_234_567_890, "1,234.6 MB")],
)
def test_a_small_report_is_no_0_0_mb(count: int, told: str) -> None:
    assert reports._size(count) == told


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize(("encoding", "arrow"), [("latin-1", "?"), ("ascii", "?"), ("utf-8", "→")])
@pytest.mark.parametrize("words", [("call", "bob", "frank"), ("explain", "c1"), ("ladder", "c1")])
def test_what_an_output_cannot_encode_is_replaced_there(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, words: Any, encoding: str, arrow: str, errors: str
) -> None:
    fake.report = good()
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, errors, write_through=True) for _ in range(2))
    monkeypatch.setattr(sys, "argv", ["lab", *words])
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert cli.run() == 0
    assert f"bob {arrow} frank" in out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


def test_names_of_files_that_are_no_text_are_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.TextIOWrapper(io.BytesIO(), "utf-8", "surrogateescape", write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "argv", ["lab", "--help"])
    assert cli.run() == 0
    out.write("caf\udce9")
    assert out.buffer.getvalue().endswith(b"caf\xe9")  # type: ignore[attr-defined]


def test_a_full_disk_is_told_after_the_verdict(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    def full(self: FakeLab, call: str, target: Path) -> int:
        raise RuntimeUnavailable(f"{target} is not whole: No space left on device")

    fake.report = good()
    monkeypatch.setattr(fake, "one_file", full)
    left, out, said = run(monkeypatch, capsys, "call", "bob", "frank", "--capture", str(tmp_path / "call.pcapng"))
    assert left == 2 and "punched/udp" in out and said.endswith("is not whole: No space left on device\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(28, "No space left on device", "/lab/.lab/calls/c7"), "no space is left for /lab/.lab/calls/c7; make"),
        (OSError(122, "Disk quota exceeded"), "no space is left where the result was to be written"),
    ],
)
def test_a_full_disk_is_no_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fake: type[FakeLab], error: OSError, told: str
) -> None:
    def full(*words: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(fake, "call", full)
    left, _, said = run(monkeypatch, capsys, "call", "bob", "frank")
    assert left == 2 and said.startswith(f"lab: {told}") and said.count("\n") == 1


def test_a_verdict_on_what_is_no_capture_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    (tmp_path / "x").write_bytes(b"hello")
    for name in ("x", "missing", "."):
        left, out, said = run(monkeypatch, capsys, "verdict", str(tmp_path / name))
        assert (left, out, said.count("\n")) == (2, "", 1) and said.startswith("lab: ")


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(("kind", "status"), [("punched", 0), (None, 1)])
def test_a_verdict_is_printed_and_one_without_a_path_exits_1(
    monkeypatch: pytest.MonkeyPatch, capsys: Any, as_json: bool, kind: Any, status: int
) -> None:
    finding = evidence.Finding.PATH if kind else evidence.Finding.NO_MEDIA
    seen = evidence.Observed(finding, kind, "udp" if kind else None, None, 9, "why it is", 0, 1, (), (), {}, {})
    found = filed.Filed("c1", "bob", "frank", seen, Scene((), ()))
    monkeypatch.setattr(filed, "verdict", lambda file, named: found)
    left, out, said = run(monkeypatch, capsys, "verdict", "x.pcapng", *(["--json"] if as_json else []))
    assert left == status and "why it is" in out
    assert ("name no path: why it is" in said) == (status == 1)
    if as_json:
        document = json.loads(out)
        assert (document["kind"], document["packets"], document["why"]) == (kind, 9, "why it is")


def test_a_ladder_is_drawn_written_or_printed_as_one_document(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    assert "invite" in run(monkeypatch, capsys, "ladder", "c1")[1]
    whole, rule = fake.ladder, f"FORWARD {'-m such ' * 20}-j DROP"
    lost = replace(whole(fake(), "c1").rows[0], dropped="core", why=rule)
    monkeypatch.setattr(fake, "ladder", lambda self, call: replace(whole(self, call), rows=(lost,)))
    assert f"invite ✗ {rule}\n" in run(monkeypatch, capsys, "ladder", "c1")[1], "in a pipe, of a line nothing is cut"
    monkeypatch.setattr(fake, "ladder", whole)
    file = tmp_path / "ladder.svg"
    assert run(monkeypatch, capsys, "ladder", "c1", "--svg", str(file))[1] == "" and "<svg" in file.read_text()
    assert json.loads(run(monkeypatch, capsys, "ladder", "c1", "--json")[1])["rows"][0]["what"] == "invite"
    assert run(monkeypatch, capsys, "ladder", "c2") == (2, "", "lab: there is no call 'c2'; kept are c1\n")


def test_a_call_that_is_interrupted_is_kept_in_its_file_too(
    fake: type[FakeLab], monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    stopped, file = Interrupted("interrupted; what is known of call c1 is in e"), tmp_path / "call.pcapng"
    stopped.call = "c1"
    fake.report = stopped
    left, _, said = run(monkeypatch, capsys, "call", "bob", "frank", "--capture", str(file))
    assert left == 130 and "what is known of call c1" in said and file.read_text() == "the packets of c1"
