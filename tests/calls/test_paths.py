"""Every ordered pair of the reference lab takes the path that theory says, and clients and packets agree on it."""

import pytest
from expected import CALLS, SITES

from lab.testing.calls import Calls

SECONDS = 3
FRAMES = SECONDS * 50


@pytest.mark.parametrize(("caller", "callee", "path"), CALLS, ids=[f"{one}-{other}" for one, other, _ in CALLS])
def test_a_call_takes_its_path(call: Calls, caller: str, callee: str, path: str) -> None:
    call(caller, callee, seconds=SECONDS)
    assert call.path == path
    report = call.report
    assert report.observed is not None and report.path is not None
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
    witnesses = {witness.name: witness for witness in report.witnesses}
    assert {name for name, witness in witnesses.items() if witness.agrees} >= {"packets", caller, callee}
    carried = [report.observed.via] if report.observed.via else []
    passed = [f"{site}-router" for site, name in SITES.items() if name in (caller, callee)]
    told = {name: witnesses[name] for name in (*carried, *passed)}
    again = "dialled again"  # a router loses what it has counted of a connection that ended, where an end does so
    assert all(one.agrees is True or ("tcp" in path and again in one.said) for one in told.values()), told
