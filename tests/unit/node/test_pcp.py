"""A router asked by PCP and NAT-PMP over a real socket; the router is a few lines, and forgets or refuses as told."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from lab.node import pcp as asking
from lab.node.gateways import Given, NoGateway
from lab.node.pcp import Pcp

OUTER = bytes((203, 0, 113, 32))
Reply = Callable[[bytes], list[bytes]]


class Router:
    """Answers on loopback by `reply`; `heard` are the requests."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.heard: list[bytes] = []
        self.reply: Reply = lambda request: []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            request, source = self.socket.recvfrom(2000)
            if request == b"end":
                return
            self.heard.append(request)
            for answer in self.reply(request):
                self.socket.sendto(answer, source)

    def end(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", self.socket.getsockname())


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> Iterator[Router]:
    monkeypatch.setattr(asking, "TRIES", (0.05, 0.1))
    made = Router()
    yield made
    made.end()


def pcp(router: Router) -> Pcp:
    return Pcp(router.socket.getsockname()[1], lambda: "127.0.0.1")


def new(request: bytes, result: int = 0, nonce: bytes = b"", port: int = 50001) -> bytes:
    """PCP's answer."""
    mapping = (nonce or request[24:36]) + request[36:42] + port.to_bytes(2, "big") + bytes(10) + b"\xff\xff" + OUTER
    return bytes((2, 0x81, 0, result)) + (300).to_bytes(4, "big") + bytes(16) + mapping


def old(request: bytes) -> list[bytes]:
    """A router that speaks NAT-PMP alone."""
    if request[0] != 0:
        return [bytes((0, 0x80 | request[1], 0, 1)) + bytes(4)]
    if request[1] == 0:
        return [bytes((0, 0x80, 0, 0)) + bytes(4) + OUTER]
    return [bytes((0, 0x81, 0, 0)) + bytes(4) + request[4:6] + (50002).to_bytes(2, "big") + (7200).to_bytes(4, "big")]


def test_a_router_with_pcp_grants_what_it_grants(router: Router) -> None:
    router.reply = lambda request: [new(request)]
    asked = pcp(router)
    assert asked.map(40001, 600) == Given(("203.0.113.32", 50001), 300)
    assert asked.map(40001, 600) == Given(("203.0.113.32", 50001), 300)
    first, again = router.heard
    assert first[24:36] == again[24:36], "to keep a mapping it is asked for by the same nonce (RFC 6887, 11.2)"
    asked.unmap(40001, 50001)
    assert router.heard[2][4:8] == bytes(4) and router.heard[2][24:36] == first[24:36]


def test_an_older_router_is_asked_again_by_natpmp(router: Router) -> None:
    router.reply = old
    asked = pcp(router)
    assert asked.map(40001, 600) == Given(("203.0.113.32", 50002), 7200)
    asked.unmap(40001, 50002)
    assert router.heard[-1] == bytes((0, 1, 0, 0)) + (40001).to_bytes(2, "big") + bytes(6)


def test_a_question_that_is_lost_is_asked_again(router: Router) -> None:
    router.reply = lambda request: [new(request)] if len(router.heard) > 1 else []
    assert pcp(router).map(40001, 600).outer == ("203.0.113.32", 50001)
    assert router.heard[0] == router.heard[1]


def test_answers_that_are_to_another_question_do_not_count(router: Router) -> None:
    router.reply = lambda request: [b"nonsense", new(request, nonce=bytes(12), port=1), new(request)]
    assert pcp(router).map(40001, 600).outer == ("203.0.113.32", 50001)


def test_a_refusal_is_told_in_the_routers_words(router: Router) -> None:
    router.reply = lambda request: [new(request, result=8)]
    with pytest.raises(NoGateway, match="the router gives no port: no resources") as refused:
        pcp(router).map(40001, 600)
    assert refused.value.heard


def test_a_router_that_is_silent_has_none(router: Router) -> None:
    with pytest.raises(NoGateway, match="no router answers"):
        pcp(router).map(40001, 600)


def test_a_router_without_such_a_service_says_so_at_once() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NoGateway, match="speaks neither"):
        Pcp(port, lambda: "127.0.0.1").map(40001, 600)


def test_a_host_without_a_way_out_has_nobody_to_ask() -> None:
    def nowhere() -> str:
        raise OSError(113, "No route to host")

    with pytest.raises(NoGateway, match="no router can be asked: No route to host"):
        Pcp(5351, nowhere).map(40001, 600)
