"""What a window of packets shows of the media between two nodes, as data: paths, their ways and ends, strays.

Belongs here: types, and paths put together that are one. Never: finding them, deciding which one counts.
"""

from dataclasses import dataclass, replace
from typing import Literal

from lab.evidence.media import Bout
from lab.evidence.pcap import Endpoint

Kind = Literal["direct", "punched", "relayed"]
Transport = Literal["udp", "tcp", "mixed"]


@dataclass(frozen=True)
class Way:
    """Media in one direction of a path: when (epoch s, stretches), packets sent at its source, arrived at its end.

    `flight` is how long they took, seconds, median.
    """

    spans: tuple[Bout, ...]
    sent: int
    arrived: int
    flight: float

    @property
    def seconds(self) -> float:
        return sum(span.seconds for span in self.spans)


@dataclass(frozen=True)
class Hop:
    """A flow at one place on its way out: its own side and its far side as they are written there."""

    place: str
    local: Endpoint
    remote: Endpoint


Trail = tuple[Hop, ...]
"""A flow from its own end outwards: its own hop first, the outermost last."""


@dataclass(frozen=True)
class End:
    """One end of a path: its own address, the one that the far side sees, and whether a router changed it.

    `trail`: what its flow became from place to place.
    """

    node: str
    protocol: Literal["udp", "tcp"]
    inside: Endpoint
    outside: Endpoint
    remote: Endpoint
    translated: bool
    trail: Trail = ()

    def __str__(self) -> str:
        return (
            f"{self.node} {self.outside} (translated from {self.inside})"
            if self.translated
            else f"{self.node} {self.inside}"
        )


@dataclass(frozen=True)
class MediaPath:
    """One path of media between caller and callee, with both its ways (None: no media that way).

    `packets` are its media packets at core, of both legs where it is relayed; on a path that does not cross the
    internet, as each was sent. `sealed`: one of its legs is inside TLS. `former`: ends as they were.
    """

    kind: Kind
    transport: Transport
    via: str | None
    caller: End
    callee: End
    to_callee: Way | None
    to_caller: Way | None
    packets: int
    sealed: bool = False
    former: tuple[End, ...] = ()

    @property
    def ways(self) -> tuple[Way, ...]:
        return tuple(way for way in (self.to_callee, self.to_caller) if way is not None)

    @property
    def flight(self) -> float:
        """Seconds that media took the slower way."""
        return max((way.flight for way in self.ways), default=0.0)

    @property
    def spans(self) -> tuple[Bout, ...]:
        return tuple(sorted((span for way in self.ways for span in way.spans), key=lambda span: span.start))

    @property
    def first(self) -> float:
        return min(span.start for span in self.spans)

    @property
    def last(self) -> float:
        return max(span.end for span in self.spans)

    def __str__(self) -> str:
        return f"{self.kind}/{self.transport}" + (f" via {self.via}" if self.via else "")


@dataclass(frozen=True)
class Stray:
    """Media of one end at a relay, or towards the other end, that never became a path: to whom, when, how much."""

    node: str
    protocol: Literal["udp", "tcp"]
    remote: Endpoint
    relay: str | None
    spans: tuple[Bout, ...]
    packets: int

    def __str__(self) -> str:
        where = f"{self.relay} ({self.remote})" if self.relay else str(self.remote)
        return f"{self.packets} media packets of {self.node} with {where} by {self.protocol.upper()}"


@dataclass(frozen=True)
class Scene:
    """Everything of the media between two nodes in a window; `lost`: of a trace, what was sent and became no path."""

    paths: tuple[MediaPath, ...]
    strays: tuple[Stray, ...]
    lost: tuple[Stray, ...] = ()


def merged(paths: list[MediaPath]) -> list[MediaPath]:
    """Paths that differ only in what one router made of the far end: a router forgot its mappings, or was renewed."""
    merged: list[MediaPath] = []
    for path in paths:
        for index, other in enumerate(merged):
            same = (path.kind, path.transport, path.via) == (other.kind, other.transport, other.via)
            if same and (_same_flow(path.caller, other.caller) or _same_flow(path.callee, other.callee)):
                last = max(other, path, key=_until)
                ends = [end for one in (other, path) for end in (*one.former, one.caller, one.callee)]
                merged[index] = replace(
                    last,
                    former=tuple(end for end in ends if end not in (last.caller, last.callee)),
                    to_callee=_both(other.to_callee, path.to_callee),
                    to_caller=_both(other.to_caller, path.to_caller),
                    packets=other.packets + path.packets,
                )
                break
        else:
            merged.append(path)
    return merged


def _until(path: MediaPath) -> tuple[float, float]:
    """When it was used last: an end that notices nothing sends on one and the same flow, so the other way tells."""
    ends = [way.spans[-1].end for way in path.ways if way.spans]
    return min(ends, default=0.0), max(ends, default=0.0)


def _same_flow(one: End, two: End) -> bool:
    return (one.inside, one.remote) == (two.inside, two.remote)


def _both(one: Way | None, two: Way | None) -> Way | None:
    """Two ways of one direction as one; the same stream, sent once, counts once."""
    if one is None or two is None or one.spans == two.spans:
        return one or two
    spans = tuple(sorted((*one.spans, *two.spans), key=lambda span: span.start))
    return Way(spans, one.sent + two.sent, one.arrived + two.arrived, max(one.flight, two.flight))
