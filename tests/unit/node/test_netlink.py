"""The kernel's words on addresses and routes: which addresses count, and that a burst of changes is told once."""

import asyncio
import ipaddress
import socket
import struct

import pytest

from lab.node import netlink
from lab.node.netlink import Standing, Watch, standing

UP, RUNNING, LOOPBACK = 0x1, 0x40, 0x8
GLOBAL, LINK = 0, 253
PERMANENT, TENTATIVE, DEPRECATED = 0x80, 0x40, 0x20
END = (3, b"\0\0\0\0")


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def link(index: int, flags: int) -> tuple[int, bytes]:
    return 16, struct.pack("=BxHiII", 0, 1, index, flags, 0)


def address(text: str, index: int, scope: int = GLOBAL, flags: int = PERMANENT) -> tuple[int, bytes]:
    packed = ipaddress.ip_address(text).packed
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    body = struct.pack("=BBBBI", family, 24, flags & 0xFF, scope, index)
    return 20, body + attribute(1, packed) + attribute(8, struct.pack("=I", flags))


def route(gateway: str, table: int = 254) -> tuple[int, bytes]:
    body = struct.pack("=BBBBBBBBI", socket.AF_INET, 0, 0, 0, table, 3, 0, 1, 0)
    return 24, body + attribute(4, struct.pack("=I", 2)) + attribute(5, ipaddress.ip_address(gateway).packed)


class Kernel:
    """Answers each dump with the datagrams that it was given for it."""

    def __init__(self, **dumps: list[list[tuple[int, bytes]]]) -> None:
        self.dumps = {18: dumps["links"], 22: dumps["addresses"], 26: dumps["routes"]}
        self.pending: list[list[tuple[int, bytes]]] = []

    def bind(self, address: object) -> None: ...

    def close(self) -> None: ...

    def send(self, data: bytes) -> None:
        self.pending = list(self.dumps[struct.unpack_from("=IH", data)[1]])

    def recv(self, size: int) -> bytes:
        parts = self.pending.pop(0)
        return b"".join(
            struct.pack("=IHHII", 16 + len(body), kind, 2, 1, 0) + body + bytes(-len(body) % 4) for kind, body in parts
        )


def stand(monkeypatch: pytest.MonkeyPatch, **dumps: list[list[tuple[int, bytes]]]) -> Standing:
    usual = {"links": [[link(2, UP | RUNNING)], [END]], "addresses": [[END]], "routes": [[END]]}
    monkeypatch.setattr(netlink.socket, "socket", lambda *_: Kernel(**{**usual, **dumps}))
    return standing()


def test_every_address_that_others_can_reach_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = stand(
        monkeypatch,
        links=[[link(1, UP | RUNNING | LOOPBACK), link(2, UP | RUNNING)], [link(3, UP), END]],
        addresses=[
            [address("127.0.0.1", 1, scope=254), address("192.168.32.10", 2), address("10.0.0.9", 3)],
            [address("fd00:32::10", 2), address("2001:db8:32::10", 2), address("fe80::1", 2, scope=LINK), END],
        ],
    )
    assert found.addresses == ("192.168.32.10", "fd00:32::10", "2001:db8:32::10")


@pytest.mark.parametrize("flags", [TENTATIVE, DEPRECATED])
def test_an_address_that_may_not_be_used_does_not_count(monkeypatch: pytest.MonkeyPatch, flags: int) -> None:
    assert stand(monkeypatch, addresses=[[address("2001:db8:32::10", 2, flags=flags), END]]).addresses == ()


def test_another_way_out_is_another_standing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (stand(monkeypatch, routes=[[route(way), END]]) for way in ("192.168.32.1", "192.168.33.1"))
    assert first != second
    local = stand(monkeypatch, routes=[[route("192.168.32.1"), route("192.168.34.1", table=255), END]])
    assert local == first, "only the main table tells of ways out"


def test_a_refusal_of_the_kernel_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="not permitted"):
        stand(monkeypatch, links=[[(2, struct.pack("=i", -1))]])


def test_this_host_stands_somewhere_without_loopback() -> None:
    assert not [host for host in standing().addresses if ipaddress.ip_address(host).is_loopback]


def test_a_burst_of_changes_is_told_once_and_no_change_never(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [Standing(("192.0.2.1",), frozenset())]
    monkeypatch.setattr(netlink, "standing", lambda: now[0])
    told: list[tuple[str, ...]] = []

    async def story() -> None:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.setblocking(False)
        monkeypatch.setattr(netlink, "_subscribed", lambda: near)
        done = asyncio.Event()
        watch = Watch(lambda addresses: (told.append(addresses), done.set()))
        far.send(b"a route was touched and put back")
        await asyncio.sleep(3 * netlink.COALESCE)
        assert not told
        for _ in range(3):
            far.send(b"something moved")
        now[0] = Standing(("192.0.2.9",), frozenset())
        await asyncio.wait_for(done.wait(), 5)
        await asyncio.sleep(3 * netlink.COALESCE)
        watch.close()
        far.close()

    asyncio.run(story())
    assert told == [("192.0.2.9",)]
