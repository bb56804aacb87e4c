"""How soon both ends of the reference lab's calls hear each other, and when those that can have left the relay."""

import pytest
from expected import CALLS

from lab.harness import Lab

pytestmark = pytest.mark.timing

ROUND_TRIP_MS = 40
"""Of signalling, from client to supernode to client and back, with 10 ms on each access link; where a call's own, from
dialling to ringing, was longer, that one counts."""
NOISE_MS = 25
"""What scheduling on a busy machine may add."""
NO_UDP = {"dave", "erin"}


@pytest.mark.parametrize(("caller", "callee", "path"), CALLS, ids=[f"{one}-{other}" for one, other, _ in CALLS])
def test_the_answer_is_followed_by_voice_at_both_ends(lab: Lab, caller: str, callee: str, path: str) -> None:
    report = lab.call(caller, callee, seconds=1)
    assert report.holds(path), report
    setup = report.setup_ms
    assert setup.ringing is not None and setup.answered is not None and setup.first_media is not None
    round_trip = max(ROUND_TRIP_MS, setup.ringing)
    assert setup.first_media - setup.answered <= 1.5 * round_trip + 20 + NOISE_MS, report


@pytest.mark.parametrize(("caller", "callee", "path"), CALLS, ids=[f"{one}-{other}" for one, other, _ in CALLS])
def test_who_picks_up_at_once_is_heard_as_soon(lab: Lab, caller: str, callee: str, path: str) -> None:
    report = lab.call(caller, callee, seconds=2, ring_ms=0)
    assert report.holds(path), report
    setup = report.setup_ms
    assert setup.ringing is not None and setup.answered is not None and setup.first_media is not None
    round_trip = max(ROUND_TRIP_MS, setup.ringing)
    assert setup.first_media - setup.answered <= 1.5 * round_trip + 20 + NOISE_MS, report
    if not {caller, callee} & NO_UDP:
        assert setup.first_media <= 2.0 * round_trip + NOISE_MS, report
    if not path.startswith("relayed"):
        left = max((stretch.to_ms for stretch in report.history if stretch.kind == "relayed"), default=0)
        assert left - setup.answered <= 1000, report.history
