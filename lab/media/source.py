"""What a client says: a recording, cut into frames of 20 ms and looped for as long as the call lasts.

Reads the two files beside it and nothing else; encodes nothing. RECORDINGS.md says how they were made.
"""

import functools
import importlib.resources
import io
import wave
from typing import Self

from lab.errors import ConfigError
from lab.media.timing import FRAME_BYTES, SAMPLE_RATE

RECORDINGS = ("speech-a", "speech-b")
"""Names of the recordings: two speakers, two texts."""


class VoiceSource:
    """An endless, deterministic voice: the recording's frames of 640 bytes (320 samples, 16-bit) over and over.

    The recording starts and ends in silence, so the loop has no click; its end is padded with silence to a whole frame.
    """

    def __init__(self, pcm: bytes, start: int = 0) -> None:
        """`start` is the frame to begin with. Raises ConfigError when there is no sound."""
        if not pcm:
            raise ConfigError("the recording is empty, expected 16-bit mono PCM")
        self._frames = _cut(pcm)
        self._at = start % len(self._frames)

    @classmethod
    def recording(cls, name: str, start: int = 0) -> Self:
        """The voice of one of RECORDINGS. Raises ConfigError when there is no such recording."""
        return cls(load_recording(name), start)

    @property
    def frames(self) -> int:
        """Frames of 20 ms until the recording starts again."""
        return len(self._frames)

    def next_frame(self) -> bytes:
        """The next 20 ms: 640 bytes of PCM."""
        frame = self._frames[self._at]
        self._at = (self._at + 1) % len(self._frames)
        return frame

    def skip(self, frames: int) -> None:
        """Lets time pass unheard, as a microphone does while nobody reads it."""
        self._at = (self._at + frames) % len(self._frames)


@functools.cache
def load_recording(name: str) -> bytes:
    """The PCM of one of RECORDINGS: 16 kHz, mono, 16-bit little-endian. Raises ConfigError."""
    if name not in RECORDINGS:
        raise ConfigError(f"there is no recording '{name}', expected one of {', '.join(RECORDINGS)}")
    data = (importlib.resources.files("lab.media") / f"{name}.wav").read_bytes()
    with wave.open(io.BytesIO(data)) as recording:
        found = (recording.getframerate(), recording.getnchannels(), recording.getsampwidth())
        if found != (SAMPLE_RATE, 1, 2):
            raise ConfigError(f"recording '{name}' is {found} (Hz, channels, bytes), expected {(SAMPLE_RATE, 1, 2)}")
        return bytes(recording.readframes(recording.getnframes()))


@functools.lru_cache(maxsize=8)
def _cut(pcm: bytes) -> tuple[bytes, ...]:
    whole = pcm + bytes(-len(pcm) % FRAME_BYTES)
    return tuple(whole[at : at + FRAME_BYTES] for at in range(0, len(whole), FRAME_BYTES))
