"""The stories, for small crowds: they heal, they are the same each time, and without what heals them they do not."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from lab.simulation import STORIES, Outcome, Stage, Story, simulate, stories
from lab.simulation.measuring import Measures
from lab.simulation.population import Population, Scale
from lab.simulation.simulating import Simulation


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour of churn in which everybody comes and goes at twelve times the pace."""
    monkeypatch.setattr(stories, "CHURN_SPAN", 1800.0)
    monkeypatch.setattr(stories, "SUPERNODE_SESSION", stories.SUPERNODE_SESSION / 12)
    monkeypatch.setattr(stories, "CLIENT_SESSION", stories.CLIENT_SESSION / 12)


def told(story: Story, scale: Scale, seed: int = 1) -> Outcome:
    measures = Measures()
    return Simulation(story, Population(scale, seed, measures), measures).run()


@pytest.mark.parametrize("name", sorted(STORIES))
def test_a_crowd_heals(name: str) -> None:
    stages: list[Stage] = []
    found = simulate(STORIES[name], 60, 1, stages.append)
    assert found.healed
    assert found.time_to_heal_s is not None and found.time_to_heal_s < 200
    assert found.lookup_hops.found >= 0.98 * found.lookup_hops.asked > 200
    assert found.lookup_hops.most is not None and found.lookup_hops.most <= 2, "one hop, and one more for who has moved"
    assert found.lost.count + found.arrived.count > 12
    assert [stage.now for stage in stages] == sorted(stage.now for stage in stages)
    assert stages[-1].inside == stages[-1].up > 40


def test_one_seed_is_one_course_and_another_is_another() -> None:
    one, same, other = (simulate(STORIES["outage-2010"], 40, seed) for seed in (1, 1, 2))
    assert one == same
    assert one.moments != other.moments


def test_supernodes_that_let_in_whoever_comes_fall_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What felled Skype in 2010: those that are left get more than they bear, and shut down."""
    monkeypatch.setattr("lab.simulation.simulating.HEAL_LIMIT", 30.0)
    monkeypatch.setattr(stories, "RESTART", (5.0, 60.0))
    bearing = replace(Scale.of(160), dedicated=2, breaking=30)  # twenty each while all are up
    guarded = told(STORIES["outage-2010"], replace(bearing, room=25))
    assert (guarded.healed, guarded.overloaded) == (True, 0)
    assert guarded.load_per_supernode.most <= 25
    found = told(STORIES["outage-2010"], replace(bearing, room=None))
    assert found.healed is False
    assert found.overloaded >= 2


def test_dedicated_supernodes_are_the_floor() -> None:
    for story in STORIES.values():
        population = Population(Scale.of(40), 1, Measures())
        for node in (*population.supernodes, *population.clients):
            population.start(node)
        over = story.strike(population, 1.0, random.Random(1))
        gone: Counter[bool] = Counter()
        while population.network.now < over:
            population.network.run(population.network.now + 10.0)
            gone.update(node.dedicated for node in population.supernodes if not node.up)
        assert gone[False] and not gone[True], story.name


def test_a_fifth_of_the_clients_crash_in_2010_and_nine_in_ten_restart_in_2007() -> None:
    for name, part in (("outage-2010", 0.2), ("outage-2007", 0.9)):
        found = simulate(STORIES[name], 50, 1)
        assert found.arrived.count == round(part * 50)


def test_rates_and_traffic_are_those_of_the_story_alone() -> None:
    """All sign in within a minute before it; with nothing after that, nobody does, and heartbeats are the traffic."""
    nothing = Story("nothing", "nothing happens", lambda population, now, rng: now + 600.0, lookup_every=1e9)
    found = told(nothing, Scale.of(40))
    assert found.healed and found.peak_login_rate == 0 and found.time_to_heal_s == 0.0
    heartbeat = 21 + 15 + 2 * 74  # bytes of both words, and what is around them
    assert found.bytes_per_client_hour == pytest.approx(3600 * heartbeat, rel=0.01)
    assert sum(found.loads) == 40
