"""`lab capture` on a running lab: what a call looks like, the file of it, and what ends it."""

import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typed import PROGRAM, ROOT, cli

from lab.evidence import pcapng
from lab.evidence.pcapng import Interface
from lab.harness import Lab
from lab.runtime.exec import run

pytestmark = pytest.mark.usefixtures("lab")


@contextmanager
def going_on(*words: str) -> Iterator["subprocess.Popen[str]"]:
    """The command, once it captures: its first line is there, of packets or of what it captures."""
    capture = subprocess.Popen(
        ["env", "--default-signal=INT,HUP", PROGRAM, "capture", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        spoken = capture.stderr if "-w" in words else capture.stdout
        assert spoken is not None and spoken.readline(), capture.communicate()
        yield capture
    finally:
        if capture.poll() is None:
            capture.kill()
            capture.communicate()


def none_runs(lab: Lab, *nodes: str) -> bool:
    world = lab.running_world()
    return not any(run(lab.engine, world.running(name).id, ["pgrep", "tcpdump"]).stdout for name in nodes)


def test_a_punched_call_is_told_packet_by_packet() -> None:
    done = cli("capture", "--call", "bob", "frank", "--live")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for words in (
        "[first check of bob]", "[first check of frank]", "[first through to ", "[nominated by bob]",
        "[first voice of bob]", "[first voice of frank]", "bob: answered", "punched/udp",
    ):  # fmt: skip
        assert words in done.stdout, words
    voice = [line for line in lines if "home lan" in line and "  RTP " in line]
    assert len(voice) > 100 and all(" → flat wan:" in line and "  as home wan:" in line for line in voice[-50:])
    assert any("flat wan" in line and "  to frank:" in line for line in lines)
    times = [line.split()[0] for line in lines if line[:2].isdecimal()]
    late = sum(later < earlier for earlier, later in itertools.pairwise(times))
    assert late <= len(times) / 100, f"{late} of {len(times)} lines are out of order"


def test_a_filter_by_name_takes_both_sides_of_a_router() -> None:
    done = cli("capture", "--call", "bob", "frank", "--live", "--filter", "udp and host bob")
    assert done.returncode == 0, done.stderr
    voice = [line for line in done.stdout.splitlines() if "  RTP " in line]
    home = [line for line in voice if line.split()[1] == "home"]
    assert len(home) > 200 and all("  as home wan:" in line or "  to bob:" in line for line in home)
    assert "dropped" not in "".join(voice) and "router's own" not in "".join(voice)


def test_a_filter_by_port_calls_nothing_dropped() -> None:
    done = cli("capture", "--call", "bob", "carol", "--live", "--filter", "udp port 33034")
    assert done.returncode == 0, done.stderr
    assert "home lan" in done.stdout and "✗" not in done.stdout and "dropped:" not in done.stdout


@pytest.mark.parametrize("ends", [("bob", "bob"), ("bob", "supernode-1")])
def test_a_file_that_is_there_stays_where_no_such_call_can_be(ends: tuple[str, str], tmp_path: Path) -> None:
    target = tmp_path / "old.pcapng"
    target.write_bytes(former := pcapng.MAGIC + b"of yesterday")
    done = cli("capture", "--call", *ends, "-w", str(target))
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert target.read_bytes() == former


def test_a_former_capture_is_replaced_and_a_file_of_another_kind_is_not(tmp_path: Path) -> None:
    target = tmp_path / "one.pcapng"
    for content, left in ((b"of yesterday", 2), (pcapng.MAGIC + b"of yesterday", 0)):
        target.write_bytes(content)
        done = cli("capture", "core", "--call", "bob", "carol", "-w", str(target))
        assert done.returncode == left, done.stderr
        assert (target.read_bytes() == content) is (left == 2)


@pytest.mark.parametrize("place", ["bob", "supernode-1", "authority", "relay-1"])
def test_any_node_is_captured(place: str, tmp_path: Path) -> None:
    target = tmp_path / "one.pcapng"
    done = cli("capture", place, "--call", "bob", "carol", "-w", str(target))
    assert done.returncode == 0, done.stderr
    assert [block.name for _, block in pcapng.blocks(target.read_bytes()) if isinstance(block, Interface)] == [place]


def test_what_is_neither_udp_nor_tcp_is_told_on_both_sides_of_a_router() -> None:
    with subprocess.Popen(
        [PROGRAM, "run", "home", "--", "ping", "-c", "60", "-i", "0.2", "198.51.100.18"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    ) as pinging:
        with going_on("home-router", "--filter", "icmp") as capture:
            assert capture.stdout is not None
            lines = [capture.stdout.readline() for _ in range(8)]
            capture.send_signal(signal.SIGINT)
            capture.communicate(timeout=20)
        pinging.terminate()
    assert capture.returncode == 130
    assert all("ICMP echo re" in line for line in lines), lines
    assert {"lan", "wan"} == {line.split()[2] for line in lines}, lines


def test_a_firewall_that_drops_is_named() -> None:
    done = cli("capture", "--call", "alice", "dave", "--live", "--filter", "udp and host dave")
    assert done.returncode == 0 and "hotel lan" in done.stdout, done.stderr
    assert "dropped: firewall udp-blocked" in done.stdout


def test_the_file_of_a_call_is_judged_as_the_call(tmp_path: Path) -> None:
    target = tmp_path / "call.pcapng"
    done = cli("capture", "--call", "bob", "frank", "-w", str(target))
    assert done.returncode == 0 and str(target) in done.stdout, done.stderr
    verdict = json.loads(cli("verdict", str(target), "--json").stdout)
    assert (verdict["kind"], verdict["transport"], verdict["caller"]) == ("punched", "udp", "bob")
    told = target.read_bytes()  # comments stand in it as they are
    for moment in ("invite", "ringing", "answer", "first check", "first packet through", "nominated", "first voice"):
        assert moment.encode() in told, moment


@pytest.mark.parametrize(
    ("number", "left"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)],
)
def test_nothing_goes_on_in_the_containers_and_the_file_is_there(
    lab: Lab, tmp_path: Path, number: signal.Signals, left: int
) -> None:
    target = tmp_path / "all.pcapng"
    with going_on("core", "home-router", "-w", str(target)) as capture:
        assert lab.call("bob", "frank", seconds=1).holds("punched/udp")
        os.kill(capture.pid, number)
        capture.communicate(timeout=20)
    assert capture.returncode == left
    names = [block.name for _, block in pcapng.blocks(target.read_bytes()) if isinstance(block, Interface)]
    assert names == ["core", "home lan", "home wan"]
    if number != signal.SIGKILL:  # comments are found in the end
        for moment in ("first check of bob", "first through to bob", "nominated by bob", "first voice of bob"):
            assert moment.encode() in target.read_bytes(), moment
    deadline = time.monotonic() + 10
    while not none_runs(lab, "core", "home-router"):
        assert time.monotonic() < deadline, "captures go on"


def test_a_node_that_is_restarted_is_captured_again(lab: Lab) -> None:
    with going_on("home-router") as capture:
        lab.restart("home-router")
        lab.settle()
        lab.call("bob", "alice", seconds=1)
        capture.send_signal(signal.SIGINT)
        told, said = capture.communicate(timeout=20)
    assert capture.returncode == 130, said
    _, again, after = told.partition("home-router was restarted: its capture has begun again")
    assert again and "home lan" in after


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--filter", "udp prt 5"), "'udp prt 5'"),
        (("--filter", "udp) or (tcp"), "'udp) or (tcp'"),
        (("nobody",), "'nobody'"),
        (("--call", "bob", "nobody"), "'nobody'"),
        (("-w", "/nowhere/at/all.pcapng"), "/nowhere"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_exit_2(words: tuple[str, ...], told: str) -> None:
    done = cli("capture", *words)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1, done
    assert done.stdout == ""


def test_a_full_disk_ends_it() -> None:
    done = cli("capture", "core", "-w", "/dev/full")
    assert done.returncode == 2 and "/dev/full is not whole: No space left on device" in done.stderr
