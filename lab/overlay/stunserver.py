"""A supernode's STUN service (RFC 8489), with what lets a client find out its NAT's behaviour (RFC 5780).

Tells anybody, over UDP and TCP, under which address it is seen. Over UDP it answers from its second port as well, and
two supernodes answer for one another, because none has two addresses. Checks between clients are the checklist's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, LinkInfo, earliest
from lab.overlay.lobby import Displaced, Lobby
from lab.wire.addresses import Address, family
from lab.wire.messages import Reflect
from lab.wire.stun import Change, Kind, Method, StunMessage, StunStream

SOFTWARE = "supernode-lab"
ALTERNATE_PORT = 3479
"""The second port of a supernode's STUN service; RFC 5780 leaves its number open, servers use this one."""
LONGEST = 2048
"""Bytes of the longest request that is read from a stream."""
FIRST_LIMIT = 5.0
"""Seconds in which a TCP connection has to ask something; whoever opens one asks at once."""
IDLE_LIMIT = 30.0
"""Seconds for which a TCP connection is kept after its last request."""
SILENT_EACH, SILENT = 64, 512
"""TCP connections that have asked nothing yet, of one address and of all."""
ASKING_EACH, ASKING = 512, 2_048
"""Those that have: each client keeps one while it is in a call, and a carrier's address may stand for many."""
HOST_BURST, HOST_RATE = 40, 10.0
"""Answers to one host from elsewhere than it asked: so many at once, and a second. A client asks 20 times."""
BURST, RATE = 400, 200.0
"""The same, to all hosts together."""
MOST_HOSTS = 4096


def answer_binding(data: bytes, source: Address) -> bytes | None:
    """The response to one request from `source`, or None for what is no Binding request; raises nothing."""
    request = _request(data)
    if request is None:
        return None
    return (_unknown(request, request.unknown_required) or _success(request, source)).encode(
        fingerprint=request.has_fingerprint
    )


def _request(data: bytes) -> StunMessage | None:
    try:
        request = StunMessage.parse(data)
    except ProtocolError:
        return None
    return request if request.kind is Kind.REQUEST and request.method == Method.BINDING else None


def _success(request: StunMessage, source: Address) -> StunMessage:
    return StunMessage(Method.BINDING, Kind.SUCCESS, request.transaction_id, xor_mapped=source, software=SOFTWARE)


def _unknown(request: StunMessage, types: Sequence[int]) -> StunMessage | None:
    """RFC 8489, 6.3.1: the refusal of what asks for something unknown."""
    if not types:
        return None
    error = (420, "Unknown Attribute")
    return StunMessage(Method.BINDING, Kind.ERROR, request.transaction_id, error=error, unknown=tuple(types))


@dataclass
class Allowance:
    """How many answers may be sent to whom: so many at once, and so many a second afterwards."""

    hosts: dict[str, tuple[float, float]] = field(default_factory=dict)
    all: tuple[float, float] = (float(BURST), 0.0)

    def take(self, host: str, now: float) -> bool:
        """Whether one more answer may go to `host`."""
        left, since = self.hosts.get(host, (float(HOST_BURST), now))
        left = min(HOST_BURST, left + (now - since) * HOST_RATE)
        total = min(BURST, self.all[0] + (now - self.all[1]) * RATE)
        granted = left >= 1 and total >= 1
        self.hosts.pop(host, None)
        self.hosts[host] = (left - granted, now)
        self.all = (total - granted, now)
        if len(self.hosts) > MOST_HOSTS:
            del self.hosts[next(iter(self.hosts))]  # the one that has asked for nothing for longest
        return granted


Other = tuple[str, Callable[[Reflect], object]]
"""A supernode that answers for this one: its host in the family that is asked about, and how it is told."""


class StunService:
    """STUN over UDP on two ports (RFC 5780, 6). `ports` are those of the shell's sockets, the primary one first."""

    def __init__(
        self,
        actions: Actions,
        ports: Mapping[int, int],
        own: Callable[[], Sequence[str]],
        other: Callable[[int], Other | None],
        receipt: Callable[[str], bytes] | None = None,
    ) -> None:
        """`own` are this supernode's addresses; `other` finds one that answers for it, by family; `receipt` is given to
        who asks from a host, and to nobody else."""
        self.actions, self.ports, self.own, self.other, self.receipt = actions, dict(ports), own, other, receipt
        self.primary, self.alternate = self.ports
        self.allowance = Allowance()

    def datagram(self, socket: int, data: bytes, source: Address, now: float) -> None:
        request = _request(data)
        if request is None:
            return
        change = request.change_request or Change(0)
        other = self.other(family(source[0]))
        unknown = list(request.unknown_required)
        if change & Change.IP and other is None:
            unknown.append(0x0003)  # RFC 5780, 6.1: who has no second address does not know CHANGE-REQUEST
        if (refusal := _unknown(request, unknown)) is not None:
            self._send(socket, source, refusal, request.has_fingerprint)
            return
        turned = bool(change & Change.PORT) is not (socket == self.alternate)
        outlet = self.alternate if turned else self.primary
        target = source if request.response_port is None else (source[0], request.response_port)
        if not change and target == source:
            receipt = self.receipt(source[0]) if self.receipt is not None else None
            self._send(socket, source, self._response(request, source, socket, other, receipt), request.has_fingerprint)
        elif not self.allowance.take(source[0], now):
            return
        elif change & Change.IP and other is not None:
            other[1](Reflect(target, source, request.transaction_id, turned, len(data)))
        else:
            self._fitting(outlet, target, self._response(request, source, outlet, other), len(data))

    def reflect(self, asked: Reflect, now: float) -> None:
        """Another supernode's client wants an answer from here: short, and to the host that it asked from."""
        if asked.target[0] == asked.source[0] and self.allowance.take(asked.target[0], now):
            socket = self.alternate if asked.alternate else self.primary
            request = StunMessage(Method.BINDING, Kind.REQUEST, asked.transaction)
            self._fitting(socket, asked.target, self._response(request, asked.source, socket, None), asked.size)

    def _response(
        self, request: StunMessage, source: Address, socket: int, other: Other | None, token: bytes | None = None
    ) -> StunMessage:
        kind = family(source[0])
        host = next((host for host in self.own() if family(host) == kind), None)
        return StunMessage(
            Method.BINDING,
            Kind.SUCCESS,
            request.transaction_id,
            xor_mapped=source,
            software=SOFTWARE,
            token=token,
            response_origin=(host, self.ports[socket]) if host else None,
            other_address=(other[0], self.ports[self.alternate]) if other else None,
        )

    def _fitting(self, socket: int, target: Address, response: StunMessage, size: int) -> None:
        """Sends no more bytes than were asked with, so that nobody is sent more than was paid for; perhaps nothing."""
        for shorter in (response, replace(response, software=None), _bare(response)):
            if len(shorter.encode(fingerprint=False)) <= size:
                self._send(socket, target, shorter, False)
                return

    def _send(self, socket: int, target: Address, response: StunMessage, fingerprint: bool) -> None:
        self.actions.send_to(socket, target, response.encode(fingerprint=fingerprint))


def _bare(response: StunMessage) -> StunMessage:
    return replace(response, software=None, response_origin=None, other_address=None)


class StunConnections:
    """STUN over TCP (RFC 8489, 6.2.2): one stream a connection."""

    def __init__(self, actions: Actions) -> None:
        self.actions = actions
        self.streams: dict[int, tuple[StunStream, Address]] = {}
        self.silent: Lobby[int] = Lobby("STUN connections that ask nothing", SILENT, SILENT_EACH, FIRST_LIMIT)
        self.asking: Lobby[int] = Lobby("STUN connections", ASKING, ASKING_EACH, IDLE_LIMIT)

    def accept(self, info: LinkInfo, now: float) -> int:
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        self.streams[link] = (StunStream(LONGEST), info.peer)
        self._make_room(self.silent.enter(link, info.peer[0], now), now)
        return link

    def _make_room(self, displaced: Displaced[int] | None, now: float) -> None:
        if displaced is not None:
            self.actions.reject(displaced.host, displaced.reason, now)
            self._close(displaced.key)

    def _close(self, link: int) -> None:
        self._forget(link)
        self.actions.close(link)

    def _forget(self, link: int) -> None:
        self.streams.pop(link, None)
        self.silent.leave(link)
        self.asking.leave(link)

    def deadline(self) -> float | None:
        return earliest(self.silent.deadline(), self.asking.deadline())

    def poll(self, now: float) -> None:
        for link, host in self.silent.late(now):
            self.actions.reject(host, "a STUN connection that asks nothing", now)
            self._close(link)
        for link, _ in self.asking.late(now):
            self._close(link)

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        """Inbound links are up from the start."""

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if link not in self.streams:
            return
        stream, source = self.streams[link]
        try:
            for message in stream.feed(data):
                if (answer := answer_binding(message, source)) is not None:
                    self.actions.write(link, answer)
                    self._asked(link, source, now)
        except ProtocolError:
            self.actions.reject(source[0], "no STUN on a STUN connection", now)
            self._close(link)

    def _asked(self, link: int, source: Address, now: float) -> None:
        if self.silent.leave(link):
            self._make_room(self.asking.enter(link, source[0], now), now)
        else:
            self.asking.again(link, now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        self._forget(link)
