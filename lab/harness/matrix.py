"""Every pair of sites called in both directions, several calls at a time, each judged and kept like a call of its own.

Belongs here: running them, and what is known when all are over. Never: how a call is placed or judged.
"""

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from lab.errors import ConfigError, Interrupted
from lab.harness import belonging, pairing, record, settling, standing, verdict
from lab.harness.call_report import CallReport
from lab.harness.checkout import Checkout
from lab.harness.pairing import Floor, Pair
from lab.harness.placing import Request
from lab.harness.session import Session
from lab.harness.testimony import Asking
from lab.harness.timeline import Timeline
from lab.runtime.connection import Engine
from lab.runtime.world import World
from lab.topology.document import to_json

DOCUMENT, TOPOLOGY = "matrix.json", "topology.json"
"""What a matrix's folder holds beside those of its calls: the matrix, and the world in which it was called."""
A_CORE, MOST_AT_ONCE = 2, 32
"""Calls under way at the same time, for each core: with twice as many, every core is busy and the voice notices."""
JUDGES = 2
"""Calls that are over and are judged while others go on."""


def at_once() -> int:
    """How many calls this machine carries at a time without one disturbing another."""
    return min(MOST_AT_ONCE, A_CORE * len(os.sched_getaffinity(0)))


@dataclass(frozen=True)
class FirstVoice:
    """Milliseconds from the answer to the first voice at the worse end, of some calls."""

    median: float
    p95: float
    most: float

    @classmethod
    def of(cls, cells: Iterable[CallReport]) -> "FirstVoice | None":
        """None where no voice was heard in any of them."""
        took = [cell.setup_ms.first_voice for cell in cells if cell.setup_ms.first_voice is not None]
        if not took:
            return None
        p95 = quantiles(took, n=20, method="inclusive")[-1] if len(took) > 1 else took[0]
        return cls(median(took), round(p95, 1), max(took))


@dataclass(frozen=True)
class Matrix:
    """All cells in the order in which they ended, of `pairs` that were to call: fewer where it was interrupted.

    `sites`: client -> its site, in the topology's order. `seconds`: from the first dial to the last verdict.
    `dropped_by_captures`: node -> packets that the kernel dropped before its capture had them.
    """

    name: str
    sites: Mapping[str, str]
    cells: tuple[CallReport, ...]
    seconds: float
    dropped_by_captures: Mapping[str, int]
    evidence: Path
    pairs: int

    @property
    def interrupted(self) -> bool:
        """Whether it ended before every pair had called."""
        return len(self.cells) < self.pairs

    @property
    def failed(self) -> tuple[CallReport, ...]:
        """The cells that did not connect, or on which clients and packets do not agree."""
        return tuple(cell for cell in self.cells if not cell.holds())

    def cell(self, caller: str, callee: str) -> CallReport | None:
        """The call of these two, None where there was none."""
        return next((one for one in self.cells if (one.caller, one.callee) == (caller, callee)), None)

    @classmethod
    def from_json(cls, said: Mapping[str, Any], folder: Path) -> "Matrix":
        """The matrix of such a document, which lies in `folder` now.

        Raises KeyError, TypeError or ValueError where it is none.
        """
        cells = tuple(CallReport.from_json(cell, folder / str(cell["call"])) for cell in said["cells"])
        dropped, pairs = said["dropped_by_captures"], int(said.get("pairs", len(cells)))
        return cls(str(said["matrix"]), said["sites"], cells, float(said["seconds"]), dropped, folder, pairs)

    def to_json(self) -> dict[str, Any]:
        """The document of `lab matrix --json`."""
        first_voice = FirstVoice.of(self.cells)
        return {
            "matrix": self.name,
            "seconds": round(self.seconds, 1),
            "pairs": self.pairs,
            "interrupted": self.interrupted,
            "sites": dict(self.sites),
            "first_voice_ms": asdict(first_voice) if first_voice else None,
            "cells": [cell.to_json() for cell in self.cells],
            "dropped_by_captures": dict(self.dropped_by_captures),
            "evidence": str(self.evidence),
        }


@dataclass(frozen=True)
class Progress:
    """How far a matrix has come; `ended` is the cell that has just been judged."""

    done: int
    total: int
    failed: int
    ended: CallReport | None = None


Follow = Callable[[Progress], None]


def run(
    engine: Engine,
    checkout: Checkout,
    world: World,
    sites: Sequence[str],
    seconds: float,
    ring_ms: int,
    at_once: int,
    follow: Follow,
) -> Matrix:
    """Call every pair of these sites in both directions, all unless some are named; see `play`."""
    order = pairing.pairs(pairing.players(world.topology, sites))
    return play(engine, checkout, world, order, seconds, ring_ms, at_once, follow)


def play(
    engine: Engine,
    checkout: Checkout,
    world: World,
    order: Sequence[Pair],
    seconds: float,
    ring_ms: int,
    at_once: int,
    follow: Follow,
) -> Matrix:
    """Place every call of `order`, as often as it stands there, and judge it. Raises ConfigError and RuntimeUnavailable
    where it cannot begin.

    A call that fails is a cell like another. An interrupt hangs up what is under way, leaves what is known so far in
    the matrix's folder, and goes on as Interrupted, which names it.
    """
    if at_once < 1 or seconds < 1 or ring_ms < 0:
        raise ConfigError(f"expected calls of 1 s or longer, at least one at a time; got {seconds:g} s, {at_once}")
    if not order or any(caller == callee for caller, callee in order):
        raise ConfigError("a matrix needs calls, each of them between two clients")
    called = {name for pair in order for name in pair}
    everybody = [client.name for client in world.topology.clients()]
    if unknown := sorted(called.difference(everybody)):
        raise ConfigError(f"no client is called {unknown[0]!r}; the clients are {', '.join(sorted(everybody))}")
    clients = [name for name in everybody if name in called]
    for name in clients:
        world.running(name)
    said = standing.routers(engine, world, standing.concerned(world.topology, clients))
    world = replace(world, topology=standing.live(world.topology, said))
    follow(Progress(0, len(order), 0))
    settling.find_out(engine, world, clients)
    name, folder = checkout.new_matrix()
    belonging.mark(folder, world.name)
    record.json_document(to_json(world.topology), folder / TOPOLOGY)
    captures = folder / "captures"
    captures.mkdir()
    try:
        session = Session(engine, world, clients, captures, said)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    asking = session.asking(Timeline(checkout.state, world.name).changes)
    play = _Play(session, asking, world, folder, order, (seconds, ring_ms), follow)
    begun = time.monotonic()
    try:
        play.all(at_once)
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted; what is known of matrix {name} is in {folder}") from error
    finally:
        dropped = {one.node: one.dropped for one in session.close() if one.dropped}
        shutil.rmtree(captures, ignore_errors=True)  # each cell has its own part
        took = time.monotonic() - begun
        homes = {client: str(world.topology.node(client).site) for client in clients}
        found = Matrix(name, homes, tuple(play.cells), took, dropped, folder, len(order))
        record.json_document(found.to_json(), folder / DOCUMENT)
    return found


class _Play:
    """The calls of one matrix under way."""

    def __init__(
        self,
        session: Session,
        asking: Asking,
        world: World,
        folder: Path,
        order: Sequence[Pair],
        lasting: tuple[float, int],
        follow: Follow,
    ) -> None:
        """`lasting`: seconds of talk and milliseconds of ringing of each call."""
        self.cells: list[CallReport] = []
        self._session, self._world, self._folder, self._lasting = session, world, folder, lasting
        self._asking, self._follow = asking, follow
        self._total, self._numbers = len(order), itertools.count(1)
        self._floor = Floor(order)
        self._changed = threading.Condition()
        self._free = 0
        self._stopped = False

    def all(self, at_once: int) -> None:
        """Return when every pair has called and been judged."""
        self._free = at_once
        with ThreadPoolExecutor(max_workers=at_once + JUDGES, thread_name_prefix="cell") as pool:
            workers = [pool.submit(self._work) for _ in range(at_once + JUDGES)]
            try:
                for worker in workers:
                    worker.result()
            except BaseException:
                self._stop()
                raise

    def _stop(self) -> None:
        """No call begins any more, and those under way are hung up, so that nobody waits for their end."""
        with self._changed:
            self._stopped = True
            self._floor.clear()
            self._changed.notify_all()
        self._session.close()

    def _work(self) -> None:
        try:
            while (taken := self._next()) is not None:
                self._cell(*taken)
        except BaseException:  # the others must not go on for minutes before it is told
            self._stop()
            raise

    def _next(self) -> tuple[int, Pair] | None:
        """The next pair that may call, and its call's number, as soon as there is one; None when all have."""
        with self._changed:
            while self._floor.waiting:
                if self._free and (pair := self._floor.take()):
                    self._free -= 1
                    return next(self._numbers), pair
                self._changed.wait()
            return None

    def _cell(self, number: int, pair: Pair) -> None:
        call = f"{self._folder.name}-{number}"
        folder = self._folder / call
        folder.mkdir()

        def over() -> None:
            with self._changed:
                self._free += 1
                self._floor.leave(pair)
                self._changed.notify_all()

        request = Request(*pair, *self._lasting)
        placed = self._session.place(request, call, folder, lambda event: None, over)
        interrupted = self._stopped  # hung up in the middle: it says nothing of its networks, and is no cell
        lines = self._session.lines(call)
        record.logged(lines, folder)
        record.timeline(placed, lines, folder)
        record.setting(self._world.topology, placed, lines, folder)
        report = verdict.report(self._world.topology, placed, folder, self._asking)
        if interrupted:
            record.document(replace(report, error="interrupted", path=None, observed=None, agrees=False), folder)
            return
        record.document(report, folder)
        with self._changed:
            self.cells.append(report)
        self._tell(report)

    def _tell(self, ended: CallReport) -> None:
        with self._changed:
            failed = sum(not cell.holds() for cell in self.cells)
            self._follow(Progress(len(self.cells), self._total, failed, ended))
