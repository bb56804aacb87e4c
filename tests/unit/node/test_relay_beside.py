"""A client that becomes a relay shares its port 443 with it, and is a client alone again afterwards."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from lab.node import hosting as hosting_module
from lab.node.hosting import Hosting
from lab.node.journal import Journal
from lab.node.roles import Settings
from lab.node.shell import Shell
from lab.node.sniffing import is_for_relay
from lab.node.tls import client_context, wrapping_context
from lab.overlay.actions import Event
from lab.overlay.client import Client
from lab.overlay.identity import issue_credential
from lab.overlay.member import Membership
from lab.overlay.relay import Relay
from lab.wire.framing import frame
from lab.wire.messages import Message, Nominate, Promoted, Unwilling, Willing
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.node.test_shell import Echo, until
from tests.unit.overlay.fakenet import WALL, FakeNet

BIND = frame(StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=b"token").encode(), 2)
CHECK = frame(StunMessage(Method.BINDING, Kind.REQUEST, bytes(12), username="c1.x").encode(), 2)


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (BIND, True),
        (BIND + CHECK, True),
        (CHECK, False),
        (CHECK + BIND, False),
        (BIND[:21], None),
        (b"", None),
        (b"\0\x64", None),
        (b"\0\x64\x80", False),
        (b"GET / HTTP/1.1\r\n", False),
    ],
)
def test_the_first_frame_says_whether_a_connection_is_for_a_relay(head: bytes, found: bool | None) -> None:
    assert is_for_relay(head) is found


class Mute(Echo):
    """Hears, and says nothing to who has not said whom it wants, as a client."""

    def link_data(self, link: int, data: bytes, now: float) -> None:
        self.heard.append(data)


class Two:
    """A client's shell, which listens, and a relay's beside it."""

    def __init__(self) -> None:
        self.client, self.relay = Mute(), Echo()
        self.near = Shell(self.client, client_context(), lambda event: None)
        self.far = Shell(self.relay, client_context(), lambda event: None)
        self.port = self.near.listen_to_both("media", "media", 0, wrapping_context())
        self.near.relay_beside(self.port, self.far)

    async def connect(self, secure: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        tls: ssl.SSLContext | None = client_context() if secure else None
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=tls)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(story(), 8)

    asyncio.run(bounded())


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("pieces", [1, len(BIND)])
def test_what_begins_with_a_bind_is_the_relays_from_its_first_byte_on(secure: bool, pieces: int) -> None:
    async def story() -> None:
        two = Two()
        reader, writer = await two.connect(secure)
        size = -(-len(BIND) // pieces)
        for at in range(0, len(BIND), size):
            writer.write(BIND[at : at + size])
            await writer.drain()
            await asyncio.sleep(0)
        await until(lambda: b"".join(two.relay.heard) == BIND)
        assert await reader.readexactly(len(BIND)) == BIND.upper(), "and it answers on the same connection"
        assert two.client.downs == ["it is the relay's"]
        assert two.relay.accepts == two.client.accepts
        writer.close()
        await until(lambda: two.relay.downs)
        assert len(two.client.downs) == 1

    run(story)


@pytest.mark.parametrize("secure", [False, True])
def test_all_else_is_the_clients_and_so_is_a_bind_where_there_is_no_relay(secure: bool) -> None:
    async def story() -> None:
        two = Two()
        _, writer = await two.connect(secure)
        writer.write(CHECK + BIND)
        await until(lambda: b"".join(two.client.heard) == CHECK + BIND)
        two.near.relay_beside(two.port, None)
        _, other = await two.connect(secure)
        other.write(BIND)
        await until(lambda: b"".join(two.client.heard) == CHECK + BIND + BIND)
        assert not two.relay.heard and not two.client.downs
        writer.close()
        other.close()

    run(story)


def alone() -> Membership:
    """Of a client that is enrolled and knows no supernode: none is dialled."""
    net = FakeNet()
    membership = replace(net.membership("alice", "127.0.0.1", "198.51.100.20"), supernodes=())
    identity = membership.identity
    identity.credential = issue_credential(net.authority_key, "alice", identity.public, WALL)
    return membership


def test_it_listens_as_a_relay_when_asked_and_no_more_when_demoted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        client, said, kept = Client(alone(), ()), list[Message](), list[Event]()
        shell = Shell(client, client_context(), lambda event: None)
        port = shell.listen_to_both("media", "media", 0, wrapping_context())
        monkeypatch.setattr(hosting_module, "SHARED_PORT", port)
        monkeypatch.setattr(hosting_module, "RELAY_TCP_PORTS", (0, port))
        monkeypatch.setattr(hosting_module, "RELAY_UDP_PORT", 0)
        hosting = Hosting(client, shell, Journal("alice"), kept.append)
        shell.on_event = hosting.event
        answer: Callable[[Message], None] = said.append
        client.candidacy.says("supernode-1", Nominate("relay", ("198.51.100.20", 1)), answer, time.monotonic())
        shell.settle()
        await until(lambda: said)
        assert isinstance(said[0], Willing) and (said[0].role, said[0].capacity) == ("relay", client.candidacy.calls)
        beside = hosting.beside()
        assert beside is not None and isinstance(beside.machine, Relay)
        assert hosting.status()["promoted"] is None
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(BIND)
        answered = StunMessage.parse((await reader.readexactly(2 + 20))[2:] + await reader.read(1000))
        assert (answered.method, answered.kind) == (Method.BIND, Kind.ERROR), "no supernode's token"
        client.candidacy.says("supernode-1", Promoted("relay", "bob", ()), answer, time.monotonic())
        shell.settle()
        status = hosting.status()
        assert status["promoted"] == "relay" and "bob has reached it" in status["promoted_because"]
        assert status["sessions"] == 0 and "calls" not in status
        assert hosting.carried({"call": "c7"})["up_since"] > 0, "it is a witness of the calls that it relays"
        client.candidacy.says("supernode-2", Nominate("supernode", ("198.51.100.20", 1)), answer, time.monotonic())
        assert isinstance(said[-1], Unwilling)
        client.candidacy.cease("supernode-1 cannot reach it by UDP")
        shell.settle()
        assert hosting.beside() is None and hosting.status()["promoted"] is None
        assert hosting.carried({"call": "c7"}) == {"up_since": 0.0, "sessions": []}
        assert await reader.read() == b"", "its connections are closed with it"
        writer.close()

    run(story)


def test_a_port_that_is_taken_is_a_reason_not_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        with socket.create_server(("0.0.0.0", 0)) as taken:
            client, said = Client(alone(), ()), list[Message]()
            shell = Shell(client, client_context(), lambda event: None)
            port = shell.listen_to_both("media", "media", 0, wrapping_context())
            monkeypatch.setattr(hosting_module, "SHARED_PORT", port)
            monkeypatch.setattr(hosting_module, "RELAY_TCP_PORTS", (taken.getsockname()[1], port))
            hosting = Hosting(client, shell, Journal("alice"), lambda event: None)
            shell.on_event = hosting.event
            client.candidacy.says("supernode-1", Nominate("relay", ("198.51.100.20", 1)), said.append, time.monotonic())
            shell.settle()
            await until(lambda: said)
            assert isinstance(said[0], Unwilling) and "cannot be opened" in said[0].reason
            assert hosting.beside() is None

    run(story)


def test_how_many_calls_a_relay_carries_is_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_AUTHORITY", "203.0.113.5")
    monkeypatch.setenv("LAB_SUPERNODES", "203.0.113.11")
    assert Settings.from_environment().calls is None
    monkeypatch.setenv("LAB_CALLS", "5")
    assert Settings.from_environment().calls == 5
