"""The shell on loopback: a machine's actions become real sockets, and what happens to those becomes its inputs."""

import asyncio
import socket
import sys
import time
from collections.abc import Callable

import pytest
import uvloop

from lab.errors import PortTaken
from lab.node.shell import Shell
from lab.node.sockets import plain
from lab.node.tls import client_context, server_context
from lab.overlay.actions import LinkInfo, Machine
from lab.overlay.identity import Identity

IP_RECVTTL = 12  # of linux/in.h; the socket module has it from Python 3.14 on


class Echo(Machine):
    """Says back what it hears, dials when told, wakes itself."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[bytes] = []
        self.ups: list[LinkInfo] = []
        self.downs: list[str] = []
        self.woken: list[float] = []
        self.wake: float | None = None
        self.dialled: set[int] = set()
        self.udp_port = 0
        self.accepts: list[LinkInfo] = []
        self.sources: list[tuple[str, int]] = []

    def start(self, now: float) -> None:
        self.actions.open_udp(self)

    def deadline(self) -> float | None:
        return self.wake

    def poll(self, now: float) -> None:
        if self.wake is not None and now >= self.wake:
            self.wake = None
            self.woken.append(now)

    def accepted(self, listener: str, info: LinkInfo, now: float) -> int:
        self.accepts.append(info)
        link = next(self.actions.numbers)
        self.actions.links[link] = self
        return link

    def dial(self, port: int, secure: bool, host: str = "127.0.0.1") -> int:
        link = self.actions.connect(self, (host, port), secure)
        self.dialled.add(link)
        return link

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        self.ups.append(info)
        self.actions.write(link, b"hello")

    def link_data(self, link: int, data: bytes, now: float) -> None:
        self.heard.append(data)
        if link not in self.dialled:
            self.actions.write(link, data.upper())

    def link_down(self, link: int, reason: str, now: float) -> None:
        self.downs.append(reason)

    def udp_up(self, socket: int, local: tuple[str, int], now: float) -> None:
        self.udp_port = local[1]
        self.socket = socket

    def datagram(self, socket: int, data: bytes, source: tuple[str, int], now: float) -> None:
        self.heard.append(data)
        self.sources.append(source)


async def until(holds: object) -> None:
    while not holds():  # type: ignore[operator]
        await asyncio.sleep(0.001)


def run(story: object, loop: Callable[[], asyncio.AbstractEventLoop] | None = None) -> None:
    async def bounded() -> None:
        machine = Echo()
        shell = Shell(machine, client_context(), lambda event: None)
        shell.start()
        await asyncio.wait_for(story(machine, shell), 5)  # type: ignore[operator]

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(bounded())


@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_carries_bytes_both_ways_and_shows_the_peers_key(secure: bool) -> None:
    identity = Identity("supernode-1")

    async def story(machine: Echo, shell: Shell) -> None:
        tls = server_context("supernode-1", identity.private) if secure else None
        port = await shell.listen("echo", 0, tls)
        link = machine.dial(port, secure)
        shell.settle()
        await until(lambda: machine.heard == [b"hello", b"HELLO"])
        assert machine.ups[0].peer == ("127.0.0.1", port)
        assert machine.ups[0].peer_key == (identity.public if secure else None)
        machine.actions.close(link)
        shell.settle()
        await until(lambda: machine.downs)

    run(story)


def test_a_refused_connection_is_told() -> None:
    async def story(machine: Echo, shell: Shell) -> None:
        port = await shell.listen("echo", 0, None)
        machine.dial(port + 1 if port < 65535 else 1, False)
        shell.settle()
        await until(lambda: machine.downs)
        assert "refused" in machine.downs[0].lower()

    run(story)


def test_datagrams_reach_the_machine() -> None:
    async def story(machine: Echo, shell: Shell) -> None:
        await until(lambda: machine.udp_port)
        machine.actions.send_to(machine.socket, ("127.0.0.1", machine.udp_port), b"ping")
        shell.settle()
        await until(lambda: machine.heard == [b"ping"])

    run(story)


@pytest.mark.parametrize("loop", [None, uvloop.new_event_loop])
@pytest.mark.parametrize("hops", [None, 3])
def test_nothing_goes_to_a_networks_broadcast_address_and_the_socket_is_none_the_worse(
    hops: int | None, loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> None:
    """Nobody can tell it by its looks, without the netmask; the kernel lets no socket send there that has not asked."""

    async def story(machine: Echo, shell: Shell) -> None:
        await until(lambda: machine.udp_port)
        for host, data in (("127.255.255.255", b"all"), ("255.255.255.255", b"all"), ("127.0.0.1", b"one")):
            machine.actions.send_to(machine.socket, (host, machine.udp_port), data, hops)
        shell.settle()
        await until(lambda: machine.heard)
        await asyncio.sleep(0.05)
        assert machine.heard == [b"one"]

    run(story, loop)


def test_the_machine_is_woken_at_its_deadline_not_before() -> None:
    async def story(machine: Echo, shell: Shell) -> None:
        due = machine.wake = time.monotonic() + 0.03
        shell.settle()
        await until(lambda: machine.woken)
        assert 0 <= machine.woken[0] - due < 1

    run(story)


def test_a_port_in_use_is_one_sentence() -> None:
    async def story(machine: Echo, shell: Shell) -> None:
        port = await shell.listen("echo", 0, None)
        with pytest.raises(PortTaken, match=f"TCP port {port} cannot be opened: .*in use"):
            await shell.listen("echo", port, None)

    run(story)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_one_listener_and_one_socket_serve_both_families_in_plain_addresses(host: str) -> None:
    async def story(machine: Echo, shell: Shell) -> None:
        port = await shell.listen("echo", 0, None)
        machine.dial(port, False, host)
        await until(lambda: machine.udp_port)
        machine.actions.send_to(machine.socket, (host, machine.udp_port), b"ping")
        shell.settle()
        await until(lambda: len(machine.heard) == 3)
        assert {source[0] for source in machine.sources} == {host}
        assert {info.peer[0] for info in machine.ups} == {host}
        assert {info.peer[0] for info in machine.accepts} == {host}
        assert {info.local[0] for info in machine.accepts} == {host}

    run(story)


@pytest.mark.parametrize(
    ("told", "plainly"),
    [
        (("::ffff:192.0.2.1", 5, 0, 0), ("192.0.2.1", 5)),
        (("2001:db8::1", 5, 0, 0), ("2001:db8::1", 5)),
        (("192.0.2.1", 5), ("192.0.2.1", 5)),
    ],
)
def test_machines_never_see_a_mapped_address(told: tuple[object, ...], plainly: tuple[str, int]) -> None:
    assert plain(told) == plainly


def test_a_datagram_of_few_hops_leaves_with_that_time_to_live_and_the_next_one_as_usual() -> None:
    async def story(machine: Echo, shell: Shell) -> None:
        await until(lambda: machine.udp_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far_end:
            far_end.bind(("127.0.0.1", 0))
            far_end.settimeout(2)
            far_end.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            machine.actions.send_to(machine.socket, far_end.getsockname(), b"near", hops=3)
            machine.actions.send_to(machine.socket, far_end.getsockname(), b"far")
            shell.settle()
            lives = {}
            for _ in range(2):
                data, extra, *_ = far_end.recvmsg(100, 100)
                lives[data] = int.from_bytes(extra[0][2], sys.byteorder)
        assert lives[b"near"] == 3
        assert lives[b"far"] > 3

    run(story)
