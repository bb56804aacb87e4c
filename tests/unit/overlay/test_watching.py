"""A supernode that dies in silence is soon known to be dead by all of a thousand, and one that stands still stays."""

import heapq
import itertools
import random
from collections import Counter
from collections.abc import Callable

import pytest

from lab.overlay.watching import ACCUSERS, AGAIN, PROBE_EVERY, SUSPECT_AFTER, VERIFY, WATCHED, Watch
from lab.wire.messages import Message, Present, Probe, Suspected

RETRANSMITTED = (0.2, 0.4, 0.8, 1.6, 3.2, 6.4)
"""Seconds until what was lost is sent again over TCP, doubled each time (RFC 6298, with Linux's least)."""


class World:
    """A mesh of Watches: one way takes 10 to 80 ms; of each packet a share `loss` is lost and sent again, and what was
    sent behind it on the same link waits."""

    def __init__(self, count: int, loss: float = 0.0, seed: int = 1) -> None:
        self.rng, self.loss, self.now = random.Random(seed), loss, 0.0
        self.queue: list[tuple[float, int, Callable[[], None]]] = []
        self.order = itertools.count()
        self.dead: set[str] = set()
        self.until: dict[str, float] = {}
        """When whoever stands still goes on."""
        self.arrives: dict[tuple[str, str], float] = {}
        self.sent: Counter[str] = Counter()
        self.kinds: Counter[type] = Counter()
        self.accused: Counter[str] = Counter()
        """How many words said that each is silent."""
        self.gone: dict[str, dict[str, float]] = {}
        """When each was taken for dead, by whom."""
        self.watches: dict[str, Watch] = {}
        for number in range(count):
            self.watches[f"s{number}"] = self._watch(f"s{number}")
        for watch in self.watches.values():
            for name in self.watches:
                watch.up(name, 0.0)
            watch.turn(True, 0.0)
        for name in self.watches:
            self._arm(name)

    def _watch(self, own: str) -> Watch:
        def silent(name: str, now: float) -> None:
            self.gone.setdefault(name, {})[own] = now
            self.watches[own].down(name, now)

        return Watch(own, self.rng, lambda name, message: self.say(own, name, message), silent)

    def say(self, source: str, name: str, message: Message) -> None:
        self.sent[source] += 1
        self.kinds[type(message)] += 1
        if isinstance(message, Suspected):
            self.accused.update(message.names)
        delay = self.rng.uniform(0.01, 0.08)
        for more in RETRANSMITTED:
            if self.rng.random() >= self.loss:
                break
            delay += more
        at = self.arrives[source, name] = max(self.now + delay, self.arrives.get((source, name), 0.0))
        self.after(at - self.now, lambda: self._comes(source, name, message))

    def _comes(self, source: str, name: str, message: Message) -> None:
        if name in self.dead:
            return
        if self.now < (until := self.until.get(name, 0.0)):
            self.after(until - self.now, lambda: self._comes(source, name, message))
            return
        watch = self.watches[name]
        if source not in watch.members:
            return
        watch.heard(source, self.now)
        if isinstance(message, Probe):
            self.say(name, source, Present())
        elif isinstance(message, Suspected):
            watch.suspected(source, message.names, self.now)
        self._arm(name)

    def _arm(self, name: str) -> None:
        if (due := self.watches[name].deadline()) is not None:
            self.after(max(0.0, due - self.now), lambda: self._ring(name, due))

    def _ring(self, name: str, due: float) -> None:
        watch = self.watches[name]
        if name in self.dead or watch.deadline() != due:
            return
        if self.now < (until := self.until.get(name, 0.0)):
            self.after(until - self.now, lambda: self._ring(name, due))
            return
        watch.poll(self.now)
        self._arm(name)

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.queue, (self.now + seconds, next(self.order), what))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.queue and self.queue[0][0] <= end:
            self.now, _, what = heapq.heappop(self.queue)
            what()
        self.now = end


@pytest.mark.parametrize(
    ("count", "loss"),
    [
        (40, 0.0),
        (40, 0.05),
        (200, 0.05),
        pytest.param(1_000, 0.0, marks=pytest.mark.slow),
        pytest.param(1_000, 0.05, marks=pytest.mark.slow),
    ],
)
def test_a_silent_death_is_known_to_all_within_five_seconds(count: int, loss: float) -> None:
    world = World(count, loss)
    world.run(3)
    quiet = Counter(world.sent)
    world.dead.add("s7")
    died = world.now
    world.run(8)
    known = world.gone.pop("s7")
    assert set(known) == set(world.watches) - {"s7"}
    times = sorted(at - died for at in known.values())
    assert times[len(times) // 2] <= 5.0 and times[-1] <= (5.0 if not loss else 6.5)
    assert not world.gone, "nobody else is taken for dead"
    assert max(quiet.values()) / 3 <= 2 * WATCHED / PROBE_EVERY + 4, "four probes, and answers to as many"
    told = world.accused["s7"]
    rounds = (
        1 + (times[-1] - (SUSPECT_AFTER - PROBE_EVERY)) // AGAIN
    )  # it was last heard at most a probe before it died
    assert told <= rounds * WATCHED * count, "each watcher tells each other one, and again each second until it is gone"


@pytest.mark.slow
def test_one_that_stands_still_for_three_seconds_is_suspected_and_refutes_it() -> None:
    for seed in range(10):
        world = World(60, seed=seed)
        world.run(3 + seed / 10)
        for name in ("s7", "s20", "s33"):
            world.until[name] = world.now + 3.0
        world.run(10)
        assert world.kinds[Suspected] > 0
        assert not world.gone


@pytest.mark.slow
def test_nobody_is_taken_for_dead_because_packets_are_lost() -> None:
    world = World(200, loss=0.05)
    world.run(60)
    assert not world.gone
    assert max(world.sent.values()) / 60 < 2 * WATCHED / PROBE_EVERY + 4


@pytest.mark.slow
def test_half_of_a_mesh_that_dies_at_once_is_known_within_ten_seconds() -> None:
    world = World(100)
    world.run(3)
    dead = {f"s{number}" for number in range(0, 100, 2)}
    world.dead |= dead
    died = world.now
    world.run(12)
    for name in set(world.watches) - dead:
        assert world.watches[name].members == set(world.watches) - dead - {name}
    assert set(world.gone) == dead
    assert max(at for known in world.gone.values() for at in known.values()) - died <= 10


def test_who_comes_back_is_watched_again() -> None:
    world = World(40)
    world.run(3)
    world.dead.add("s7")
    world.run(8)
    world.dead.discard("s7")
    for name, watch in world.watches.items():
        if name != "s7":
            watch.up("s7", world.now)
            world._arm(name)
    world._arm("s7")
    world.run(3)
    assert sum("s7" in watch.watched for watch in world.watches.values()) == WATCHED
    assert len(world.gone["s7"]) == 39


# -- alone -------------------------------------------------------------------------------------------------------------


class Alone:
    """One Watch, and what it says."""

    def __init__(self, count: int = 40) -> None:
        self.said: list[tuple[str, Message]] = []
        self.gone: list[str] = []
        self.watch = Watch(
            "s0",
            random.Random(1),
            lambda name, message: self.said.append((name, message)),
            lambda name, now: self.gone.append(name),
        )
        for number in range(count):
            self.watch.up(f"s{number}", 0.0)

    def probed(self) -> list[str]:
        return [name for name, message in self.said if isinstance(message, Probe)]


def test_the_word_of_one_stranger_is_worth_nothing_and_that_of_two_a_question() -> None:
    alone = Alone()
    alone.watch.suspected("s1", ["s2"], 0.0)
    assert not alone.probed()
    alone.watch.suspected("s3", ["s2"], 0.1)
    assert alone.probed() == ["s2"] and ACCUSERS == 2
    alone.watch.heard("s2", 0.3)
    alone.watch.poll(0.1 + VERIFY)
    assert not alone.gone
    for accuser in ("s1", "s3"):
        alone.watch.suspected(accuser, ["s2"], 1.0)
    alone.watch.poll(1.0 + VERIFY)
    assert alone.gone == ["s2"]


def test_one_watcher_that_says_it_twice_is_enough_for_a_question() -> None:
    alone = Alone()
    alone.watch.suspected("s1", ["s2"], 0.0)
    alone.watch.suspected("s1", ["s2"], 0.1)
    assert not alone.probed()
    alone.watch.suspected("s1", ["s2"], AGAIN)
    assert alone.probed() == ["s2"]


def test_a_stranger_that_suspects_everybody_is_not_heeded_for_long() -> None:
    alone = Alone(400)
    for turn in range(2):
        alone.watch.suspected("s1", [f"s{number}" for number in range(2, 66)], float(turn))
        alone.watch.suspected("s1", [f"s{number}" for number in range(66, 130)], float(turn))
    assert len(alone.probed()) <= 50
    alone.watch.suspected("s1", ["unknown", "s0", "s1"], 2.0)
    assert not {"unknown", "s0", "s1"} & set(alone.probed())


def test_who_has_stood_still_itself_blames_nobody() -> None:
    alone = Alone()
    alone.watch.turn(True, 0.0)
    alone.watch.poll(1.0)
    watched = set(alone.watch.watched)
    alone.watch.suspected("s1", ["s9"], 1.0)
    alone.watch.suspected("s2", ["s9"], 1.0)
    alone.said.clear()
    alone.watch.poll(8.0)  # its own clock rings seven seconds late
    assert not [message for _, message in alone.said if isinstance(message, Suspected)]
    assert not alone.gone and set(alone.probed()) == watched | {"s9"}


def test_who_hears_none_of_those_that_it_watches_looks_for_everybody() -> None:
    alone = Alone()
    alone.watch.turn(True, 0.0)
    now = 0.0
    while not alone.gone:
        now = alone.watch.deadline() or now
        alone.watch.poll(now)
    assert now <= SUSPECT_AFTER + AGAIN + VERIFY + PROBE_EVERY
    assert set(alone.probed()) == {f"s{number}" for number in range(1, 40)}


def test_where_the_mesh_is_small_nobody_is_watched() -> None:
    alone = Alone()
    assert alone.watch.deadline() is None and not alone.watch.watched
