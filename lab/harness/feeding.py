"""What captures bring, chunk by chunk and place by place, to rows and to blocks of a pcapng.

A packet that is an event of a call has it as a comment, so a block waits until that is known.

Pure but for those who take the blocks. Belongs here: bytes to frames to packets, and when it is their turn. Never:
captures, and what a row says.
"""

import contextlib
import heapq
import queue
from collections.abc import Callable, Mapping, Sequence
from itertools import count

from lab.evidence.growing import Frame, Growing
from lab.evidence.others import other
from lab.evidence.pcap import Decoder
from lab.evidence.piping import Piping
from lab.harness.blocking import Remembered
from lab.harness.passing import NO_LINE, SETTLE, Losing, Passing, Row
from lab.topology.model import Node, Topology

Sink = Callable[[Sequence[bytes]], None]
"""Takes blocks of a pcapng."""


class Feed:
    """What captures bring, chunk by chunk, to rows, and to whoever takes blocks of a pcapng. Pure but for those."""

    def __init__(
        self,
        topology: Topology,
        nodes: Sequence[Node],
        told: bool,
        sinks: Sequence[Sink],
        losing: Losing = NO_LINE,
        *,
        judged: bool = True,
        expression: str = "",
    ) -> None:
        """`told`: whether rows are wanted, and comments; without them blocks are as they come. `judged`: what is
        captured on one side of a router would be on the other, if it went there. `expression`: the filter."""
        self._passing = Passing(topology, losing, judged=judged)
        self._told, self._sinks = told, sinks
        self._growing = {node.name: Growing(node.name) for node in nodes}
        self._decoders = {node.name: Decoder(node.name) for node in nodes}
        self._notes: queue.SimpleQueue[tuple[float, str, str | None]] = queue.SimpleQueue()
        self._order = count()
        self._frames: list[tuple[int, int, str, Frame, float]] = []
        self._said: dict[int, str] = {}
        self._piping = Piping(topology, nodes, expression)
        self._give([self._piping.head()])

    @property
    def dropped(self) -> Mapping[str, int]:
        """Packets that went no further, by router, of the rows so far."""
        return self._passing.dropped

    def know(self, topology: Topology, losing: Losing, remembered: Mapping[str, Remembered]) -> None:
        """How the world stands from now on, and what its routers have in mind."""
        self._passing.know(topology, losing, remembered)

    def note(self, at: float, text: str, event: str | None = None) -> None:
        """Something that is no packet; of any thread."""
        self._notes.put((at, text, event))

    def hear(self, node: str, data: bytes | None, now: float) -> None:
        """What a node's capture has brought; None: it begins again."""
        if data is None:
            self._growing[node].again()
            return
        for frame in self._growing[node].feed(data):
            number = next(self._order)
            if self._sinks:
                heapq.heappush(self._frames, (frame.ticks, number, node, frame, now))
            if self._told:
                at = frame.ticks / 1e6
                packet = self._decoders[node].decode(at, frame.data, number) or other(node, at, frame.data)
                if packet is not None:
                    self._passing.hear(packet, now)

    def due(self, now: float, *, over: bool = False) -> list[Row]:
        """The rows whose turn it is; what the pipe is to have goes there."""
        with contextlib.suppress(queue.Empty):
            while True:
                at, text, event = self._notes.get_nowait()
                self._passing.note(at, text, now, event)
        rows = self._passing.due(now, over=over)
        if self._sinks:
            self._said |= {packet.offset: event for packet, event in self._passing.marked}
        self._passing.marked.clear()
        blocks, until = [], self._passing.pending
        while self._frames and (over or (now - self._frames[0][4] >= SETTLE and self._frames[0][0] / 1e6 < until)):
            _, number, node, frame, _ = heapq.heappop(self._frames)
            said = self._said.pop(number, None)
            blocks.append(self._piping.packet(node, frame, () if said is None else (said,)))
        if blocks:
            self._give(blocks)
        return rows

    def _give(self, blocks: Sequence[bytes]) -> None:
        for sink in self._sinks:
            sink(blocks)
