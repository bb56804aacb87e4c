"""Half of the supernodes go, then all but one, then everything restarts: who waits how long, and whose call goes on."""

import math
from dataclasses import replace

import pytest

from lab.overlay.call_events import Answered, Ended, Moved
from lab.overlay.member import SignedIn, SignedOut
from lab.overlay.paths import PathName
from lab.simulation import STORIES, Outcome, Story
from lab.simulation.measuring import ORDINARY, QUEUE, Blow, Measures, Talk
from lab.simulation.population import ROOM, Population, Scale
from lab.simulation.simulating import Simulation
from lab.simulation.stories import outage_cascade
from tests.unit.simulation.test_measuring import a_day, node

CASCADE = STORIES["outage-cascade"]


def told(story: Story, clients: int, seed: int = 1) -> Outcome:
    measures = Measures()
    return Simulation(story, Population(Scale.of(clients).in_proportion(), seed, measures), measures).run()


@pytest.mark.slow
def test_after_supernodes_go_all_are_in_in_time_no_call_ends_and_no_supernode_lets_in_more_than_it_says() -> None:
    found = told(CASCADE, 100)
    half, last, restart = found.blows
    assert half.kept and last.kept and restart.kept and found.healed
    assert half.survivors > 2 and half.limit_s == ORDINARY and half.longest_away_s <= ORDINARY
    assert last.survivors == 1 and last.waiting > 60
    assert last.limit_s == pytest.approx(QUEUE * last.waiting / found.login_limit_per_s, abs=0.01)
    assert ORDINARY < last.all_in_s <= last.limit_s, "there was a queue, and it was gone in time"
    assert restart.survivors == found.dedicated and restart.waiting == 100
    assert (found.calls.placed, found.calls.running, found.calls.ended) == (10, 10, 0)
    assert found.calls.longest_silence_s == 0.0
    assert found.peak_login_rate_per_s <= found.login_limit_per_s == 100 * 12 / ROOM


@pytest.mark.slow
@pytest.mark.parametrize(("clients", "seed"), [(100, 4), (100, 6), (300, 3)])
def test_whatever_the_seed_all_are_in_in_time_and_few_more_are_supernodes_than_have_to_be(
    clients: int, seed: int
) -> None:
    """Without calls, which cost most of the time and no login."""
    found = told(replace(CASCADE, calls=0), clients, seed)
    assert found.healed, found.broken
    assert found.supernodes <= 1.3 * math.ceil(clients / (found.load_per_supernode.room or ROOM))


@pytest.mark.slow
def test_a_call_that_ends_is_a_promise_that_is_not_kept() -> None:
    def hangs_up(population: Population, now: float, rng: object) -> float:
        talker = min(population.talkers, key=lambda node: node.name)
        population.network.at(now + 5.0, lambda: population.crash(talker))
        return now + 60.0

    found = told(replace(CASCADE, strike=hangs_up), 20)
    assert found.calls.ended == 1 and not found.healed
    assert "no path" in found.broken[0]


def test_a_supernode_that_lets_in_more_than_it_says_is_a_promise_that_is_not_kept() -> None:
    measures = Measures()
    simulation = Simulation(STORIES["outage-2007"], Population(Scale.of(60), 1, measures), measures)
    measures.login_limit = 3.0
    found = simulation.run()
    assert found.peak_login_rate_per_s > 3 and not found.healed
    assert found.broken == (
        f"a supernode let {found.peak_login_rate_per_s} clients in within a second, more than its 3",
    )


def test_the_crowds_supernodes_are_those_of_every_story_and_a_small_crowds_are_slower() -> None:
    assert Scale.of(10_000).in_proportion().login_limit == Scale.of(10_000).login_limit == 100
    assert Scale.of(100).login_limit == 100
    assert Scale.of(100).in_proportion().login_limit == 3.0
    assert CASCADE.strike is outage_cascade


@pytest.mark.parametrize(
    ("survivors", "waiting", "longest", "all_in", "kept"),
    [
        (10, 500, 9.9, 12.0, True),
        (10, 500, 10.1, 10.2, False),
        (1, 1000, 14.9, 14.9, True),
        (1, 1000, 12.0, 15.1, False),
    ],
)
def test_nobody_is_away_for_ten_seconds_unless_turns_take_longer(
    survivors: int, waiting: int, longest: float, all_in: float, kept: bool
) -> None:
    blow = Blow("a blow", 100.0, survivors, waiting, 100.0, longest_s=longest, all_in_s=all_in)
    assert blow.kept is kept


def test_who_is_away_because_of_a_blow_counts_for_that_one_even_when_the_next_has_fallen() -> None:
    measures, hub, client = a_day()
    measures.struck("first", 1, 1, 100.0)
    measures.ended(hub, 100.0)
    measures.told(client, SignedOut(hub.name, "nothing heard"), 102.0)
    measures.struck("second", 1, 1, 140.0)
    measures.told(client, SignedIn("supernode-2", 33033), 150.0)
    first, second = measures.blows
    assert (first.away, first.longest_s, first.all_in_s, first.kept) == (1, 48.0, 50.0, False)
    assert (second.away, second.kept) == (0, True)


def test_a_call_is_silent_from_the_loss_of_its_path_until_there_is_another_and_what_ends_is_remembered() -> None:
    measures = Measures(since=100.0)
    talk = measures.calls["call-1"] = Talk()
    one, other = node("client-1"), node("client-2")
    path = PathName("direct", "udp", None)
    for end in (one, other):
        measures.told(end, Answered("call-1", b"", b""), 60.0)
    assert measures.running() == [talk]
    for lost, again in ((80.0, 90.0), (101.0, 103.5)):
        measures.told(one, Moved("call-1", None), lost)
        measures.told(one, Moved("call-1", path), again)
    assert talk.silence == 2.5, "what was before the blow is none of its doing"
    measures.told(other, Ended("call-1", "no path", True), 120.0)
    assert measures.running() == [] and talk.ended == "client-2: no path"
