"""The documented commands on a running lab, good requests and bad ones."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from typed import PROGRAM, ROOT, cli

from lab.harness import Lab
from lab.runtime.exec import run

KEYS = {
    "call", "caller", "callee", "connected", "error", "path", "observed", "agrees", "history", "holds", "setup_ms",
    "media",
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("lab")


def test_a_call_is_one_document_with_every_key() -> None:
    done = cli("call", "alice", "bob", "--seconds", "1", "--expect", "direct/udp", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.keys() >= KEYS
    assert report["observed"].keys() == {"kind", "transport", "via", "packets"}
    assert report["setup_ms"].keys() == {"ringing", "answered", "first_media", "best_path"}
    assert 500 <= report["setup_ms"]["answered"] < 1500
    media = {"sent", "received", "lost", "jitter_ms", "rtt_ms", "mouth_to_ear_ms", "mos"}
    assert report["media"]["alice"].keys() == media and report["media"]["bob"].keys() == media
    folder = ROOT / ".lab" / "calls" / report["call"]
    assert json.loads((folder / "report.json").read_text()) == report
    timeline = [json.loads(line) for line in (folder / "timeline.jsonl").read_text().splitlines()]
    assert [line["at"] for line in timeline] == sorted(line["at"] for line in timeline)
    assert {"alice", "bob"} <= {line["node"] for line in timeline}
    assert {"core.pcap", "park-router.pcap", "home-router.pcap", "relay-1.pcap"} <= {
        file.name for file in folder.iterdir()
    }


def test_the_phone_rings_as_long_as_asked() -> None:
    report = json.loads(cli("call", "bob", "alice", "--seconds", "1", "--ring", "0", "--json").stdout)
    assert report["setup_ms"]["answered"] < 500


def test_a_path_other_than_expected_is_exit_1() -> None:
    done = cli("call", "bob", "frank", "--seconds", "1", "--expect", "relayed/tcp")
    assert done.returncode == 1 and "expected relayed/tcp" in done.stdout


def test_status_shows_every_node_and_where_each_client_sits() -> None:
    nodes = {node["name"]: node for node in json.loads(cli("status", "--json").stdout)["nodes"]}
    assert all(node["state"] == "ready" for node in nodes.values()), nodes
    clients = [node for node in nodes.values() if node["role"] == "client"]
    assert {node["name"] for node in clients} == {"alice", "bob", "carol", "dave", "erin", "frank"}
    assert all(node["supernode"] in ("supernode-1", "supernode-2") and node["promoted"] is None for node in clients)
    assert (nodes["erin"]["site"], nodes["erin"]["profile"], nodes["erin"]["firewall"]) == (
        "bank",
        "symmetric",
        "tcp-443",
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("call", "alice", "nobody"), "'nobody'"),
        (("call", "alice", "supernode-1"), "supernode-1"),
        (("call", "alice", "alice"), "cannot call itself"),
        (("call", "alice", "bob", "--expect", "tunnelled/udp"), "tunnelled/udp"),
        (("kill", "nobody"), "'nobody'"),
        (("logs", "nobody"), "'nobody'"),
        (("up", "compose/nowhere.yml"), "compose/nowhere.yml"),
    ],
)
def test_a_bad_request_is_one_sentence_and_exit_2(words: tuple[str, ...], told: str) -> None:
    done = cli(*words)
    assert done.returncode == 2 and told in done.stderr, done
    assert done.stderr.count("\n") == 1 and done.stdout == ""


def test_a_topology_that_makes_no_sense_leaves_the_lab_as_it_is(lab: Lab, tmp_path: Path) -> None:
    before = lab.running_world()
    wrong = (ROOT / "compose" / "reference.yml").read_text().replace("lab.profile: symmetric", "lab.profile: sieve", 1)
    (tmp_path / "wrong.yml").write_text(wrong)
    for beside in ("base.yml", ".env"):
        (tmp_path / beside).write_text((ROOT / "compose" / beside).read_text())
    done = cli("up", str(tmp_path / "wrong.yml"))
    assert done.returncode == 2 and "sieve" in done.stderr, done
    assert lab.running_world() == before


def test_a_second_up_changes_nothing_and_takes_seconds(lab: Lab) -> None:
    before = lab.running_world()
    began = time.monotonic()
    assert cli("up").returncode == 0
    assert time.monotonic() - began < 20
    assert lab.running_world() == before


def test_a_shell_runs_what_it_is_told(lab: Lab) -> None:
    done = cli("shell", "bob", stdin="hostname; exit 7\n")
    assert (done.returncode, done.stdout.strip()) == (7, "bob")
    done = cli("shell", "bob", "--", "sh", "-c", "hostname; exit 7")
    assert (done.returncode, done.stdout.strip()) == (7, "bob")


def test_a_router_tells_what_it_remembers(lab: Lab) -> None:
    assert lab.call("bob", "frank", seconds=1).holds("punched/udp")
    found = json.loads(cli("nat", "home", "--json").stdout)
    flows = [(one["protocol"], flow) for one in found["mappings"] for flow in one["flows"]]
    assert any(flow["remote"].startswith("flat wan:") and flow["state"] == "two-way" for _, flow in flows), flows
    assert any(protocol == "tcp" and flow["remote"].startswith("supernode-") for protocol, flow in flows), flows
    assert {one["inner"].partition(":")[0] for one in found["mappings"]} == {"bob"}


def test_a_report_has_the_call_that_was_just_placed(lab: Lab, tmp_path: Path) -> None:
    placed = lab.call("bob", "frank", seconds=1)
    done = cli("report", str(tmp_path / "report"))
    assert done.returncode == 0 and "index.html" in done.stdout, done
    assert [one.name for one in (tmp_path / "report").glob("*.html")] == ["index.html"]
    assert f'id="of-{placed.call}"' in (tmp_path / "report" / "index.html").read_text()
    assert (tmp_path / "report" / "captures" / f"{placed.call}.pcapng").stat().st_size > 10_000


@pytest.mark.timeout(240)
def test_a_tour_is_given_of_five_calls_that_all_go_well() -> None:
    done = cli("tour", timeout=200)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert [f"{number} of 5  " in done.stdout for number in range(1, 6)] == [True] * 5
    for words in (  # lines of packets that were told while they passed, whole
        " bob → supernode-",
        "a check gets through: to frank:",
        "checks this way: as office wan:",
        "hotel-router drops it, udp-blocked",
        "first voice arrives: ",
    ):
        assert words in done.stdout, words
    assert "told after the call" not in done.stdout and "told from here on" not in done.stdout
    assert "the packets that matter, ms after dialling" not in done.stdout, "what was told is not told again"
    assert "that is all of it" in done.stdout
    assert "was expected" not in done.stdout and "should not have" not in done.stdout


def captures_running(lab: Lab) -> bool:
    world = lab.running_world()
    return any(run(lab.engine, world.running(name).id, ["pgrep", "tcpdump"]).stdout for name in ("core", "relay-1"))


@pytest.mark.parametrize(("number", "left"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_call_hangs_up_on_both_sides_and_ends_its_captures(
    lab: Lab, number: signal.Signals, left: int
) -> None:
    events = lab.logs("bob", follow=True, since=time.time())
    call = subprocess.Popen(
        # started in the background of a shell, the tests themselves ignore SIGINT, and so would what they start
        ["env", "--default-signal=INT", PROGRAM, "call", "alice", "bob", "--seconds", "60"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    for line in events:
        said = json.loads(line)["event"]
        if said == "first-media":
            os.kill(call.pid, number)
        if said == "ended":
            break
    _, told = call.communicate(timeout=20)
    assert call.returncode == left
    if number != signal.SIGKILL:
        folder = Path(told.decode().split(" is in ")[1].strip())
        assert json.loads((folder / "report.json").read_text())["error"] == "interrupted"
    deadline = time.monotonic() + 10
    while captures_running(lab):
        assert time.monotonic() < deadline, "captures go on after the call"


@pytest.mark.parametrize(("number", "left"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_tour_hangs_up_and_ends_the_captures_of_both_kinds(
    lab: Lab, number: signal.Signals, left: int
) -> None:
    tour = subprocess.Popen(
        ["env", "--default-signal=INT", PROGRAM, "tour", "direct"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tour.stdout is not None
    assert any(" ms  bob → " in line for line in tour.stdout), "a line is there while the call goes on"
    os.kill(tour.pid, number)
    _, told = tour.communicate(timeout=30)
    assert tour.returncode == left and told.lstrip().startswith("lab: interrupted"), told
    deadline = time.monotonic() + 10
    while captures_running(lab):
        assert time.monotonic() < deadline, "captures go on after the tour"
    assert lab.call("bob", "alice", seconds=1).holds("direct/udp")


def test_calls_go_on_after_faults(lab: Lab) -> None:
    assert cli("kill", "bob").returncode == 0
    offline = cli("call", "alice", "bob", "--seconds", "1")
    assert offline.returncode == 2 and "lab start bob" in offline.stderr
    states = {node.name: node.state for node in lab.status().nodes}
    assert states["bob"] == "stopped" and states["alice"] == "ready"
    assert cli("start", "bob").returncode == 0
    assert lab.call("alice", "bob", seconds=1).holds("direct/udp")


def test_clients_move_to_the_other_supernode_when_theirs_dies(lab: Lab) -> None:
    lab.kill("supernode-1")
    try:
        lab.settle(30)
        assert {node.supernode for node in lab.status().nodes if node.role == "client"} == {"supernode-2"}
        assert lab.call("bob", "frank", seconds=1).holds("punched/udp")
    finally:
        lab.start("supernode-1")


def test_a_site_calls_again_after_its_router_was_away(lab: Lab) -> None:
    events = lab.logs("bob", follow=True, since=time.time())
    lab.kill("home-router")
    try:
        assert any(json.loads(line)["event"] == "signed-out" for line in events)
    finally:
        lab.start("home-router")
    lab.settle()
    assert lab.call("bob", "alice", seconds=1).holds("direct/udp")
