"""Every ordered pair of the reference lab takes the path that theory says, and clients and packets agree on it."""

import pytest
from expected import CALLS

from lab.harness import Lab

SECONDS = 3
FRAMES = SECONDS * 50


@pytest.mark.parametrize(("caller", "callee", "path"), CALLS, ids=[f"{one}-{other}" for one, other, _ in CALLS])
def test_a_call_takes_its_path(lab: Lab, caller: str, callee: str, path: str) -> None:
    report = lab.call(caller, callee, seconds=SECONDS)
    assert report.error is None and report.connected, report
    assert report.agrees, report.disagreements
    assert report.observed is not None and report.path is not None
    assert f"{report.observed.kind}/{report.observed.transport}" == path, report
    assert (report.observed.via is not None) == (report.observed.kind == "relayed")
    assert all(stretch.agrees for stretch in report.history), report.history
    for name in (caller, callee):
        media = report.media[name]
        assert media.received >= 0.95 * FRAMES, f"{name} heard {media.received} of {FRAMES} frames"
        assert media.mos is not None and media.mos > 3.5, media
    setup = report.setup_ms
    assert setup.answered is not None and setup.first_media is not None
    assert 0 <= setup.first_media - setup.answered < 1000, setup
    assert report.dropped_by_captures == {}
