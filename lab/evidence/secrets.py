"""Which TLS connections began in some captures, so that their keys, and no others, can be asked for.

Belongs here: the client's random (RFC 8446, 4.1.2), which key logs know a connection by. Never: keys; no
verdict has any.
"""

from lab.evidence.flows import Captures

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_RANDOM = slice(11, 43)
"""Behind five bytes of the record, four of the handshake message, and two of a version."""


def randoms(captures: Captures) -> list[str]:
    """The randoms of all that began, in hex, each once, in the order of time."""
    found = (
        packet.payload[_RANDOM].hex()
        for packet in captures.everything()
        if packet.protocol == "tcp"
        and len(packet.payload) >= _RANDOM.stop
        and (packet.payload[0], packet.payload[1], packet.payload[5]) == (_HANDSHAKE, 3, _CLIENT_HELLO)
    )
    return list(dict.fromkeys(found))
