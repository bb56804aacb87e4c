"""Both families at work: which calls use IPv6, who meets at the relay, and clients that move from one to the other."""

import json
import time
from collections.abc import Iterator

import pytest
from typed import ROOT

from lab.harness import Lab
from lab.harness.changing import SiteChange
from tests.outages import FOUND, own_of, through

CALLS = {
    ("dora", "sid"): "direct/udp",  # IPv6: a stateful firewall translates nothing
    ("sid", "dora"): "direct/udp",
    ("nina", "dora"): "direct/udp",  # one end's prefix is translated, the other's is its own
    ("sid", "nina"): "direct/udp",
    ("dora", "fred"): "punched/udp",  # IPv4, which is all that they share
    ("fred", "nina"): "punched/udp",
    ("sid", "fred"): "relayed/udp",  # no family in common
    ("fred", "sid"): "relayed/udp",
}
OVER_IPV6 = {("dora", "sid"), ("sid", "dora"), ("nina", "dora"), ("sid", "nina")}
SOON = 1.0
"""Seconds from when the order has returned."""


@pytest.fixture(scope="module")
def families(lab: Lab) -> Iterator[Lab]:
    """compose/families.yml; the reference lab is back afterwards."""
    lab.up(ROOT / "compose" / "families.yml")
    yield lab
    lab.up(ROOT / "compose" / "reference.yml")


@pytest.mark.parametrize(("caller", "callee"), CALLS, ids=["-".join(pair) for pair in CALLS])
def test_a_call_takes_ipv6_where_both_have_it(families: Lab, caller: str, callee: str) -> None:
    report = families.call(caller, callee, seconds=2)
    assert report.holds(CALLS[caller, callee]), report
    log = (families.checkout.call_folder(report.call) / f"{caller}.log").read_text().splitlines()
    checks = [line for line in map(json.loads, log) if line["event"] == "check" and line["state"] == "valid"]
    (between,) = {":".join(c["remote"].split(":")[:-1]) for c in checks if CALLS[caller, callee] in c["tried"]}
    via_ipv6 = ":" in between
    assert via_ipv6 == ((caller, callee) in OVER_IPV6 or (CALLS[caller, callee] == "relayed/udp" and caller == "sid"))


def test_a_site_that_the_file_gives_no_link_has_one_once_it_is_asked_for(families: Lab) -> None:
    families.set("dual", SiteChange(link={"delay": "60ms"}))
    families.restart("core")
    families.settle()
    slow, fast = families.call("dora", "sid", seconds=2), families.call("sid", "nina", seconds=2)
    families.up(ROOT / "compose" / "families.yml")
    assert slow.holds("direct/udp"), slow
    assert slow.media["dora"].rtt_ms == pytest.approx(120, rel=0.2)
    assert fast.holds("direct/udp"), fast
    assert fast.media["sid"].rtt_ms is not None and fast.media["sid"].rtt_ms < 20
    links = {node.name: node.link for node in families.status().nodes if node.link}
    assert all(link["up"] == "" for link in links.values()), "`lab up` has taken it away"


def signed_in_after(lab: Lab, node: str, order: float) -> float:
    """Epoch seconds of the node's first word, at or after `order`, that it sits at a supernode again."""
    for text in lab.logs(node, follow=True, since=order):
        line = json.loads(text)
        if line["event"] == "signed-in" and line["at"] >= order:
            return float(line["at"])
    raise AssertionError(f"{node} stopped before it signed in")


def test_an_unplugged_client_is_back_within_a_second(families: Lab) -> None:
    assert families.unplug("sid")
    begun = time.time()
    assert families.plug("sid")
    plugged = time.time()
    assert signed_in_after(families, "sid", begun) - plugged < SOON


def test_a_client_that_moves_follows_its_address_from_family_to_family(families: Lab) -> None:
    for site, path in (("six", "direct/udp"), ("four", "relayed/udp")):
        begun = time.time()
        families.move("fred", site)
        moved = time.time()
        assert signed_in_after(families, "fred", begun) - moved < SOON
        report = families.call("sid", "fred", seconds=2)
        assert report.holds(path), report


def test_a_client_of_a_network_of_ipv6_alone_goes_to_others_and_comes_back(families: Lab) -> None:
    for site, path in (("four", "direct/udp"), ("dual", "direct/udp"), ("six", "direct/udp")):
        begun = time.time()
        families.move("sid", site)
        moved = time.time()
        assert signed_in_after(families, "sid", begun) - moved < SOON
        if site == "four":
            families.unplug("sid")
            families.plug("sid")
            families.restart("sid")
            families.settle()
        report = families.call("sid", "fred" if site == "four" else "nina", seconds=2)  # fred is on that LAN
        assert report.holds(path), report


@pytest.mark.parametrize(("site", "path"), [("six", "direct/udp"), ("four", "punched/udp")])
def test_a_call_goes_on_when_a_client_comes_to_a_network_of_the_other_family(
    families: Lab, site: str, path: str
) -> None:
    """From IPv4 to a network with IPv6 alone, and back; its peer has both."""
    survived = through(families, ("dora", "fred"), lambda relay: families.move("fred", site), 8)
    assert survived.report.holds(path), survived.report
    assert survived.late(FOUND, survived.cut(own_of(survived, "fred"))) is None
