"""Which TLS connections began in some captures, so that their keys, and no others, can be asked for.

Belongs here: the client's random (RFC 8446, 4.1.2), which key logs know a connection by. Never: keys; no
verdict has any.
"""

from lab.evidence.flows import Captures
from lab.evidence.pcap import Packet

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RANDOM = slice(11, 43)
"""Behind five bytes of the record, four of the handshake message, and two of a version."""


def randoms(captures: Captures) -> list[str]:
    """The randoms of all that began, in hex, each once, in the order of time."""
    return list(dict.fromkeys(found for packet in captures.everything() if (found := hello(packet)) is not None))


def hello(packet: Packet) -> str | None:
    """The random of the connection that a packet begins, in hex; None for one that begins none."""
    if packet.protocol != "tcp" or len(packet.payload) < _RANDOM.stop:
        return None
    begins = (packet.payload[0], packet.payload[1], packet.payload[5]) == (_HANDSHAKE, 3, _CLIENT_HELLO)
    return packet.payload[_RANDOM].hex() if begins else None
