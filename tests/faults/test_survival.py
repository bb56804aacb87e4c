"""What happens to a network in mid-call ends no call: voice is back soon after the network forwards again.

Each case is placed for real and judged from packets; what it lost is counted in frames of 20 ms.
"""

import json
import time
from collections.abc import Callable

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange
from tests.outages import FOUND, STANDBY, outer_of, own_of, through

pytestmark = pytest.mark.timeout(240)

DWELL = 3.0
"""Seconds for which a cable is out."""
LOSS = 0.3
NO_PATH = 30.0
"""Seconds without any path after which a call is over, and not before."""
KNOWN = 3.5
"""Seconds for the ends to be sure that the last path is gone: checks of it go unanswered for so long."""

CASES: dict[str, tuple[tuple[str, str], Callable[[Lab], object], float, str]] = {
    "mappings lost": (("bob", "frank"), lambda lab: lab.forget("home"), STANDBY, "punched/udp"),
    "a new outer address": (("bob", "frank"), lambda lab: lab.renew("home"), FOUND, "punched/udp"),
    "a new outer address at the callee's": (("alice", "frank"), lambda lab: lab.renew("flat"), FOUND, "direct/udp"),
    "a new outer address, TCP alone": (("dave", "erin"), lambda lab: lab.renew("hotel"), FOUND, "relayed/tcp"),
    "UDP blocked": (
        ("bob", "alice"),
        lambda lab: lab.set("home", SiteChange(firewall="udp-blocked")),
        FOUND,
        "direct/tcp",
    ),
    "all but 443 blocked": (
        ("dave", "erin"),
        lambda lab: lab.set("hotel", SiteChange(firewall="tls-only")),
        FOUND,
        "relayed/tcp",
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
    assert survived.report.holds(best), survived.report
    assert survived.late(bound) is None


@pytest.mark.parametrize(
    ("pair", "site", "bound", "best"),
    [
        (("bob", "frank"), "home", STANDBY, "punched/udp"),
        (("dave", "erin"), "hotel", FOUND, "relayed/tcp"),
    ],
)
def test_voice_is_back_soon_after_a_router_was_restarted(
    lab: Lab, pair: tuple[str, str], site: str, bound: float, best: str
) -> None:
    survived = through(lab, pair, lambda relay: lab.restart(f"{site}-router"))
    assert survived.report.holds(best), survived.report
    assert survived.late(bound, survived.cut(outer_of(survived, site))) is None


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
    assert survived.late(STANDBY) is None


@pytest.mark.parametrize("dwell", [0.0, DWELL])
def test_a_cable_pulled_and_put_back_ends_no_call(lab: Lab, dwell: float) -> None:
    def pull(relay: str | None) -> None:
        lab.unplug("bob")
        time.sleep(dwell)  # the outage itself
        lab.plug("bob")

    survived = through(lab, ("bob", "frank"), pull)
    assert survived.report.holds("punched/udp"), survived.report
    cut = survived.cut(own_of(survived, "bob"))
    assert cut >= dwell and survived.late(FOUND, cut) is None


@pytest.mark.parametrize(("site", "path"), [("park", "direct/udp"), ("bank", "relayed/mixed")])
def test_a_caller_that_goes_to_another_site_goes_on_talking(lab: Lab, site: str, path: str) -> None:
    survived = through(lab, ("bob", "frank"), lambda relay: lab.move("bob", site))
    assert survived.report.holds(path), survived.report
    assert survived.late(FOUND, survived.cut(own_of(survived, "bob"))) is None


def test_without_any_supernode_a_call_goes_on_and_ends_as_calls_do(lab: Lab) -> None:
    survived = through(
        lab, ("bob", "frank"), lambda relay: [lab.kill(name) for name in ("supernode-1", "supernode-2")], 8
    )
    assert survived.report.holds("punched/udp"), survived.report
    assert survived.late(0.1) is None


def test_a_path_that_loses_a_third_is_left_for_a_clean_one(lab: Lab) -> None:
    """Nothing is said of loss before it has been measured for two seconds; then the clean path is taken."""
    survived = through(
        lab,
        ("bob", "frank"),
        lambda relay: lab.set("home", SiteChange(link={"loss": f"{LOSS:.0%}"}, toward="flat")),
        10,
    )
    report = survived.report
    assert report.holds(), report
    assert report.path is not None and report.path.kind == "relayed", report
    assert survived.left() - survived.done <= FOUND, report.history
    assert survived.missed("frank") <= LOSS * FOUND + 0.4, report.media  # four standard deviations: 22 frames
    assert survived.missed("bob") <= 0.1, report.media


def test_a_call_without_any_path_ends_after_half_a_minute_and_says_so_on_both_sides(lab: Lab) -> None:
    survived = through(lab, ("bob", "frank"), lambda relay: lab.unplug("bob"), 60)
    report = survived.report
    assert report.connected and "no path to" in str(report.error), report
    lines = (report.evidence / "timeline.jsonl").read_text().splitlines()
    ended = {line["node"]: line for line in map(json.loads, lines) if line["event"] == "ended"}
    assert ended.keys() == {"bob", "frank"}
    for name, peer in (("bob", "frank"), ("frank", "bob")):
        assert f"no path to {peer} works" in ended[name]["reason"]
        assert NO_PATH <= ended[name]["at"] - survived.begun <= survived.done - survived.begun + NO_PATH + KNOWN
