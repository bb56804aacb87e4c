"""Requests and answers of PCP and NAT-PMP, byte for byte as their RFCs lay them out."""

import contextlib
import random

import pytest

from lab.errors import ProtocolError
from lab.wire import pcp
from lab.wire.pcp import Answer, Kind

NONCE = bytes(range(12))


def test_a_map_request_of_pcp_is_60_bytes() -> None:
    """RFC 6887, 7.1 and 11.1."""
    assert pcp.pcp_map(NONCE, "192.168.32.10", 40001, 40002, 600) == bytes.fromhex(
        "02 01 0000 00000258 00000000000000000000ffffc0a8200a"  # version, MAP, reserved, lifetime, client
        "000102030405060708090a0b 11 000000 9c41 9c42 00000000000000000000ffff00000000"
    )


def test_a_map_request_of_natpmp_is_12_bytes_and_the_one_for_the_address_2() -> None:
    """RFC 6886, 3.3 and 3.2."""
    assert pcp.natpmp_map(40001, 40002, 7200) == bytes.fromhex("00 01 0000 9c41 9c42 00001c20")
    assert pcp.natpmp_external() == b"\0\0"


def answer(result: int = 0, opcode: int = 0x81, protocol: int = 17) -> bytes:
    header = bytes((2, opcode, 0, result)) + (300).to_bytes(4, "big") + bytes(16)
    mapping = NONCE + bytes((protocol, 0, 0, 0)) + (40001).to_bytes(2, "big") + (50001).to_bytes(2, "big")
    return header + mapping + bytes(10) + b"\xff\xff" + bytes((203, 0, 113, 32))


def test_an_answer_of_pcp() -> None:
    assert pcp.parse(answer()) == Answer(Kind.MAPPED, 40001, ("203.0.113.32", 50001), 300, nonce=NONCE)
    assert pcp.parse(answer(result=2)) == Answer(Kind.REFUSED, 40001, reason="not authorized", nonce=NONCE)
    assert pcp.parse(answer(result=99)).reason == "result 99"


def test_answers_of_natpmp() -> None:
    assert pcp.parse(bytes.fromhex("00 80 0000 00000001 cb007120")) == Answer(Kind.ADDRESS, outer=("203.0.113.32", 0))
    mapped = bytes.fromhex("00 81 0000 00000001 9c41 c351 00001c20")
    assert pcp.parse(mapped) == Answer(Kind.MAPPED, 40001, ("", 50001), 7200)
    assert pcp.parse(bytes.fromhex("00 81 0004 00000001")).reason == "out of resources"


def test_a_router_that_is_older_than_pcp_says_so_in_its_own_version() -> None:
    """RFC 6886, 3.5."""
    assert pcp.parse(bytes.fromhex("00 81 0001 00000001")).kind is Kind.OTHER_VERSION


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        pcp.pcp_map(NONCE, "192.168.32.10", 1, 1, 1),  # a request is no answer
        answer()[:30],
        answer(opcode=0x82),
        answer(protocol=6),
        b"\x03" + answer()[1:],
        answer() + bytes(pcp.LONGEST),
        bytes.fromhex("00 81 0000 00000001 9c41"),
        bytes.fromhex("00 80 0000 00000001"),
    ],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        pcp.parse(data)


def test_whatever_comes_is_an_answer_or_refused() -> None:
    dice = random.Random(4)
    for _ in range(2000):
        head = bytes((dice.choice((0, 2)), dice.choice((0x80, 0x81)), 0, dice.choice((0, 1))))
        with contextlib.suppress(ProtocolError):
            assert isinstance(pcp.parse(head + dice.randbytes(dice.randrange(70))), Answer)
