"""Checks are paced, and what has never been checked is checked in the order of RFC 8445's priorities."""

from collections import defaultdict
from itertools import pairwise

import pytest

from lab.overlay import priority
from lab.overlay.checks import Checks
from lab.overlay.paths import Path
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

TA = 0.02
"""Seconds between two checks: no less than RFC 8445, 14.2 lets the timer of a paced agent be for RTP."""


@pytest.mark.parametrize(
    ("kind", "host", "wanted"),
    [
        # RFC 8445, 5.1.2.1: type preference * 2^24 + local preference * 2^8 + (256 - component)
        ("host", "192.168.32.10", 126 * 16_777_216 + 65_534 * 256 + 255),
        ("host", "2001:db8::10", 126 * 16_777_216 + 65_535 * 256 + 255),
        ("server-reflexive", "203.0.113.32", 100 * 16_777_216 + 65_534 * 256 + 255),
        ("relayed", "203.0.113.21", 65_534 * 256 + 255),
    ],
)
def test_a_candidate_has_the_priority_of_the_rfc(kind: str, host: str, wanted: int) -> None:
    assert priority.candidate(kind, host) == wanted < 2**31


@pytest.mark.parametrize(
    ("controlling", "controlled", "wanted"),
    [(3, 5, 3 * 4_294_967_296 + 10), (5, 3, 3 * 4_294_967_296 + 11), (4, 4, 4 * 4_294_967_296 + 8)],
)
def test_a_pair_has_the_priority_of_the_rfc(controlling: int, controlled: int, wanted: int) -> None:
    """RFC 8445, 6.1.2.3: 2^32 * min + 2 * max + (1 where the controlling one's is greater)."""
    assert priority.pair(controlling, controlled) == wanted


def test_checks_keep_their_distance_and_the_likeliest_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    net = FakeNet(delay=0.04)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("bob", "192.168.32.10", Router("203.0.113.32"), ("2001:db8:0:32::10", None))
    net.client("frank", "192.168.33.10", Router("203.0.113.33"), ("2001:db8:0:33::10", None))
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in ("bob", "frank")))
    net.run(3)
    sent: defaultdict[int, list[float]] = defaultdict(list)
    firsts: defaultdict[tuple[int, float], list[int]] = defaultdict(list)
    request = Checks.request

    def spied(self: Checks, path: Path, nominate: bool, word: object, now: float) -> bytes:
        sent[id(self)].append(now)
        if not path.tries:
            firsts[id(self), path.next_check].append(path.priority)
        return request(self, path, nominate, word, now)  # type: ignore[arg-type]

    monkeypatch.setattr(Checks, "request", spied)
    place(net, "bob", "frank", ring=1.0)
    net.run(1)
    assert len(sent) == 2 and all(len(times) > 10 for times in sent.values()), "both ends have checked"
    closest = min(later - earlier for times in sent.values() for earlier, later in pairwise(times))
    assert closest >= TA - 1e-9
    together = [found for found in firsts.values() if len(found) > 2]
    assert together, "some that were learnt at once"
    assert all(found == sorted(found, reverse=True) for found in together), together
    assert all(len(set(found)) > 1 for found in together)
