"""What two ends say of one call, held against each other."""

from dataclasses import replace

import pytest

from lab.harness.call_report import MediaPath, SetupTimes
from lab.harness.claims import held_too, same_path, setup_times, supports
from lab.harness.events import CallEvent, Claim, Ended

RELAYED = MediaPath("relayed", "udp", "relay-1")
PUNCHED = MediaPath("punched", "udp", None)


def ended(node: str, path: MediaPath | None, *history: Claim) -> Ended:
    return Ended(node, 10.0, True, True, "hangup", path, history, None)


def event(name: str, node: str, at: float) -> CallEvent:
    return CallEvent(name, "c1", node, at)


def test_both_must_name_a_path_and_the_same() -> None:
    assert same_path(ended("a", PUNCHED), ended("b", PUNCHED))
    assert not same_path(ended("a", PUNCHED), ended("b", RELAYED))
    assert not same_path(ended("a", None), ended("b", None))
    assert not same_path(ended("a", RELAYED), ended("b", replace(RELAYED, via="relay-2")))


def test_ends_may_move_at_slightly_different_times() -> None:
    callee = [Claim(0.0, 2.2, RELAYED), Claim(2.2, 5.0, PUNCHED)]
    assert supports(Claim(0.1, 2.0, RELAYED), callee)
    assert supports(Claim(2.0, 5.0, PUNCHED), callee)


def test_a_stretch_that_the_other_end_does_not_tell_is_not_supported() -> None:
    assert not supports(Claim(0.0, 5.0, RELAYED), [Claim(0.0, 2.0, RELAYED), Claim(2.0, 5.0, PUNCHED)])
    assert not supports(Claim(0.0, 5.0, RELAYED), [])
    assert not supports(Claim(0.0, 5.0, RELAYED), [Claim(6.0, 9.0, RELAYED)])


def test_a_short_stretch_needs_one_like_it_nearby() -> None:
    assert supports(Claim(1.0, 1.1, RELAYED), [Claim(1.2, 1.25, RELAYED), Claim(1.25, 5.0, PUNCHED)])
    assert not supports(Claim(1.0, 1.1, RELAYED), [Claim(1.0, 5.0, PUNCHED)])


@pytest.mark.parametrize(
    ("seconds", "flight", "supported"), [(0.009, 0.0, True), (0.03, 0.0, False), (0.03, 0.04, True), (0.1, 0.04, False)]
)
def test_a_stretch_that_was_over_before_a_word_of_it_was_there_needs_none(
    seconds: float, flight: float, supported: bool
) -> None:
    callee = [Claim(0.0, 5.0, RELAYED)]
    assert supports(Claim(2.0, 2.0 + seconds, PUNCHED), callee, flight) is supported


def test_what_nothing_passed_in_is_not_compared() -> None:
    """One end leaves a dead path for another that is dead as yet; the other follows when that one carries."""
    caller = Claim(4.2, 5.0, RELAYED)
    callee = [Claim(0.5, 4.8, PUNCHED), Claim(4.8, 4.98, RELAYED), Claim(4.98, 11.0, PUNCHED)]
    assert not supports(caller, callee, 0.02)
    assert supports(caller, callee, 0.02, [(0.5, 2.0), (4.76, 11.0)])
    assert not supports(caller, callee, 0.02, [(0.5, 4.6), (4.76, 11.0)]), "voice passed while they named two paths"
    assert not supports(Claim(1.0, 9.0, RELAYED), callee, 0.02, [(0.5, 2.0), (4.76, 11.0)])


def test_a_short_stretch_in_which_nothing_passed_is_not_compared() -> None:
    """Seen where a router had got a new outer address: all that one end knew was dead, and it tried a relay's leg, dead
    as well, for 89 ms, until the new connection to the peer was there; the other end never left what it had."""
    caller, callee = Claim(4.650, 4.739, RELAYED), [Claim(0.5, 11.0, PUNCHED)]
    assert supports(caller, callee, 0.02, [(0.5, 3.1), (4.739, 11.0)])
    assert not supports(caller, callee, 0.02, [(0.5, 3.1), (4.73, 11.0)]), "voice passed while they named two paths"
    assert not supports(caller, callee, 0.02, [(0.5, 4.66), (4.76, 11.0)])


def test_times_count_from_the_dial_and_are_those_of_the_worse_end() -> None:
    events = [
        event("dialled", "bob", 100.0),
        event("ringing", "carol", 100.005),
        event("ringing", "bob", 100.011),
        event("answered", "carol", 100.511),
        event("answered", "bob", 100.520),
        event("first-media", "bob", 100.530),
        event("first-media", "carol", 100.538),
        event("first-media", "carol", 103.0),
    ]
    reports = [
        ended("bob", PUNCHED, Claim(100.6, 105.0, PUNCHED)),
        ended("carol", PUNCHED, Claim(100.7, 105.0, PUNCHED)),
    ]
    assert setup_times("bob", events, reports) == SetupTimes(11, 511, 538, 700)


def test_a_hold_is_no_move_to_a_better_path() -> None:
    events = [event("dialled", "bob", 100.0), event("first-media", "bob", 100.5), event("first-media", "carol", 100.5)]
    history = [Claim(100.6, 101.0, RELAYED), Claim(101.0, 103.0, PUNCHED), Claim(163.0, 165.0, PUNCHED)]
    assert setup_times("bob", events, [ended("bob", PUNCHED, *history)]).best_path == 1000


def test_both_ends_are_on_hold_but_for_a_word_that_takes_its_time() -> None:
    assert held_too((5.0, 65.0), [(2.0, 4.0), (5.1, 65.6)])
    assert held_too((5.0, 65.0), [(6.2, 66.2)], flight=0.5)
    assert not held_too((5.0, 65.0), [(5.0, 60.0)])
    assert not held_too((5.0, 65.0), [])


def test_the_best_path_is_not_before_the_first_voice() -> None:
    events = [event("dialled", "bob", 1.0), event("first-media", "bob", 1.5), event("first-media", "carol", 1.6)]
    assert setup_times("bob", events, [ended("bob", PUNCHED, Claim(1.4, 5.0, PUNCHED))]).best_path == 600


def test_what_did_not_happen_has_no_time() -> None:
    assert setup_times("bob", [], []) == SetupTimes(None, None, None, None)
    one_sided = [event("dialled", "bob", 1.0), event("answered", "bob", 1.2), event("first-media", "bob", 1.5)]
    assert setup_times("bob", one_sided, []) == SetupTimes(None, None, None, None)
