"""Packets of any nodes while they pass: captures at all of them at once, their rows by time, and one file of it all.

Belongs here: opening, following and ending these together. Never: what a row says (passing.py), and how it looks.
"""

import contextlib
import heapq
import queue
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from lab.errors import ConfigError, LabError, RuntimeUnavailable
from lab.evidence import whole
from lab.evidence.pcap import packets
from lab.harness import dropping
from lab.harness.blocking import Remembered
from lab.harness.feeding import Feed, Sink
from lab.harness.kept import Kept, one_file
from lab.harness.passing import Losing, Row, all_marks
from lab.harness.scratch import Scratch
from lab.harness.session import SHARED
from lab.harness.witnesses import open_all, places
from lab.runtime.capture import RING, SMALL_RING, Capture, Captured, check
from lab.runtime.connection import Engine
from lab.runtime.world import World
from lab.topology.model import Node, Role, Topology

Recall = Callable[[Iterable[str]], Mapping[str, Remembered]]
"""What these routers have in mind."""
LOOK = 1.0
"""Seconds between two looks whether somebody has changed the lab."""
_BEFORE_A_NAME = {"host", "src", "dst", "or", "and", "not", "!", "||", "&&"}
"""Words of tcpdump's after which a name may stand."""
_UNTRANSLATED = _BEFORE_A_NAME | {"", "ip", "ip6", "udp", "tcp", "icmp", "icmp6"}
"""Words of a filter that no router makes untrue."""


def _nothing(routers: Iterable[str]) -> Mapping[str, Remembered]:
    return {}


@dataclass(frozen=True)
class Watched:
    """What is to be captured: these nodes, by a filter in tcpdump's words (empty: everything).

    `told`: whether rows are wanted. `pipe`: who takes the packets as a pcapng while they come. `file` does as well, so
    that most is there whatever happens; what `write` makes of it in the end is in order, and has its comments.
    """

    nodes: tuple[Node, ...]
    expression: str = ""
    told: bool = True
    pipe: Callable[[bytes], None] | None = None
    file: Path | None = None


def chosen(world: World, names: Sequence[str], ends: Sequence[str] = ()) -> tuple[Node, ...]:
    """The nodes of these names; without names where a call between these ends can pass, else all routers, core and
    relays that run.

    Raises ConfigError for a name that nobody has, NotNow for a node that is stopped.
    """
    topology = world.topology
    if names:
        for name in names:
            world.running(name)
        return tuple(topology.node(name) for name in dict.fromkeys(names))
    wanted = [node for role in (Role.ROUTER, Role.CORE, Role.RELAY) for node in topology.by_role(role)]
    if ends:
        wanted = places(topology, [topology.node(name) for name in ends])
    return tuple(node for node in wanted if world.containers[node.name].running)


def addressed(expression: str, topology: Topology, at: Node | None = None) -> str:
    """A filter in which nodes are called by name, with addresses in place of names: `host bob`.

    Those that it has, and those that its routers have, for so it is seen outside. At a router that it stands behind
    (`at`) whoever else does is meant too: they are all seen under the same address on the other side.
    """
    words = _words(expression)
    for number, name in _named(words, topology).items():
        addresses = " or ".join(map(str, _seen_as(topology.node(name), topology, at)))
        words[number] = f"({addresses})" if " or " in addresses else addresses
    return "".join(words)


def both_sides(expression: str, topology: Topology) -> bool:
    """Whether a filter takes a packet on both sides of a router or on neither: it asks for nodes and protocols alone,
    and for no port or address that the router may change."""
    words = _words(expression)
    named = _named(words, topology)
    return all(
        number in named or word.strip(" \t\n()") in _UNTRANSLATED for number, word in enumerate(words) if word.strip()
    )


def _words(expression: str) -> list[str]:
    return re.split(r"([\s()]+)", expression)


def _named(words: Sequence[str], topology: Topology) -> dict[int, str]:
    """Which of these words are names, where one may stand."""
    having, before, found = {one.name for one in topology.nodes if one.addresses}, "", dict[int, str]()
    for number, word in enumerate(words):
        if word in having and before in _BEFORE_A_NAME:
            found[number] = word
        before = word if word.strip(" \t\n()") else before
    return found


def _seen_as(node: Node, topology: Topology, at: Node | None) -> list[object]:
    before = topology.routers_outward(node)
    beside = [node, *before]
    if at is not None and at.role is Role.ROUTER and at.site is not None and (at == node or at in before):
        inside = topology.lan_of(at.site).name
        beside += [one for one in topology.nodes if any(each.network == inside for each in one.attachments)]
    return list(dict.fromkeys(address for one in beside for address in (*one.addresses, *topology.translated6(one))))


def refuse(engine: Engine, world: World, nodes: Sequence[Node], expression: str) -> None:
    """Raises ConfigError where a filter is none that tcpdump takes: before anything is started."""
    if not nodes:
        raise ConfigError("none of the nodes that could be captured runs; `lab status` shows what does")
    asked = addressed(expression, world.topology, nodes[0])
    if expression and (said := check(engine, world.running(nodes[0].name).id, asked)) is not None:
        raise ConfigError(f"the filter {expression!r} is none that tcpdump understands: {said}")


class Capturing:
    """Captures at many nodes, from when it is made until it is closed. `poll` gives the rows whose turn has come."""

    def __init__(
        self,
        engine: Engine,
        world: World,
        watched: Watched,
        state: Path,
        stands: Callable[[], tuple[Topology, Losing]],
        changes: Path,
        rules: dropping.Ask | None = None,
        mapped: Recall = _nothing,
    ) -> None:
        """`state`: the folder in which it may keep captures until they are written. `stands`: how the world stands, and
        which lines lose packets, which is asked again whenever the file `changes` is another. `rules`: what routers
        have counted that they dropped; `mapped`: what they have in mind, for rows.

        Raises ConfigError for a filter that is none, EvidenceError or RuntimeUnavailable where none can be started.
        """
        refuse(engine, world, watched.nodes, watched.expression)
        self.watched, self._stands, self._changes = watched, stands, changes
        self._changed, self._looked = _changed(changes), 0.0
        self._mapped = mapped if watched.told else _nothing
        self._asked: Future[tuple[Topology, Losing, Mapping[str, Remembered]]] | None = None
        self.topology, losing = stands()
        self._said: queue.SimpleQueue[tuple[str, bytes | None]] = queue.SimpleQueue()
        self._lives: dict[str, int] = {}
        self._stopped: set[str] = set()
        self._output: _Output | None = None
        self._written: whole.Writer | None = None
        self.full = False
        self._captured: list[Captured] | None = None
        self._captures: list[Capture] = []
        try:
            self._scratch = Scratch(state)
        except OSError as error:
            raise RuntimeUnavailable(f"captures cannot be kept in {state}: {error.strerror or error}") from None
        self.folder = self._scratch.path
        try:
            sinks: list[Sink] = []
            if watched.file is not None:
                self._output = _Output(watched.file)
                self._written = whole.Writer(self._output)
                sinks.append(self._keep)
            if (pipe := watched.pipe) is not None:
                sinks.append(lambda blocks: pipe(b"".join(blocks)))
            judged = both_sides(watched.expression, self.topology)
            told = watched.told or pipe is not None
            self._feed = Feed(
                self.topology, watched.nodes, told, sinks, losing, judged=judged, expression=watched.expression
            )
            self._rules, self._routers = rules, [node.name for node in watched.nodes if node.role is Role.ROUTER]
            self._before = dropping.read(rules, self._routers)
            self._after: dict[str, dropping.Counted] = {}
            self._captures = open_all([self._opener(engine, world, node) for node in watched.nodes])
            self._lives = {capture.node: capture.lives for capture in self._captures}
            self._barrier()
            # Asked now: what a router comes to have in mind from here on is seen.
            self._feed.know(self.topology, losing, self._mapped(self._routers))
        except BaseException:
            self.close()
            self.discard()
            raise

    def poll(self, now: float) -> list[Row]:
        """The rows whose turn it is at `now`, of time.monotonic().

        Raises RuntimeUnavailable where a capture has failed, or the file cannot be written on: `full` says so.
        """
        self._drain(now)
        for capture in self._captures:
            self._look_at(capture)
        if now - self._looked >= LOOK:
            self._looked = now
            self._restand()
        rows = self._feed.due(now)
        self._keep(())
        return rows

    def rest(self) -> list[Row]:
        """After the end: every row that was still to come."""
        self._drain(time.monotonic())
        return self._feed.due(time.monotonic(), over=True)

    def note(self, at: float, text: str, event: str | None = None) -> None:
        """Something that is no packet, as a row; of any thread."""
        self._feed.note(at, text, event)

    def write(self, target: Path, call: Kept | None = None) -> int:
        """Write what was captured so far as one file; returns how many packets that is. Of a call, with its story.

        Raises RuntimeUnavailable where it cannot be written to its end: what was written by then can be read.
        """
        try:
            return self._write(target, call)
        except LabError:
            self._scratch.keep()
            raise

    def finish(self) -> list[Captured]:
        """Wait for what was seen until now, and end."""
        if self._captured is None:
            with contextlib.suppress(LabError):  # what has failed has told so
                self._barrier()
            self._after = dropping.read(self._rules, self._routers)
        return self.close()

    @property
    def drops(self) -> list[dropping.Dropped]:
        """After the last row: what each router dropped, by the rules that counted it."""
        return dropping.between(self._before, self._after, self._feed.dropped)

    def close(self) -> list[Captured]:
        """End every capture, and return what each says of itself; a second time, the same again."""
        if self._captured is None:
            with ThreadPoolExecutor(max_workers=16, thread_name_prefix="close") as pool:
                self._captured = list(pool.map(lambda capture: capture.close(), self._captures))
            self._written = None  # what is still to come of it is in the captures, of which `write` makes the file
            if self._output is not None:
                self._output.close()
        return self._captured

    def discard(self) -> None:
        """Remove the captures, which were written, or not wanted."""
        self._scratch.remove()

    # -- inside --------------------------------------------------------------------------------------------------

    def _opener(self, engine: Engine, world: World, node: Node) -> Callable[[], Capture]:
        container, file = world.running(node.name).id, self.folder / f"{node.name}.pcap"
        live = self.watched.told or self.watched.pipe is not None
        return lambda: Capture(
            engine,
            container,
            node.name,
            file,
            incoming=node.role is Role.CORE,
            buffered=not live,
            ring=RING if node.role in SHARED else SMALL_RING,
            expression=addressed(self.watched.expression, self.topology, node),
            heard=lambda data: self._said.put((node.name, data)),
        )

    def _keep(self, blocks: Sequence[bytes]) -> None:
        """Blocks for the file, written where they are many; without any, all that wait. A full disk is told of once."""
        if self._written is None or self.watched.file is None:
            return
        try:
            for block in blocks:
                self._written.add(block)
            if not blocks:
                self._written.flush()
        except OSError as error:
            self.full, self._written = True, None
            raise self._cut_short(self.watched.file, error) from None

    def _write(self, target: Path, call: Kept | None) -> int:
        if growing := self._captured is None:
            self._barrier()
        files = {capture.node: capture.file for capture in self._captures}
        lost = {one.node: one.dropped for one in self._captured or () if one.dropped}
        if call is not None:
            setting = replace(call.setting, topology=_with(call.setting.topology, self.topology, files))
            report = {**call.report, "dropped_by_captures": lost}
            captured = replace(call, folder=self.folder, setting=setting, report=report)
            return one_file(captured, target, self.watched.expression, call.keys, growing)
        try:
            told = self._comments(files), lost, self.watched.expression, growing
            return whole.collect(self.topology, files, target, *told)
        except OSError as error:
            raise self._cut_short(target, error) from None

    def _comments(self, files: Mapping[str, Path]) -> whole.Comments:
        """What packets are in calls that went by meanwhile, as the table marks them."""
        seen = heapq.merge(*(packets(file, node) for node, file in files.items()), key=lambda one: one.time)
        return {(one.place, one.offset): [event] for one, event in all_marks(self.topology, seen)}

    def _cut_short(self, target: Path, error: OSError) -> RuntimeUnavailable:
        self._scratch.keep()
        return RuntimeUnavailable(
            f"{target} is not whole: {error.strerror or error}; what it holds so far can be read, and the captures "
            f"themselves are in {self.folder}"
        )

    def _barrier(self) -> None:
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="barrier") as pool:
            list(pool.map(lambda capture: capture.barrier(), self._captures))

    def _restand(self) -> None:
        """Where the world has changed, names, profiles and firewalls are asked for anew, and known once told."""
        if self._asked is None:
            if (changed := _changed(self._changes)) != self._changed:
                self._changed, self._asked = changed, Future()
                threading.Thread(target=self._ask, args=(self._asked,), name="how it stands", daemon=True).start()
        elif self._asked.done():
            asked, self._asked = self._asked, None
            with contextlib.suppress(LabError):
                self.topology, losing, remembered = asked.result()
                self._feed.know(self.topology, losing, remembered)

    def _ask(self, asked: "Future[tuple[Topology, Losing, Mapping[str, Remembered]]]") -> None:
        try:
            asked.set_result((*self._stands(), self._mapped(self._routers)))
        except Exception as error:
            asked.set_exception(error if isinstance(error, LabError) else RuntimeUnavailable(str(error)))

    def _drain(self, now: float) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                node, data = self._said.get_nowait()
                self._feed.hear(node, data, now)

    def _look_at(self, capture: Capture) -> None:
        node = capture.node
        if capture.trouble is not None:
            self._scratch.keep()
            raise RuntimeUnavailable(f"{capture.trouble}; what was captured so far is in {self.folder}")
        if capture.lives > self._lives[node]:
            self._lives[node] = capture.lives
            self._stopped.discard(node)
            self._feed.note(time.time(), f"{node} was restarted: its capture has begun again")
        elif capture.stopped and node not in self._stopped:
            self._stopped.add(node)
            self._feed.note(time.time(), f"{node} has stopped: its capture begins again when it runs")


class _Output:
    """A file that is begun anew once there is something to write: what it held is kept where nothing comes of it."""

    def __init__(self, file: Path) -> None:
        """Raises ConfigError where it cannot be written."""
        self._file: BinaryIO | None = None
        self._path, there = file, file.exists()
        try:
            file.open("ab").close()
            if not there:
                file.unlink()
        except OSError as error:
            raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from None

    def write(self, data: bytes) -> int | None:
        if self._file is None:
            self._file = self._path.open("wb", buffering=0)
        return self._file.write(data)

    def truncate(self, size: int) -> None:
        if self._file is not None:
            self._file.truncate(size)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _changed(file: Path) -> float:
    """When a file was last written; 0 where there is none."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _with(own: Topology, now: Topology, nodes: Iterable[str]) -> Topology:
    """What a call concerns, and the nodes that were captured beside."""
    known = {node.name for node in own.nodes}
    more = [node for node in now.nodes if node.name in set(nodes) - known]
    networks = {network.name for network in own.networks}
    sites = {node.site for node in more}
    needed = {one.network for node in more for one in node.attachments}
    return Topology(
        (*own.nodes, *more),
        (
            *own.networks,
            *(
                one
                for one in now.networks
                if one.name not in networks and (one.name in needed or (one.site and one.site in sites))
            ),
        ),
    )
