"""Figures of a voice: interarrival jitter (RFC 3550) and the E-model's short form (ITU-T G.107) up to the MOS.

Numbers in, numbers out; who measured them, and over which path, is not asked here.
"""

from dataclasses import dataclass

from lab.media.timing import RTP_CLOCK

BASE_RATING = 93.2
"""R of an undisturbed narrowband connection, G.107 with its default parameters."""

OPUS_IMPAIRMENT = 0.0
"""Ie of Opus at 24 kbit/s, wideband, on the narrowband scale. On the wideband scale (129 at best, where undisturbed
narrowband is 93.2) Opus reaches 129 - 20 = 109 from 13 kbit/s on: better than what this scale calls perfect.
Source: M. Alahmadi, P. Pocta, H. Melvin, "An Adaptive Bitrate Switching Algorithm for Speech Applications in Context of
WebRTC", ACM TOMM 17(4), 2021, doi 10.1145/3458751, and the table published with it (wideband, variable rate)."""

OPUS_LOSS_ROBUSTNESS = 19.5
"""Bpl of Opus under random loss, same source: wideband, variable rate, 13 kbit/s, the highest wideband rate given."""


class InterarrivalJitter:
    """RFC 3550, 6.4.1 and A.8: the smoothed difference of the spacing of packets when sent and when they came."""

    # A sender that starts its clock anew is not jitter.
    _RESTART_SECONDS = 60.0

    def __init__(self) -> None:
        self._seconds = 0.0
        self._last: tuple[float, int] | None = None

    @property
    def milliseconds(self) -> float:
        return 1000 * self._seconds

    def observe(self, arrival: float, timestamp: int) -> None:
        """A packet of RTP `timestamp` came at `arrival` (seconds, monotonic); in order of arrival, each once."""
        if self._last is not None:
            sent = ((timestamp - self._last[1] + (1 << 31)) % (1 << 32) - (1 << 31)) / RTP_CLOCK
            difference = abs(arrival - self._last[0] - sent)
            if difference < self._RESTART_SECONDS:
                self._seconds += (difference - self._seconds) / 16
        self._last = (arrival, timestamp)


def delay_impairment(mouth_to_ear_ms: float) -> float:
    """Id of G.107's short form: 0.024 d + 0.11 (d - 177.3) H(d - 177.3), d in milliseconds (Cole & Rosenbluth 2001)."""
    d = max(0.0, mouth_to_ear_ms)
    return 0.024 * d + 0.11 * max(0.0, d - 177.3)


def loss_impairment(loss_percent: float) -> float:
    """Ie,eff of Opus under random loss (G.107, 7-29): Ie + (95 - Ie) Ppl / (Ppl + Bpl); loss in percent."""
    loss = min(100.0, max(0.0, loss_percent))
    return OPUS_IMPAIRMENT + (95 - OPUS_IMPAIRMENT) * loss / (loss + OPUS_LOSS_ROBUSTNESS)


def rating(mouth_to_ear_ms: float, loss_percent: float) -> float:
    """R, 0 to 93.2, of a delay in milliseconds and a loss in percent."""
    return max(0.0, BASE_RATING - delay_impairment(mouth_to_ear_ms) - loss_impairment(loss_percent))


def mos(r: float) -> float:
    """The mean opinion score, 1 to 4.5, of a rating R (G.107, Annex B)."""
    if r >= 100:
        return 4.5
    # The polynomial dips below 1 between R = 0 and 6.5.
    return max(1.0, 1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r)) if r > 0 else 1.0


@dataclass(frozen=True, slots=True)
class VoiceFigures:
    """One end of a call in numbers. Frames are of 20 ms; `received + lost` is what the other end sent, once all is in.

    sent                frames sent
    received            distinct frames decoded from their own packet
    lost                frames of the other end never decoded from their own packet: lost, or too late to be heard
    recovered           those of `lost` that the redundancy of the next packet gave back
    concealed           moments of 20 ms that were made up because nothing was there to play
    duplicates          packets that came more than once
    late                packets that came after their moment had passed (counted in `lost` too)
    jitter_ms           interarrival jitter, RFC 3550
    mouth_to_ear_ms     mean delay from the first sample's capture to its playout; None before anything was heard
    mos                 mean opinion score, 1 to 4.5; None before anything was heard
    first_decoded_at    wall clock (Unix epoch seconds) of the first frame decoded, or None
    """

    sent: int
    received: int
    lost: int
    concealed: int
    recovered: int
    duplicates: int
    late: int
    jitter_ms: float
    mouth_to_ear_ms: float | None
    mos: float | None
    first_decoded_at: float | None
