"""A checklist is finished when nothing better can come of it; each side knows of the other's."""

import pytest

from lab.overlay.call import Call
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_paths_in_memory import place


def calls(net: FakeNet, id: str, *names: str) -> list[Call]:
    return [net.hosts[name].machine.calls[id] for name in names]


@pytest.mark.parametrize(
    ("caller", "callee"), [("bob", "frank"), ("alice", "dave"), ("dave", "alice"), ("bob", "erin")]
)
def test_both_sides_know_when_both_are_finished(net: FakeNet, caller: str, callee: str) -> None:
    id = place(net, caller, callee)
    both = calls(net, id, caller, callee)
    assert net.run(8, until=lambda: all(call.checklist.both_finished() for call in both))


def test_a_side_that_has_finished_waits_for_the_other(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    id = place(net, "bob", "frank")
    bob, frank = (call.checklist for call in calls(net, id, "bob", "frank"))
    searching = True
    honest = frank._is_finished
    monkeypatch.setattr(frank, "_is_finished", lambda now: not searching and honest(now))
    net.run(5)
    assert bob.finished and not bob.both_finished()
    searching = False
    net.run(1.5)
    assert bob.both_finished() and frank.both_finished()
