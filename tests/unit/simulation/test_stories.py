"""The stories, for small crowds: they heal, they are the same each time, and without what heals them they do not."""

from dataclasses import replace
from functools import cache

import pytest

from lab.overlay.actions import Event
from lab.overlay.member import SignedIn, SignedOut
from lab.overlay.promoting import RECHECK
from lab.overlay.seat import Left
from lab.simulation import STORIES, Outcome, Stage, Story, simulate, stories
from lab.simulation.measuring import Measures
from lab.simulation.population import WALL, Node, Population, Scale
from lab.simulation.simulating import Simulation
from lab.wire.messages import Location, Moved
from tests.unit.simulation.crowd import Recorder

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half an hour of churn in which everybody comes and goes at twelve times the pace."""
    monkeypatch.setattr(stories, "CHURN_SPAN", 1800.0)
    monkeypatch.setattr(stories, "SUPERNODE_SESSION", stories.SUPERNODE_SESSION / 12)
    monkeypatch.setattr(stories, "CLIENT_SESSION", stories.CLIENT_SESSION / 12)


def told(story: Story, scale: Scale, seed: int = 1) -> Outcome:
    measures = Measures()
    return Simulation(story, Population(scale, seed, measures), measures).run()


class Gone(Measures):
    """Counts who is switched off, and what it was; and the supernodes that there were just before."""

    def __init__(self) -> None:
        super().__init__()
        self.dedicated = self.promoted = self.others = self.hubs_at_first = 0
        self.hubs: set[Node] = set()

    def told(self, node: Node, event: Event, now: float) -> None:
        super().told(node, event, now)
        if node.promoted or node.dedicated:
            self.hubs.add(node)
        else:
            self.hubs.discard(node)

    def ended(self, node: Node, now: float) -> None:
        super().ended(node, now)
        self.hubs_at_first = self.hubs_at_first or len(self.hubs)
        self.dedicated += node.dedicated
        self.promoted += not node.dedicated and node in self.hubs
        self.others += node not in self.hubs
        self.hubs.discard(node)


@cache
def course(name: str) -> tuple[Outcome, Gone, list[Stage]]:
    """A story for sixty clients, once for all tests."""
    stages: list[Stage] = []
    gone = Gone()
    return Simulation(STORIES[name], Population(Scale.of(60), 1, gone), gone, stages.append).run(), gone, stages


@pytest.mark.parametrize("name", sorted(STORIES.keys() - {"outage-cascade"}))  # that one is test_cascade.py's
def test_a_crowd_heals(name: str) -> None:
    found, _, stages = course(name)
    assert found.healed
    assert found.time_to_heal_s is not None and found.time_to_heal_s < 200
    assert found.lookup_hops.found >= 0.98 * found.lookup_hops.asked > 200
    assert found.lookup_hops.most is not None and found.lookup_hops.most <= 2, "one hop, and one more for who has moved"
    assert found.lost.count + found.arrived.count > 12
    assert [stage.now for stage in stages] == sorted(stage.now for stage in stages)
    assert stages[-1].inside == stages[-1].up > 30, "in churn one in three or four is switched off"


def test_a_client_that_another_supernode_let_in_just_when_it_gave_up_there_keeps_its_old_link_for_two_seconds() -> None:
    recorder = Recorder()
    population = Population(Scale(clients=1, dedicated=2, room=None, breaking=9), 1, recorder)
    (client,), network = population.clients, population.network
    for node in (*population.supernodes, client):
        population.start(node)
    network.run(20.0)
    old, new = sorted(population.supernodes, key=lambda node: client.name not in _clients(node))
    assert old.hub is not None and old.program is not None and client.identity.credential is not None
    at = WALL + network.now
    key = bytes(range(32))
    elsewhere = Location(client.identity.credential, new.name, at, key, client.identity.locate(new.name, at, key))
    old.hub.peer_says(old.hub.peers[new.name], Moved(elsewhere), network.now)
    network.settle(old.program)
    network.run(21.8)
    assert not _clients(old), "what is for it is not carried there any more"
    assert [type(event) for name, event, _ in recorder.trace if name == client.name] == [SignedIn]
    network.run(30.0)
    assert [type(event) for name, event, _ in recorder.trace if name == client.name] == [SignedIn, SignedOut, SignedIn]
    assert [event.reason for _, event, _ in recorder.trace if isinstance(event, Left)] == ["signed in elsewhere"]


def _clients(node: Node) -> list[str]:
    return list(node.hub.clients) if node.hub is not None else []


def test_one_seed_is_one_course_and_another_is_another() -> None:
    one, (same, *_) = simulate(STORIES["outage-2010"], 60, 1), course("outage-2010")
    assert one == same
    other = simulate(STORIES["outage-2010"], 60, 2)
    assert one.moments != other.moments


def test_supernodes_that_let_in_whoever_comes_fall_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What felled Skype in 2010: those that are left get more than they bear, and shut down."""
    monkeypatch.setattr("lab.simulation.simulating.HEAL_LIMIT", 30.0)
    monkeypatch.setattr(stories, "RESTART", (5.0, 60.0))
    bearing = replace(Scale.of(80), dedicated=2, breaking=18)
    guarded = told(STORIES["outage-2010"], replace(bearing, room=15))
    assert (guarded.healed, guarded.overloaded) == (True, 0)
    assert guarded.load_per_supernode.most <= 15
    found = told(STORIES["outage-2010"], replace(bearing, room=None))
    assert found.healed is False
    assert found.overloaded >= 2


@pytest.mark.parametrize("name", sorted(STORIES.keys() - {"outage-cascade"}))  # that one is test_cascade.py's
def test_dedicated_supernodes_are_the_floor_and_clients_that_became_some_are_struck(name: str) -> None:
    _, gone, _ = course(name)
    assert gone.promoted and not gone.dedicated


@pytest.mark.parametrize(("name", "part", "hubs_part"), [("outage-2010", 0.2, 0.3), ("outage-2007", 0.9, 0.4)])
def test_a_fifth_of_the_clients_crash_in_2010_and_nine_in_ten_restart_in_2007(
    name: str, part: float, hubs_part: float
) -> None:
    """Of those that are no supernodes; and a share of all supernodes, but only of those that are not dedicated."""
    found, gone, _ = course(name)
    promoted = gone.hubs_at_first - found.dedicated
    assert promoted >= 2
    assert gone.promoted == min(promoted, int(hubs_part * gone.hubs_at_first))
    assert gone.others == round(part * (60 - promoted))


def test_rates_and_traffic_are_those_of_the_story_alone() -> None:
    """All sign in within a minute before it; with nothing after that, nobody does. The traffic is heartbeats, and what
    one of two measurings of those that were promoted costs the stranger that does it."""
    nothing = Story("nothing", "nothing happens", lambda population, now, rng: now + 600.0, lookup_every=1e9)
    found = told(nothing, Scale.of(40))
    assert found.healed and found.peak_login_rate_per_s == 0 and found.time_to_heal_s == 0.0
    heartbeat = 15 + 15 + 2 * 74  # bytes of a Ping and a Pong, and what is around them
    measurings = found.supernodes / 2 * 3600 / (0.75 * RECHECK) / 40
    measuring = found.bytes_per_client_hour - 3600 * heartbeat
    assert 0 < measuring <= measurings * 3_000, "a TLS handshake and a datagram, to and fro"
    assert sum(found.loads) == 40
