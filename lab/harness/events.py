"""The events that a client reports of a call, from JSON to frozen data.

Belongs here: shapes and their validation. Never: waiting for them, or drawing conclusions from them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.errors import ProtocolError
from lab.harness.call_report import KeyChanged, Media, MediaPath


@dataclass(frozen=True)
class CallEvent:
    """One event at one end. `at` is epoch seconds on the lab's one clock; `detail` is the line as it came."""

    event: str
    call: str
    node: str
    at: float
    path: MediaPath | None = None
    detail: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Claim:
    """A client's word that its media took `path` between two times, epoch seconds."""

    start: float
    end: float
    path: MediaPath


@dataclass(frozen=True)
class Ended:
    """A client's last word about a call; `history` is in the order of time."""

    node: str
    at: float
    ok: bool
    connected: bool
    reason: str
    path: MediaPath | None
    history: tuple[Claim, ...]
    media: Media | None
    holds: tuple[tuple[float, float], ...] = ()
    """From when to when the call was on hold, epoch seconds."""


def parse_event(said: Mapping[str, Any]) -> CallEvent:
    """A line of the control socket as an event; raises ProtocolError naming what it lacks."""
    try:
        found = said.get("path")
        return CallEvent(
            event=str(said["event"]),
            call=str(said["call"]),
            node=str(said["node"]),
            at=float(said["at"]),
            path=_path(found) if found else None,
            detail=said,
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ProtocolError(f"an event of a client is not understood ({error!r}): {dict(said)}") from None


def parse_ended(event: CallEvent) -> Ended:
    """The `ended` event in full; raises ProtocolError naming what it lacks."""
    said = event.detail
    try:
        media = said.get("media")
        return Ended(
            node=event.node,
            at=event.at,
            ok=bool(said["ok"]),
            connected=bool(said["connected"]),
            reason=str(said["reason"]),
            path=event.path,
            history=tuple(Claim(float(one["from"]), float(one["to"]), _path(one)) for one in said.get("history") or ()),
            media=_media(media) if media else None,
            holds=tuple((float(one["from"]), float(one["to"])) for one in said.get("holds") or ()),
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ProtocolError(f"the report of {event.node} is not understood ({error!r}): {dict(said)}") from None


def parse_key_changed(event: CallEvent) -> KeyChanged:
    """The `key-changed` event in full; raises ProtocolError naming what it lacks."""
    said = event.detail
    try:
        return KeyChanged(event.node, str(said["contact"]), str(said["before"]), str(said["now"]))
    except KeyError as error:
        raise ProtocolError(f"the word of {event.node} is not understood ({error!r}): {dict(said)}") from None


def _path(said: Mapping[str, Any]) -> MediaPath:
    via = said.get("via")
    return MediaPath(str(said["kind"]), str(said["transport"]), None if via is None else str(via))


def _media(said: Mapping[str, Any]) -> Media:
    return Media(
        sent=int(said["sent"]),
        received=int(said["received"]),
        lost=int(said["lost"]),
        jitter_ms=_figure(said.get("jitter_ms")),
        rtt_ms=_figure(said.get("rtt_ms")),
        mouth_to_ear_ms=_figure(said.get("mouth_to_ear_ms")),
        mos=_figure(said.get("mos")),
    )


def _figure(value: Any) -> float | None:
    return None if value is None else float(value)
