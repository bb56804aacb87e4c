"""The witnesses of a call beside its packets and its clients: what a relay passed on, what a router's kernel counted.

One that ought to be there and is missing fails the call; one that cannot know is absent, and says why.
Belongs here: asking, and which of the two an answer is. Never: comparing it with packets (lab.evidence.counters).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from typing import Any

from lab import nat
from lab.errors import LabError
from lab.evidence import Captures
from lab.evidence.counters import Compared, Tracked, begun_again, on_routers, relayed, tracked
from lab.evidence.scene import Scene
from lab.harness.call_report import Witness
from lab.harness.changing import OF_THE_ROUTER
from lab.harness.placing import Placed
from lab.harness.standing import order as give
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World
from lab.topology.model import Node, Role, Topology

WITHIN = 2.0
"""Seconds in which a witness answers, and a relay's kernel tells what it has counted; both need a few milliseconds."""
LOOK = 0.005
CLOSED = 10.0
"""Seconds for which connection tracking knows a connection that was reset (nf_conntrack_tcp_timeout_close)."""
AT_ONCE = 8
"""Routers that are asked at the same time."""
RESTARTING = ("stop", "kill", "start", "restart", "up", "down")
"""Events after which a node has begun anew, and so has all that it counts; without a node, every one of the lab."""
FORGETTING = ("forget", "renew")
"""Events at a site after which its router remembers no flow of before; so it is after some of `set`."""

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Said:
    """An answer, or why there is none (`why_not`)."""

    answer: Json | None = None
    why_not: str = ""


class Asking:
    """How the routers of a call are asked. `order` gives a node an order and returns its answer, or raises LabError;
    `changes` are the lines of the lab's timeline since some time, epoch seconds, and of what is being done."""

    def __init__(self, order: Callable[..., Json], changes: Callable[[float], Iterable[Json]]) -> None:
        self._order, self.changes = order, changes

    @classmethod
    def of(cls, engine: Engine, world: World, changes: Callable[[float], Iterable[Json]]) -> "Asking":
        """Asks each over a conversation of its own."""
        return cls(lambda node, what, **fields: give(engine, world, node, what, **fields), changes)

    def flows(self, flows: Sequence[Tracked]) -> list[Said]:
        """What the routers have counted of these flows, in their order; an answer is {"flow": counts or None}."""
        with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="counters") as pool:
            return list(pool.map(self._flow, flows))

    def _flow(self, flow: Tracked) -> Said:
        try:
            return Said(self._order(flow.router, "tally", **flow.asked()))
        except LabError as error:
            return Said(why_not=f"it did not answer: {error}")


def _nobody(node: str, what: str, **fields: Any) -> Json:
    raise LabError("nobody was there to ask it")


NOBODY = Asking(_nobody, lambda since: ())
"""Of a call whose lab is not there to be asked."""


def relays_of(topology: Topology, placed: Placed) -> list[str]:
    """The relays that an end claims for a part of the call, a client that relays among them."""
    named = placed.relays
    return [node.name for node in topology.nodes if node.role in (Role.RELAY, Role.CLIENT) and node.name in named]


def of_relay(channel: ControlChannel, placed: Placed) -> Said:
    """What a relay has passed on in a call, counted to this moment."""
    ids = (event.detail.get("id") for event in placed.events if event.event == "dialled")
    call = str(next(ids, None) or placed.call)  # names are used again where a checkout's .lab is gone
    try:
        said = channel.order("carried", within=WITHIN, call=call, count=True)
        deadline = time.monotonic() + WITHIN
        while any(one["counting"] for one in said["sessions"]):
            if time.monotonic() > deadline:
                return Said(why_not="its kernel did not tell in time what it has counted")
            time.sleep(LOOK)
            said = channel.order("carried", within=WITHIN, call=call, count=False)
    except (LabError, KeyError) as error:
        return Said(why_not=f"it did not answer: {error}")
    return Said(said)


def of_relays(engine: Engine, world: World, names: Iterable[str], placed: Placed) -> dict[str, Said]:
    """The same of these relays, each over a conversation of its own."""
    found: dict[str, Said] = {}
    for name in names:
        try:
            with ControlChannel(engine, world.running(name).id, name) as channel:
                found[name] = of_relay(channel, placed)
        except LabError as error:
            found[name] = Said(why_not=f"it did not answer: {error}")
    return found


# -- what they say, beside the packets --------------------------------------------------------------------------------


MISSING = "is missing: "


def missing(name: str, why: str) -> Witness:
    """One that ought to be there: it fails the call."""
    return Witness(name, MISSING + why, False)


def absent(name: str, why: str) -> Witness:
    """One that cannot know anything of the call, or not for sure."""
    return Witness(name, f"absent: {why}", None)


def heard(
    topology: Topology, placed: Placed, captures: Captures, scene: Scene, end: float, asking: Asking = NOBODY
) -> list[Witness]:
    """Each relay and each router with what it says, and whether the packets bear it out."""
    window = placed.started, end
    relays = [_relay(topology, placed, captures, scene, name, window) for name in relays_of(topology, placed)]
    found = [*relays, *_routers(topology, placed, captures, scene, window, asking)]
    changes = list(asking.changes(placed.started))
    return [_excused(one, topology.node(one.name), changes, placed.started) for one in found]


def _excused(witness: Witness, node: Node, changes: Sequence[Json], started: float) -> Witness:
    """As it is; or absent, where it would fail the call and an event at this very node has set back what it counts."""
    line = next((one for one in reversed(changes) if _sets_back(one, node)), None)
    if witness.agrees is not False or line is None:
        return witness
    why = f"{witness.said.removeprefix(MISSING)}, for the lab was changed while they talked: {told(line, started)}"
    return absent(node.name, why)


def told(line: Json, started: float) -> str:
    """An event of the lab's timeline in words, beside a call that `started` then, epoch seconds."""
    about = next((f" {line[key]}" for key in ("node", "site") if key in line), "")
    return f"{line['event']}{about}, {float(line['at']) - started:.1f} s into the call"


def _sets_back(line: Json, node: Node) -> bool:
    event, at = line["event"], line.get("node", line.get("site"))
    if event in RESTARTING:
        return at in (node.name, None)
    if node.role is not Role.ROUTER:
        return False
    if event == "unplug":  # a kernel forgets what it has masqueraded to an interface that goes down
        return bool(at == node.name)
    forgets = event in FORGETTING or (event == "set" and any(key in line for key in OF_THE_ROUTER))
    return bool(forgets and at == node.site)


def _relay(
    topology: Topology,
    placed: Placed,
    captures: Captures,
    scene: Scene,
    name: str,
    window: tuple[float, float],
) -> Witness:
    node = topology.node(name)
    said = placed.said.get(name, Said(why_not="nobody was there to ask it"))
    trouble = _trouble(said, node, placed)
    if trouble is None and node.role is Role.RELAY and name not in captures:
        trouble = "it was not captured"
    if trouble is not None:
        return missing(name, trouble)
    assert said.answer is not None
    sessions = said.answer["sessions"]
    if not sessions:
        last = {str(end.history[-1].path.via) for end in placed.reports.values() if end.history}
        if name not in last:  # it forgets a session that nobody refreshes
            return absent(name, "the call had left it before its end")
        return Witness(name, f"knows nothing of call {placed.call}", False)
    counted = sum(int(one["packets"]) for one in sessions), sum(int(one["bytes"]) for one in sessions)
    return _witness(name, relayed(topology, captures, scene, name, counted, window))


def _trouble(said: Said, node: Node, placed: Placed) -> str | None:
    """Why an answer is none, or not whole; a client may have become a relay in the middle of the call."""
    if said.answer is None:
        return said.why_not
    if node.role is Role.RELAY and float(said.answer["up_since"]) > placed.started:
        return "it was started anew while they talked"
    if not all(one["complete"] for one in said.answer["sessions"]):
        return "what its kernel had counted is lost"
    return None


def _routers(
    topology: Topology,
    placed: Placed,
    captures: Captures,
    scene: Scene,
    window: tuple[float, float],
    asking: Asking,
) -> Iterator[Witness]:
    """The routers that the voice passed, each once; those of the two ends that it did not pass are absent."""
    flows = on_routers(topology, scene.paths, held=bool(placed.request.holds))
    by_router: dict[str, list[Tracked]] = {}
    for flow in flows:
        by_router.setdefault(flow.router, []).append(flow)
    for end in (placed.request.caller, placed.request.callee):
        node = next((one for one in topology.clients() if one.name == end), None)
        for router in topology.routers_outward(node)[:1] if node else ():
            if router.name not in by_router:
                by_router[router.name] = []
    answers = dict(zip(flows, asking.flows(flows), strict=True)) if flows else {}
    asked = time.time()
    former = {at.place for path in scene.paths for end in path.former for at in end.trail}
    for name, passed in by_router.items():
        if not passed and name in former:
            yield absent(name, "the end behind it stands elsewhere since, and the call went on on the same path")
        elif not passed:
            yield absent(name, "no voice passed it")
        else:
            last = max(passed, key=lambda flow: flow.last)
            found = [_router(topology, captures, flow, answers[flow], window, asked, flow is last) for flow in passed]
            yield next((one for one in found if one.agrees is False), None) or found[passed.index(last)]


def _router(
    topology: Topology,
    captures: Captures,
    flow: Tracked,
    said: Said,
    window: tuple[float, float],
    asked: float,
    last: bool,
) -> Witness:
    """What a router says of one flow; only the one that the voice took last can it be relied upon to know."""
    if said.answer is None:
        return missing(flow.router, said.why_not)
    counted = said.answer.get("flow")
    if begun_again(topology, captures, flow, counted):
        return absent(flow.router, "it lost what it had counted when an end dialled again, the connection having ended")
    if counted is None:
        if not last or asked - flow.last > _remembers(topology.node(flow.router), flow.protocol):
            return absent(flow.router, "it had forgotten the flow before it was asked")
        return missing(flow.router, f"it tracks no flow of {flow.protocol.upper()} of {flow.inner} with {flow.remote}")
    remembers = _remembers(topology.node(flow.router), flow.protocol) if flow.protocol == "udp" else inf
    compared = tracked(topology, captures, flow, counted, window, remembers)
    if compared is None and counted.get("packets") is None:
        return absent(flow.router, "its kernel counts no packets")
    return _witness(flow.router, compared)


def _remembers(router: Node, protocol: str) -> float:
    """Seconds for which a router knows a flow that is over, at the least."""
    if protocol == "tcp":
        return CLOSED
    profile = nat.profile(
        router.profile or "open", router.axes or "", router.profile6 or "open", router.portmap or "off"
    )
    timers = (profile.timers, *([profile.translation.timers] if profile.translation else []))
    return float(min(min(one.udp_timeout, one.udp_timeout_one_way) for one in timers))


def _witness(name: str, compared: Compared | None) -> Witness:
    if compared is None:
        return absent(name, "the capture that it is held against saw nothing, is cut short, or lost more than it saw")
    return Witness(name, compared.said, compared.agrees)
