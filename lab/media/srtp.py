"""SRTP (RFC 3711) between the two ends of a call, by libsrtp: AES-128 in counter mode, HMAC-SHA1 of 80 bits.

Keys come in ready made; who agreed on them, and how, is signalling's. Nothing here looks inside a packet.
"""

from dataclasses import dataclass, field

from pylibsrtp import Error, Policy, Session

KEY_SIZE = 30
"""Bytes of a direction's key: a master key of 16 and a master salt of 14 (RFC 3711, 8.2)."""

REPLAY_WINDOW = 1024
"""Packets. 20 s of voice: what a path move or a stalled TCP leg delivers late is still told from a replay."""

LARGEST_FIRST_SEQUENCE = 0x7FFF
"""A sender's first RTP sequence number is below 2^15: loss around an early wrap would lose the key stream (3.3.1)."""

# libsrtp's buffer in pylibsrtp; a longer datagram is not ours.
_LARGEST_PACKET = 1500


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """One end's keys, KEY_SIZE bytes each; the other end has them swapped. Raises ValueError on another size."""

    send: bytes = field(repr=False)
    receive: bytes = field(repr=False)

    def __post_init__(self) -> None:
        for name, key in (("send", self.send), ("receive", self.receive)):
            if len(key) != KEY_SIZE:
                raise ValueError(f"media key to {name} has {len(key)} bytes, expected {KEY_SIZE}")

    def swapped(self) -> "MediaKeys":
        """The keys of the other end."""
        return MediaKeys(self.receive, self.send)


class Protector:
    """Both directions of one end. `rejected` counts packets of a wrong key or none, `replayed` those seen before."""

    def __init__(self, keys: MediaKeys) -> None:
        self._out = _session(keys.send, Policy.SSRC_ANY_OUTBOUND)
        self._in = _session(keys.receive, Policy.SSRC_ANY_INBOUND)
        self.rejected = 0
        self.replayed = 0

    def protect(self, rtp: bytes) -> bytes:
        """The SRTP packet of an RTP packet, 10 bytes longer. Raises ValueError when it is longer than 1,356 bytes."""
        return self._out.protect(rtp)

    def unprotect(self, srtp: bytes) -> bytes | None:
        """The RTP packet within, or None: not under our key, not SRTP, or a replay."""
        if len(srtp) > _LARGEST_PACKET:
            self.rejected += 1
            return None
        try:
            return self._in.unprotect(srtp)
        except Error as error:
            if "replay" in str(error):
                self.replayed += 1
            else:
                self.rejected += 1
            return None


def _session(key: bytes, direction: int) -> Session:
    policy = Policy(key=key, ssrc_type=direction)
    policy.window_size = REPLAY_WINDOW
    return Session(policy)
