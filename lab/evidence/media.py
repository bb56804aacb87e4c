"""What is voice: recognised by rate, size and direction alone, never by keys or by anybody's choice of ports.

Belongs here: the rhythm of 20 ms voice over UDP and TCP, as stretches of time. Never: who talks to whom, verdicts.
"""

import struct
from dataclasses import dataclass

from lab.evidence.flows import Stream
from lab.evidence.pcap import Packet

SIZES = range(24, 601)
"""Payload bytes of one UDP voice packet: a frame of Opus in a pause, with headers and tag, up to a loud one of 10 ms
rhythm with redundancy; the usual is 60 to 300."""
FRAME_BYTES = 120
"""A TCP segment counts as one frame for each of these bytes, at least one: frames are joined after a retransmission."""
RATE = (18.0, 250.0)
"""Frames a second: 50 for 20 ms voice, 35 after a loss of 30 %, less some chance in short windows; 100 for 10 ms."""
MOST_BYTES = 64_000.0
"""Bytes a second: twice that of uncompressed PCM at 256 kbit/s; above it is a file, not a voice."""
SHORTEST = 0.25
"""Seconds: 13 frames. A burst of signalling or a handshake is over by then."""
FEWEST_BY_TCP = 12.0
"""Frames in a stretch: TCP loses none of those 13. Checks and keepalives inside TLS look like voice, and are fewer."""
GAP = {"udp": 0.4, "tcp": 1.0}
"""Seconds of silence that end a stretch: 20 lost frames, or the waits of TCP for a segment lost twice."""
COVERAGE = {"udp": 0.6, "tcp": 0.35}
"""Part of all tenths of a second that hold a packet: voice is even, a burst is not. TCP stalls and then catches up."""
NEAR, NEAR_FRAMES = 0.35, 5
"""A packet belongs to a rhythm if so many frames lie in so many seconds before or after it: heartbeats do not."""
_MARGIN = 1.5  # seconds around a window that are looked at, so that its edges are not taken for a beginning
_BIN = 0.1
_TLS_SETTING_UP = (b"\x14", b"\x15", b"\x16")  # change_cipher_spec, alert, handshake: RFC 8446, 5.1
_STUN_COOKIE = 0x2112A442  # RFC 8489, 5


@dataclass(frozen=True)
class Bout:
    """A stretch of media in one direction: epoch seconds of its first and last packet, and how many."""

    start: float
    end: float
    packets: int

    @property
    def seconds(self) -> float:
        return self.end - self.start


def voice_like(packet: Packet) -> bool:
    """Whether a packet alone could be voice: of UDP by its size; never a STUN message, nor TLS being set up."""
    payload = packet.payload
    if packet.protocol == "udp":
        return packet.length in SIZES and not _is_stun(payload, 0)
    if payload[:1] in _TLS_SETTING_UP and payload[1:2] == b"\x03":
        return False
    return packet.length > 0 and not (_is_stun(payload, 2) and payload[:2] == struct.pack("!H", packet.length - 2))


def voice(stream: Stream, start: float, end: float) -> list[Packet]:
    """The packets of a window (epoch seconds) that could be voice."""
    return [packet for packet in stream.packets[stream.between(start, end)] if voice_like(packet)]


def bouts(stream: Stream | None, start: float, end: float) -> list[Bout]:
    """The stretches of media of one direction within a window of epoch seconds, cut to it, in their order."""
    if stream is None:
        return []
    near = stream.between(start - _MARGIN, end + _MARGIN)
    chosen = [
        (packet.time, float(size))
        for packet, size in zip(stream.packets[near], stream.sizes[near], strict=True)
        if voice_like(packet)
    ]
    segmented = stream.protocol == "tcp"
    weights = [max(1.0, size / FRAME_BYTES) if segmented else 1.0 for _, size in chosen]
    times = [time for time, _ in chosen]
    dense = _dense(times, weights)
    found: list[Bout] = []
    run: list[int] = []
    for index in [*dense, -1]:
        if run and (index < 0 or times[index] - times[run[-1]] > GAP[stream.protocol]):
            first, last = times[run[0]], times[run[-1]]
            inside = [i for i in run if start <= times[i] <= end]
            size = sum(chosen[i][1] for i in run)
            frames = sum(weights[i] for i in run)
            enough = not segmented or frames >= FEWEST_BY_TCP
            if inside and enough and _rhythmic([times[i] for i in run], frames, size, COVERAGE[stream.protocol]):
                found.append(Bout(max(first, start), min(last, end), len(inside)))
            run = []
        run.append(index)
    return found


def _dense(times: list[float], weights: list[float]) -> list[int]:
    """Indices of the packets with enough others close before or close after them."""
    total = [0.0]
    for weight in weights:
        total.append(total[-1] + weight)
    dense: list[int] = []
    low = 0
    for index, time in enumerate(times):
        while time - times[low] > NEAR:
            low += 1
        if total[index + 1] - total[low] >= NEAR_FRAMES:
            dense.extend(range(max(low, dense[-1] + 1 if dense else 0), index + 1))
    return dense


def _rhythmic(times: list[float], frames: float, size: float, coverage: float) -> bool:
    seconds = times[-1] - times[0]
    if seconds < SHORTEST:
        return False
    if not RATE[0] <= frames / seconds <= RATE[1]:
        return False
    if size / seconds > MOST_BYTES:
        return False
    held = {int((time - times[0]) / _BIN) for time in times}
    return len(held) >= coverage * (int(seconds / _BIN) + 1)


def _is_stun(payload: bytes, at: int) -> bool:
    """Whether a STUN header stands at an offset: two zero bits, the magic cookie."""
    return (
        len(payload) >= at + 20 and payload[at] < 0x40 and struct.unpack_from("!I", payload, at + 4)[0] == _STUN_COOKIE
    )
