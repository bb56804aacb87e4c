"""What happens to a network in mid-call ends no call: voice is back soon after the network forwards again.

Each case is placed for real and judged from packets; what it lost is counted in frames of 20 ms. The command's own time
is allowed for: while a router restarts nothing passes.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lab.harness import Lab
from lab.harness.call_report import CallReport
from lab.harness.changing import SiteChange
from lab.harness.events import CallEvent

pytestmark = pytest.mark.timeout(240)

FRAMES_A_SECOND = 50
STANDBY, FOUND = 1.0, 3.0
"""Seconds within which voice is back: where another path stands, and where one must be found."""
NOISE = 0.3
"""Seconds for a busy machine: the clients' own clocks and the pace of the engine's orders."""


@dataclass
class Survived:
    """A call, what was done to it, and for how long that took."""

    report: CallReport
    took: float

    def missing(self, name: str, peer: str) -> int:
        media = self.report.media
        return media[peer].sent - media[name].received


@dataclass
class _Talking:
    """Set once both ends have talked for a second, or the call is over."""

    begun: threading.Event = field(default_factory=threading.Event)
    heard: set[str] = field(default_factory=set)
    relay: str | None = None

    def __call__(self, event: CallEvent) -> None:
        if event.event == "progress":
            self.heard.add(event.node)
            self.relay = event.path.via if event.path else None
        if len(self.heard) == 2 or event.event == "ended":
            self.begun.set()


def through(lab: Lab, pair: tuple[str, str], act: Callable[[str | None], object], seconds: float = 12) -> Survived:
    """Places a call, does something once it talks, by the relay that it goes through, and waits for the report."""
    reports: list[CallReport] = []
    talking = _Talking()
    caller = threading.Thread(
        target=lambda: reports.append(Lab(lab.checkout.root).call(*pair, seconds=seconds, follow=talking))
    )
    caller.start()
    try:
        assert talking.begun.wait(20), f"{pair} never talked"
        started = time.monotonic()
        act(talking.relay)
        took = time.monotonic() - started
    finally:
        caller.join(60)
    return Survived(reports[0], took)


CASES: dict[str, tuple[tuple[str, str], Callable[[Lab], object], float, str]] = {
    "mappings lost": (("bob", "frank"), lambda lab: lab.forget("home"), STANDBY, "punched/udp"),
    "router restarted": (("bob", "frank"), lambda lab: lab.restart("home-router"), STANDBY, "punched/udp"),
    "a new outer address": (("bob", "frank"), lambda lab: lab.renew("home"), FOUND, "punched/udp"),
    "a new outer address at the callee's": (("alice", "frank"), lambda lab: lab.renew("flat"), FOUND, "direct/udp"),
    "UDP blocked": (
        ("bob", "alice"),
        lambda lab: lab.set("home", SiteChange(firewall="udp-blocked")),
        FOUND,
        "direct/tcp",
    ),
    "a symmetric router": (
        ("bob", "dave"),
        lambda lab: lab.set("home", SiteChange(profile="symmetric")),
        STANDBY,
        "relayed/mixed",
    ),
}


@pytest.mark.parametrize("what", CASES)
def test_voice_is_back_soon(lab: Lab, what: str) -> None:
    pair, act, bound, best = CASES[what]
    survived = through(lab, pair, lambda relay: act(lab))
    report = survived.report
    assert report.holds(best), report
    for name, peer in (pair, pair[::-1]):
        assert survived.missing(name, peer) <= (survived.took + bound + NOISE) * FRAMES_A_SECOND, report


@pytest.mark.parametrize("pair", [("carol", "dave"), ("dave", "erin")])
def test_a_killed_relay_is_replaced_by_the_other(lab: Lab, pair: tuple[str, str]) -> None:
    killed: list[str] = []

    def kill(relay: str | None) -> None:
        assert relay is not None, f"{pair} talk without a relay"
        killed.append(relay)
        lab.kill(relay)

    survived = through(lab, pair, kill)
    report = survived.report
    assert report.holds(), report
    used = [stretch.via for stretch in report.history]
    assert used[0] == killed[0] and used[-1] not in (None, killed[0]), report
    for name, peer in (pair, pair[::-1]):
        assert survived.missing(name, peer) <= (survived.took + STANDBY + NOISE) * FRAMES_A_SECOND, report


def test_a_cable_pulled_and_put_back_ends_no_call(lab: Lab) -> None:
    def pull(relay: str | None) -> None:
        lab.unplug("bob")
        lab.plug("bob")

    survived = through(lab, ("bob", "frank"), pull)
    assert survived.report.holds("punched/udp"), survived.report
    for pair in (("bob", "frank"), ("frank", "bob")):
        assert survived.missing(*pair) <= (survived.took + FOUND + NOISE) * FRAMES_A_SECOND, survived.report


@pytest.mark.parametrize(("site", "path"), [("park", "direct/udp"), ("bank", "relayed/mixed")])
def test_a_caller_that_goes_to_another_site_goes_on_talking(lab: Lab, site: str, path: str) -> None:
    survived = through(lab, ("bob", "frank"), lambda relay: lab.move("bob", site))
    assert survived.report.holds(path), survived.report
    for pair in (("bob", "frank"), ("frank", "bob")):
        assert survived.missing(*pair) <= (survived.took + FOUND + NOISE) * FRAMES_A_SECOND, survived.report


def test_without_any_supernode_a_call_goes_on_and_ends_as_calls_do(lab: Lab) -> None:
    survived = through(
        lab, ("bob", "frank"), lambda relay: [lab.kill(name) for name in ("supernode-1", "supernode-2")], 8
    )
    assert survived.report.holds("punched/udp"), survived.report
    for pair in (("bob", "frank"), ("frank", "bob")):
        assert survived.missing(*pair) <= 5, survived.report


def test_a_path_that_loses_a_third_is_left_for_a_clean_one(lab: Lab) -> None:
    survived = through(
        lab,
        ("bob", "frank"),
        lambda relay: lab.set("home", SiteChange(link={"loss": "30%"}, toward="flat")),
        10,
    )
    report = survived.report
    assert report.holds(), report
    assert report.path is not None and report.path.kind == "relayed", report


def test_a_supernode_that_is_asked_to_end_hands_its_clients_over_first(lab: Lab) -> None:
    at = {node.name: node.supernode for node in lab.status().nodes if node.role == "client"}
    leaving = max(set(at.values()) - {None}, key=list(at.values()).count)
    since = time.time()
    survived = through(lab, ("bob", "frank"), lambda relay: lab.stop(str(leaving)), 4)
    assert survived.report.holds("punched/udp"), survived.report
    for node in lab.status().nodes:
        if node.role == "client":
            assert node.supernode not in (None, leaving), node
            lines = [line for line in map(json.loads, lab.logs(node.name)) if float(line["at"]) > since]
            assert "signed-out" not in [line["event"] for line in lines], "it has moved before the link broke"
