"""What a client's telephone keeps of one call: its voice, the paths that this voice took, the times on hold.

Shapes, and how the spans of a call follow each other. Never: clocks, sockets, orders.
"""

import asyncio
from dataclasses import asdict, dataclass, field

from lab.media.voice import VoiceSession
from lab.overlay.call_events import Heard
from lab.overlay.paths import PathName


@dataclass
class Span:
    """A part of the call; epoch seconds, `end` None while it lasts."""

    begin: float
    end: float | None = None

    def to_json(self) -> dict[str, object]:
        return {"from": self.begin, "to": self.end}


@dataclass(kw_only=True)
class Stretch(Span):
    """A span of the call whose voice this side sent on one path."""

    path: PathName

    def to_json(self) -> dict[str, object]:
        return {**super().to_json(), **path_json(self.path)}


@dataclass
class Conversing:
    """One call as the telephone sees it. `label` is what the user calls it; `id` is unique in the world.

    `path` is where voice goes out, or would if the call were not on hold; while it is, no stretch of a path lasts.
    """

    id: str
    label: str
    caller: bool
    frames: int | None = None
    voice: VoiceSession | None = None
    timer: asyncio.TimerHandle | None = None
    alarm: asyncio.TimerHandle | None = None
    planned: list[asyncio.TimerHandle] = field(default_factory=list)
    early: list[Heard] = field(default_factory=list)
    path: PathName | None = None
    stretches: list[Stretch] = field(default_factory=list)
    holds: list[Span] = field(default_factory=list)
    heard_first: bool = False
    hung_up: bool = False
    rtt: float | None = None
    sent: int = 0

    @property
    def on_hold(self) -> bool:
        """Whether no voice is to be sent for now."""
        return bool(self.holds) and self.holds[-1].end is None

    def move(self, path: PathName | None, wall: float) -> None:
        """Voice goes out on another path from now on, or on none."""
        self.path = path
        if not self.on_hold:
            self._stretch(wall)

    def hold(self, wall: float) -> None:
        """Voice stops."""
        if not self.on_hold:
            self.close(wall)
            self.holds.append(Span(wall))

    def resume(self, wall: float) -> None:
        """Voice goes on, on the path that is the call's by now."""
        if self.on_hold:
            self.close(wall)
            self._stretch(wall)

    def close(self, wall: float) -> None:
        """What lasts ends."""
        lasting: list[Span] = [*self.stretches[-1:], *self.holds[-1:]]
        for span in lasting:
            if span.end is None:
                span.end = wall

    def media(self) -> dict[str, object]:
        """The figures of its voice, as they are reported."""
        if self.voice is None:
            return {}
        rtt_ms = None if self.rtt is None else self.rtt * 1000
        figures = {**asdict(self.voice.figures(rtt_ms)), "rtt_ms": rtt_ms}
        del figures["first_decoded_at"]
        return {name: round(value, 2) if isinstance(value, float) else value for name, value in figures.items()}

    def _stretch(self, wall: float) -> None:
        self.close(wall)
        if self.path is not None:
            self.stretches.append(Stretch(begin=wall, path=self.path))


def path_json(path: PathName | None) -> dict[str, object]:
    return {} if path is None else {"kind": str(path.kind), "transport": str(path.transport), "via": path.via}


def label_of(id: str) -> str:
    """`c7.5f3a9c21` -> `c7`: what the user called the call that is `id` in the world."""
    return id.rpartition(".")[0] or id
