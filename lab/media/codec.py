"""Opus: 20 ms of PCM to a payload and back, with in-band redundancy and concealment of what never came.

Decides nothing about when or which frame: that is the jitter buffer's. Knows no RTP.
"""

import array
import ctypes
import functools
from dataclasses import dataclass
from typing import Any

from lab.errors import ProtocolError, RuntimeUnavailable
from lab.media.timing import FRAME_BYTES, FRAME_SAMPLES, SAMPLE_RATE

BITRATE = 24_000
"""Bits a second of the voice. Wideband speech with redundancy."""

EXPECTED_LOSS = 10
"""Percent. With 2 to 5, libopus 1.3.1 and 1.5.2 put no redundancy into wideband speech at 24 kbit/s (measured)."""

COMPLEXITY = 5
"""Half the CPU of 9 for a difference that speech does not show."""

LOOKAHEAD_SECONDS = 0.0065
"""Delay of encoder and decoder beside the frame itself: 104 samples at 16 kHz, from OPUS_GET_LOOKAHEAD."""

# opus_encoder.c: the largest packet of one frame.
_MAX_PAYLOAD = 1276
_SIGNAL_VOICE = 3001


@dataclass(frozen=True, slots=True)
class _Library:
    """opuslib-next, imported on first use: the package loads without libopus, only voice needs it."""

    package: Any
    encode: Any
    decode: Any
    samples: Any

    @staticmethod
    @functools.cache
    def load() -> "_Library":
        try:
            import opuslib_next
            from opuslib_next.api import c_int16_pointer, decoder, encoder
        except Exception as error:  # opuslib-next raises a bare Exception when it finds no libopus
            raise RuntimeUnavailable(f"voice needs libopus and opuslib-next (Debian: libopus0): {error}") from error
        return _Library(opuslib_next, encoder.libopus_encode, decoder.libopus_decode, c_int16_pointer)


class Encoder:
    """One speaker's encoder: VoIP, 24 kbit/s variable, in-band redundancy on, no discontinuous transmission."""

    def __init__(self, expected_loss: int = EXPECTED_LOSS) -> None:
        """`expected_loss` in percent, 0 to 100. Raises RuntimeUnavailable when libopus is missing."""
        self._library = _Library.load()
        self._opus = self._library.package.Encoder(SAMPLE_RATE, 1, "voip")
        self._opus.bitrate = BITRATE
        self._opus.complexity = COMPLEXITY
        self._opus.signal = _SIGNAL_VOICE
        self._opus.inband_fec = 1
        self._opus.dtx = 0
        self.expect_loss(expected_loss)
        self._buffer = ctypes.create_string_buffer(_MAX_PAYLOAD)

    def expect_loss(self, percent: int) -> None:
        """How much loss to arm against, from the next frame on. Raises ValueError outside 0 to 100."""
        if not 0 <= percent <= 100:
            raise ValueError(f"expected loss is {percent} %, expected 0 to 100")
        self._opus.packet_loss_perc = percent

    def encode(self, pcm: bytes) -> bytes:
        """One frame of 640 bytes as an Opus payload. Raises ValueError on any other size."""
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"frame has {len(pcm)} bytes, expected {FRAME_BYTES}")
        samples = ctypes.cast(ctypes.c_char_p(pcm), self._library.samples)
        size = self._library.encode(self._opus.encoder_state, samples, FRAME_SAMPLES, self._buffer, _MAX_PAYLOAD)
        if size < 0:
            raise RuntimeError(f"libopus refused a frame: error {size}")
        return ctypes.string_at(self._buffer, size)


class Decoder:
    """One listener's decoder. Every method gives one frame of 640 bytes and moves the decoder on by 20 ms."""

    def __init__(self) -> None:
        """Raises RuntimeUnavailable when libopus is missing."""
        self._library = _Library.load()
        self._opus = self._library.package.Decoder(SAMPLE_RATE, 1)
        self._buffer = ctypes.create_string_buffer(FRAME_BYTES)
        # opuslib-next's own decode() costs twice as much: it copies sample by sample.
        self._samples = ctypes.cast(self._buffer, self._library.samples)

    def decode(self, payload: bytes) -> bytes:
        """The frame that `payload` carries. Raises ProtocolError when it is not 20 ms of Opus."""
        if not payload:  # libopus takes this for a lost frame
            raise ProtocolError("Opus payload is empty")
        return self._run(payload, redundancy=False)

    def recover(self, following: bytes) -> bytes:
        """The lost frame before the one in `following`, from its redundancy; concealment where it has none."""
        return self._run(following, redundancy=True)

    def conceal(self) -> bytes:
        """What may have been said, made up from what was; fades to silence within some frames."""
        return self._run(b"", redundancy=False)

    def _run(self, payload: bytes, redundancy: bool) -> bytes:
        count = self._library.decode(
            self._opus.decoder_state, payload, len(payload), self._samples, FRAME_SAMPLES, redundancy
        )
        if count != FRAME_SAMPLES:
            raise ProtocolError(f"Opus payload of {len(payload)} bytes gave {count} samples, expected {FRAME_SAMPLES}")
        return ctypes.string_at(self._buffer, FRAME_BYTES)


def has_redundancy(payload: bytes) -> bool:
    """Whether a 20 ms mono payload carries a copy of the frame before it (RFC 6716, 4.2.4).

    The range coder's first bits can be read as they are: voice activity first, then the redundancy (LBRR) flag.
    """
    if len(payload) < 2:
        return False
    configuration, stereo, count = payload[0] >> 3, payload[0] & 0x04, payload[0] & 0x03  # RFC 6716, 3.1
    return configuration < 16 and not stereo and count == 0 and bool(payload[1] & 0x40)


def merge(first: bytes, second: bytes) -> bytes:
    """Two frames heard in the time of one: the first fades into the second. Takes 20 ms off the delay."""
    going, coming = array.array("h", first), array.array("h", second)
    span = len(going)
    pairs = zip(going, coming, range(span), strict=True)
    return array.array("h", [(a * (span - i) + b * i) // span for a, b, i in pairs]).tobytes()
