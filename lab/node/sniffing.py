"""Several protocols on one TCP port: a connection that begins like TLS is one, any other is what it is without; within
either, what begins with a bind is for a relay.

The first byte decides of TLS and stays where it is; who never says one, or never ends its handshake, is cut off, and so
is the oldest of an address that has too many such. The first frame decides of the relay.
"""

import asyncio
import contextlib
import errno
import math
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from lab.node.sockets import plain
from lab.overlay.lobby import Displaced, Lobby
from lab.wire.stun import HEADER_SIZE, Method, is_stun, peek_method

HANDSHAKE = 0x16
"""What TLS begins with (RFC 8446, 5.1); RFC 4571 frames of up to 5,631 bytes and STUN never do (RFC 7983, 7)."""
FIRST_BYTE_LIMIT = 5.0
"""Seconds for the first byte; whoever connects here speaks first, and gives up an attempt after as long itself."""
HANDSHAKE_LIMIT = 5.0
"""Seconds for a TLS handshake from its first byte on, for the same reason."""
SILENT_EACH, MOST_SILENT = 64, 512
"""Connections that have not said a byte, of one address and of all."""
SHAKING_EACH, MOST_SHAKING = 512, 1_024
"""Those amid a TLS handshake: a carrier's address may stand for a thousand people who come at once after an outage, and
a handshake takes milliseconds of a processor."""
BACKLOG = 1_024
"""Connections that wait in the kernel to be accepted."""
AT_ONCE = 32
"""Connections that are accepted before others have their turn."""
EXHAUSTED = 1.0
"""Seconds before accepting again where the process or the machine has no more files and nobody is silent who could give
his back, as asyncio's own servers do."""
CLOSING_LIMIT = 2.0
"""Seconds that the other end of a TLS connection has to say that it has seen its end (RFC 8446, 6.1)."""


def is_for_relay(head: bytes) -> bool | None:
    """Whether a connection that begins with these bytes, frames of RFC 4571, is meant for a relay: by the method of the
    first; None while that cannot be told."""
    if len(head) < 2 + HEADER_SIZE:
        return False if len(head) > 2 and head[2] >= 0x40 else None
    first = head[2 : 2 + HEADER_SIZE]
    return is_stun(first) and peek_method(first) == Method.BIND


Protocols = Callable[[bool], asyncio.BaseProtocol]
TurnedAway = Callable[[str, str], None]
"""Is told the host and the reason."""


@dataclass(eq=False)
class _Arrival:
    """A connection before it is a link, and the listener that it came to."""

    connection: socket.socket
    host: str
    at: "Doorkeeper"


class Hall:
    """All that has come to the listeners of one shell and has not said enough to be a link. No step takes longer where
    there are more."""

    def __init__(self, loop: asyncio.AbstractEventLoop, turned_away: TurnedAway) -> None:
        self.loop, self.turned_away = loop, turned_away
        self.silent: Lobby[_Arrival] = Lobby("silent connections", MOST_SILENT, SILENT_EACH, FIRST_BYTE_LIMIT)
        self.shaking: Lobby[_Arrival] = Lobby("TLS handshakes", MOST_SHAKING, SHAKING_EACH, math.inf)
        """Their deadlines are the event loop's."""
        self.arrivals: set[_Arrival] = set()
        self.greeting: dict[_Arrival, asyncio.Task[None]] = {}
        self.timer: asyncio.TimerHandle | None = None

    def enter(self, arrival: _Arrival) -> None:
        """One has been accepted, and may say its first byte."""
        self.arrivals.add(arrival)
        self.loop.add_reader(arrival.connection, self._speaks, arrival)
        if (displaced := self.silent.enter(arrival, arrival.host, self.loop.time())) is not None:
            self._hush(displaced.key, displaced.reason)
        self._wake_in_time()

    def squeeze(self) -> bool:
        """Gives up a silent connection for the file that it takes; False where there is none."""
        if (displaced := self.silent.squeeze()) is None:
            return False
        self._hush(displaced.key, displaced.reason)
        return True

    def _wake_in_time(self) -> None:
        if self.timer is None and (due := self.silent.deadline()) is not None:
            self.timer = self.loop.call_at(due, self._look)

    def _look(self) -> None:
        self.timer = None
        for arrival, _ in self.silent.late(self.loop.time()):
            self._hush(arrival, "a silent connection")
        self._wake_in_time()

    def _hush(self, arrival: _Arrival, reason: str) -> None:
        """Closes one that has not said a byte."""
        self._end(arrival)
        self.turned_away(arrival.host, reason)

    def _end(self, arrival: _Arrival) -> None:
        self.silent.leave(arrival)
        self.arrivals.discard(arrival)
        self.loop.remove_reader(arrival.connection)
        arrival.connection.close()

    def _speaks(self, arrival: _Arrival) -> None:
        """The first byte, which is read again by whoever comes next; none if the peer has gone."""
        try:
            first = arrival.connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            first = b""
        if not first:
            self._end(arrival)
            return
        inside_tls = first[0] == HANDSHAKE
        if not inside_tls and not arrival.at.plainly:
            self._hush(arrival, "a connection without TLS")
            return
        self.silent.leave(arrival)
        self.loop.remove_reader(arrival.connection)
        arrival.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        displaced = self.shaking.enter(arrival, arrival.host, self.loop.time()) if inside_tls else None
        self.greeting[arrival] = self.loop.create_task(self._greet(arrival, inside_tls))
        if displaced is not None:
            self._break_off(displaced)

    def _break_off(self, displaced: Displaced[_Arrival]) -> None:
        """Ends a handshake, which finds its connection at an end."""
        with contextlib.suppress(OSError):
            displaced.key.connection.shutdown(socket.SHUT_RDWR)
        self.turned_away(displaced.host, displaced.reason)

    async def _greet(self, arrival: _Arrival, inside_tls: bool) -> None:
        tls = arrival.at.tls if inside_tls else None
        try:
            await self.loop.connect_accepted_socket(
                lambda: arrival.at.protocol_for(inside_tls),
                arrival.connection,
                ssl=tls,
                ssl_handshake_timeout=HANDSHAKE_LIMIT if tls else None,
                ssl_shutdown_timeout=CLOSING_LIMIT if tls else None,
            )
        except OSError as error:  # a handshake that fails is the peer's affair
            arrival.connection.close()
            if arrival in self.shaking and isinstance(error, ssl.SSLError):
                self.turned_away(arrival.host, "a TLS handshake that failed")
            elif arrival in self.shaking and isinstance(error, ConnectionAbortedError):
                self.turned_away(arrival.host, "a TLS handshake that took too long")
        finally:
            self.shaking.leave(arrival)
            self.arrivals.discard(arrival)
            self.greeting.pop(arrival, None)

    def leave(self, doorkeeper: "Doorkeeper") -> None:
        """A listener is closed; what has come to it and is no link yet goes with it."""
        for arrival in [arrival for arrival in self.arrivals if arrival.at is doorkeeper]:
            if (task := self.greeting.get(arrival)) is not None:
                task.cancel()
            else:
                self._end(arrival)


class Doorkeeper:
    """Accepts on `listener`, into `hall`; `protocol_for` makes the protocol of a connection, told whether it is inside
    TLS. `plainly`: whether others than those that begin with TLS may come."""

    def __init__(
        self, listener: socket.socket, tls: ssl.SSLContext, protocol_for: Protocols, hall: Hall, plainly: bool = True
    ) -> None:
        listener.listen(BACKLOG)
        self.listener, self.tls, self.protocol_for, self.hall, self.plainly = listener, tls, protocol_for, hall, plainly
        self.again: asyncio.TimerHandle | None = None
        self._open()

    def _open(self) -> None:
        self.again = None
        self.hall.loop.add_reader(self.listener, self._accept)

    def _accept(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, peer = self.listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno == errno.ECONNABORTED or self.hall.squeeze():  # it was gone before it came
                    continue
                self.hall.loop.remove_reader(self.listener)
                self.again = self.hall.loop.call_later(EXHAUSTED, self._open)
                return
            connection.setblocking(False)
            self.hall.enter(_Arrival(connection, plain(peer)[0], self))

    def close(self) -> None:
        """Accepts no more."""
        if self.again is not None:
            self.again.cancel()
        self.hall.loop.remove_reader(self.listener)
        self.listener.close()
        self.hall.leave(self)
