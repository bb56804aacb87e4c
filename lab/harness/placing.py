"""One call as it happens: captures and control channels opened, the order given, events followed to the last word.

Belongs here: the act. Never: the verdict; what was gathered goes on to those who compare and judge.
"""

import contextlib
import queue
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import EvidenceError, LabError
from lab.harness import dropping, keys
from lab.harness.events import CallEvent, Ended, parse_ended, parse_event
from lab.harness.offline import engage, signed_in
from lab.harness.watching import Watch
from lab.harness.witnesses import Witnesses, moved, open_all, places
from lab.runtime.capture import Captured
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel, Json
from lab.runtime.world import World
from lab.topology.model import Role

SETUP_SECONDS = 40.0
"""How much longer than ringing and talking a call may take; no path is given up before 30 s."""
LAST_WORDS_SECONDS = 3.0
"""How long one end's last word may come after the other's; it takes a signalling round trip."""

Follow = Callable[[CallEvent], None]


@dataclass(frozen=True)
class Request:
    """Who calls whom, for how many seconds of voice, after how many milliseconds of ringing.

    `holds`: from when to when the caller puts it on hold, seconds since the answer; they do not count as voice.
    `keys`: those of the TLS connections are wanted.
    """

    caller: str
    callee: str
    seconds: float = 3
    ring_ms: int = 500
    holds: tuple[tuple[float, float], ...] = ()
    keys: bool = False

    @property
    def held(self) -> float:
        """Seconds on hold in all."""
        return sum(end - begin for begin, end in self.holds)


@dataclass
class Placed:
    """What a call left behind. `trouble` is what kept the harness from seeing it to its end, None if nothing did;
    `seed` what the luck of the links at core began with, `line_seeds` that of carriers' lines on the way, by router;
    `said` what relays answered, by name (testimony.Said); `dropped` what the rules of each router counted that they
    dropped, where they could be asked."""

    call: str
    request: Request
    started: float
    events: list[CallEvent] = field(default_factory=list)
    reports: dict[str, Ended] = field(default_factory=dict)
    captured: list[Captured] = field(default_factory=list)
    trouble: str | None = None
    seed: int | None = None
    line_seeds: Mapping[str, int] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)

    @property
    def relays(self) -> set[str]:
        """Whom an end claims as the relay of a part of the call, a client that relays among them."""
        return {via for end in self.reports.values() for claim in end.history if (via := claim.path.via) is not None}


def place(
    engine: Engine, world: World, request: Request, call: str, folder: Path, follow: Follow, placed: Placed
) -> None:
    """Place a call and fill `placed` with what happens, also where it ends in an interrupt.

    Raises NotNow where an end is stopped, offline or in another call, EvidenceError where a capture does not start.
    """
    ends = [world.topology.node(name) for name in (request.caller, request.callee)]
    said: queue.SimpleQueue[tuple[str, Json | None]] = queue.SimpleQueue()

    def opener(name: str) -> Callable[[], ControlChannel]:
        container = world.running(name).id
        return lambda: ControlChannel(engine, container, name, lambda event: said.put((name, event)))

    caller, callee = open_all([opener(end.name) for end in ends])
    with contextlib.closing(caller), contextlib.closing(callee):
        for end in (caller, callee):
            signed_in(engine, world, end)
        engage(f"call {call}", (caller, callee))
        if request.keys:
            keys.kept_by((caller, callee))
        seeing, rules = places(world.topology, ends), dropping.asking(engine, world)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="rules") as pool:
            before = pool.submit(dropping.read, rules, [node.name for node in seeing if node.role is Role.ROUTER])
            witnesses = Witnesses(engine, world, seeing, folder)
        topology = world.topology

        def follow_move(node: str, site: str) -> None:
            nonlocal topology
            if node in (request.caller, request.callee):
                topology = moved(topology, node, site)
                witnesses.add(places(topology, [topology.node(name) for name in (request.caller, request.callee)]))
                witnesses.barrier()

        watch = Watch(folder, follow_move)
        try:
            witnesses.barrier()
            if request.keys:
                keys.begin_anew((caller, callee))
            converse(caller, callee, request, call)
            Listener(said, follow, placed).listen(caller)
            try:
                witnesses.barrier()
            except EvidenceError as error:
                placed.trouble = placed.trouble or str(error)
            placed.dropped = dropping.counted(before.result(), dropping.read(rules, before.result()))
        finally:
            release(caller, callee)
            watch.close()
            placed.captured.extend(witnesses.close())


def converse(caller: ControlChannel, callee: ControlChannel, request: Request, call: str) -> None:
    """Give the orders of a call: how long it rings, who tells what happens, when it is on hold, and to dial."""
    callee.order("answer", call=call, ring_ms=request.ring_ms)
    callee.order("watch", call=call)
    caller.order("watch", call=call)
    for begin, end in request.holds:
        caller.order("hold", call=call, from_s=begin, to_s=end)
    caller.order("dial", call=call, callee=request.callee, seconds=request.seconds)


def release(*channels: ControlChannel) -> None:
    """Let others have these clients; a client that does not answer has lost its engagement or is about to."""
    for channel in channels:
        with contextlib.suppress(LabError):
            channel.order("release", within=LAST_WORDS_SECONDS)


class Listener:
    """Follows the events of both ends until each has said its last word, or will not."""

    def __init__(self, said: "queue.SimpleQueue[tuple[str, Json | None]]", follow: Follow, placed: Placed) -> None:
        self._said = said
        self._follow = follow
        self._placed = placed
        self._silent: set[str] = set()

    def listen(self, caller: ControlChannel) -> None:
        """Return when the call is over at both ends. On an interrupt: hang up, hear the last words, raise it again."""
        request = self._placed.request
        deadline = time.monotonic() + request.ring_ms / 1000 + request.seconds + request.held + SETUP_SECONDS
        try:
            if not self._until_over(deadline):
                self._placed.trouble = f"the call was not over after {SETUP_SECONDS:g} s more than it should take"
                self._hang_up(caller)
        except KeyboardInterrupt:
            self._hang_up(caller)
            raise

    def _hang_up(self, caller: ControlChannel) -> None:
        with contextlib.suppress(LabError):
            caller.order("hangup", call=self._placed.call, within=LAST_WORDS_SECONDS)
            self._until_over(time.monotonic() + LAST_WORDS_SECONDS)

    def _until_over(self, deadline: float) -> bool:
        while not self._over():
            limit = deadline
            if self._placed.reports or self._silent:
                limit = min(deadline, time.monotonic() + LAST_WORDS_SECONDS)
            try:
                node, event = self._said.get(timeout=max(0.0, limit - time.monotonic()))
            except queue.Empty:
                return limit < deadline  # one end's last word is all that there will be
            self._hear(node, event)
        return True

    def _over(self) -> bool:
        request = self._placed.request
        done = self._placed.reports.keys() | self._silent
        knows = {event.node for event in self._placed.events} | {request.caller}
        return knows <= done and request.caller in done

    def _hear(self, node: str, said: Mapping[str, object] | None) -> None:
        if said is None:
            if node not in self._placed.reports:
                self._silent.add(node)
                self._placed.trouble = self._placed.trouble or f"{node} went silent in the call"
            return
        event = parse_event(said)
        if event.call != self._placed.call:
            return
        self._placed.events.append(event)
        if event.event == "ended":
            self._placed.reports[node] = parse_ended(event)
        self._follow(event)
