"""Whether what went in here came out there: streams joined by the bytes they carry, whatever is wrapped around them.

Belongs here: comparing payloads. Never: keys, formats of the calling system, verdicts.
"""

from statistics import median

from lab.evidence.flows import Stream
from lab.evidence.media import voice
from lab.evidence.pcap import Packet

SLICE = 12
"""Bytes compared. Twelve bytes of ciphertext do not come twice by chance: 2^-96."""
SAMPLES = 48
"""Packets of a window that are looked for: with half of them lost on the way, 24 are still found."""
ENOUGH, PART = 3, 0.1
"""What joins two streams: so many of the samples found, and this part of them: a loss of 90 % is still one stream."""
EARLY, LATE = 0.05, 2.0
"""Seconds around a window in which its packets may arrive: one kernel's clock, and the longest wait of TCP, which is
longer than four links of 400 ms, those of a path through a relay."""


def carried(sent: Stream | None, received: Stream | None, start: float, end: float, enough: int = ENOUGH) -> bool:
    """Whether packets that `sent` carried in a window of epoch seconds are found again in `received`.

    The tail or the middle of each packet must be found: a relay or a proxy may change headers, framing and segments.
    """
    if sent is None or received is None or sent is received:
        return False
    arrived = received.packets[received.between(start - EARLY, end + LATE)]
    sampled = _samples(sent, start, end) if arrived else []
    if not sampled:
        return False
    blob = b"".join(packet.payload for packet in arrived)
    whole = {packet.payload for packet in arrived if _short(packet)}
    found = {part for packet in sampled for part in _parts(packet) if part in (whole if _short(packet) else blob)}
    return len(found) >= max(enough, PART * len(sampled))


def tells(sent: Stream, start: float, end: float, enough: int = ENOUGH) -> bool:
    """Whether a stream carried contents enough to be known by: not where its packets are all alike."""
    sampled = _samples(sent, start, end)
    return len({part for packet in sampled for part in _parts(packet)}) >= max(enough, PART * len(sampled))


def alike(one: Stream, other: Stream, start: float, end: float, enough: int = ENOUGH) -> bool:
    """Whether two streams carried as many packets in a window, and the same few contents."""
    if tells(one, start, end, enough) or tells(other, start, end, enough):
        return False
    packets, others = voice(one, start, end), voice(other, start, end)
    if not packets or {packet.payload for packet in packets} != {packet.payload for packet in others}:
        return False
    return abs(len(packets) - len(others)) <= max(enough, PART * len(packets))


def _samples(sent: Stream, start: float, end: float) -> list[Packet]:
    packets = voice(sent, start, end)
    return packets[:: max(1, len(packets) // SAMPLES)]


def flight(sent: Stream | None, received: Stream | None, start: float, end: float) -> float:
    """Seconds that packets sent in a window took from one place to another, median; 0 where none can be told."""
    if sent is None or received is None:
        return 0.0
    arrived: dict[bytes, float] = {}
    for packet in received.packets[received.between(start - EARLY, end + LATE)]:
        arrived.setdefault(packet.payload[-SLICE:], packet.time)
    packets = voice(sent, start, end)
    sampled = packets[:: max(1, len(packets) // SAMPLES)]
    tails = ((packet.time, packet.payload[-SLICE:]) for packet in sampled)
    took = [arrived[tail] - time for time, tail in tails if tail in arrived and len(set(tail)) > 3]
    return max(0.0, median(took)) if took else 0.0


def _short(packet: Packet) -> bool:
    """Whether it is a datagram that others may hold by chance: never one of a voice's size."""
    return packet.protocol == "udp" and len(packet.payload) < SLICE


def _parts(packet: Packet) -> tuple[bytes, ...]:
    """What of a packet is looked for; never its head alone, where two calls may count alike. Nothing of a short one
    that is all alike, as what keeps a mapping alive is."""
    payload = packet.payload
    middle = len(payload) // 2
    tail = payload[-SLICE:]
    if _short(packet):
        return (payload,) if len(set(payload)) > 3 else ()
    if len(set(tail)) > 3:
        return tail, payload[middle : middle + SLICE]
    return (payload,)  # silence or padding: only the whole packet, with whatever it counts by
