"""What a TURN server forwards for a client, out of the indications around it: so both its sides carry the same.

ChannelData has four bytes before what it carries, and is compared as it is.
Belongs here: RFC 8656, 10 and 11, over UDP. Never: allocations, permissions, who relays for whom.
"""

import struct

from lab.evidence.pcap import Packet

_INDICATIONS = (b"\x00\x16", b"\x00\x17")
"""Send, from a client, and Data, to one: RFC 8656, 17, with the class of an indication, RFC 8489, 5."""
_COOKIE = b"\x21\x12\xa4\x42"
_XOR_PEER_ADDRESS, _DATA = 0x0012, 0x0013  # RFC 8656, 18: an indication without either is discarded
_HEADER = 20


def forwarded(packet: Packet) -> Packet:
    """The datagram that an indication carries, between the same endpoints; any other packet as it is."""
    payload = packet.payload
    if payload[:2] not in _INDICATIONS or packet.protocol != "udp" or payload[4:8] != _COOKIE:
        return packet
    end = _HEADER + int.from_bytes(payload[2:4])
    at, peer, data = _HEADER, False, None
    while at + 4 <= min(end, len(payload)):
        kind, length = struct.unpack_from("!HH", payload, at)
        if at + 4 + length > end:
            return packet
        peer = peer or kind == _XOR_PEER_ADDRESS
        if kind == _DATA and data is None:
            data = at + 4, length
        at += 4 + length + -length % 4  # RFC 8489, 14
    if data is None or not peer:
        return packet
    begin, length = data
    return packet._replace(length=length, payload=payload[begin : begin + length])
