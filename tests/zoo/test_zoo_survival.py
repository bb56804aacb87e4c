"""Voice that goes by a relay alone, or by TCP, through what happens to its network: back as soon as any other."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange
from tests.outages import FOUND, Survived, outer_of, own_of, through

ZOO = Path(__file__).parents[2] / "compose" / "zoo.yml"
DWELL = 3.0
"""Seconds for which a cable is out."""
pytestmark = pytest.mark.timeout(240)

PAIRS = {
    "a relay by UDP": ("symmetric-1", "symmetric-2", "udp-blocked", "relayed/udp", "relayed/mixed"),
    "a relay by TCP": ("udp-blocked-2", "tcp-443-1", "tls-only", "relayed/tcp", "relayed/tcp"),
    "TCP between the two": ("udp-blocked-1", "open-1", "tcp-443", "direct/tcp", "direct/tcp"),
}
"""The caller's site, to which it happens, and the callee's; a stricter firewall; paths before and behind that."""


def pull(lab: Lab, client: str) -> None:
    """The cable is out for a while."""
    lab.unplug(client)
    time.sleep(DWELL)  # the outage itself
    lab.plug(client)


EVENTS: dict[str, tuple[Callable[[Lab, str, str], object], Callable[[Survived, str], float]]] = {
    "router restarted": (
        lambda lab, site, firewall: lab.restart(f"{site}-router"),
        lambda survived, site: survived.cut(outer_of(survived, site)),
    ),
    "a new outer address": (lambda lab, site, firewall: lab.renew(site), lambda survived, site: 0.0),
    "a stricter firewall": (
        lambda lab, site, firewall: lab.set(site, SiteChange(firewall=firewall)),
        lambda survived, site: 0.0,
    ),
    "cable out": (
        lambda lab, site, firewall: pull(lab, f"{site}-pc"),
        lambda survived, site: survived.cut(own_of(survived, f"{site}-pc")),
    ),
}
"""What is done, and for how long the network did not forward meanwhile."""


@pytest.fixture
def undone(lab: Lab) -> Iterator[Lab]:
    """The zoo, and again as its file says afterwards."""
    yield lab
    lab.up(ZOO, print)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("what", EVENTS)
def test_voice_without_a_second_way_is_back_soon(undone: Lab, what: str, pair: str) -> None:
    act, cut = EVENTS[what]
    site, other, firewall, before, behind = PAIRS[pair]
    survived = through(undone, (f"{site}-pc", f"{other}-pc"), lambda relay: act(undone, site, firewall), 10)
    report = survived.report
    assert report.holds(behind if what == "a stricter firewall" else before), report
    assert f"{report.history[0].kind}/{report.history[0].transport}" == before, report.history
    assert survived.late(FOUND, cut(survived, site)) is None
