"""RTP packets: read as written, padding and sources taken off, extensions found, and the malformed refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ProtocolError
from lab.wire.rtp import RtpPacket, is_rtp

pytestmark = pytest.mark.slow


packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    sequence=st.integers(0, 0xFFFF),
    timestamp=st.integers(0, 0xFFFFFFFF),
    ssrc=st.integers(0, 0xFFFFFFFF),
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    extensions=st.lists(st.tuples(st.integers(1, 14), st.binary(min_size=1, max_size=16)), max_size=5).map(tuple),
)

# RFC 3550, 5.1: version 2, payload type 111 with the marker, sequence 1, timestamp 960, SSRC 0xCAFEF00D.
HEADER = bytes.fromhex("80ef0001000003c0cafef00d")
PACKET = RtpPacket(111, 1, 960, 0xCAFEF00D, b"voice", marker=True)


def header(first: int) -> bytes:
    return bytes((first,)) + HEADER[1:]


@given(packets)
def test_a_packet_is_read_as_it_was_written(packet: RtpPacket) -> None:
    data = packet.encode()
    assert RtpPacket.parse(data) == packet
    assert is_rtp(data)


def test_the_fixed_header_stands_as_the_rfc_draws_it() -> None:
    assert PACKET.encode() == HEADER + b"voice"
    assert RtpPacket.parse(HEADER + b"voice") == PACKET


def test_extensions_stand_as_the_rfc_draws_them() -> None:
    # RFC 8285, 4.2: 0xBEDE, the length in words, elements of an identifier and a length less one, zeros to the word.
    packet = RtpPacket(111, 1, 960, 0xCAFEF00D, b"voice", marker=True, extensions=((1, b"\x7f"), (2, b"\x01\x02\x03")))
    assert packet.encode() == header(0x90) + bytes.fromhex("bede0002107f220102030000") + b"voice"


def test_padding_and_contributing_sources_are_taken_off() -> None:
    assert RtpPacket.parse(header(0xA2) + b"source-1" + b"voice" + b"\0\0\3") == PACKET


def test_a_packet_of_padding_alone_has_no_payload() -> None:
    assert RtpPacket.parse(header(0xA0) + b"\0\0\0\4").payload == b""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        pytest.param("00001041", ((1, b"A"),), id="padding-first"),
        pytest.param("10410000", ((1, b"A"),), id="padding-last"),
        pytest.param("1041f042", ((1, b"A"),), id="reserved-identifier-ends"),
        pytest.param("10410342", ((1, b"A"),), id="padding-with-length-ends"),
        pytest.param("", (), id="empty"),
    ],
)
def test_elements_of_an_extension_are_read_as_far_as_the_rfc_allows(
    body: str, found: tuple[tuple[int, bytes], ...]
) -> None:
    raw = bytes.fromhex(body)
    packet = RtpPacket.parse(header(0x90) + b"\xbe\xde\x00" + bytes((len(raw) // 4,)) + raw + b"voice")
    assert packet.extensions == found
    assert packet.payload == b"voice"


def test_an_extension_of_another_kind_is_skipped() -> None:
    # RFC 3550, 5.3.1; 0x1000 is the two-byte form of RFC 8285, 4.3.
    assert RtpPacket.parse(header(0x90) + bytes.fromhex("1000000101024142") + b"voice") == PACKET


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "RTP packet has 0 bytes, expected at least 12", id="empty"),
        pytest.param(HEADER[:11], "RTP packet has 11 bytes, expected at least 12", id="short"),
        pytest.param(header(0x40), "RTP version is 1, expected 2", id="version"),
        pytest.param(
            header(0x81) + b"abc", "RTP packet of 15 bytes ends within its contributing sources", id="sources"
        ),
        pytest.param(header(0x90) + b"\xbe\xde\0", "RTP packet of 15 bytes ends within its header ext", id="extension"),
        pytest.param(
            header(0x90) + b"\xbe\xde\0\1abc", "RTP packet of 19 bytes ends within its header extension", id="words"
        ),
        pytest.param(
            header(0x90) + b"\xbe\xde\0\1\x13abc",
            "RTP header extension 1 has 3 bytes, its length says 4",
            id="element",
        ),
        pytest.param(header(0xA0), "RTP packet announces padding and ends before it", id="no-padding"),
        pytest.param(header(0xA0) + b"ab\0", "RTP padding is 0 bytes, expected 1 to 3", id="padding-of-none"),
        pytest.param(header(0xA0) + b"ab\4", "RTP padding is 4 bytes, expected 1 to 3", id="padding-too-long"),
    ],
)
def test_malformed_packet_is_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        RtpPacket.parse(data)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    ("packet", "sentence"),
    [
        (RtpPacket(128, 0, 0, 0, b""), "RTP payload type is 128, expected 0 to 127"),
        (RtpPacket(0, 65536, 0, 0, b""), "RTP sequence 65536, timestamp 0 or SSRC 0 is out of range"),
        (RtpPacket(0, 0, -1, 0, b""), "RTP sequence 0, timestamp -1 or SSRC 0 is out of range"),
        (
            RtpPacket(0, 0, 0, 0, b"", extensions=((0, b"x"),)),
            "RTP header extension has identifier 0, expected 1 to 14",
        ),
        (
            RtpPacket(0, 0, 0, 0, b"", extensions=((15, b"x"),)),
            "RTP header extension has identifier 15, expected 1 to 14",
        ),
        (RtpPacket(0, 0, 0, 0, b"", extensions=((3, b""),)), "RTP header extension 3 has 0 bytes, expected 1 to 16"),
        (
            RtpPacket(0, 0, 0, 0, b"", extensions=((3, bytes(17)),)),
            "RTP header extension 3 has 17 bytes, expected 1 to 16",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(packet: RtpPacket, sentence: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        packet.encode()
    assert str(refusal.value) == sentence


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for candidate in (data, b"\x90" + data, b"\xbf" + data, header(0xB0) + b"\xbe\xde" + data):
        try:
            RtpPacket.parse(candidate)
        except ProtocolError as refusal:
            assert str(refusal).startswith("RTP ")


@given(packets, st.data())
def test_a_truncated_or_garbled_packet_is_read_or_refused(packet: RtpPacket, data: st.DataObject) -> None:
    good = bytearray(packet.encode())
    good[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(0, 255))
    try:
        RtpPacket.parse(bytes(good[: data.draw(st.integers(0, len(good)))]))
    except ProtocolError as refusal:
        assert str(refusal).startswith("RTP ")


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        pytest.param(header(128), True, id="lowest"),
        pytest.param(header(191), True, id="highest"),
        pytest.param(header(127), False, id="below"),
        pytest.param(header(192), False, id="above"),
        pytest.param(HEADER[:11], False, id="short"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_rtp_is_told_by_its_first_byte_and_its_length(data: bytes, answer: bool) -> None:
    # RFC 7983, 7
    assert is_rtp(data) is answer
