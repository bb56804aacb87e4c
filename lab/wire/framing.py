"""Frames in a byte stream: a length in front of each, two bytes for media (RFC 4571), four for signalling.

Only boundaries are found here; what a frame means is never looked at. STUN frames itself: see stun.StunStream.
"""

from typing import Literal

from lab.errors import ProtocolError

Width = Literal[2, 4]


def frame(data: bytes, width: Width) -> bytes:
    """`data` with its length in front, `width` bytes, big-endian. Raises ProtocolError if it does not fit."""
    size = len(data)
    if size >= 1 << 8 * width:
        raise ProtocolError(f"frame has {size} bytes, a length of {width} bytes allows {(1 << 8 * width) - 1}")
    if not size and width == 4:
        raise ProtocolError("signalling frame is empty")
    return size.to_bytes(width, "big") + data


class LengthPrefixed:
    """Cuts a byte stream into frames.

    Holds less than `limit` + `width` bytes between two calls of `feed`; a frame over `limit` is refused as soon as its
    length is read. After a refusal nothing is held, and each further `feed` is refused with the same sentence.
    """

    def __init__(self, width: Width, limit: int) -> None:
        self._width = width
        self._limit = limit
        self._buffer = bytearray()
        self._refusal: str | None = None

    @property
    def pending(self) -> int:
        """Bytes held of a frame that is not complete; not 0 at the end of a stream means that it was cut."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that `data` completes, in order, without their lengths. Raises ProtocolError."""
        if self._refusal is not None:
            raise ProtocolError(self._refusal)
        buffer, width = self._buffer, self._width
        buffer += data
        frames: list[bytes] = []
        start = 0
        while len(buffer) - start >= width:
            body = start + width
            size = int.from_bytes(buffer[start:body], "big")
            if size > self._limit:
                raise self._refuse(f"frame of {size} bytes is over the limit of {self._limit}")
            if not size and width == 4:
                raise self._refuse("signalling frame is empty")
            if len(buffer) < body + size:
                break
            # RFC 4571, 2: a null packet carries nothing and is ignored.
            if size:
                frames.append(bytes(buffer[body : body + size]))
            start = body + size
        del buffer[:start]
        return frames

    def _refuse(self, sentence: str) -> ProtocolError:
        self._refusal = sentence
        self._buffer.clear()
        return ProtocolError(sentence)
