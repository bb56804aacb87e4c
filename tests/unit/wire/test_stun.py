"""STUN messages: what is written is read back, what is wrong is refused in one sentence, what is unknown is told."""

import hmac
import struct
import time
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ProtocolError
from lab.wire.stun import Attribute, Change, Kind, Method, StunMessage, StunStream, is_stun, peek_method, verify

ID = bytes(range(12))
KEY = b"the password of the answering side"

u16, u32, u64 = (st.integers(0, (1 << bits) - 1) for bits in (16, 32, 64))
addresses = st.tuples(st.ip_addresses().map(str), u16)


def text(most: int) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=most // 4)


messages = st.builds(
    StunMessage,
    method=st.one_of(st.sampled_from(Method).map(int), st.integers(0, 0xFFF)),
    kind=st.sampled_from(Kind),
    transaction_id=st.binary(min_size=12, max_size=12),
    username=st.none() | text(508),
    priority=st.none() | u32,
    use_candidate=st.booleans(),
    nomination=st.none() | u32,
    holds=st.none() | u32,
    order=st.none() | u32,
    controlling=st.none() | u64,
    controlled=st.none() | u64,
    xor_mapped=st.none() | addresses,
    mapped=st.none() | addresses,
    error=st.none() | st.tuples(st.integers(300, 699), text(763)),
    unknown=st.lists(u16, max_size=5).map(tuple),
    software=st.none() | text(763),
    realm=st.none() | text(763),
    nonce=st.none() | st.binary(max_size=100),
    response_origin=st.none() | addresses,
    other_address=st.none() | addresses,
    change_request=st.none() | st.sampled_from([Change(0), Change.IP, Change.PORT, Change.IP | Change.PORT]),
    token=st.none() | st.binary(max_size=100),
    leg=st.none() | text(255),
)


def raw(*attributes: tuple[int, bytes], kind: int = 0x0001) -> bytes:
    """A message written by hand, so that what the encoder would never write can be read."""
    body = b"".join(struct.pack("!HH", each, len(value)) + value + bytes(-len(value) % 4) for each, value in attributes)
    return struct.pack("!HHI", kind, len(body), 0x2112A442) + ID + body


def with_length(data: bytes) -> bytes:
    return data[:2] + struct.pack("!H", len(data) - 20) + data[4:]


def with_integrity(data: bytes) -> bytes:
    data = data[:2] + struct.pack("!H", len(data) + 4) + data[4:]
    return data + struct.pack("!HH", 0x0008, 20) + hmac.digest(KEY, data, "sha1")


def with_fingerprint(data: bytes) -> bytes:
    data = data[:2] + struct.pack("!H", len(data) - 12) + data[4:]
    return data + struct.pack("!HHI", 0x8028, 4, crc32(data) ^ 0x5354554E)


# Round trips


@pytest.mark.slow
@given(messages, st.none() | st.binary(max_size=70), st.booleans())
def test_a_message_is_read_as_it_was_written(message: StunMessage, key: bytes | None, fingerprint: bool) -> None:
    data = message.encode(key, fingerprint)
    read = StunMessage.parse(data)
    assert read == message
    assert (read.has_integrity, read.has_fingerprint) == (key is not None, fingerprint)
    assert is_stun(data)
    if key is not None:
        assert verify(data, key)
        assert not verify(data, key + b"x")
    else:
        assert not verify(data, b"")


@pytest.mark.parametrize(
    ("method", "kind", "first"),
    [
        # RFC 8489, 5: the class's bits stand among the method's.
        (Method.BINDING, Kind.REQUEST, 0x0001),
        (Method.BINDING, Kind.INDICATION, 0x0011),
        (Method.BINDING, Kind.SUCCESS, 0x0101),
        (Method.BINDING, Kind.ERROR, 0x0111),
        (Method.BIND, Kind.REQUEST, 0x02E0),
        (Method.BIND, Kind.ERROR, 0x03F0),
        (0xFFF, Kind.ERROR, 0x3FFF),
    ],
)
def test_type_interleaves_method_and_class(method: int, kind: Kind, first: int) -> None:
    data = StunMessage(method, kind, ID).encode(fingerprint=False)
    assert int.from_bytes(data[:2], "big") == first
    assert StunMessage.parse(data) == StunMessage(method, kind, ID)
    assert peek_method(data) == method


def test_methods_of_the_lab_begin_as_stun_must_among_media() -> None:
    # RFC 7983, 7: the first byte of STUN is 0 to 3.
    assert all(StunMessage(method, kind, ID).encode()[0] <= 3 for method in Method for kind in Kind)


def test_private_attributes_are_comprehension_optional() -> None:
    assert Attribute.TOKEN >= 0x8000
    assert Attribute.LEG >= 0x8000


def test_empty_token_is_not_an_absent_one() -> None:
    message = StunMessage(Method.BIND, Kind.REQUEST, ID, token=b"")
    assert StunMessage.parse(message.encode()).token == b""


# Integrity and order


def test_attributes_after_the_integrity_are_ignored_but_for_the_fingerprint() -> None:
    forged = with_length(with_integrity(raw((0x0024, bytes(4)))) + raw((0x0025, b""), (0x7FFF, b""))[20:])
    read = StunMessage.parse(with_fingerprint(forged))
    assert read == StunMessage(Method.BINDING, Kind.REQUEST, ID, priority=0)
    assert (read.has_integrity, read.has_fingerprint) == (True, True)
    assert verify(with_fingerprint(forged), KEY)


def test_fingerprint_must_come_last() -> None:
    data = with_length(with_fingerprint(raw()) + raw((0x0025, b""))[20:])
    with pytest.raises(ProtocolError, match="FINGERPRINT is not the last attribute"):
        StunMessage.parse(data)


def test_first_of_two_equal_attributes_counts() -> None:
    data = raw((0x0006, b"first"), (0x0006, b"second"))
    assert StunMessage.parse(data).username == "first"


def test_only_the_first_of_two_integrities_is_verified() -> None:
    data = raw((0x0008, bytes(20)))
    second = with_integrity(data)
    assert not verify(second, KEY)


def test_unknown_required_attributes_are_listed_and_optional_ones_are_not() -> None:
    # USERHASH and MESSAGE-INTEGRITY-SHA256 (RFC 8489, 14.4 and 14.6) are required and not known here.
    data = raw((0x001E, bytes(32)), (0xC0FE, b"?"), (0x0024, bytes(4)), (0x001C, bytes(32)))
    read = StunMessage.parse(data)
    assert read.unknown_required == (0x001E, 0x001C)
    assert read.priority == 0


def test_an_answer_can_list_what_was_unknown() -> None:
    request = StunMessage.parse(raw((0x001E, b""), (0x0002, b""), (0x0004, b"")))
    answer = StunMessage(
        request.method, Kind.ERROR, request.transaction_id, error=(420, "Unknown"), unknown=request.unknown_required
    )
    assert StunMessage.parse(answer.encode()).unknown == (0x001E, 0x0002, 0x0004)


def test_reserved_bits_are_ignored() -> None:
    data = raw(
        (0x0009, b"\xff\xff\xfc\x57role"), (0x0003, b"\xff\xff\xff\xff"), (0x0001, b"\xff\x01\x00\x01\x01\x02\x03\x04")
    )
    read = StunMessage.parse(data)
    assert read.error == (487, "role")
    assert read.change_request == Change.IP | Change.PORT
    assert read.mapped == ("1.2.3.4", 1)


# Refusals


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "STUN message has 0 bytes, expected at least 20", id="empty"),
        pytest.param(raw()[:19], "STUN message has 19 bytes, expected at least 20", id="short"),
        pytest.param(raw(kind=0x8001), "STUN message does not begin with two zero bits", id="rtp"),
        pytest.param(raw()[:4] + bytes(16), "STUN magic cookie is 00000000, expected 2112a442", id="cookie"),
        pytest.param(raw()[:2] + b"\0\x01" + raw()[4:] + b"x", "STUN message has length 1, expected a mul", id="odd"),
        pytest.param(raw() + bytes(4), "STUN message has 4 bytes after its header, its length says 0", id="longer"),
        pytest.param(
            raw((0x24, bytes(4)))[:-4], "STUN message has 4 bytes after its header, its length says 8", id="cut"
        ),
        pytest.param(
            with_length(raw() + b"\x00\x06\x00\x05abcd"), "STUN attribute 0x0006 of 5 bytes reaches beyond", id="beyond"
        ),
        pytest.param(raw((0x8028, b"")), "STUN FINGERPRINT has 0 bytes, expected 4", id="fingerprint-size"),
        pytest.param(raw((0x8028, bytes(4))), "STUN FINGERPRINT does not match the message", id="fingerprint"),
        pytest.param(raw((0x0008, bytes(32))), "STUN MESSAGE-INTEGRITY has 32 bytes, expected 20", id="integrity"),
        pytest.param(raw((0x0006, b"\xff")), "STUN USERNAME is not UTF-8", id="username"),
        pytest.param(
            raw((0x0006, bytes(509))), "STUN USERNAME has 509 bytes, expected at most 508", id="username-size"
        ),
        pytest.param(
            raw((0x8022, bytes(764))), "STUN SOFTWARE has 764 bytes, expected at most 763", id="software-size"
        ),
        pytest.param(raw((0xC0F2, bytes(256))), "STUN LEG has 256 bytes, expected at most 255", id="leg-size"),
        pytest.param(raw((0x0024, bytes(8))), "STUN PRIORITY has 8 bytes, expected 4", id="priority"),
        pytest.param(raw((0x802A, bytes(4))), "STUN ICE-CONTROLLING has 4 bytes, expected 8", id="controlling"),
        pytest.param(raw((0x8029, b"")), "STUN ICE-CONTROLLED has 0 bytes, expected 8", id="controlled"),
        pytest.param(raw((0x0025, b"x")), "STUN USE-CANDIDATE has 1 bytes, expected none", id="use-candidate"),
        pytest.param(raw((0x0020, bytes(3))), "STUN address has 3 bytes, expected at least 4", id="address-short"),
        pytest.param(raw((0x0020, b"\0\3" + bytes(6))), "STUN address has unknown family 3", id="address-family"),
        pytest.param(raw((0x0020, b"\0\1" + bytes(7))), "STUN address has invalid length for IPv4", id="address-ipv4"),
        pytest.param(raw((0x802C, b"\0\2" + bytes(6))), "STUN address has invalid length for IPv6", id="address-ipv6"),
        pytest.param(raw((0x0009, bytes(3))), "STUN ERROR-CODE has 3 bytes, expected at least 4", id="error-short"),
        pytest.param(raw((0x0009, b"\0\0\2\0")), "STUN ERROR-CODE has class 2 and number 0", id="error-class"),
        pytest.param(raw((0x0009, b"\0\0\4\x64")), "STUN ERROR-CODE has class 4 and number 100", id="error-number"),
        pytest.param(raw((0x0009, b"\0\0\4\0\xff")), "STUN ERROR-CODE is not UTF-8", id="error-reason"),
        pytest.param(raw((0x000A, b"\0")), "STUN UNKNOWN-ATTRIBUTES has 1 bytes, expected a multiple", id="unknown"),
        pytest.param(raw((0x0003, b"\0")), "STUN CHANGE-REQUEST has 1 bytes, expected 4", id="change-request"),
    ],
)
def test_malformed_message_is_refused_in_one_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        StunMessage.parse(data)
    assert str(refusal.value).startswith(sentence)


def of(**fields: object) -> StunMessage:
    return StunMessage(**{"method": 1, "kind": Kind.REQUEST, "transaction_id": ID, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"transaction_id": b"short"}, "STUN transaction identifier has 5 bytes, expected 12"),
        ({"method": 0x1000}, "STUN method is 4096, expected 12 bits"),
        ({"method": -1}, "STUN method is -1, expected 12 bits"),
        ({"username": "x" * 509}, "STUN USERNAME has 509 bytes, expected at most 508"),
        ({"username": "\ud800"}, "STUN USERNAME is not text that UTF-8 can carry: '\\ud800'"),
        ({"priority": 1 << 32}, "STUN PRIORITY is 4294967296, expected 32 bits"),
        ({"controlling": -1}, "STUN ICE-CONTROLLING is -1, expected 64 bits"),
        ({"error": (200, "fine")}, "STUN ERROR-CODE is 200, expected 300 to 699"),
        ({"unknown": (1 << 16,)}, "STUN UNKNOWN-ATTRIBUTES lists (65536,), expected 16 bits each"),
        ({"mapped": ("example.org", 1)}, "STUN address has host 'example.org', expected an IPv4 or IPv6 address"),
        ({"xor_mapped": ("1.2.3.4", 65536)}, "STUN address has port 65536, expected 0 to 65535"),
        ({"token": bytes(1 << 16)}, "STUN attribute 0xc0f1 has 65536 bytes, expected at most 65535"),
        ({"token": bytes(65535)}, "STUN message has 65548 bytes of attributes, expected at most 65535"),
    ],
)
def test_what_cannot_be_written_is_refused_in_one_sentence(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ProtocolError) as refusal:
        of(**fields).encode()
    assert str(refusal.value) == sentence


def parse_or_refuse(data: bytes) -> None:
    """Anything but ProtocolError fails the test; `verify` raises nothing at all."""
    verify(data, KEY)
    try:
        StunMessage.parse(data)
    except ProtocolError:
        return


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    parse_or_refuse(data)


@given(st.lists(st.tuples(st.sampled_from(Attribute).map(int) | u16, st.binary(max_size=40)), max_size=6))
def test_any_attributes_are_read_or_refused(attributes: list[tuple[int, bytes]]) -> None:
    parse_or_refuse(raw(*attributes))
    parse_or_refuse(with_fingerprint(with_integrity(raw(*attributes))))


@pytest.mark.slow
@given(messages, st.data())
def test_a_truncated_or_garbled_message_is_read_or_refused(message: StunMessage, data: st.DataObject) -> None:
    good = message.encode(KEY)
    cut = data.draw(st.integers(0, len(good)))
    parse_or_refuse(good[:cut])
    parse_or_refuse(with_length(good[: max(20, cut)]))
    garbled = bytearray(good)
    garbled[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    parse_or_refuse(bytes(garbled))
    # The fingerprint sees every burst of up to 32 wrong bits: nothing garbled is read as a message that has one.
    try:
        assert not StunMessage.parse(bytes(garbled)).has_fingerprint
    except ProtocolError:
        return


# Telling STUN from the rest


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        pytest.param(raw(), True, id="stun"),
        pytest.param(raw()[:19], False, id="short"),
        pytest.param(b"\x80" + raw()[1:], False, id="rtp"),
        pytest.param(b"\x40" + raw()[1:], False, id="channel-data"),
        pytest.param(bytes(20), False, id="no-cookie"),
        pytest.param(b"", False, id="empty"),
    ],
)
def test_stun_is_told_by_its_first_bits_and_its_cookie(data: bytes, answer: bool) -> None:
    assert is_stun(data) is answer


# Streams


@pytest.mark.slow
@given(st.lists(messages, max_size=5), st.data())
def test_a_stream_cut_anywhere_gives_the_same_messages(sent: list[StunMessage], data: st.DataObject) -> None:
    wire = b"".join(message.encode(KEY) for message in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    stream = StunStream(limit=65555)
    read: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        read += stream.feed(wire[start:end])
    assert [StunMessage.parse(each) for each in read] == sent
    assert stream.pending == 0


def test_a_stream_fed_byte_by_byte_gives_each_message_with_its_last_byte() -> None:
    stream = StunStream(limit=1000)
    wire = of(software="lab").encode()
    assert [stream.feed(wire[at : at + 1]) for at in range(len(wire) - 1)] == [[]] * (len(wire) - 1)
    assert stream.pending == len(wire) - 1
    assert stream.feed(wire[-1:]) == [wire]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"G", "stream is not STUN: a message begins with byte 71, expected less than 64", id="http"),
        pytest.param(b"\x16\x03\x01\x02\x00", "stream is not STUN: magic cookie is 00, expected 2112a442", id="tls"),
        pytest.param(b"\x00\x01\x00\x54", "STUN message of 104 bytes is over the limit of 100", id="limit"),
        pytest.param(b"\x00\x01\x00\x03", "STUN message has length 3, expected a multiple of 4", id="length"),
    ],
)
def test_a_stream_is_refused_as_soon_as_it_shows_what_it_is(data: bytes, sentence: str) -> None:
    stream = StunStream(limit=100)
    for _ in range(2):
        with pytest.raises(ProtocolError) as refusal:
            stream.feed(data)
        assert str(refusal.value) == sentence
        assert stream.pending == 0


def test_a_message_as_long_as_the_limit_is_allowed() -> None:
    message = of(token=bytes(60)).encode()
    assert StunStream(limit=len(message)).feed(message) == [message]
    with pytest.raises(ProtocolError, match="over the limit"):
        StunStream(limit=len(message) - 1).feed(message)


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_any_stream_is_cut_or_refused_and_holds_less_than_its_limit(chunks: list[bytes]) -> None:
    stream = StunStream(limit=40)
    try:
        for chunk in chunks:
            stream.feed(chunk)
            assert stream.pending < 40
    except ProtocolError:
        assert stream.pending == 0


# Speed


def test_a_check_is_read_and_verified_fast_enough_for_thousands_a_second() -> None:
    check = of(username="bobs:carols", priority=1845501695, controlling=1 << 63, use_candidate=True).encode(KEY)
    best = 1.0
    for _ in range(20):
        start = time.perf_counter()
        for _ in range(50):
            StunMessage.parse(check)
            verify(check, KEY)
        best = min(best, (time.perf_counter() - start) / 50)
    # Measured: 12 us. The bound leaves room for a slow or busy machine; what it may cost is 60 us for each of the two.
    assert best < 120e-6
