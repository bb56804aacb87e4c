"""A hostile supernode in real containers: a call ends with the right party, or fails and says so; nothing else rings.

Each attack is made on calls whose caller, or callee, or both, sit at it. An invite that comes back a minute later, and
one that was held back for half of one, are looked for at the end: these two attacks are the first.
"""

import json
import time
from collections.abc import Callable, Iterator

import pytest

from lab.harness import CallReport, Lab
from lab.runtime.exec import run
from tests.hostile.attacks import ATTACKS, DROPPING, HELD, LATER, LIE
from tests.hostile.judging import CLIENTS, honest

SETTLES_S = 15.0
LAST = ("full",)
"""It leaves nobody at the hostile one."""
calls: dict[str, CallReport] = {}


def told(lab: Lab, what: str) -> None:
    """The hostile supernode's order from now on."""
    world = lab.running_world()
    done = run(lab.engine, world.running("supernode-2").id, ["sh", "-c", f"echo {what} > /tmp/attack"])
    assert done.status == 0, done


def reached(what: Callable[[], bool], seconds: float = SETTLES_S) -> bool:
    """Whether it holds before so many seconds are over; statuses are asked for, which takes its time."""
    until = time.monotonic() + seconds
    while not (holds := what()) and time.monotonic() < until:
        time.sleep(0.2)
    return holds


def homes(lab: Lab) -> dict[str, str | None]:
    return {node.name: node.supernode for node in lab.status().nodes if node.role == "client"}


def said(lab: Lab, client: str, event: str, call: str) -> list[dict[str, object]]:
    lines = map(json.loads, lab.logs(client))
    return [line for line in lines if line["event"] == event and line.get("call") == call]


@pytest.fixture
def lab(running: Lab) -> Iterator[Lab]:
    """Nobody has been told to do anything, and all sit where they go first."""
    yield running
    told(running, "")


def judged(lab: Lab, what: str, caller: str, callee: str) -> CallReport:
    """A call under an attack: it is between these two and the packets agree, or it failed with an honest sentence."""
    report = calls[what] = lab.call(caller, callee, seconds=1, ring_ms=100)
    if report.connected:
        assert report.agrees, report
        assert len(said(lab, callee, "ringing", report.call)) == 1
    else:
        assert report.error and honest(report.error, caller, callee), report.error
    for client in CLIENTS:
        assert not said(lab, client, "key-changed", report.call)
        if client not in (caller, callee):
            assert not said(lab, client, "ringing", report.call), f"{client} rang, whom nobody has called"
    return report


def test_clients_sit_at_both(lab: Lab) -> None:
    assert reached(lambda: homes(lab) == CLIENTS), homes(lab)


@pytest.mark.parametrize("what", [each for each in ATTACKS if each not in LAST])
def test_a_call_reaches_whom_it_is_for_or_fails_and_says_so(lab: Lab, what: str) -> None:
    caller, callee = {"hold": ("gus", "ben"), "false-relays": ("cat", "ben")}.get(what, ("ben", "gus"))
    told(lab, what)
    report = judged(lab, what, caller, callee)
    assert report.connected is (what not in DROPPING or what == "false-location"), report


@pytest.mark.parametrize("what", ["false-location", "stale-location", "other-host"])
def test_who_sits_elsewhere_is_found_or_told(lab: Lab, what: str) -> None:
    told(lab, what)
    judged(lab, f"{what} elsewhere", "cat", "ben")


def test_a_word_of_the_supernodes_own_is_shown_as_its_own(lab: Lab) -> None:
    assert calls["undeliverable"].error == f"supernode-2 says: {LIE}"


def test_a_client_that_is_turned_away_is_soon_elsewhere(lab: Lab) -> None:
    told(lab, "full")
    lab.restart("ben")
    assert reached(lambda: homes(lab)["ben"] == "supernode-1"), homes(lab)
    assert judged(lab, "full", "ben", "cat").connected


@pytest.mark.parametrize(("what", "after", "rings"), [("hold", HELD, 0), ("replay", LATER, 1)])
def test_an_invite_that_comes_late_or_again_does_not_ring(lab: Lab, what: str, after: float, rings: int) -> None:
    report = calls[what]
    caller, callee = {"hold": ("gus", "ben"), "replay": ("ben", "gus")}[what]
    placed = report.evidence.stat().st_mtime
    time.sleep(max(0.0, placed + after + 1 - time.time()))
    assert len(said(lab, callee, "ringing", report.call)) == rings
    dropped = [str(line.get("what")) for line in map(json.loads, lab.logs(callee)) if line["event"] == "trouble"]
    assert any(f"message of {caller} dropped: its invite is" in each for each in dropped), "it never came"
