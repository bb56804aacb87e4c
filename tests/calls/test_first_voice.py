"""How soon both ends of the reference lab's calls hear each other, and when those that can have left the relay."""

import pytest
from expected import CALLS
from typed import ROOT

from lab.harness import Lab
from lab.topology import parse
from tests.theory import expected, side

pytestmark = pytest.mark.timing

ROUND_TRIP_MS = 40
"""Of signalling, from a client by its supernode to another and back: four times a link of 10 ms, as certified."""
NO_UDP = {"dave", "erin"}
OFF_THE_RELAY_MS = 1000
"""After the answer, where no port has to be guessed."""
_WORLD = parse(ROOT / "compose" / "reference.yml")
_SIDES = {client.name: side(_WORLD, client) for client in _WORLD.clients()}
GUESSED = {(one, other) for one, other, _ in CALLS if expected(_SIDES[one], _SIDES[other]).search is not None}
IDS = [f"{one}-{other}" for one, other, _ in CALLS]


@pytest.mark.parametrize(("caller", "callee", "path"), CALLS, ids=IDS)
def test_the_answer_is_followed_by_voice_at_both_ends(lab: Lab, caller: str, callee: str, path: str) -> None:
    report = lab.call(caller, callee, seconds=1)
    assert report.holds(path), report
    took = report.setup_ms.first_voice
    assert took is not None and took <= 1.5 * ROUND_TRIP_MS + 20, report.setup_ms


@pytest.mark.parametrize(("caller", "callee", "path"), CALLS, ids=IDS)
def test_who_picks_up_at_once_is_heard_as_soon(lab: Lab, caller: str, callee: str, path: str) -> None:
    """Since dialling it takes two round trips, as long each as this call's own from dialling to ringing: the words of
    the first one are signed and checked, and of two of 40 ms nothing would be left to do that in."""
    report = lab.call(caller, callee, seconds=2, ring_ms=0)
    assert report.holds(path), report
    setup = report.setup_ms
    assert setup.ringing is not None and setup.answered is not None and setup.first_media is not None
    assert setup.first_media - setup.answered <= 1.5 * ROUND_TRIP_MS + 20, setup
    assert setup.ringing <= ROUND_TRIP_MS + 40, "one round trip of this network, and four programs that sign and check"
    if not {caller, callee} & NO_UDP:
        assert setup.first_media <= 2.0 * setup.ringing, setup
    if not path.startswith("relayed") and (caller, callee) not in GUESSED:
        left = max((stretch.to_ms for stretch in report.history if stretch.kind == "relayed"), default=0)
        assert left - setup.answered <= OFF_THE_RELAY_MS, report.history
