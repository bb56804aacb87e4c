"""A model internet for the overlay's machines: an event heap, one alarm a program, byte pipes with a delay.

Belongs here: when bytes arrive, who answers a connection, what becomes of links when a program ends. Never: what is
said, who comes and goes; nothing is decided by a real clock, and two runs of one seed are the same.
"""

import heapq
import itertools
from collections.abc import Callable
from typing import Any

from lab.overlay.actions import (
    Action,
    Close,
    CloseTcp,
    CloseUdp,
    Connect,
    Event,
    LinkInfo,
    MapPort,
    OpenTcp,
    OpenUdp,
    SendTo,
    Write,
)
from lab.simulation.hosts import End, Host, Program
from lab.simulation.traffic import HANDSHAKE_DOWN, HANDSHAKE_UP, WRAPPING
from lab.wire.addresses import Address

NEVER = float("inf")
NO_ROUTER_ANSWERS = 3.0
"""Seconds after which a client that asks its router for a port knows that it gets none (PCP and NAT-PMP give up so)."""

BACKLOG = 100
"""Connections that wait for a program to take them, as those of asyncio do; the first packet of one more is dropped."""
SYN_AGAIN = (1.0, 2.0)
"""Seconds after which a first packet is sent again, and once more: then an attempt is over (RFC 6298, 2)."""

DETOUR = 1e-5
"""Seconds by which ways to two ports of one host may differ: routers choose between equal ones by ports (RFC 2992). A
model in which they do not has things happen at one and the same moment that never do, and in no order."""

Happening = Callable[[Any, Any], None]


class Quieter:
    """What is told of links, so that it may leave out what is said over them only to show that they live; this one
    leaves out nothing. The one that does stands in heartbeats.py."""

    def heard(self, end: End) -> None:
        """Bytes have come to this end."""

    def breaks(self, end: End) -> None:
        """This end's program is about to end; both sides must be as if nothing had been left out."""

    def closed(self, end: End) -> None:
        """This end has been closed by its machine."""


class Network:
    """All hosts, and what is under way between them; `now` is in seconds of the simulated clock."""

    def __init__(self, quieter: Quieter | None = None) -> None:
        self.now = 0.0
        self.quieter = quieter or Quieter()
        self.hosts: dict[str, Host] = {}
        self.happened = 0
        """Events so far."""
        self._heap: list[tuple[float, int, Happening, Any, Any]] = []
        self._order = itertools.count()
        self._ports = itertools.count()
        self._doing: dict[type, Callable[[Program, Any], None]] = {
            Connect: self._connect,
            Write: self._write,
            Close: self._close,
            OpenUdp: self._open_udp,
            CloseUdp: self._close_udp,
            SendTo: self._send_to,
            OpenTcp: self._open_tcp,
            CloseTcp: self._close_tcp,
            MapPort: self._map_port,
        }

    # -- building ------------------------------------------------------------------------------------------------

    def add(self, host: Host) -> Host:
        """A computer is plugged in."""
        self.hosts[host.address] = host
        return host

    def start(self, program: Program) -> None:
        """A program begins to run."""
        program.running = True
        program.host.programs.append(program)
        program.machine.start(self.now)
        self.settle(program)

    def listen(self, program: Program, port: int, plain: str | None = None, secure: str | None = None) -> None:
        """From now on connections to a port of the program's host are this program's; each kind may be refused."""
        program.host.tcp[port] = (program, plain, secure)

    def bind(self, program: Program, port: int, socket: int) -> None:
        """The program has a UDP socket, that its machine knows under a number, at a port of its host."""
        program.host.udp[port] = (program, socket)
        program.sockets[socket] = port

    # -- ends ----------------------------------------------------------------------------------------------------

    def crash(self, program: Program) -> None:
        """The program ends and its computer lives: whoever is connected is told at once, who comes is refused."""
        self._end(program)
        for end in program.ends.values():
            self._push(self.now + end.delay, self._hung_up, end, None)
        program.ends.clear()

    def vanish(self, host: Host) -> None:
        """The computer is gone, from one moment to the next and without a word."""
        for program in list(host.programs):
            self._end(program)
            program.ends.clear()
        host.alive = False

    def revive(self, host: Host) -> None:
        """The computer is there again; programs have to be started anew."""
        host.alive = True

    def _end(self, program: Program) -> None:
        for end in list(program.ends.values()):
            self.quieter.breaks(end)
        program.running = False
        host = program.host
        host.programs.remove(program)
        host.tcp = {port: taken for port, taken in host.tcp.items() if taken[0] is not program}
        host.udp = {port: taken for port, taken in host.udp.items() if taken[0] is not program}

    # -- time ----------------------------------------------------------------------------------------------------

    def at(self, when: float, what: Callable[[], None]) -> None:
        """Something that a story has planned."""
        self._push(max(when, self.now), self._planned, what, None)

    def run(self, until: float) -> None:
        """Lets time pass up to a moment."""
        heap, pop = self._heap, heapq.heappop
        while heap and heap[0][0] <= until:
            self.now, _, what, one, other = pop(heap)
            what(one, other)
            self.happened += 1
        self.now = until

    def settle(self, program: Program) -> None:
        """Does what the machine asks for, and sets its alarm. After every input."""
        actions, doing = program.machine.actions, self._doing
        while actions.pending:
            for action in actions.take():
                do = doing.get(type(action))
                if do is not None:
                    do(program, action)
                else:
                    self._tell(program, action)
        due = program.machine.deadline()
        program.due = NEVER if due is None else due
        if program.due < program.alarm:
            self._set_alarm(program)

    def arrives(self, end: End, data: bytes, when: float) -> None:
        """Bytes that were sent at this end come out at the other one."""
        self._push(when, self._arrived, end, data)

    def _set_alarm(self, program: Program) -> None:
        program.alarm = program.due
        self._push(max(self.now, program.due), self._rings, program, program.due)

    def _rings(self, program: Program, alarm: float) -> None:
        if not program.running or program.alarm != alarm:
            return
        program.alarm = NEVER
        if program.due > self.now:  # what was awaited has been put off meanwhile
            if program.due < NEVER:
                self._set_alarm(program)
            return
        program.machine.poll(self.now)
        self.settle(program)

    def _push(self, when: float, what: Happening, one: Any, other: Any) -> None:
        heapq.heappush(self._heap, (when, next(self._order), what, one, other))

    def _planned(self, what: Callable[[], None], _: None) -> None:
        what()

    # -- what machines ask for -----------------------------------------------------------------------------------

    def _tell(self, program: Program, action: Action) -> None:
        if isinstance(action, Event):
            program.told(program, action)

    def _connect(self, program: Program, wanted: Connect) -> None:
        if wanted.local_port is not None:
            return  # two SYNs that are to meet: media's business, and no part of this model
        target = self.hosts.get(wanted.address[0])
        if wanted.proxied:
            self._push(self.now, self._refused, program, wanted.link)
        elif target is not None:
            delay = _way(program.host, target, wanted.address[1])
            self._push(self.now + delay, self._syn, (program, wanted, 0), target)

    def _syn(self, asked: tuple[Program, Connect, int], target: Host) -> None:
        """A connection's first packet: silence from who is gone or lets nobody in, a clear no where nobody listens."""
        program, wanted, before = asked
        if not target.alive or not target.open:
            return
        delay = _way(program.host, target, wanted.address[1])
        listener, plain, secure = target.tcp.get(wanted.address[1], (None, None, None))
        name = secure if wanted.secure else plain
        if listener is None or name is None:
            self._push(self.now + delay, self._refused, program, wanted.link)
            return
        answered = (program, wanted, delay), (listener, name)
        if not wanted.secure:
            self._push(self.now + delay, self._up, *answered)
        elif target.busy <= self.now + BACKLOG * target.handshake:
            # Three more ways inside TLS 1.3 until the client knows the server (RFC 8446, 2), one where there is none.
            self._push(self.now + 2 * delay, self._shakes_hands, *answered)
        elif before < len(SYN_AGAIN) and program.running and wanted.link in program.machine.actions.links:
            self._push(self.now + SYN_AGAIN[before], self._syn, (program, wanted, before + 1), target)

    def _shakes_hands(self, asked: tuple[Program, Connect, float], answered: tuple[Program, str]) -> None:
        """The server's processor takes one handshake after the other, and none with who has given up."""
        (program, wanted, delay), host = asked, answered[0].host
        if program.running and wanted.link in program.machine.actions.links:
            host.busy = max(self.now, host.busy) + host.handshake
            self._push(host.busy + delay, self._up, asked, answered)

    def _refused(self, program: Program, link: int) -> None:
        if program.running:
            program.machine.link_down(link, "connection refused", self.now)
            self.settle(program)

    def _up(self, asked: tuple[Program, Connect, float], answered: tuple[Program, str]) -> None:
        (program, wanted, delay), (listener, name) = asked, answered
        if not program.running or wanted.link not in program.machine.actions.links:
            return
        if not listener.running:
            if listener.host.alive:
                self._refused(program, wanted.link)
            return
        end = program.ends[wanted.link] = End(program, wanted.link, delay)
        host, port = program.host, 1024 + next(self._ports) % 60_000
        if wanted.secure:
            program.bytes += HANDSHAKE_UP + HANDSHAKE_DOWN
            listener.bytes += HANDSHAKE_UP + HANDSHAKE_DOWN
        info = LinkInfo((host.own, port), wanted.address, listener.key if wanted.secure else None)
        self._push(self.now + delay, self._accepted, end, (listener, name, info, (host.address, port)))
        program.machine.link_up(wanted.link, info, self.now)
        self.settle(program)

    def _accepted(self, end: End, answered: tuple[Program, str, LinkInfo, Address]) -> None:
        listener, name, near, source = answered
        if not listener.running:
            if listener.host.alive:
                self._push(self.now + end.delay, self._hung_up, End(listener, 0, end.delay, end), None)
            return
        info = LinkInfo(near.peer, source, b"" if near.secure else None)
        link = listener.machine.accepted(name, info, self.now)
        end.other = listener.ends[link] = End(listener, link, end.delay, end)
        if not end.open:
            self._push(self.now, self._hung_up, end, None)
        self.settle(listener)

    def _write(self, program: Program, wanted: Write) -> None:
        if (end := program.ends.get(wanted.link)) is not None:
            program.bytes += len(wanted.data) + WRAPPING
            self._push(self.now + end.delay, self._arrived, end, wanted.data)

    def _arrived(self, end: End, data: bytes) -> None:
        other = end.other
        if other is None:
            return
        program = other.program
        if not program.running:
            if program.host.alive:  # it has been started anew and knows nothing of this connection (RFC 9293, 3.5.2)
                self._push(self.now + end.delay, self._hung_up, other, None)
        elif other.open:
            program.bytes += len(data) + WRAPPING
            program.machine.link_data(other.link, data, self.now)
            self.quieter.heard(other)
            self.settle(program)

    def _close(self, program: Program, wanted: Close) -> None:
        if (end := program.ends.pop(wanted.link, None)) is not None:
            self.quieter.closed(end)
            end.open = False
            self._push(self.now + end.delay, self._hung_up, end, None)

    def _hung_up(self, end: End, _: None) -> None:
        """What the closing of this end does at the other one."""
        other = end.other
        if other is None or not other.open or not other.program.running:
            return
        self.quieter.closed(other)
        other.open = False
        other.program.ends.pop(other.link, None)
        other.program.machine.link_down(other.link, "closed by the other end", self.now)
        self.settle(other.program)

    # -- UDP, and ports ------------------------------------------------------------------------------------------

    def _open_udp(self, program: Program, wanted: OpenUdp) -> None:
        port = next(port for port in self._fresh() if port not in program.host.udp)
        self.bind(program, port, wanted.socket)
        self._push(self.now, self._udp_is_up, program, wanted.socket)

    def _udp_is_up(self, program: Program, socket: int) -> None:
        if program.running and socket in program.sockets:
            program.machine.udp_up(socket, ("0.0.0.0", program.sockets[socket]), self.now)
            self.settle(program)

    def _close_udp(self, program: Program, wanted: CloseUdp) -> None:
        if (port := program.sockets.pop(wanted.socket, None)) is not None:
            program.host.udp.pop(port, None)

    def _send_to(self, program: Program, wanted: SendTo) -> None:
        target = self.hosts.get(wanted.address[0])
        if target is None or wanted.hops is not None:
            return
        host, port = program.host, program.sockets[wanted.socket]
        program.bytes += len(wanted.data) + 28  # IPv4 and UDP
        host.contacted.add((port, wanted.address))
        delay = _way(host, target, wanted.address[1])
        self._push(self.now + delay, self._datagram, ((host.address, port), wanted), target)

    def _datagram(self, sent: tuple[Address, SendTo], target: Host) -> None:
        source, wanted = sent
        port = wanted.address[1]
        program, socket = target.udp.get(port, (None, 0))
        if program is not None and target.alive and (target.open or (port, source) in target.contacted):
            program.bytes += len(wanted.data) + 28
            program.machine.datagram(socket, wanted.data, source, self.now)
            self.settle(program)

    def _open_tcp(self, program: Program, wanted: OpenTcp) -> None:
        port = next(port for port in self._fresh() if port not in program.host.tcp)
        self.listen(program, port, "media", "media")
        program.tcp_ports[wanted.port] = port
        self._push(self.now, self._tcp_is_up, program, wanted.port)

    def _tcp_is_up(self, program: Program, number: int) -> None:
        if program.running and number in program.tcp_ports:
            program.machine.tcp_up(number, ("0.0.0.0", program.tcp_ports[number]), self.now)
            self.settle(program)

    def _close_tcp(self, program: Program, wanted: CloseTcp) -> None:
        if (port := program.tcp_ports.pop(wanted.port, None)) is not None:
            program.host.tcp.pop(port, None)

    def _map_port(self, program: Program, wanted: MapPort) -> None:
        self._push(self.now + NO_ROUTER_ANSWERS, self._not_mapped, program, wanted.mapping)

    def _not_mapped(self, program: Program, mapping: int) -> None:
        if program.running:
            program.machine.port_not_mapped(mapping, "no router gives ports when asked", self.now)
            self.settle(program)

    def _fresh(self) -> "itertools.count[int]":
        """Ephemeral ports, from somewhere on (RFC 6335, 6)."""
        return itertools.count(49_152 + next(self._ports) % 8_000)


def _way(one: Host, other: Host, port: int) -> float:
    """Seconds one way between two hosts."""
    return one.delay + other.delay + port % 97 * DETOUR
