"""A call to which something is done while it talks, and how much of the voice either end missed for it.

What was sent while the network did not forward is nobody's fault: for how long that was, packets tell, and never the
time that a command took. Belongs here: doing and measuring. Never: what is done, or how much may be missed.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from lab.evidence import Captures
from lab.evidence.pcap import Direction
from lab.harness import Lab
from lab.harness.call_report import CallReport
from lab.harness.events import CallEvent
from lab.topology.model import Topology
from lab.wire.rtp import is_rtp

FRAMES_A_SECOND = 50
STANDBY, FOUND = 1.0, 3.0
"""Seconds within which voice is back: where another path stands, and where one must be found."""


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something holds by then; it is asked once a second, for a question to every node takes the processor from
    the call that is measured meanwhile."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(1.0)
    return True


@dataclass(frozen=True)
class Survived:
    """A call, and what was done to it: asked for at `begun` and in effect at `done`, epoch seconds, by the timeline.

    `worlds` are the topologies before and after.
    """

    report: CallReport
    begun: float
    done: float
    worlds: tuple[Topology, Topology]

    @property
    def ends(self) -> tuple[str, str]:
        """Caller and callee."""
        return self.report.caller, self.report.callee

    def missed(self, name: str) -> float:
        """Seconds of the other end's voice that this one did not decode."""
        (peer,) = set(self.ends) - {name}
        return (self.report.media[peer].sent - self.report.media[name].received) / FRAMES_A_SECOND

    def left(self) -> float:
        """When voice went to the path that it ended on, epoch seconds."""
        lines = (self.report.evidence / "timeline.jsonl").read_text().splitlines()
        dialled = next(line["at"] for line in map(json.loads, lines) if line["event"] == "dialled")
        return float(dialled) + self.report.history[-1].from_ms / 1000

    def arriving(self, router: str, sources: Iterable[object]) -> list[tuple[float, int]]:
        """When which sequence number of RTP came to a router's outer side from these addresses, epoch seconds."""
        wanted = {str(source) for source in sources}
        packets = self._captures.need(router).capture.packets
        return [
            (one.time, int.from_bytes(one.payload[2:4], "big"))
            for one in packets
            if one.direction is Direction.IN and one.source.address in wanted and is_rtp(one.payload)
        ]

    def cut(self, addresses: Iterable[object]) -> float:
        """Seconds for which nothing came from any of these addresses, into core or a router, around what was done.

        Clients go on sending meanwhile: the first packet that comes again is the moment at which the network forwards
        again, unless what was done held before, and a client took its time.
        """
        wanted = {str(address) for address in addresses}
        times = sorted(at for place in self._places for at in self._coming(place, wanted))
        around = [(before, min(after, self.done)) for before, after in pairwise(times) if after >= self.begun]
        return max((after - before for before, after in around if before <= self.done), default=0.0)

    def late(self, bound: float, cut: float = 0.0) -> str | None:
        """Which end missed more than the network's `cut` and the time to be back, seconds; None: neither did."""
        for name in self.ends:
            if self.missed(name) > cut + bound:
                return (
                    f"{name} missed {self.missed(name):.2f} s; the network was cut for {cut:.2f} s, and voice is back "
                    f"within {bound:g} s: {self.report}, {self.report.history}"
                )
        return None

    @cached_property
    def _captures(self) -> Captures:
        return Captures.read({place: self.report.evidence / f"{place}.pcap" for place in self._places})

    @property
    def _places(self) -> list[str]:
        return [file.stem for file in self.report.evidence.glob("*.pcap") if not file.stem.startswith("relay-")]

    def _coming(self, place: str, wanted: set[str]) -> list[float]:
        if not self._captures.saw_anything(place):
            return []
        packets = self._captures.need(place).capture.packets
        return [one.time for one in packets if one.direction is Direction.IN and one.source.address in wanted]


@dataclass
class _Talking:
    """Set once both ends have talked for a second, or the call is over."""

    begun: threading.Event = field(default_factory=threading.Event)
    heard: set[str] = field(default_factory=set)
    relay: str | None = None
    over: bool = False

    def __call__(self, event: CallEvent) -> None:
        if event.event == "progress":
            self.heard.add(event.node)
            self.relay = event.path.via if event.path else None
        self.over = self.over or event.event == "ended"
        if len(self.heard) == 2 or self.over:
            self.begun.set()


def through(lab: Lab, pair: tuple[str, str], act: Callable[[str | None], object], seconds: float = 12) -> Survived:
    """Places a call, does something once it talks, told the relay that it goes through, and waits for the report."""
    reports: list[CallReport] = []
    talking = _Talking()
    before = lab.running_world().topology
    caller = threading.Thread(
        target=lambda: reports.append(Lab(lab.checkout.root).call(*pair, seconds=seconds, follow=talking))
    )
    caller.start()
    try:
        assert talking.begun.wait(20) and not talking.over, f"{pair} never talked"
        begun = time.time()
        act(talking.relay)
        stamps = lab.timeline.read(since=begun)
    finally:
        caller.join(120)
    done = max((stamp["at"] for stamp in stamps), default=begun)
    return Survived(reports[0], begun, done, (before, lab.running_world().topology))


def outer_of(survived: Survived, site: str) -> list[object]:
    """The addresses under which a site's packets cross core, by the file."""
    return list(survived.worlds[0].router_of(site).addresses)


def own_of(survived: Survived, client: str) -> list[object]:
    """The addresses of a client itself, before and after."""
    return [address for world in survived.worlds for address in world.node(client).addresses]
