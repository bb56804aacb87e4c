"""Relays that end hand their calls over, and where none is left a client becomes one: in real containers."""

import json
import time

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange
from lab.harness.status import NodeStatus
from lab.overlay.parting import LEAVING_LIMIT
from tests.outages import through, within

pytestmark = pytest.mark.timeout(300)

PROMOTED_S = 60.0
"""Fifteen seconds without a relay, five for each supernode's turn, and some for who is asked and not fit."""
DEMOTED_S = 75.0
"""Two measurings, each up to fifteen seconds after the one before, of three seconds; by either supernode."""
LATE = 0.05
"""Seconds of voice that may be on their way when a call ends; nothing else may be missed."""


def status(lab: Lab, name: str) -> NodeStatus:
    return next(node for node in lab.status().nodes if node.name == name)


def events(lab: Lab, node: str, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, lab.logs(node)) if line["event"] == event]


@pytest.mark.parametrize("pair", [("carol", "dave"), ("dave", "erin")])
def test_a_relay_that_is_asked_to_end_hands_its_calls_over_first(lab: Lab, pair: tuple[str, str]) -> None:
    took: list[tuple[str, float]] = []

    def stop(relay: str | None) -> None:
        assert relay is not None, f"{pair} talk without a relay"
        begun = time.monotonic()
        lab.stop(relay)
        took.append((relay, time.monotonic() - begun))

    survived = through(lab, pair, stop)
    report, (relay, seconds) = survived.report, took[0]
    assert report.holds(), report
    used = [stretch.via for stretch in report.history]
    assert used[0] == relay and used[-1] not in (None, relay), report
    assert survived.late(LATE) is None
    assert seconds < LEAVING_LIMIT, "it ends when its calls are elsewhere, not when its time is up"
    assert [line["calls"] for line in events(lab, relay, "handed-over")][-1:] == [0]


def test_the_last_relay_serves_its_call_for_as_long_as_it_may(lab: Lab) -> None:
    """The other one is gone; the call has nothing else until that one is back."""

    def stop(relay: str | None) -> None:
        assert relay is not None
        other = {"relay-1": "relay-2", "relay-2": "relay-1"}[relay]
        lab.kill(other)
        time.sleep(2)
        lab.stop(relay)
        lab.start(other)

    survived = through(lab, ("dave", "erin"), stop, 25)
    assert survived.report.error is None and survived.report.connected, survived.report
    assert survived.report.history[-1].agrees, survived.report
    assert survived.late(10.0) is None


def test_without_a_relay_a_client_becomes_one_and_is_a_client_again_when_nobody_reaches_it(lab: Lab) -> None:
    for name in ("supernode-1", "supernode-2"):  # who has had to do with whom is forgotten: such measure nobody
        lab.restart(name)
    lab.settle()
    for name in ("relay-1", "relay-2"):
        lab.kill(name)
    assert within(PROMOTED_S, lambda: status(lab, "alice").promoted == "relay"), lab.status()
    alice = status(lab, "alice")
    assert "knew no relay with room" in str(alice.promoted_because)
    assert {node.name for node in lab.status().nodes if node.promoted} == {"alice"}
    for pair in (("bob", "dave"), ("erin", "carol")):
        report = lab.call(*pair, seconds=3)
        assert report.holds("relayed/mixed"), report
        assert report.path is not None and report.path.via == "alice"
    own = lab.call("alice", "dave", seconds=3)
    assert own.holds("direct/tcp"), own
    for name in ("relay-1", "relay-2"):
        lab.start(name)
    lab.settle()
    after = lab.call("bob", "dave", seconds=3)
    assert after.holds("relayed/mixed"), after
    assert after.path is not None and after.path.via in ("relay-1", "relay-2"), "a user's computer comes last"
    lab.set("park", SiteChange(firewall="inbound-blocked"))
    assert within(DEMOTED_S, lambda: status(lab, "alice").promoted is None), lab.status()
    (demoted,) = events(lab, "alice", "demoted-from")[-1:]
    assert demoted["role"] == "relay"
    assert "signed-out" not in [
        line["event"] for line in map(json.loads, lab.logs("alice")) if float(line["at"]) > float(str(demoted["at"]))
    ]
