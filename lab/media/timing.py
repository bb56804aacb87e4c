"""The units that every part of the media shares: frame, sample and clock, and the NTP form of a wall clock.

Constants and conversions only; nothing here keeps time or reads a clock.
"""

import struct

FRAME_SECONDS = 0.02
"""Length of a voice frame: one Opus frame, one RTP packet."""

SAMPLE_RATE = 16_000
"""Samples a second in and out of the codec (wideband), mono, 16-bit little-endian."""

FRAME_SAMPLES = 320
FRAME_BYTES = 2 * FRAME_SAMPLES

RTP_CLOCK = 48_000
"""Ticks a second of the RTP timestamp, whatever the sampling rate (RFC 7587, 4.1)."""

FRAME_TICKS = 960
"""RTP timestamp ticks of one frame."""

# RFC 5905, 6: seconds from 1 January 1900 to the Unix epoch.
_NTP_TO_UNIX = 2_208_988_800
_ERA = 1 << 32
_NTP = struct.Struct("!Q")


def ntp_bytes(wall: float) -> bytes:
    """A wall clock (Unix epoch seconds) as an NTP timestamp of 8 bytes, 32.32 fixed point."""
    return _NTP.pack(round((wall + _NTP_TO_UNIX) * _ERA) % (1 << 64))


def wall_of_ntp(data: bytes, near: float) -> float:
    """Unix epoch seconds of an NTP timestamp in the era closest to the wall clock `near` (the first ends in 2036).

    Raises ValueError when `data` is not 8 bytes.
    """
    if len(data) != _NTP.size:
        raise ValueError(f"NTP timestamp has {len(data)} bytes, expected {_NTP.size}")
    wall = float(_NTP.unpack(data)[0] / _ERA - _NTP_TO_UNIX)
    return wall + round((near - wall) / _ERA) * _ERA
