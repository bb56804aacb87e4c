"""A call from the request to the report: check, place, keep what was seen, judge.

Belongs here: the order of these. Never: how each is done.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from lab.errors import ConfigError, Interrupted, RuntimeUnavailable
from lab.harness import belonging, keys, record, standing, testimony, verdict
from lab.harness.call_report import CallReport
from lab.harness.checkout import Checkout
from lab.harness.placing import Follow, Placed, Request, place
from lab.harness.timeline import Json, Timeline
from lab.runtime.connection import Engine
from lab.runtime.world import World, discover
from lab.topology.model import Topology

SHORTEST_HOLD = 2.0
"""Seconds: of a shorter one the packets tell nothing, for TCP may pause as long by itself."""
LEAST_TALK = 1.0
"""Seconds of voice before, between and after holds: as many as show a path."""


def request(
    caller: str,
    callee: str,
    seconds: float,
    ring_ms: int,
    holds: Sequence[tuple[float, float]] = (),
    with_keys: bool = False,
) -> Request:
    """A request that makes sense by itself; raises ConfigError."""
    if caller == callee:
        raise ConfigError(f"{caller} cannot call itself; name two clients")
    if seconds < 1:
        raise ConfigError(f"a call lasts at least 1 s, got {seconds:g}: a shorter one shows no path")
    if ring_ms < 0:
        raise ConfigError(f"a phone rings for 0 ms or longer, got {ring_ms}")
    return Request(caller, callee, seconds, ring_ms, _sensible(holds, seconds), with_keys)


def _sensible(holds: Sequence[tuple[float, float]], seconds: float) -> tuple[tuple[float, float], ...]:
    """Times on hold in their order, each between two parts of the talk."""
    over, talked = 0.0, 0.0
    for begin, end in sorted(holds):
        if end - begin < SHORTEST_HOLD:
            raise ConfigError(f"a hold lasts at least {SHORTEST_HOLD:g} s, got {begin:g}:{end:g}")
        if begin - over < LEAST_TALK:
            raise ConfigError(f"expected at least {LEAST_TALK:g} s of talk before the hold {begin:g}:{end:g}")
        talked, over = talked + begin - over, end
        if seconds - talked < LEAST_TALK:
            raise ConfigError(
                f"expected at least {LEAST_TALK:g} s of talk after the hold {begin:g}:{end:g}, and after {talked:g} of "
                f"{seconds:g} s there is too little left; ask for more seconds (time on hold does not count)"
            )
    return tuple(sorted(holds))


def clients_run(world: World, wanted: Request) -> None:
    """Raises ConfigError where an end is no client of the lab, NotNow where it is stopped."""
    clients = [node.name for node in world.topology.clients()]
    for name in (wanted.caller, wanted.callee):
        if name not in clients:
            raise ConfigError(f"no client is called {name!r}; the clients are {', '.join(sorted(clients))}")
        world.running(name)


def call(engine: Engine, checkout: Checkout, world: World, wanted: Request, follow: Follow) -> CallReport:
    """Place a call and judge it. Raises ConfigError or RuntimeUnavailable where it cannot be placed.

    Whatever happens once it is dialled leaves its evidence in the call's folder. So does an interrupt, with a report of
    what is known; it goes on as Interrupted, which names the folder. Where there is no room for all of it, the rest is
    kept, and RuntimeUnavailable says what is not.
    """
    clients_run(world, wanted)
    ends = standing.concerned(world.topology, (wanted.caller, wanted.callee))
    said = standing.routers(engine, world, ends)
    world = replace(world, topology=standing.live(world.topology, said))
    seed, line_seeds = standing.seed(engine, world), standing.line_seeds(world.topology, said)
    number, folder = checkout.new_call()
    belonging.mark(folder, world.name)
    placed = Placed(number, wanted, started=time.time(), seed=seed, line_seeds=line_seeds)
    interrupt: KeyboardInterrupt | None = None
    missed: list[str] = []

    @contextmanager
    def keeping() -> Iterator[None]:
        try:
            yield
        except RuntimeUnavailable as error:
            missed.append(str(error))

    lines: list[Json] = []
    try:
        place(engine, world, wanted, number, folder, follow, placed)
        placed.said = testimony.of_relays(engine, world, testimony.relays_of(world.topology, placed), placed)
    except KeyboardInterrupt as error:
        interrupt, placed.trouble = error, "interrupted"
    finally:
        if placed.events:
            lines = record.logs(engine, world, placed)
            with keeping():
                record.logged(lines, folder)
            with keeping():
                record.timeline(placed, lines, folder)
            if wanted.keys:
                with keeping():
                    keys.collect(engine, world, number, (wanted.caller, wanted.callee), placed.captured, folder)
        else:
            record.discard(folder)
    if interrupt and not placed.events:
        raise interrupt
    topology = _as_it_was(engine, checkout, world, placed)
    with keeping():
        record.setting(topology, placed, lines, folder)
    with keeping():
        record.dropped(placed, folder)
    asking = testimony.Asking.of(engine, world, Timeline(checkout.state, world.name).changes)
    report = verdict.report(topology, placed, folder, asking)
    with keeping():
        record.document(report, folder)
    if interrupt:
        rest = f", but for this: {missed[0]}" if missed else ""
        stopped = Interrupted(f"interrupted; what is known of call {number} is in {folder}{rest}")
        stopped.call = number if not missed else None
        raise stopped from interrupt
    if missed:
        came = str(report.observed) if report.observed else report.error
        raise RuntimeUnavailable(
            f"of call {number} ({came}) not all is kept: {missed[0]}; make room and place it again"
        )
    return report


def _as_it_was(engine: Engine, checkout: Checkout, world: World, placed: Placed) -> Topology:
    """The topology of the call; an end that went to another site in the middle of it has the addresses of both."""
    ends = (placed.request.caller, placed.request.callee)
    lines = Timeline(checkout.state, world.name).read(since=placed.started)
    if not any(line["event"] == "move" and line.get("node") in ends for line in lines):
        return world.topology
    after = discover(engine, world.name)
    if after is None:
        return world.topology
    said = standing.routers(engine, after, standing.concerned(after.topology, ends))
    return standing.both(standing.live(world.topology, said), after.topology)
