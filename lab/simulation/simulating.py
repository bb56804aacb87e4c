"""One story from beginning to end: all sign in, the blow falls, and it is watched until all are in again.

Belongs here: the order of things, and the verdict. Never: what happens in a story, or how it looks.
"""

import gc
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.overlay.identity import MOST_REMEMBERED, remembering
from lab.simulation.client import AskingClient
from lab.simulation.measuring import LOOKUP_LIMIT, Measures, Talk
from lab.simulation.outcome import Outcome
from lab.simulation.population import Node, Population, Scale
from lab.simulation.stories import Story

SIGN_INS = 10_000
SIGN_IN_WINDOW = 60.0
"""Seconds within which so many clients, or fewer, are switched on at first, before the story; more take longer."""
SIGN_IN_LIMIT = 1_800.0
"""Seconds after which the story begins even if not all are in."""
REST = 40.0
"""Seconds of quiet before the blow, and for the supernodes before the first client comes."""
HOLD = 30.0
"""Seconds for which all have to stay in before it counts as healed."""
HEAL_LIMIT = 7_200.0
"""Seconds after the last blow at which it is given up."""
NAMES = 200
"""Names that are looked up in the end."""
SIGNATURES = 4
"""Signatures, of each client, that all nodes together remember to be good: about what they remember in a lab."""


@dataclass(frozen=True)
class Stage:
    """How far it is: seconds of the simulated clock, clients that are up, and those of them that are in."""

    name: str
    now: float
    up: int
    inside: int


Follow = Callable[[Stage], None]


class Simulation:
    """A story for a population. `follow` is told of each simulated second."""

    def __init__(
        self, story: Story, population: Population, measures: Measures, follow: Follow = lambda stage: None
    ) -> None:
        self.story, self.population, self.measures, self.follow = story, population, measures, follow
        self.rng = random.Random(f"{population.seed} {story.name}")
        measures.login_limit = population.scale.login_limit
        self.stage = ""
        self.words = 0
        self.traffic_at: float | None = None
        """When what the clients have sent and received is looked at next."""
        self.counted = 0, 0.0
        """Their bytes when it was looked at last, and the seconds that all of them had been up."""

    def run(self) -> Outcome:
        """All of it; minutes for ten thousand clients."""
        network, calls = self.population.network, self._pairs()
        self.population.talkers = {node for pair in calls for node in pair}
        self._sign_in()
        self._place(calls)
        self.traffic_at = network.now + self.story.traffic_every
        self.counted = self._client_bytes(), self.measures.up_seconds
        self._until(network.now + REST, lambda: False)
        running = len(self.measures.running())
        since = self.measures.since = network.now
        bytes_before, up_before = self._client_bytes(), self.measures.up_seconds
        self.stage = self.story.name
        over = self.story.strike(self.population, since, self.rng)
        self._until(over, lambda: False, self.story.lookup_every)
        self.stage = "healing"
        held = self._until(over + HEAL_LIMIT, self._held, self.story.lookup_every)
        traffic, hours = self._client_bytes() - bytes_before, (self.measures.up_seconds - up_before) / 3600
        names = self._look_up_names()
        found = sum(self.measures.lookups[word].found for word in names)
        return Outcome.of(
            self.story,
            self.population,
            self.measures,
            inside=held,
            resolved=(found, len(names)),
            running=running,
            bytes_per_hour=traffic / hours if hours else 0.0,
        )

    # -- stages --------------------------------------------------------------------------------------------------

    def _sign_in(self) -> None:
        """Supernodes first; then clients, spread over a minute or more, until all are in."""
        population, network = self.population, self.population.network
        self.stage = "signing in"
        window = SIGN_IN_WINDOW * max(1.0, len(population.clients) / SIGN_INS)
        for node in population.supernodes:
            population.start(node)
        for node in population.clients:
            network.at(REST + self.rng.uniform(0.0, window), lambda node=node: population.start(node))  # type: ignore[misc]
        self._until(REST + window, lambda: False)
        self._until(SIGN_IN_LIMIT, lambda: not self.measures.away)

    def _until(self, end: float, reached: Callable[[], bool], lookup_every: float | None = None) -> bool:
        """Second by second until `reached`, or until `end`; whether it was reached."""
        network, measures = self.population.network, self.measures
        next_lookup = network.now
        while not reached():
            if network.now >= end:
                return False
            if lookup_every is not None and network.now >= next_lookup:
                next_lookup += lookup_every
                self._look_up()
            if self.traffic_at is not None and network.now >= self.traffic_at:
                self.traffic_at += self.story.traffic_every
                self._look_at_traffic()
            network.run(min(end, float(int(network.now) + 1)))
            if network.now == int(network.now):
                measures.second(int(network.now))
            self.follow(Stage(self.stage, network.now, measures.up, measures.up - len(measures.away)))
        return True

    def _held(self) -> bool:
        return not self.measures.away and self.population.network.now >= self.measures.last_in + HOLD

    # -- calls ---------------------------------------------------------------------------------------------------

    def _pairs(self) -> list[tuple[Node, Node]]:
        """Who talks to whom: clients behind NATs, who cannot become supernodes, for of a computer that goes the calls
        end with it. At most one client in five talks."""
        inside = [node for node in self.population.clients if not node.host.open]
        count = min(self.story.calls, len(self.population.clients) // 10)
        chosen = self.rng.sample(inside, 2 * count) if count else []
        return list(zip(chosen[:count], chosen[count:], strict=True))

    def _place(self, pairs: list[tuple[Node, Node]]) -> None:
        for number, (caller, callee) in enumerate(pairs, 1):
            self.measures.calls[f"call-{number}"] = Talk()
            self.population.dial(caller, callee, f"call-{number}")

    # -- names ---------------------------------------------------------------------------------------------------

    def _look_up(self) -> str | None:
        """Any client that is in asks for any other one that is; the word, or None where there are no two."""
        caller, callee = self._inside(), self._inside()
        if caller is None or callee is None or caller is callee or caller.program is None:
            return None
        machine = caller.program.machine
        assert isinstance(machine, AskingClient)
        self.words += 1
        word = f"word-{self.words}"
        self.measures.asks(word, callee.name, self.population.network.now)
        machine.look_up(callee.name, word)
        self.population.network.settle(caller.program)
        return word

    def _inside(self) -> Node | None:
        clients = self.population.clients
        for _ in range(20):
            node = clients[self.rng.randrange(len(clients))]
            if node.up and node not in self.measures.away:
                return node
        return None

    def _look_up_names(self) -> list[str]:
        words = [word for word in (self._look_up() for _ in range(NAMES)) if word is not None]
        self.population.network.run(self.population.network.now + LOOKUP_LIMIT)
        return words

    # -- sums ----------------------------------------------------------------------------------------------------

    def _look_at_traffic(self) -> None:
        (bytes_before, up_before), now = self.counted, self.population.network.now
        self.counted = bytes_now, up_now = self._client_bytes(), self.measures.up_seconds
        if up_now > up_before:
            self.measures.carried((bytes_now - bytes_before) * 3600 / (up_now - up_before), now)

    def _sum_up(self) -> None:
        if self.population.heartbeats is not None:
            self.population.heartbeats.sum_up(self.population.network.now)

    def _client_bytes(self) -> int:
        self._sum_up()
        return sum(node.bytes for node in self.population.clients)


def simulate(story: Story, clients: int, seed: int, follow: Follow = lambda stage: None) -> Outcome:
    """A story for so many clients, and as many supernodes as they take."""
    measures = Measures()
    with _no_collecting(), remembering(max(MOST_REMEMBERED, SIGNATURES * clients)):
        scale = Scale.of(clients)
        population = Population(scale.in_proportion() if story.in_proportion else scale, seed, measures)
        return Simulation(story, population, measures, follow).run()


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Millions of objects that live as long as the run: looking through them for cycles costs half of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
