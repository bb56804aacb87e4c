"""Several protocols on one TCP port: a connection that begins like TLS is one, any other is what it is without; within
either, what begins with a bind is for a relay.

The first byte decides of TLS and stays where it is; who never says one is turned away. The first frame decides of the
relay.
"""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable

from lab.wire.stun import HEADER_SIZE, Method, is_stun, peek_method

HANDSHAKE = 0x16
"""What TLS begins with (RFC 8446, 5.1); RFC 4571 frames of up to 5,631 bytes and STUN never do (RFC 7983, 7)."""
FIRST_BYTE_LIMIT = 10.0
"""Seconds for the first byte; whoever connects here speaks first."""
MOST_SILENT = 256
"""Connections that have not said a byte; while there are so many, further ones wait in the kernel."""

EXHAUSTED = 1.0
"""Seconds before accepting again where the process or the machine has no more files, as asyncio's own servers do."""


def is_for_relay(head: bytes) -> bool | None:
    """Whether a connection that begins with these bytes, frames of RFC 4571, is meant for a relay: by the method of the
    first; None while that cannot be told."""
    if len(head) < 2 + HEADER_SIZE:
        return False if len(head) > 2 and head[2] >= 0x40 else None
    first = head[2 : 2 + HEADER_SIZE]
    return is_stun(first) and peek_method(first) == Method.BIND


Protocols = Callable[[bool], asyncio.BaseProtocol]


class Doorkeeper:
    """Accepts on `listener`; `protocol_for` makes the protocol of a connection, told whether it is inside TLS."""

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext,
        protocol_for: Protocols,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        listener.listen(128)
        self.listener, self.tls, self.protocol_for, self.loop = listener, tls, protocol_for, loop
        self.silent = asyncio.Semaphore(MOST_SILENT)
        self.greeting: set[asyncio.Task[None]] = set()
        self.accepting = loop.create_task(self._accept())

    async def _accept(self) -> None:
        while True:
            await self.silent.acquire()
            try:
                connection, _ = await self.loop.sock_accept(self.listener)
            except OSError as error:
                self.silent.release()
                if error.errno != errno.ECONNABORTED:  # else it was gone before it came
                    await asyncio.sleep(EXHAUSTED)
                continue
            task = self.loop.create_task(self._greet(connection))
            self.greeting.add(task)
            task.add_done_callback(self._greeted)

    def _greeted(self, task: asyncio.Task[None]) -> None:
        self.greeting.discard(task)
        self.silent.release()

    async def _greet(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            async with asyncio.timeout(FIRST_BYTE_LIMIT):
                first = await self._peek(connection)
            if not first:
                connection.close()
                return
            inside_tls = first[0] == HANDSHAKE
            with contextlib.suppress(OSError):  # a handshake that fails is the peer's affair
                await self.loop.connect_accepted_socket(
                    lambda: self.protocol_for(inside_tls), connection, ssl=self.tls if inside_tls else None
                )
        except (OSError, TimeoutError):
            connection.close()

    async def _peek(self, connection: socket.socket) -> bytes:
        """The first byte, which is read again by whoever comes next; none if the peer has gone."""
        readable = asyncio.Event()
        self.loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            self.loop.remove_reader(connection)
        return connection.recv(1, socket.MSG_PEEK)

    def close(self) -> None:
        """Accepts no more."""
        self.accepting.cancel()
        self.listener.close()
