"""What many calls share: one control channel to each client, one capture at each place, the logs of all nodes followed.

Belongs here: opening these once, and giving each call its part of them. Never: which calls are placed, verdicts.
"""

import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab.errors import EvidenceError, LabError, RuntimeUnavailable
from lab.evidence import Recording
from lab.harness import standing
from lab.harness.offline import engage, signed_in
from lab.harness.placing import Follow, Listener, Placed, Request, converse, release
from lab.harness.record import about
from lab.harness.testimony import WITHIN, Asking, of_relay, of_relays, relays_of
from lab.harness.witnesses import open_all, places
from lab.runtime.capture import RING, SMALL_RING, Capture, Captured
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel, Json
from lab.runtime.logs import Logs
from lab.runtime.world import World
from lab.topology.model import Node, Role, Topology

SHARED = (Role.CORE, Role.RELAY)
"""Places that several calls pass at once."""
LOOPBACK = "127.0.0.1"
MARGIN = 0.1
"""Seconds before a call is dialled that its captures begin."""
TICK = 0.5
"""Seconds after which the reader of the logs looks whether it is still wanted."""

Said = tuple[str, Json | None]


class _Line:
    """A control channel to one client, which is in one call at a time: what it says goes to that call."""

    def __init__(self, engine: Engine, container: str, name: str) -> None:
        self._to: queue.SimpleQueue[Said] | None = None
        self._gone = False
        self.channel = ControlChannel(engine, container, name, self._hear)

    def serve(self, call: "queue.SimpleQueue[Said]") -> None:
        self._to = call
        if self._gone:
            call.put((self.channel.node, None))

    def close(self) -> None:
        release(self.channel)
        self.channel.close()

    def _hear(self, event: Json | None) -> None:
        self._gone = self._gone or event is None
        if (to := self._to) is not None:
            to.put((self.channel.node, event))


class Session:
    """Opened for some clients; several threads may place calls on it, as long as no client is in two at once."""

    def __init__(
        self, engine: Engine, world: World, clients: Iterable[str], folder: Path, routers: dict[str, Json]
    ) -> None:
        """Captures grow in `folder`, in that of the matrix. Nobody else has these clients until the end. `routers`:
        what those of their sites say.

        Raises NotNow where a client is stopped, offline or in a call, EvidenceError where a capture does not start.
        """
        self._engine, self._world, self._topology = engine, world, world.topology
        self._seed, self._routers = standing.seed(engine, world), routers
        self._logged: defaultdict[str, list[Json]] = defaultdict(list)
        self._closing = threading.Event()
        self._end = threading.Lock()
        self._captured: list[Captured] | None = None
        names = list(clients)
        ends = [self._topology.node(name) for name in names]
        self._lines = dict(zip(names, open_all([self._dialler(engine, name) for name in names]), strict=True))
        self._captures: dict[str, Capture] = {}
        self._orders: dict[str, ControlChannel] = {}
        self._logs: Logs | None = None
        try:
            with ThreadPoolExecutor(max_workers=16, thread_name_prefix="status") as pool:
                list(pool.map(lambda line: signed_in(engine, world, line.channel), self._lines.values()))
            engage(f"matrix {folder.parent.name}", [line.channel for line in self._lines.values()])
            seeing = self._seeing(ends)
            captures = open_all([self._watcher(engine, node, folder) for node in seeing])
            self._captures = {capture.node: capture for capture in captures}
            asked = [node.name for node in seeing if node.role in (Role.RELAY, Role.ROUTER)]
            self._orders = dict(zip(asked, open_all([self._order_taker(engine, one) for one in asked]), strict=True))
            self._barrier(self._captures)
            self._recordings = {name: Recording(one.file, name) for name, one in self._captures.items()}
            talking = [node for node in self._topology.nodes if node.role in (Role.SUPERNODE, Role.RELAY)]
            containers = [world.containers[node.name] for node in (*talking, *ends)]
            begun = time.time()
            self._logs = Logs(engine, [one for one in containers if one.running], lambda container: begun)
            self._logs.__enter__()
            self._reader = threading.Thread(target=self._read_logs, name="logs of a session", daemon=True)
            self._reader.start()
        except BaseException:
            self.close()
            raise

    def place(self, request: Request, call: str, folder: Path, follow: Follow, over: Callable[[], None]) -> Placed:
        """Place a call, and leave its part of every capture that it can have passed in `folder`.

        `over` is told as soon as both ends are free again, before the captures are cut. What keeps the call from being
        placed is its trouble, as is whatever keeps the captures from being had.
        """
        placed = Placed(call, request, started=time.time(), seed=self._seed, line_seeds=self._line_seeds(request))
        caller, callee = self._lines[request.caller], self._lines[request.callee]
        said: queue.SimpleQueue[Said] = queue.SimpleQueue()
        for line in (caller, callee):
            line.serve(said)
        try:
            converse(caller.channel, callee.channel, request, call)
            Listener(said, follow, placed).listen(caller.channel)
        except LabError as error:
            placed.trouble = placed.trouble or str(error)
        finally:
            over()
        relays = relays_of(self._topology, placed)
        placed.said = {name: of_relay(self._orders[name], placed) for name in relays if name in self._orders}
        anew = [name for name in relays if name not in placed.said or placed.said[name].answer is None]
        placed.said |= of_relays(self._engine, self._world, anew, placed)
        try:
            placed.captured.extend(self._cut(placed, folder))
        except (EvidenceError, OSError) as error:
            placed.trouble = placed.trouble or str(error)
        return placed

    def asking(self, changes: Callable[[float], Iterable[Json]]) -> Asking:
        """How its routers are asked, over conversations that are there already: a millisecond each."""
        return Asking(self._order, changes)

    def lines(self, call: str) -> list[Json]:
        """What nodes have logged about a call so far; asked for once."""
        return self._logged.pop(call, [])

    def close(self) -> list[Captured]:
        """End everything; calls that are under way are hung up. Returns what each capture says of itself."""
        with self._end:
            return self._close()

    def _close(self) -> list[Captured]:
        if self._captured is None:
            self._closing.set()
            with ThreadPoolExecutor(max_workers=16, thread_name_prefix="close") as pool:
                list(pool.map(lambda line: line.close(), (*self._lines.values(), *self._orders.values())))
                self._captured = list(pool.map(lambda capture: capture.close(), self._captures.values()))
            if self._logs is not None:
                self._logs.__exit__(None, None, None)
        return self._captured

    # -- inside --------------------------------------------------------------------------------------------------

    def _line_seeds(self, request: Request) -> dict[str, int]:
        """Of the lines on the way between these two."""
        ways = standing.concerned(self._topology, (request.caller, request.callee))
        return standing.line_seeds(self._topology, {site: self._routers[site] for site in ways & self._routers.keys()})

    def _dialler(self, engine: Engine, name: str) -> Callable[[], _Line]:
        container = self._world.running(name).id
        return lambda: _Line(engine, container, name)

    def _order_taker(self, engine: Engine, name: str) -> Callable[[], ControlChannel]:
        container = self._world.running(name).id
        return lambda: ControlChannel(engine, container, name)

    def _order(self, node: str, what: str, **fields: Any) -> Json:
        """Give an order over the conversation with a node, or over a new one where that is over: it was restarted."""
        with suppress(RuntimeUnavailable):
            if (channel := self._orders.get(node)) is not None:
                return channel.order(what, within=WITHIN, **fields)
        return standing.order(self._engine, self._world, node, what, **fields)

    def _seeing(self, ends: list[Node]) -> list[Node]:
        """Every place that calls between these clients can pass; clients only where two of them are at one site."""
        sites = [end.site for end in ends]
        found = dict.fromkeys(place for end in ends for place in places(self._topology, [end]))
        found |= dict.fromkeys(end for end in ends if sites.count(end.site) > 1)
        return [node for node in found if self._world.containers[node.name].running]

    def _watcher(self, engine: Engine, node: Node, folder: Path) -> Callable[[], Capture]:
        container, file = self._world.running(node.name).id, folder / f"{node.name}.pcap"
        ring = RING if node.role in SHARED else SMALL_RING
        incoming = node.role is Role.CORE
        return lambda: Capture(engine, container, node.name, file, incoming=incoming, buffered=True, ring=ring)

    def _barrier(self, names: Iterable[str]) -> None:
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="barrier") as pool:
            list(pool.map(lambda name: self._captures[name].barrier(), names))

    def _cut(self, placed: Placed, folder: Path) -> list[Captured]:
        ends = [self._topology.node(name) for name in (placed.request.caller, placed.request.callee)]
        passed = [node.name for node in places(self._topology, ends) if node.name in self._captures]
        for name in passed:
            self._captures[name].barrier()
        relays = [self._topology.node(name) for name in relays_of(self._topology, placed)]
        foreign = [LOOPBACK, *foreign_to(self._topology, [*ends, *relays])]
        until = time.time()
        found = []
        for name in passed:
            target = folder / f"{name}.pcap"
            begun = placed.started - MARGIN
            packets = self._recordings[name].cut(begun, until, foreign, target)
            found.append(Captured(name, target, packets, self._captures[name].lost(begun, until)))
        return found

    def _read_logs(self) -> None:
        assert self._logs is not None
        while not self._closing.is_set():
            try:
                said = self._logs.next(time.monotonic() + TICK)
            except LabError:
                continue  # one node's log has ended; the others go on
            if said is not None and said.line is not None and (call := about(said.line)):
                self._logged[call].append(said.line)


def foreign_to(topology: Topology, ends: Iterable[Node]) -> list[str]:
    """The addresses of every site that these clients are not at, nor behind, inside and outside: in a call of theirs
    they have no part."""
    own = {end.site for end in ends} | {router.site for end in ends for router in topology.routers_outward(end)}
    others = [node for node in topology.nodes if node.site and node.site not in own]
    return [str(address) for node in others for address in (*node.addresses, *topology.translated6(node))]
