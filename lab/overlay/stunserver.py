"""A supernode's STUN service (RFC 8489): tells anybody, over UDP and TCP, under which address it is seen.

Binding requests alone; connectivity checks between clients are the checklist's.
"""

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.wire.addresses import Address
from lab.wire.stun import Kind, Method, StunMessage, StunStream

SOFTWARE = "supernode-lab"
LONGEST = 2048
"""Bytes of the longest request that is read from a stream."""
IDLE_LIMIT = 30.0
"""Seconds for which a TCP connection is kept."""


def answer_binding(data: bytes, source: Address) -> bytes | None:
    """The response to one request from `source`, or None for what is no Binding request; raises nothing."""
    try:
        request = StunMessage.parse(data)
    except ProtocolError:
        return None
    if request.kind is not Kind.REQUEST or request.method != Method.BINDING:
        return None
    identifier = request.transaction_id
    if request.unknown_required:  # RFC 8489, 6.3.1
        error = (420, "Unknown Attribute")
        response = StunMessage(Method.BINDING, Kind.ERROR, identifier, error=error, unknown=request.unknown_required)
    else:
        response = StunMessage(Method.BINDING, Kind.SUCCESS, identifier, xor_mapped=source, software=SOFTWARE)
    return response.encode(fingerprint=request.has_fingerprint)


class StunConnections:
    """STUN over TCP (RFC 8489, 6.2.2): one stream a connection."""

    def __init__(self, actions: Actions) -> None:
        self.actions = actions
        self.streams: dict[int, tuple[StunStream, Address, float]] = {}

    def accept(self, info: LinkInfo, now: float) -> int:
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        self.streams[link] = (StunStream(LONGEST), info.peer, now + IDLE_LIMIT)
        return link

    def deadline(self) -> float | None:
        return earliest(*(expires for _, _, expires in self.streams.values()))

    def poll(self, now: float) -> None:
        for link in [link for link, (_, _, expires) in self.streams.items() if now >= expires]:
            del self.streams[link]
            self.actions.close(link)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        """Inbound links are up from the start."""

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if link not in self.streams:
            return
        stream, source, _ = self.streams[link]
        try:
            for message in stream.feed(data):
                if (answer := answer_binding(message, source)) is not None:
                    self.actions.write(link, answer)
        except ProtocolError:
            del self.streams[link]
            self.actions.close(link)

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.streams.pop(link, None)
