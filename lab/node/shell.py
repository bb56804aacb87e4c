"""The event loop around a machine: its actions become sockets and connections, what happens to those its inputs.

The same shell runs every role. It decides nothing about calls and looks into no byte.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, Protocol, assert_never, cast

from lab.errors import ConfigError
from lab.node.proxy import HttpProxy
from lab.node.sniffing import CLOSING_LIMIT, Doorkeeper, Hall, is_for_relay
from lab.node.sockets import bound, mapped, plain, plainly, share
from lab.node.tls import asks_for_hub, client_context, peer_key
from lab.overlay.actions import (
    Close,
    CloseTcp,
    CloseUdp,
    Connect,
    CountOffloaded,
    Event,
    LinkInfo,
    Machine,
    MapPort,
    Offload,
    Onload,
    OpenTcp,
    OpenUdp,
    SendTo,
    UnmapPort,
    Write,
)
from lab.wire.addresses import Address

STALE_BYTES = 64 * 1024
"""Bytes waiting on a link beyond which media is dropped: late voice is no voice."""
UNREAD_BYTES = 1024 * 1024
"""Bytes waiting on a link beyond which it is cut off: its other end asks, and reads no answers."""


class UdpSocket(Protocol):
    """What the shell sends datagrams with."""

    def sendto(self, data: bytes, address: Address) -> None: ...
    def close(self) -> None: ...


class Forwarder(Protocol):
    """What a relay's machine has forwarded by the kernel."""

    def do(self, action: Offload | Onload | CountOffloaded) -> None: ...


class PortMapper(Protocol):
    """What a client's machine asks the router with for ports."""

    def do(self, action: MapPort | UnmapPort) -> None: ...


class Shell:
    """Drives one machine. `on_event` gets the machine's events, on the loop; `proxy` is the site's, if it has one."""

    def __init__(
        self,
        machine: Machine,
        client_tls: ssl.SSLContext,
        on_event: Callable[[Event], None],
        proxy: HttpProxy | None = None,
    ) -> None:
        self.machine, self.client_tls, self.on_event, self.proxy = machine, client_tls, on_event, proxy
        self.loop = asyncio.get_running_loop()
        self.links: dict[int, asyncio.WriteTransport] = {}
        self.connecting: dict[int, asyncio.Task[None]] = {}
        self.opening: set[asyncio.Task[None]] = set()
        self.sockets: dict[int, UdpSocket] = {}
        self.ports: dict[int, asyncio.Server] = {}
        self.forwarder: Forwarder | None = None
        self.port_mapper: PortMapper | None = None
        self.straight: Callable[[int, bytes, float], int | None] | None = None  # a relay's: from link to link
        self.hub_tls = client_context(signalling=True)
        self.listeners: list[asyncio.Server | Doorkeeper] = []  # kept: uvloop closes a server that nobody refers to
        self.hall = Hall(self.loop, self._turned_away)
        self.shared: dict[int, tuple[Doorkeeper, ssl.SSLContext]] = {}
        self.other: Shell | None = None
        self.relay: Shell | None = None
        self.relay_port = 0
        self.raw: dict[int, socket.socket] = {}
        self.dual: set[int] = set()
        self.timer: asyncio.TimerHandle | None = None
        self.due = 0.0
        self.draining = False

    def start(self) -> None:
        self.machine.start(time.monotonic())
        self.settle()

    def relocated(self, addresses: tuple[str, ...]) -> None:
        """The host's addresses or routes have changed."""
        self.machine.relocated(addresses, time.monotonic())
        self.settle()

    async def listen(self, name: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Accepts TCP connections, inside TLS alone where `tls` is given; port 0 takes any. Returns the port."""
        listener = bound(socket.SOCK_STREAM, port)
        if tls is not None:
            self.listeners.append(
                Doorkeeper(listener, tls, lambda _: _Link(self, None, name), self.hall, plainly=False)
            )
        else:
            self.listeners.append(await self.loop.create_server(lambda: _Link(self, None, name), sock=listener))
        return int(listener.getsockname()[1])

    def listen_to_both(self, plain: str, secure: str, port: int, tls: ssl.SSLContext) -> int:
        """Accepts TCP connections that begin with TLS as the listener `secure`, others as `plain`; returns the port."""
        listener = bound(socket.SOCK_STREAM, port)
        doorkeeper = Doorkeeper(
            listener, tls, lambda inside_tls: _Link(self, None, secure if inside_tls else plain), self.hall
        )
        self.listeners.append(doorkeeper)
        self.shared[port] = (doorkeeper, tls)
        return int(listener.getsockname()[1])

    def _turned_away(self, host: str, reason: str) -> None:
        self.machine.turned_away(host, reason, time.monotonic())
        if self.machine.actions.pending:  # no deadline changes, and ten thousand a second may be turned away
            self.settle()

    def beside(self, port: int, other: "Shell | None", tls: ssl.SSLContext | None) -> None:
        """What connects to a port and asks for a hub is another shell's from now on, in whose name `tls` speaks; None:
        nobody's any more."""
        doorkeeper, own = self.shared[port]
        self.other, doorkeeper.tls = other, tls or own

    def relay_beside(self, port: int, relay: "Shell | None") -> None:
        """What connects to a port and begins with a bind is another shell's from now on, a relay's; None: nobody's."""
        self.relay, self.relay_port = relay, port

    def stop(self) -> None:
        """Closes all that is open; the machine is told nothing more."""
        self.draining = True
        if self.timer is not None:
            self.timer.cancel()
        for task in (*self.connecting.values(), *self.opening):
            task.cancel()
        for opened in (*self.listeners, *self.ports.values(), *self.sockets.values(), *self.links.values()):
            opened.close()

    async def bind_udp(self, number: int, port: int) -> Address:
        """Opens a UDP socket that the machine expects to be there under `number`; returns what it is bound to."""
        udp = bound(socket.SOCK_DGRAM, port)
        transport, _ = await self.loop.create_datagram_endpoint(lambda: _Udp(self, number), sock=udp)
        self.sockets[number], self.raw[number] = transport, udp
        if udp.family == socket.AF_INET6:
            self.dual.add(number)
        return plain(udp.getsockname())

    def settle(self) -> None:
        """Carries out what the machine asks for, and sets the alarm for its deadline. After every input."""
        if self.draining:
            return
        self.draining = True
        try:
            while actions := self.machine.actions.take():
                for action in actions:
                    self._do(action)
        finally:
            self.draining = False
        deadline = self.machine.deadline()
        if self.timer is not None:
            if deadline == self.due:
                return
            self.timer.cancel()
            self.timer = None
        if deadline is not None:
            self.due = deadline
            self.timer = self.loop.call_later(max(0.0, deadline - time.monotonic()), self._alarm)

    def _alarm(self) -> None:
        self.timer = None
        self.machine.poll(time.monotonic())
        self.settle()

    def _do(self, action: object) -> None:
        match action:
            case SendTo(number, address, data, hops):
                if (udp := self.sockets.get(number)) is not None:
                    to = mapped(address) if number in self.dual else address
                    if hops is None:
                        udp.sendto(data, to)
                    else:
                        _send_near(self.raw[number], data, to, hops)
            case Write(link, data, media):
                self.write(link, data, media)
            case Connect(link):
                self.connecting[link] = self.loop.create_task(self._connect(action))
            case Close(link):
                self._close(link)
            case OpenUdp(number):
                self._keep(self.loop.create_task(self._open_udp(number)))
            case CloseUdp(number):
                self.dual.discard(number)
                self.raw.pop(number, None)
                if (udp := self.sockets.pop(number, None)) is not None:
                    udp.close()
            case OpenTcp(number):
                self._keep(self.loop.create_task(self._open_tcp(number)))
            case CloseTcp(number):
                if (server := self.ports.pop(number, None)) is not None:
                    server.close()
            case MapPort() | UnmapPort():
                if self.port_mapper is not None:
                    self.port_mapper.do(action)
            case Offload() | Onload() | CountOffloaded():
                if self.forwarder is not None:
                    self.forwarder.do(action)
            case Event():
                self.on_event(action)
            case _:
                assert_never(action)  # type: ignore[arg-type]

    def _keep(self, task: asyncio.Task[None]) -> None:
        self.opening.add(task)
        task.add_done_callback(self.opening.discard)

    def write(self, link: int, data: bytes, media: bool) -> None:
        """Sends on a link, if it is up; media only while little waits, and all else only while it is read."""
        transport = self.links.get(link)
        if transport is None or transport.is_closing():
            return
        waiting = transport.get_write_buffer_size()
        if media and waiting > STALE_BYTES:
            return
        if waiting > UNREAD_BYTES:
            host, _ = plain(transport.get_extra_info("peername"))
            transport.abort()
            self.machine.turned_away(host, "a link on which nothing is read", time.monotonic())
            return
        transport.write(data)

    async def _connect(self, wanted: Connect) -> None:
        link, address, secure = wanted.link, wanted.address, wanted.secure
        tls = (self.hub_tls if wanted.hub else self.client_tls) if secure else None
        try:
            if wanted.local_port is not None:
                connected = await self._connect_from(wanted.local_port, address)
                await self.loop.create_connection(lambda: _Link(self, link, ""), sock=connected)
            elif wanted.proxied:
                if self.proxy is None:
                    raise OSError("there is no proxy")
                tunnel = await self.proxy.tunnel(address)
                name = "" if secure else None  # asyncio wants one beside a socket; "" sends none
                await self.loop.create_connection(
                    lambda: _Link(self, link, "", address), sock=tunnel, ssl=tls, server_hostname=name
                )
            else:
                await self.loop.create_connection(lambda: _Link(self, link, ""), *address, ssl=tls)
        except OSError as error:
            self.connecting.pop(link, None)
            self.machine.link_down(link, plainly(error), time.monotonic())
            self.settle()
        finally:
            self.connecting.pop(link, None)

    def _close(self, link: int) -> None:
        if (task := self.connecting.pop(link, None)) is not None:
            task.cancel()
        if (transport := self.links.pop(link, None)) is not None:
            transport.close()
            if transport.get_write_buffer_size():  # who reads nothing would keep it for ever
                self.loop.call_later(CLOSING_LIMIT, transport.abort)

    async def _connect_from(self, port: int, address: Address) -> socket.socket:
        """A connection from a port that this host listens on, perhaps to a peer that connects at the same time."""
        made = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setblocking(False)
            share(made)
            made.bind(("", port))
            await self.loop.sock_connect(made, address)
        except BaseException:  # a cancelled attempt gives up its port as well
            made.close()
            raise
        return made

    async def _open_tcp(self, number: int) -> None:
        listener = bound(socket.SOCK_STREAM, 0, shared=True)
        server = await self.loop.create_server(lambda: _Link(self, None, "media"), sock=listener)
        if number not in self.machine.actions.ports:
            server.close()
            return
        self.ports[number] = server
        self.machine.tcp_up(number, plain(server.sockets[0].getsockname()), time.monotonic())
        self.settle()

    async def _open_udp(self, number: int) -> None:
        try:
            local = await self.bind_udp(number, 0)
        except ConfigError:  # no descriptors left: the machine goes on with the sockets that are up
            return
        if number not in self.machine.actions.sockets:  # closed while it was opened
            self._do(CloseUdp(number))
            return
        self.machine.udp_up(number, local, time.monotonic())
        self.settle()


def _send_near(udp: socket.socket, data: bytes, to: Address, hops: int) -> None:
    """Sends an IPv4 datagram that no more than `hops` routers pass on; what cannot leave at once is lost."""
    usual = udp.getsockopt(socket.IPPROTO_IP, socket.IP_TTL)
    udp.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
    try:
        udp.sendto(data, to)
    except OSError:
        pass
    finally:
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, usual)


class _Link(asyncio.Protocol):
    """One TCP connection: `link` is its number when this side opened it, None until the machine has given one; `beyond`
    is whom it leads to through a proxy."""

    def __init__(self, shell: Shell, link: int | None, listener: str, beyond: Address | None = None) -> None:
        self.shell, self.link, self.listener, self.beyond = shell, link, listener, beyond
        self.info: LinkInfo | None = None
        self.head: bytes | None = None  # what has come of one that may be for a relay beside

    def connection_made(self, base: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.WriteTransport, base)  # uvloop's are, without saying so
        tls = transport.get_extra_info("ssl_object")
        local, peer = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        if local is None or peer is None:  # it was gone before it came
            transport.abort()
            return
        if tls is not None and self.link is None and self.shell.other is not None and asks_for_hub(tls):
            self.shell, self.listener = self.shell.other, "signalling"
        machine, now = self.shell.machine, time.monotonic()
        info = LinkInfo(plain(local), self.beyond or plain(peer), peer_key(tls) if tls is not None else None)
        if self.link is None:
            if self.shell.relay is not None and info.local[1] == self.shell.relay_port:
                self.info, self.head = info, b""
            self.link = machine.accepted(self.listener, info, now)
            self._keep(transport)
        elif self.link in machine.actions.links:
            self._keep(transport)
            machine.link_up(self.link, info, now)
        else:
            transport.close()
        self.shell.settle()

    def _keep(self, transport: asyncio.WriteTransport) -> None:
        assert self.link is not None
        self.shell.links[self.link] = transport

    def data_received(self, data: bytes) -> None:
        if self.link in self.shell.links:
            assert self.link is not None
            if self.head is not None:
                data = self._sorted(bytes(data))
            if (straight := self.shell.straight) is not None:
                to = straight(self.link, data, time.monotonic())
                if to is not None:
                    self.shell.write(to, data, media=True)
                    return
            self.shell.machine.link_data(self.link, bytes(data), time.monotonic())
            self.shell.settle()

    def _sorted(self, data: bytes) -> bytes:
        """The client is told of everybody at once, and keeps strangers within its own bounds; one who turns out to be
        for the relay is that one's from the start. Returns what whoever has it now has not heard of it."""
        assert self.link is not None and self.head is not None and self.info is not None
        before, self.head = self.head, self.head + data
        found, relay = is_for_relay(self.head), self.shell.relay
        if found is None:
            return data
        head, self.head = before + data, None
        if not found or relay is None:
            return data
        now, transport = time.monotonic(), self.shell.links.pop(self.link)
        self.shell.machine.link_down(self.link, "it is the relay's", now)
        self.shell.settle()
        self.shell, self.listener = relay, "relay"
        self.link = relay.machine.accepted("relay", self.info, now)
        self._keep(transport)
        return head

    def connection_lost(self, exc: Exception | None) -> None:
        if self.link is not None and self.shell.links.pop(self.link, None) is not None:
            reason = str(exc) if exc else "the other end closed the connection"
            self.shell.machine.link_down(self.link, reason, time.monotonic())
            self.shell.settle()


class _Udp(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, shell: Shell, number: int) -> None:
        self.shell, self.number = shell, number

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self.shell.machine.datagram(self.number, bytes(data), plain(addr), time.monotonic())
        self.shell.settle()

    def error_received(self, exc: Exception) -> None:
        """ICMP's word that a candidate leads nowhere: the check's own time runs out."""
