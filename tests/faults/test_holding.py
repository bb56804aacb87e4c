"""A call on hold for longer than its routers keep what nobody uses goes on at once, on the path of before."""

import pytest

from lab.harness import Lab
from lab.harness.changing import SiteChange
from tests.outages import within

pytestmark = pytest.mark.timeout(240)

UDP_TIMEOUT = 15
UDP, TCP = f"udp-timeout={UDP_TIMEOUT}", "tcp-timeout=4"
"""TCP's is learnt from the first connections that break of it: before the call, of those that wait at a relay."""
LEARNT, LEARNT_S = 3.5, 60.0
"""Seconds between two uses of a connection at the most, once it is learnt, and for that: it begins with ten, and half
of what broke is five, which breaks as well."""
HOLD = (2.0, 2.0 + UDP_TIMEOUT + 5)
TALK = 5.0
AT_ONCE_MS = 300
"""From the end of the hold to the first voice: a round trip, and what a busy machine takes."""
FEW = 5
"""Frames of 20 ms that may be missing: what a busy machine loses in as many seconds of talk without a hold."""


def keepalive(lab: Lab, name: str) -> float:
    """Seconds for which a client leaves a TCP connection alone."""
    return next(node.tcp_keepalive_s or 0.0 for node in lab.status().nodes if node.name == name)


@pytest.mark.parametrize(
    ("caller", "callee", "sites", "path"),
    [
        ("bob", "frank", {"home": UDP, "flat": UDP}, "punched/udp"),
        ("carol", "dave", {"office": UDP}, "relayed/mixed"),
        ("dave", "erin", {}, "relayed/tcp"),
        ("dave", "erin", {"hotel": TCP, "bank": TCP}, "relayed/tcp"),
    ],
)
def test_voice_is_back_at_once_on_the_path_of_before(
    lab: Lab, caller: str, callee: str, sites: dict[str, str], path: str
) -> None:
    for site, axes in sites.items():
        lab.set(site, SiteChange(axes=axes))
    lab.settle()
    short = [name for name, site in ((caller, "hotel"), (callee, "bank")) if sites.get(site) == TCP]
    assert within(LEARNT_S, lambda: all(keepalive(lab, name) <= LEARNT for name in short)), lab.status()
    report = lab.call(caller, callee, seconds=TALK, holds=[HOLD])
    assert report.holds(path), report
    (held,) = report.on_hold
    assert held.agrees and held.to_ms - held.from_ms == pytest.approx(1000 * (HOLD[1] - HOLD[0]), abs=200)
    before, after = (
        [one for one in report.history if one.to_ms <= held.from_ms],
        [one for one in report.history if one.from_ms >= held.to_ms - 1],
    )
    assert len(before) + len(after) == len(report.history), "voice on hold"
    assert [(one.kind, one.transport, one.via) for one in after] == [
        (before[-1].kind, before[-1].transport, before[-1].via)
    ]
    assert after[0].from_ms - held.to_ms <= AT_ONCE_MS
    for name, peer in ((caller, callee), (callee, caller)):
        media = report.media[name]
        assert report.media[peer].sent - media.received <= FEW and media.lost <= FEW, report
        assert media.sent == pytest.approx(TALK * 50, abs=AT_ONCE_MS / 20 + FEW), "frames of a hold were counted"
