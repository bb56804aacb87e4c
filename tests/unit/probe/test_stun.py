"""RFC 5780's server: where an answer leaves from, and what it says. The lab's own STUN reads it in these tests."""

import struct

import pytest

from lab.probe import stun
from lab.probe.stun import answer

ADDRESSES, PORTS = ("203.0.113.253", "203.0.113.252"), (3478, 3479)
CLIENT, AT = ("203.0.113.32", 40000), (ADDRESSES[0], PORTS[0])
TRANSACTION = bytes(range(12))


def request(*attributes: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("!HH", name, len(value)) + value for name, value in attributes)
    return struct.pack("!HHI", 1, len(body), stun.COOKIE) + TRANSACTION + body


def said(data: bytes) -> dict[int, bytes]:
    return dict(stun._attributes(data[20:]))


@pytest.mark.parametrize(
    ("change", "source"),
    [
        (0, (ADDRESSES[0], 3478)),
        (2, (ADDRESSES[0], 3479)),
        (4, (ADDRESSES[1], 3478)),
        (6, (ADDRESSES[1], 3479)),
    ],
)
def test_an_answer_leaves_from_where_the_client_asks(change: int, source: tuple[str, int]) -> None:
    done = answer(request((3, change.to_bytes(4, "big"))), CLIENT, AT, ADDRESSES, PORTS)
    assert done and (done.source, done.to) == (source, CLIENT)
    assert said(done.data)[0x802B] == stun._address(source)


def test_an_answer_names_the_client_and_the_other_endpoint() -> None:
    done = answer(request(), CLIENT, AT, ADDRESSES, PORTS)
    assert done and done.data[8:20] == TRANSACTION
    found = said(done.data)
    assert found[0x0001] == bytes([0, 1]) + (40000).to_bytes(2, "big") + bytes([203, 0, 113, 32])
    assert found[0x802C] == stun._address((ADDRESSES[1], 3479))
    # RFC 8489, 14.2: the port with the cookie's first half, the address with the cookie
    assert found[0x0020] == bytes([0, 1]) + (40000 ^ 0x2112).to_bytes(2, "big") + (
        int.from_bytes(bytes([203, 0, 113, 32]), "big") ^ stun.COOKIE
    ).to_bytes(4, "big")


def test_an_answer_goes_to_the_port_that_is_asked_for() -> None:
    done = answer(request((0x0027, struct.pack("!HH", 5000, 0))), CLIENT, AT, ADDRESSES, PORTS)
    assert done and done.to == (CLIENT[0], 5000)


@pytest.mark.parametrize(
    "data", [b"", b"hello, this is no STUN at all", request()[:-1] + b"", b"\x01\x01" + request()[2:]]
)
def test_other_datagrams_are_not_answered(data: bytes) -> None:
    wrong_cookie = data.replace(struct.pack("!I", stun.COOKIE), b"\0\0\0\0") if data == request()[:-1] else data
    assert answer(wrong_cookie, CLIENT, AT, ADDRESSES, PORTS) is None


def test_a_change_of_no_length_asks_for_none() -> None:
    done = answer(request((0x0003, b"")), CLIENT, AT, ADDRESSES, PORTS)
    assert done and done.source == AT
