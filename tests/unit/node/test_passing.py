"""One port for two protocols, and tunnels through an HTTP proxy: on loopback, with real sockets."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
import uvloop

from lab.errors import ConfigError
from lab.node.proxy import HttpProxy
from lab.node.shell import Shell
from lab.node.tls import client_context, wrapping_context
from tests.unit.node.test_shell import Echo, until

Story = Callable[[Echo, Shell], Awaitable[None]]


class Listening(Echo):
    """Remembers under which listener's name a peer was announced, and whether inside TLS."""

    def __init__(self) -> None:
        super().__init__()
        self.guests: list[tuple[str, bool]] = []

    def accepted(self, listener, info, now):
        self.guests.append((listener, info.secure))
        return super().accepted(listener, info, now)


def run(story: Story) -> None:
    """Under the event loop that the nodes run on."""

    async def bounded() -> None:
        machine = Listening()
        shell = Shell(machine, client_context(), lambda event: None)
        shell.start()
        await asyncio.wait_for(story(machine, shell), 5)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(bounded())


class StubProxy:
    """Does CONNECT and nothing else; `asked` are the request lines. Refuses where `refusal` is set."""

    def __init__(self, refusal: bytes = b"") -> None:
        self.asked: list[str] = []
        self.refusal = refusal
        self.pumps: list[asyncio.Task[None]] = []

    async def start(self) -> HttpProxy:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.server = server
        return HttpProxy(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().splitlines()[0])
        if self.refusal:
            writer.write(self.refusal)
            writer.close()
            return
        host, port = self.asked[-1].split()[1].rsplit(":", 1)
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.0 200 Connection established\r\nProxy-agent: stub\r\n\r\n")
        self.pumps += [asyncio.create_task(_pump(reader, far_writer)), asyncio.create_task(_pump(far_reader, writer))]


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


@pytest.mark.parametrize("secure", [False, True])
def test_plain_and_tls_share_a_port_and_keep_their_first_byte(secure: bool) -> None:
    async def story(machine: Listening, shell: Shell) -> None:
        port = shell.listen_to_both("plain", "wrapped", 0, wrapping_context())
        machine.dial(port, secure)
        shell.settle()
        await until(lambda: machine.heard == [b"hello", b"HELLO"])
        assert machine.guests == [("wrapped" if secure else "plain", secure)]
        assert machine.ups[0].secure is secure

    run(story)


def test_a_connection_that_says_nothing_is_nobodys_yet_and_disturbs_nobody() -> None:
    async def story(machine: Listening, shell: Shell) -> None:
        port = shell.listen_to_both("plain", "wrapped", 0, wrapping_context())
        silent = socket.create_connection(("127.0.0.1", port))
        gone = socket.create_connection(("127.0.0.1", port))
        gone.close()
        machine.dial(port, True)
        shell.settle()
        await until(lambda: machine.heard == [b"hello", b"HELLO"])
        assert machine.guests == [("wrapped", True)]
        silent.close()

    run(story)


def test_garbage_that_begins_like_tls_ends_that_connection_alone() -> None:
    async def story(machine: Listening, shell: Shell) -> None:
        port = shell.listen_to_both("plain", "wrapped", 0, wrapping_context())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x16" + bytes(100))
        await reader.read()
        writer.close()
        assert machine.guests == []
        machine.dial(port, False)
        shell.settle()
        await until(lambda: machine.heard == [b"hello", b"HELLO"])

    run(story)


@pytest.mark.parametrize("secure", [False, True])
def test_a_tunnel_through_the_proxy_is_a_link_to_whom_it_was_asked_for(secure: bool) -> None:
    async def story(machine: Listening, shell: Shell) -> None:
        proxy = StubProxy()
        shell.proxy = await proxy.start()
        port = shell.listen_to_both("plain", "wrapped", 0, wrapping_context())
        link = machine.actions.connect(machine, ("127.0.0.1", port), secure, proxied=True)
        machine.dialled.add(link)
        shell.settle()
        await until(lambda: machine.heard == [b"hello", b"HELLO"])
        assert proxy.asked == [f"CONNECT 127.0.0.1:{port} HTTP/1.1"]
        assert machine.ups[0].peer == ("127.0.0.1", port)
        assert machine.guests == [("wrapped" if secure else "plain", secure)]

    run(story)


def test_the_proxys_refusal_is_told_in_its_words() -> None:
    async def story(machine: Listening, shell: Shell) -> None:
        proxy = StubProxy(refusal=b"HTTP/1.0 403 Access violation\r\n\r\n")
        shell.proxy = await proxy.start()
        machine.actions.connect(machine, ("127.0.0.1", 1), True, proxied=True)
        shell.settle()
        await until(lambda: machine.downs)
        assert machine.downs == ["the proxy says: 403 Access violation"]

    run(story)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_the_proxy_is_found_as_programs_find_it(environment: pytest.MonkeyPatch, name: str) -> None:
    assert HttpProxy.from_environment() is None
    environment.setenv(name, "http://192.168.40.5:3128")
    environment.setenv("no_proxy", "203.0.113.12")
    proxy = HttpProxy.from_environment()
    assert proxy is not None and proxy.url == "http://192.168.40.5:3128"
    assert proxy.serves("203.0.113.11")
    assert not proxy.serves("203.0.113.12")


@pytest.mark.parametrize("url", ["socks5://192.168.40.5:1080", "http://192.168.40.5", "ftp://x:1", "http://x:port"])
def test_what_is_no_http_proxy_is_refused_in_one_sentence(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("https_proxy", url)
    with pytest.raises(ConfigError, match=r"https_proxy is .*expected http://HOST:PORT"):
        HttpProxy.from_environment()
