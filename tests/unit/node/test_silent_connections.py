"""Who connects and says nothing, or next to nothing: on loopback, with the shell that the nodes run and its event loop.

Addresses of 127.0.0.0/8 stand for those of several offenders.
"""

import asyncio
import contextlib
import errno
import itertools
import random
import resource
import socket
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest
import uvloop

from lab.node import shell as shell_module
from lab.node import sniffing
from lab.node.roles import HostClock
from lab.node.shell import Shell
from lab.node.sniffing import MOST_SILENT, SILENT_EACH, Doorkeeper
from lab.node.tls import client_context, server_context
from lab.overlay.actions import Event
from lab.overlay.authority import Authority
from lab.overlay.call_events import Answered, Rings
from lab.overlay.client import Client
from lab.overlay.identity import issue_credential
from lab.overlay.member import Membership, SignedOut
from lab.overlay.supernode import Supernode
from lab.wire.framing import frame
from lab.wire.messages import Ping, encode
from tests.unit.node.test_shell import Echo, until
from tests.unit.overlay.fakenet import FakeNet

HERE = "127.0.0.1"
HELLO = 0x16
TICK = 0.002  # the loop counts whole milliseconds
IP_BIND_ADDRESS_NO_PORT = 24  # of linux/in.h; the socket module has it from Python 3.12 on


def run(story: Callable[[], Awaitable[None]], seconds: float = 20) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story(), seconds)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


@dataclass
class Node:
    """A machine in its shell; `told` is what it has said."""

    machine: Supernode | Client | Authority
    told: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shell = Shell(self.machine, client_context(), self.told.append)

    @property
    def counted(self) -> dict[str, int]:
        return self.machine.actions.refusals.counted


class World:
    """One supernode on loopback, and clients that know no other."""

    def __init__(self) -> None:
        self.net = FakeNet()
        self.supernode = Node(Supernode(self._member("supernode-1")))
        identity = self.supernode.machine.membership.identity  # type: ignore[union-attr]
        self.port = self.supernode.shell.listen_to_both(
            "stun", "signalling", 0, server_context("supernode-1", identity.private)
        )
        self.supernode.shell.start()
        self.nodes = [self.supernode]

    def _member(self, name: str) -> Membership:
        membership = replace(
            self.net.membership(name, HERE), wall=HostClock(), supernodes=((HERE,),), rng=random.Random(name)
        )
        identity = membership.identity
        identity.credential = issue_credential(self.net.authority_key, name, identity.public, time.time())
        return membership

    def client(self, name: str) -> Node:
        machine = Client(self._member(name), ())
        machine.hub.ports = (self.port,)
        node = Node(machine)
        node.shell.start()
        self.nodes.append(node)
        return node

    async def call(self, caller: Node, callee: Node, id: str) -> None:
        """Rings, and is answered."""
        assert isinstance(caller.machine, Client) and isinstance(callee.machine, Client)
        caller.machine.dial(id, callee.machine.name, time.monotonic())
        caller.shell.settle()
        await until(lambda: any(isinstance(event, Rings) and event.incoming for event in callee.told))
        callee.machine.answer(id, time.monotonic())
        callee.shell.settle()
        await until(lambda: any(isinstance(event, Answered) for event in caller.told))

    def stop(self) -> None:
        for node in self.nodes:
            node.shell.stop()


def sits(node: Node) -> bool:
    assert isinstance(node.machine, Client)
    return node.machine.hub.hub is not None


async def knock(
    port: int, times: int, source: Callable[[int], str], held: deque[socket.socket], enough: asyncio.Event | None = None
) -> None:
    """So many connections that say nothing, as fast as the loop lets others do something as well; then as many more as
    it takes until that is `enough`, each in place of an older one."""
    for number in itertools.count():
        if number >= times:
            if enough is None or enough.is_set():
                return
            held.popleft().close()
        made = socket.socket()
        held.append(made)
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)  # its port is found when it connects
        made.bind((source(number), 0))
        made.connect_ex((HERE, port))
        if number % 25 == 24:
            await asyncio.sleep(0)


@contextmanager
def many() -> Iterator[deque[socket.socket]]:
    """Files for ten thousand of them, which are closed in the end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = deque[socket.socket]()
    try:
        yield held
    finally:
        for each in held:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def affordable() -> int:
    """Ten thousand, or as many as this process may open beside what it has."""
    return min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 2_500)


SOURCES: dict[str, Callable[[int], str]] = {
    "one address": lambda number: "127.0.0.66",
    "the address of the honest": lambda number: HERE,
    "many addresses": lambda number: f"127.66.{number >> 8}.{number & 255}",
}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_ten_thousand_that_say_nothing_are_cut_off_and_who_signs_in_and_calls_notices_nothing(source: str) -> None:
    async def story() -> None:
        world = World()
        alice = world.client("alice")
        await until(lambda: sits(alice))
        with many() as held:
            times, enough = affordable(), asyncio.Event()
            flood = asyncio.ensure_future(knock(world.port, times, SOURCES[source], held, enough))
            bob = world.client("bob")
            await until(lambda: sits(bob))
            await world.call(alice, bob, "c1.x")
            assert not flood.done(), "all of that amid the flood"
            enough.set()
            await flood
            hall = world.supernode.shell.hall
            most = MOST_SILENT if source == "many addresses" else SILENT_EACH
            await until(lambda: sum(world.supernode.counted.values()) >= times - most)
            assert len(hall.silent) <= most
            assert any(reason.startswith("too many silent connections") for reason in world.supernode.counted)
            carol = world.client("carol")
            await until(lambda: sits(carol))
            await world.call(carol, alice, "c2.x")
            lost = [event for node in (alice, bob, carol) for event in node.told if isinstance(event, SignedOut)]
            assert not lost, "and nobody has lost its supernode"
        world.stop()

    run(story, 60)


def test_who_says_nothing_is_cut_off_in_time_with_a_counted_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniffing, "FIRST_BYTE_LIMIT", 0.2)

    async def story() -> None:
        world = World()
        began = time.monotonic()
        reader, writer = await asyncio.open_connection(HERE, world.port)
        assert await reader.read() == b""
        assert 0.2 - TICK <= time.monotonic() - began < 2
        assert world.supernode.counted["a silent connection"] == 1
        assert not len(world.supernode.shell.hall.silent) and not world.supernode.shell.hall.arrivals
        writer.close()
        world.stop()

    run(story)


def begun_handshake() -> bytes:
    """What a TLS client says first."""
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = client_context().wrap_bio(into, out)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    said = out.read()
    assert said[0] == HELLO
    return said


def test_a_handshake_that_trickles_in_is_cut_off_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sniffing, "HANDSHAKE_LIMIT", 0.3)

    async def story() -> None:
        world = World()
        reader, writer = await asyncio.open_connection(HERE, world.port)
        began = time.monotonic()
        over = asyncio.ensure_future(reader.read())
        with suppress(ConnectionError):
            for byte in begun_handshake()[:-1]:
                writer.write(bytes([byte]))
                await asyncio.wait([over], timeout=0.02)
                if over.done():
                    break
        with suppress(ConnectionError):
            assert await over == b""
        assert 0.3 - TICK <= time.monotonic() - began < 2
        await until(lambda: world.supernode.counted.get("a TLS handshake that took too long") == 1)
        assert not len(world.supernode.shell.hall.shaking)
        writer.close()
        world.stop()

    run(story)


def test_handshakes_that_never_end_are_bounded_by_address_and_the_honest_get_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sniffing, "SHAKING_EACH", 20)

    async def story() -> None:
        world = World()
        with many() as held:
            await knock(world.port, 60, lambda number: "127.0.0.66", held)
            loop, half = asyncio.get_running_loop(), begun_handshake()[:100]
            for each in held:
                with suppress(ConnectionError):  # the oldest make room while others begin
                    await loop.sock_sendall(each, half)
            hall = world.supernode.shell.hall
            reason = "too many TLS handshakes of one address"
            await until(lambda: world.supernode.counted.get(reason) == 40)
            await until(lambda: len(hall.greeting) == 20)
            assert len(hall.shaking) == 20
            alice = world.client("alice")
            await until(lambda: sits(alice))
        world.stop()
        await until(lambda: not hall.arrivals)

    run(story)


def test_no_tls_where_it_is_announced_and_none_where_it_is_asked_for_are_counted() -> None:
    async def story() -> None:
        net = FakeNet()
        authority = Node(Authority(net.authority_key, {}, HostClock()))
        port = await authority.shell.listen("enrolment", 0, server_context("authority", net.authority_key))
        for said, reason in (
            (b"GET / HTTP/1.1\r\n\r\n", "a connection without TLS"),
            (b"\x16\x03\x01\x00\x05hello", "a TLS handshake that failed"),
        ):
            reader, writer = await asyncio.open_connection(HERE, port)
            writer.write(said)
            with suppress(ConnectionError):
                await reader.read()
            await until(lambda reason=reason: authority.counted.get(reason) == 1)
            writer.close()
        _, writer = await asyncio.open_connection(HERE, port, ssl=client_context())
        assert isinstance(authority.machine, Authority)
        machine = authority.machine
        await until(lambda: len(machine.applicants) == 1)
        writer.close()
        authority.shell.stop()

    run(story)


def test_a_frame_that_never_ends_gives_nobody_more_time_to_sign_in() -> None:
    async def story() -> None:
        world = World()
        assert isinstance(world.supernode.machine, Supernode)
        world.supernode.machine.door.strangers.patience = 0.4
        reader, writer = await asyncio.open_connection(HERE, world.port, ssl=client_context())
        began = time.monotonic()
        await reader.read(1)
        over = asyncio.ensure_future(reader.read())
        for byte in frame(encode(Ping()) + bytes(100), 4):
            writer.write(bytes([byte]))
            await asyncio.wait([over], timeout=0.05)
            if over.done():
                break
        await over
        assert time.monotonic() - began < 2
        assert world.supernode.counted["did not sign in"] == 1
        writer.close()
        world.stop()

    run(story)


def test_who_asks_and_reads_no_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell_module, "UNREAD_BYTES", 256 * 1024)

    async def story() -> None:
        machine = Echo()
        shell = Shell(machine, client_context(), lambda event: None)
        port = await shell.listen("echo", 0, None)
        with socket.create_connection((HERE, port)) as mute:
            mute.setblocking(False)
            loop = asyncio.get_running_loop()
            with suppress(ConnectionError):
                for _ in range(1_000):
                    await loop.sock_sendall(mute, bytes(64 * 1024))
            await until(lambda: machine.downs)
        assert machine.actions.refusals.counted["a link on which nothing is read"] == 1
        assert not shell.links
        shell.stop()

    run(story)


class Scarce:
    """A listener of a process that has files for three connections that are silent."""

    def __init__(self, listener: socket.socket, silent: Callable[[], int]) -> None:
        self.listener, self.silent = listener, silent

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if self.silent() >= 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return self.listener.accept()

    def fileno(self) -> int:
        return self.listener.fileno()

    def listen(self, backlog: int) -> None:
        self.listener.listen(backlog)

    def close(self) -> None:
        self.listener.close()


def test_where_files_run_out_who_is_silent_gives_his_back() -> None:
    async def story() -> None:
        machine = Echo()
        shell = Shell(machine, client_context(), lambda event: None)
        with listening() as listener:
            scarce = Scarce(listener, lambda: len(shell.hall.silent))
            tls = server_context("echo", FakeNet().authority_key)
            doorkeeper = Doorkeeper(
                scarce,  # type: ignore[arg-type]
                tls,
                lambda inside_tls: shell_module._Link(shell, None, "echo"),
                shell.hall,
            )
            held = deque[socket.socket]()
            await knock(listener.getsockname()[1], 10, lambda number: "127.0.0.66", held)
            await until(lambda: machine.actions.refusals.counted["too many silent connections"] >= 7)
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"hello")
            await until(lambda: machine.heard == [b"hello"])
            writer.close()
            for each in held:
                each.close()
            doorkeeper.close()
        shell.stop()

    run(story)


def listening() -> AbstractContextManager[socket.socket]:
    made = socket.socket()
    made.setblocking(False)
    made.bind((HERE, 0))
    return contextlib.closing(made)
