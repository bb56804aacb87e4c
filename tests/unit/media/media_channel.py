"""A simulated one-way network between two voice sessions: every delay, loss and stall is written down by the test.

Time is simulated; nothing here sleeps. A channel maps (index of the packet, time sent) to the times it arrives.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lab.media.quality import VoiceFigures
from lab.media.source import VoiceSource
from lab.media.srtp import MediaKeys
from lab.media.voice import VoiceSession

WALL = 1_700_000_000.0  # wall clock at simulated zero
KEYS = MediaKeys(bytes(range(30)), bytes(range(100, 130)))

Channel = Callable[[int, float], Sequence[float]]


def steady(delay: float = 0.02) -> Channel:
    return lambda index, sent: [sent + delay]


def losing(*lost: int, delay: float = 0.02) -> Channel:
    return lambda index, sent: [] if index in lost else [sent + delay]


@dataclass
class Heard:
    """What came of a call: `pcm` with silence where nothing was played, `ticks` with the time of each 20 ms."""

    figures: VoiceFigures
    listener: VoiceSession
    pcm: bytes = b""
    ticks: list[tuple[float, bytes | None]] = field(default_factory=list)
    delays: list[tuple[float, float | None]] = field(default_factory=list)


def speaker(source: VoiceSource | None = None, **options: int) -> VoiceSession:
    return VoiceSession(KEYS, source or VoiceSource.recording("speech-a"), ssrc=0x1234_5678, **options)


def listener() -> VoiceSession:
    return VoiceSession(KEYS.swapped(), VoiceSource.recording("speech-b"), ssrc=0x0BAD_CAFE)


def call(
    frames: int,
    channel: Channel,
    *,
    source: VoiceSource | None = None,
    tell_sent: bool = True,
    stalls: Sequence[tuple[float, float]] = (),
    **options: int,
) -> Heard:
    """Sends `frames` frames through `channel`, hangs up, drains. In `stalls` (from, to) the sender's process stands."""
    talker, ear = speaker(source, **options), listener()
    talker.start_sending(0.0, WALL)
    in_flight: list[tuple[float, int, bytes]] = []
    order = itertools.count()
    heard = Heard(ear.figures(), ear)
    now, index = 0.0, 0
    while not ear.drained:
        assert now < 60, "the call never drains"
        while in_flight and in_flight[0][0] <= now:
            ear.receive(heapq.heappop(in_flight)[2], now, WALL + now)
        while index < frames and not _stalled(now, stalls):
            data = talker.next_packet(now, WALL + now)
            if data is None:
                break
            for arrival in channel(index, now):
                heapq.heappush(in_flight, (max(arrival, now), next(order), data))
            index += 1
            if index == frames:
                talker.stop_sending()
                ear.finish_receiving(now, index if tell_sent else None)
        while ear.next_play_at is not None and ear.next_play_at <= now:
            pcm = ear.play(now, WALL + now)
            heard.ticks.append((now, pcm))
            heard.delays.append((now, ear.figures().mouth_to_ear_ms))
        now = _next_moment(now, talker, ear, in_flight, stalls)
    heard.figures = ear.figures()
    heard.pcm = b"".join(pcm or bytes(640) for _, pcm in heard.ticks)
    assert talker.figures().sent == frames
    return heard


def _stalled(now: float, stalls: Sequence[tuple[float, float]]) -> bool:
    return any(start <= now < end for start, end in stalls)


def _next_moment(
    now: float,
    talker: VoiceSession,
    ear: VoiceSession,
    in_flight: list[tuple[float, int, bytes]],
    stalls: Sequence[tuple[float, float]],
) -> float:
    send = talker.next_send_at
    if send is not None and _stalled(now, stalls):
        send = min(end for start, end in stalls if start <= now < end)
    moments = [moment for moment in (send, ear.next_play_at) if moment is not None]
    if in_flight:
        moments.append(in_flight[0][0])
    return max(now, min(moments)) if moments else now + 0.02
