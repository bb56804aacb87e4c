"""What is left out of a quiet link could not be told from what is not."""

from collections import Counter
from dataclasses import replace

import pytest

from lab.overlay.actions import Event
from lab.overlay.carrying import Carried
from lab.overlay.hub import HEARTBEAT
from lab.overlay.member import SignedIn, SignedOut
from lab.overlay.promoting import FoundFit
from lab.overlay.seat import Left, ToldToWait
from lab.overlay.supernode import Supernode
from lab.simulation import STORIES
from lab.simulation.measuring import Measures
from lab.simulation.network import DETOUR
from lab.simulation.population import Node, Population, Scale
from lab.simulation.simulating import Simulation
from tests.unit.simulation.crowd import Trace, a_bad_day, crowd


def told(trace: Trace) -> list[tuple[str, str, float]]:
    """In an order that does not depend on which of two things at one moment came first."""
    return sorted((name, str(event), round(at, 6)) for name, event, at in trace)


@pytest.mark.slow
def test_the_traces_of_a_hundred_clients_are_the_same_with_and_without_pings() -> None:
    quiet, short = crowd(elide=True)
    loud, long = crowd(elide=False)
    a_bad_day(quiet)
    a_bad_day(loud)
    kinds = Counter(type(event) for _, event, _ in short)
    assert kinds[SignedIn] > 150 and kinds[SignedOut] > 60 and kinds[Left] > 30, (
        "the day was too quiet to show anything"
    )
    assert any("nothing heard" in str(event) for _, event, _ in short), "nobody died in silence"
    assert any("silent" in str(event) for _, event, _ in short)
    assert told(short) == told(long)
    assert quiet.network.happened < loud.network.happened / 4, "and it is worth it"


def test_what_is_left_out_counts_as_traffic() -> None:
    quiet, _ = crowd(elide=True, clients=12)
    loud, _ = crowd(elide=False, clients=12)
    for population in (quiet, loud):
        a_bad_day(population)
    assert quiet.heartbeats is not None
    quiet.heartbeats.sum_up(quiet.network.now)
    quiet.heartbeats.sum_up(quiet.network.now)
    for some, others in ((quiet.clients, loud.clients), (quiet.supernodes, loud.supernodes)):
        sums = [sum(node.bytes for node in nodes) for nodes in (some, others)]
        assert sums[0] == pytest.approx(sums[1], rel=0.01)


def test_a_silent_death_is_noticed_when_it_would_be() -> None:
    """2.5 s after the last answer, which came one heartbeat before the first ping that was not answered."""
    population, trace = crowd(clients=12)
    for node in (*population.supernodes, *population.clients):
        population.start(node)
    population.network.run(20.25)
    before = {name: at for name, event, at in trace if isinstance(event, SignedIn)}
    victim = max(population.supernodes, key=lambda node: len(machine(node).clients))
    sat = set(machine(victim).clients)
    population.vanish(victim)
    population.network.run(30.0)
    noticed = {name: at for name, event, at in trace if isinstance(event, SignedOut)}
    assert set(noticed) == sat
    for name, at in noticed.items():
        pings = (before[name] + number * HEARTBEAT for number in range(1, 30))
        delay = (
            next(node.host.delay for node in population.clients if node.name == name)
            + victim.host.delay
            + 33033 % 97 * DETOUR
        )
        last = max(ping for ping in pings if ping + delay <= 20.25)
        assert at == pytest.approx(last + 2 * delay + 2.5, abs=1e-6)


@pytest.mark.parametrize("ways", [0.5, 1.5, 2.5])
def test_what_is_on_its_way_when_a_supernode_dies_still_comes(ways: float) -> None:
    """A ping on its way to it is lost; an answer on its way from it is heard, as one is that has come."""
    population, trace = crowd(clients=40)
    client = population.clients[0]
    for node in (*population.supernodes, client):
        population.start(node)
    population.network.run(10.0)
    (came,) = [at for _, event, at in trace if isinstance(event, SignedIn)]
    victim = next(node for node in population.supernodes if machine(node).clients)
    delay = client.host.delay + victim.host.delay + 33033 % 97 * DETOUR
    ping = came + 15 * HEARTBEAT
    population.network.at(ping + ways * delay, lambda: population.vanish(victim))
    population.network.run(30.0)
    (noticed,) = [at for _, event, at in trace if isinstance(event, SignedOut)]
    last = ping if ways > 1 else ping - HEARTBEAT
    assert noticed == pytest.approx(last + 2 * delay + 2.5, abs=1e-6)


def machine(node: Node) -> Supernode:
    found = node.program and node.program.machine
    assert isinstance(found, Supernode)
    return found


class Everything(Measures):
    """All that any machine tells."""

    def __init__(self) -> None:
        super().__init__()
        self.trace: Trace = []

    def told(self, node: Node, event: Event, now: float) -> None:
        super().told(node, event, now)
        self.trace.append((node.name, event, now))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["outage-2007", "outage-2010"])
def test_a_story_of_a_hundred_clients_is_the_same_with_and_without_pings(name: str) -> None:
    """Every word of every machine, with promotions and lines, which a bad day at five supernodes does not have."""
    outcomes, traces = [], []
    for elide in (True, False):
        measures = Everything()
        population = Population(Scale.of(100), 1, measures, elide)
        outcomes.append(Simulation(STORIES[name], population, measures).run())
        traces.append(measures.trace)
    kinds = Counter(type(event) for _, event, _ in traces[0])
    assert kinds[ToldToWait] > 50 and kinds[FoundFit] > 5 and kinds[Carried] > 200
    assert told(traces[0]) == told(traces[1])
    quiet, loud = (replace(each, events=0, heartbeats=0, bytes_per_client_hour=0, traffic=()) for each in outcomes)
    assert quiet == loud
    assert outcomes[0].bytes_per_client_hour == pytest.approx(outcomes[1].bytes_per_client_hour, rel=0.001)
    assert outcomes[0].events < outcomes[1].events / 4
