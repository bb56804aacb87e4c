"""The witnesses of a call beside its packets and its clients: what a relay passed on, what a router's kernel counted.

A witness that cannot be tied to the call for sure is not asked, and says why: a false alarm is worse than one less.
Belongs here: asking, and what makes an answer worth nothing. Never: comparing it with packets (lab.evidence.counters).
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lab.errors import LabError
from lab.evidence import Captures
from lab.evidence.counters import Compared, flow_of, relayed, tracked
from lab.evidence.scene import End, MediaPath, Scene
from lab.harness import standing
from lab.harness.call_report import Witness
from lab.harness.placing import Placed
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World
from lab.topology.model import Role, Topology

COUNTED_SECONDS = 0.25
"""How long a relay's kernel may take to tell what it has counted; it needs a few milliseconds."""
LOOK = 0.005
WITHIN = 2.0

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """An answer, or why there is none (`why_not`)."""

    answer: Json | None = None
    why_not: str = ""


def relays_of(topology: Topology, placed: Placed) -> list[str]:
    """The relays that an end claims for a part of the call; one that is a client beside is none of these."""
    named = {claim.path.via for end in placed.reports.values() for claim in end.history}
    return [node.name for node in topology.by_role(Role.RELAY) if node.name in named]


def of_relay(channel: ControlChannel, placed: Placed) -> Said:
    """What a relay has passed on in a call, counted to this moment."""
    ids = (event.detail.get("id") for event in placed.events if event.event == "dialled")
    call = str(next(ids, None) or placed.call)  # names are used again where a checkout's .lab is gone
    try:
        said = channel.order("carried", within=WITHIN, call=call, count=True)
        deadline = time.monotonic() + COUNTED_SECONDS
        while any(one["counting"] for one in said["sessions"]):
            if time.monotonic() > deadline:
                return Said(why_not="its kernel did not tell in time what it has counted")
            time.sleep(LOOK)
            said = channel.order("carried", within=WITHIN, call=call, count=False)
    except (LabError, KeyError) as error:
        return Said(why_not=f"it did not answer: {error}")
    return Said(said)


def of_relays(engine: Engine, world: World, placed: Placed) -> dict[str, Said]:
    """The same of every relay of a call that runs."""
    found: dict[str, Said] = {}
    for name in relays_of(world.topology, placed):
        try:
            with ControlChannel(engine, world.running(name).id, name) as channel:
                found[name] = of_relay(channel, placed)
        except LabError as error:
            found[name] = Said(why_not=f"it did not answer: {error}")
    return found


def of_routers(engine: Engine, world: World, placed: Placed, disturbed: Callable[[], bool]) -> dict[str, Said]:
    """What the routers of both ends have counted of their flows. `disturbed`: whether the lab was changed meanwhile."""
    if len(placed.reports) < 2 or not all(end.connected for end in placed.reports.values()):
        return {}
    ends = [world.topology.node(name) for name in (placed.request.caller, placed.request.callee)]
    routers = dict.fromkeys(router.name for end in ends for router in world.topology.routers_outward(end)[:1])

    def ask(name: str) -> Said:
        try:
            return Said(standing.order(engine, world, name, "mappings"))
        except LabError as error:
            return Said(why_not=f"it did not answer: {error}")

    changed = dict.fromkeys(routers, Said(why_not="the lab was changed while they talked"))
    if disturbed():
        return changed
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="counters") as pool:
        found = dict(zip(routers, pool.map(ask, routers), strict=True))
    return changed if disturbed() else found  # it is known when it has taken effect


# -- what they say, beside the packets --------------------------------------------------------------------------------


def heard(topology: Topology, placed: Placed, captures: Captures, scene: Scene, end: float) -> list[Witness]:
    """Each relay and each router with what it says, and whether the packets bear it out."""
    window = placed.started, end
    found = [_relay(topology, placed, captures, scene, name, window) for name in relays_of(topology, placed)]
    return found + list(_routers(topology, placed, captures, scene, window))


def _relay(
    topology: Topology, placed: Placed, captures: Captures, scene: Scene, name: str, window: tuple[float, float]
) -> Witness:
    said = placed.said.get(name, Said(why_not="nobody was there to ask it"))
    if said.answer is None:
        return Witness(name, f"not asked: {said.why_not}", None)
    if float(said.answer["up_since"]) > placed.started:
        return Witness(name, "not asked: it was started anew while they talked", None)
    sessions = said.answer["sessions"]
    if not all(one["complete"] for one in sessions):
        return Witness(name, "not asked: what its kernel had counted is lost", None)
    if not sessions:
        last = {str(end.history[-1].path.via) for end in placed.reports.values() if end.history}
        if name not in last:  # it forgets a session that nobody refreshes
            return Witness(name, "not asked: the call had left it before its end", None)
        return Witness(name, f"knows nothing of call {placed.call}", False)
    counted = sum(int(one["packets"]) for one in sessions), sum(int(one["bytes"]) for one in sessions)
    return _witness(name, relayed(topology, captures, scene, name, counted, window))


def _routers(
    topology: Topology, placed: Placed, captures: Captures, scene: Scene, window: tuple[float, float]
) -> Iterable[Witness]:
    for side, name in enumerate((placed.request.caller, placed.request.callee)):
        node = next((one for one in topology.clients() if one.name == name), None)
        router = next((one.name for one in topology.routers_outward(node)), None) if node else None
        if router is None:
            continue
        said = placed.said.get(router, Said(why_not="an order to it would take longer than a call among many may"))
        path = scene.paths[0] if len(scene.paths) == 1 else None
        if said.answer is None:
            yield Witness(router, f"not asked: {said.why_not}", None)
        elif path is None or placed.request.holds:
            yield Witness(router, "not asked: more than one flow, or a hold, leaves open what it counted when", None)
        else:
            yield _router(router, said.answer, captures, path, (path.caller, path.callee)[side], window)


def _router(
    router: str, answer: Json, captures: Captures, path: MediaPath, end: End, window: tuple[float, float]
) -> Witness:
    if end.protocol != "udp":
        return Witness(router, "not asked: segments of TCP are cut and joined on their way", None)
    counted = flow_of(answer["flows"], end.inside, end.remote)
    if counted is None:
        return Witness(router, "not asked: it counts no such flow", None)
    return _witness(router, tracked(captures, router, path, end, counted, window))


def _witness(name: str, compared: Compared | None) -> Witness:
    if compared is None:
        return Witness(name, "not asked: its own capture is not whole", None)
    return Witness(name, compared.said, compared.agrees)
