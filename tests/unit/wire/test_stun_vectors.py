"""The published test vectors of STUN: RFC 5769, all four."""

import hashlib

import pytest

from lab.wire.stun import Kind, Method, StunMessage, is_stun, verify

SHORT_TERM_KEY = b"VOkJxbRl1RmTxUk/WvJxBt"
TRANSACTION_ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")

MATRIX = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
# RFC 8489, 9.2.2: the key of long-term credentials.
LONG_TERM_KEY = hashlib.md5(f"{MATRIX}:example.org:TheMatrIX".encode()).digest()

# RFC 5769, 2.1
REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff"
    "80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
# RFC 5769, 2.2
IPV4_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000080001a147e112a643"
    "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
# RFC 5769, 2.3
IPV6_RESPONSE = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae"
    "8022000b7465737420766563746f7220"
    "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
    "80280004c8fb0b4c"
)
# RFC 5769, 2.4
LONG_TERM_REQUEST = bytes.fromhex(
    "000100602112a44278ad3433c6ad72c029da412e"
    "00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c39465354767936347341"
    "0014000b6578616d706c652e6f726700"
    "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


def test_sample_request_is_read() -> None:
    assert StunMessage.parse(REQUEST) == StunMessage(
        Method.BINDING,
        Kind.REQUEST,
        TRANSACTION_ID,
        software="STUN test client",
        priority=0x6E0001FF,
        controlled=0x932FF9B151263B36,
        username="evtj:h6vY",
    )


@pytest.mark.parametrize(
    ("data", "address"),
    [
        pytest.param(IPV4_RESPONSE, ("192.0.2.1", 32853), id="ipv4"),
        pytest.param(IPV6_RESPONSE, ("2001:db8:1234:5678:11:2233:4455:6677", 32853), id="ipv6"),
    ],
)
def test_sample_response_is_read(data: bytes, address: tuple[str, int]) -> None:
    assert StunMessage.parse(data) == StunMessage(
        Method.BINDING, Kind.SUCCESS, TRANSACTION_ID, software="test vector", xor_mapped=address
    )


def test_sample_request_with_long_term_credentials_is_read() -> None:
    assert StunMessage.parse(LONG_TERM_REQUEST) == StunMessage(
        Method.BINDING,
        Kind.REQUEST,
        bytes.fromhex("78ad3433c6ad72c029da412e"),
        username=MATRIX,
        nonce=b"f//499k954d6OL34oL9FSTvy64sA",
        realm="example.org",
    )


VECTORS = [
    pytest.param(REQUEST, SHORT_TERM_KEY, id="request"),
    pytest.param(IPV4_RESPONSE, SHORT_TERM_KEY, id="ipv4-response"),
    pytest.param(IPV6_RESPONSE, SHORT_TERM_KEY, id="ipv6-response"),
    pytest.param(LONG_TERM_REQUEST, LONG_TERM_KEY, id="long-term-request"),
]


@pytest.mark.parametrize(("data", "key"), VECTORS)
def test_integrity_of_a_vector_is_right_under_its_key_alone(data: bytes, key: bytes) -> None:
    assert is_stun(data)
    assert verify(data, key)
    assert not verify(data, key + b"x")


@pytest.mark.parametrize(("data", "key"), VECTORS)
def test_flipping_any_covered_bit_breaks_the_integrity(data: bytes, key: bytes) -> None:
    end = data.index(bytes.fromhex("00080014")) + 24
    for at in range(end):
        broken = data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]
        assert not verify(broken, key), f"byte {at}"


@pytest.mark.parametrize("data", [IPV4_RESPONSE, IPV6_RESPONSE], ids=["ipv4", "ipv6"])
def test_response_is_written_as_the_vector_but_for_its_padding(data: bytes) -> None:
    # The vectors pad "test vector" with a blank, this code with a zero byte; integrity and fingerprint cover it.
    written = StunMessage.parse(data).encode(SHORT_TERM_KEY)
    covered = data.index(bytes.fromhex("00080014"))
    assert written[:covered] == data[:35] + b"\0" + data[36:covered]
    assert len(written) == len(data)
    assert verify(written, SHORT_TERM_KEY)
