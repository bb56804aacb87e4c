"""A hundred clients to whom everything happens, and what their machines told while it did."""

import random
from collections.abc import Callable
from dataclasses import replace

from lab.overlay.actions import Event, Machine
from lab.overlay.member import Membership, SignedIn, SignedOut
from lab.overlay.seat import Joined, Left, TurnedAway
from lab.overlay.supernode import Supernode
from lab.simulation.client import SignallingClient
from lab.simulation.population import Node, Population, Scale, Watcher

Trace = list[tuple[str, Event, float]]


class Recorder(Watcher):
    """Every sign-in and sign-out, at either side: who, what, when."""

    def __init__(self) -> None:
        self.trace: Trace = []

    def told(self, node: Node, event: Event, now: float) -> None:
        if isinstance(event, SignedIn | SignedOut | Joined | Left | TurnedAway):
            self.trace.append((node.name, event, now))


def signalling(membership: Membership) -> Machine:
    """The simulator's client, whose link to its supernode draws no number that anything else might want."""
    client = SignallingClient(membership)
    client.hub.rng = random.Random(membership.identity.name)
    return client


def crowd(
    elide: bool = True, client: Callable[[Membership], Machine] = signalling, clients: int = 100
) -> tuple[Population, Trace]:
    """Five supernodes, of which two are built in; they have little room."""
    recorder = Recorder()
    scale = Scale(clients, dedicated=5, room=clients // 2, breaking=clients)
    return Population(scale, 1, recorder, elide, client), recorder.trace


def started(population: Population, node: Node) -> None:
    """A supernode's links to others draw numbers of their own, whatever its clients make it draw."""
    population.start(node)
    if node.program is not None and isinstance(node.program.machine, Supernode):
        mesh = node.program.machine.mesh
        mesh.membership = replace(mesh.membership, rng=random.Random(node.name))


def a_bad_day(population: Population) -> None:
    """80 seconds: all come, supernodes and clients die with and without a word, are back, and leave for good."""
    network, rng = population.network, random.Random(2)
    first, second, third, *_ = population.supernodes
    for node in population.supernodes:
        started(population, node)
    for node in population.clients:
        network.at(2.0 + rng.uniform(0.0, 8.0), lambda node=node: population.start(node))
    plan = [(20.0, population.vanish, first), (30.3, population.crash, second), (60.7, population.vanish, third)]
    for node in rng.sample(population.clients, len(population.clients) // 3):
        gone = rng.uniform(20.0, 65.0)
        plan += [(gone, rng.choice((population.vanish, population.crash)), node), (gone + 9, population.start, node)]
    for when, do, node in plan:
        network.at(when, lambda do=do, node=node: do(node))
    for when, node in ((45.0, first), (50.0, second), (61.0, third)):
        network.at(when, lambda node=node: started(population, node))
    network.run(80.0)
