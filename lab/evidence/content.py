"""Whether what went in here came out there: streams joined by the bytes they carry, whatever is wrapped around them.

Belongs here: comparing payloads. Never: keys, formats of the calling system, verdicts.
"""

from lab.evidence.flows import Stream
from lab.evidence.media import voice

SLICE = 12
"""Bytes compared. Twelve bytes of ciphertext do not come twice by chance: 2^-96."""
SAMPLES = 48
"""Packets of a window that are looked for: with half of them lost on the way, 24 are still found."""
ENOUGH, PART = 3, 0.1
"""What joins two streams: so many of the samples found, and this part of them: a loss of 90 % is still one stream."""
EARLY, LATE = 0.05, 2.0
"""Seconds around a window in which its packets may arrive: one kernel's clock, and the longest wait of TCP."""


def carried(sent: Stream | None, received: Stream | None, start: float, end: float, enough: int = ENOUGH) -> bool:
    """Whether packets that `sent` carried in a window of epoch seconds are found again in `received`.

    The tail or the middle of each packet must be found: a relay or a proxy may change headers, framing and segments.
    """
    if sent is None or received is None or sent is received:
        return False
    arrived = received.packets[received.between(start - EARLY, end + LATE)]
    packets = [packet.payload for packet in voice(sent, start, end)] if arrived else []
    if not packets:
        return False
    blob = b"".join(packet.payload for packet in arrived)
    step = max(1, len(packets) // SAMPLES)
    found: set[bytes] = set()
    sampled = packets[::step]
    for payload in sampled:
        found.update(part for part in _parts(payload) if part in blob)
    return len(found) >= max(enough, PART * len(sampled))


def _parts(payload: bytes) -> tuple[bytes, ...]:
    """What of a packet is looked for; never its head alone, where two calls may count alike."""
    middle = len(payload) // 2
    tail = payload[-SLICE:]
    if len(set(tail)) > 3:
        return tail, payload[middle : middle + SLICE]
    return (payload,)  # silence or padding: only the whole packet, with whatever it counts by
