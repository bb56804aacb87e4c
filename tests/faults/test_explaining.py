"""Why a call took its path, where the network has been made worse: the call's log has what ruled the better out."""

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange

pytestmark = pytest.mark.timeout(240)


def test_udp_that_is_too_narrow_for_a_voice_is_why_tcp_was_taken(lab: Lab) -> None:
    lab.set("home", SiteChange(firewall="udp-throttled"))
    lab.restart("bob")  # who comes to a network tries it
    lab.settle()
    lab.find_out()
    try:
        report = lab.call("bob", "frank", seconds=4)
    finally:
        lab.set("home", SiteChange(firewall="none"))
        lab.restart("bob")
    assert report.holds("punched/tcp"), report
    found = lab.explain(report.call)
    (better,) = [rung for rung in found.rungs if rung.path == "punched/udp"]
    assert better.verdict == "ruled out", better
    assert "carry no voice" in better.reason, better
    assert {(one.node, one.kind) for one in found.candidates} >= {("bob", "relayed"), ("frank", "relayed")}


def test_the_ports_that_were_predicted_stand_among_the_candidates(lab: Lab) -> None:
    lab.set("office", SiteChange(profile="symmetric-sequential"))
    lab.settle()
    lab.find_out()
    report = lab.call("carol", "frank", seconds=2)
    assert report.holds("punched/udp"), report
    kinds = {(one.node, one.kind, one.transport) for one in lab.explain(report.call).candidates}
    assert kinds >= {("carol", "predicted", "udp"), ("carol", "peer-reflexive", "udp")}, kinds
