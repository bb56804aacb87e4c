"""Signalling messages: what fits is read back, what does not is refused, and nothing else is ever raised."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ProtocolError
from lab.wire import messages
from lab.wire.messages import (
    FRAME_LIMIT,
    Absent,
    Answer,
    Bye,
    Candidate,
    Carry,
    Credential,
    Envelope,
    Hello,
    Invite,
    Offers,
    Ping,
    RelayGrant,
    RelayOffer,
    RelayToken,
    Ringing,
    Sealed,
    Trickle,
    Withdrawn,
    decode_authority,
    decode_body,
    decode_call,
    decode_envelope,
    decode_hub,
    decode_seen,
    decode_token,
    encode,
)

KEY, SIGNATURE = bytes(range(32)), bytes(64)
CREDENTIAL = Credential("bob", KEY, 1_800_000_000.0, SIGNATURE)
OFFER = RelayOffer("relay-1", ("203.0.113.21", "2001:db8:0:1::21"), 33034, (33034, 443), b"token")
ENVELOPE = Envelope("bob", "carol", "c7.5f3a9c21", b"body", SIGNATURE)
CANDIDATE = Candidate("host", "udp", ("192.168.32.10", 40000))


@pytest.mark.parametrize(
    "message",
    [
        Ping(3),
        Hello("relay", CREDENTIAL, SIGNATURE, 33034, (33034, 443), ("2001:db8:0:1::21", "203.0.113.21")),
        Carry(ENVELOPE, True, (OFFER,)),
        Carry(ENVELOPE, receipts=(("203.0.113.32", b"8 bytes."),), seen=Sealed(KEY, b"sealed")),
        Offers("c7", (OFFER,)),
        Absent(("alice", "bob")),
    ],
)
def test_a_hub_message_comes_back_as_it_was(message: messages.HubMessage) -> None:
    assert decode_hub(encode(message)) == message


def test_a_word_with_all_its_candidates_fits_a_frame() -> None:
    ringing = Ringing(1, CREDENTIAL, KEY, (CANDIDATE,) * 50, KEY, KEY)
    sealed = Sealed(KEY, encode(ringing) + bytes(32 + 16 + 256))  # HPKE's, and what it is filled up with
    envelope = Envelope("bob", "carol", "c7", encode(sealed), SIGNATURE)
    assert len(encode(Carry(envelope, True, (OFFER,) * 4))) < FRAME_LIMIT // 2
    assert decode_body(envelope.body) == sealed
    assert decode_call(encode(ringing)) == ringing


@pytest.mark.parametrize(
    "message", [Ringing(1, CREDENTIAL, KEY, (), KEY, KEY), Answer(2), Trickle(3, ()), Bye(4, "no")]
)
def test_what_is_to_be_sealed_is_not_taken_in_the_clear(message: messages.CallMessage) -> None:
    with pytest.raises(ProtocolError, match="body of an envelope"):
        decode_body(encode(message))


@pytest.mark.parametrize("message", [Invite(1, 1.8e9, CREDENTIAL, KEY), Withdrawn(2), Sealed(KEY, b"sealed twice")])
def test_what_goes_in_the_clear_is_not_taken_sealed(message: messages.Body) -> None:
    assert decode_body(encode(message)) == message
    with pytest.raises(ProtocolError, match="end-to-end message"):
        decode_call(encode(message))


def test_an_invite_of_the_version_that_sealed_nothing_is_refused() -> None:
    before = {"type": "Invite", "sequence": 1, "sent_at": 1.8e9, "credential": CREDENTIAL, "ephemeral": KEY}
    for beside in ({"candidates": ()}, {"candidates": (CANDIDATE,), "network": messages.Network()}):
        with pytest.raises(ProtocolError, match="unknown field `candidates`"):
            decode_body(msgspec.msgpack.encode(before | beside))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (Carry(msgspec.structs.replace(ENVELOPE, sender="b" * 65)), "length <= 64"),
        (Carry(msgspec.structs.replace(ENVELOPE, sender="Bob\n")), "matching regex"),
        (Carry(msgspec.structs.replace(ENVELOPE, call="")), "length >= 1"),
        (Carry(msgspec.structs.replace(ENVELOPE, signature=b"short")), "length >= 64"),
        (Carry(ENVELOPE, True, (OFFER,) * 5), "length <= 4"),
        (Offers("c7", (msgspec.structs.replace(OFFER, udp_port=0),)), ">= 1"),
        (Offers("c7", (msgspec.structs.replace(OFFER, hosts=()),)), "length >= 1"),
        (Offers("c7", (msgspec.structs.replace(OFFER, hosts=("203.0.113.21",) * 3),)), "length <= 2"),
        (Absent(("a" * 10_000,)), "length <= 64"),
    ],
)
def test_values_outside_their_bounds_are_refused(message: msgspec.Struct, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        decode_hub(encode(message))


def test_a_message_of_another_conversation_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_hub(encode(Bye(1, "hung up")))
    with pytest.raises(ProtocolError):
        decode_authority(encode(Ping()))
    with pytest.raises(ProtocolError):
        decode_call(encode(Ping()))


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(ProtocolError, match="unknown field"):
        decode_hub(msgspec.msgpack.encode({"type": "Ping", "load": 1, "extra": 2}))


def test_a_token_shows_its_grant() -> None:
    grant = RelayGrant("c7", "relay-1", 1, 1_800_000_000.0)
    token = RelayToken(encode(grant), "supernode-1", KEY, 1_900_000_000.0, SIGNATURE, SIGNATURE)
    assert decode_token(encode(token)) == (token, grant)
    with pytest.raises(ProtocolError, match="relay grant"):
        decode_token(encode(RelayToken(b"\x80", "supernode-1", KEY, 1_900_000_000.0, SIGNATURE, SIGNATURE)))


def test_a_token_fits_an_offer_and_a_datagram_whatever_the_names() -> None:
    def size(name: str, call: str) -> int:
        grant = RelayGrant(call, name, 1, 1_800_000_000.0)
        return len(encode(RelayToken(encode(grant), name, KEY, 1_900_000_000.0, SIGNATURE, SIGNATURE)))

    assert size("relay-1", "c7.0123abcd") < 240
    assert size("n" * 64, "c" * 64) < 400


DECODERS = st.sampled_from(
    [decode_hub, decode_authority, decode_body, decode_call, decode_seen, decode_envelope, decode_token]
)


@given(DECODERS, st.binary(max_size=300))
def test_garbage_is_a_protocol_error_and_nothing_else(decode: object, data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        decode(data)  # type: ignore[operator]


@given(DECODERS, st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 10_000))
def test_a_garbled_message_is_read_or_refused(decode: object, at: int, value: int, cut: int) -> None:
    data = bytearray(encode(Carry(ENVELOPE, True, (OFFER,))))
    data[at % len(data)] = value
    with contextlib.suppress(ProtocolError):
        decode(bytes(data[: cut % len(data) + 1]))  # type: ignore[operator]
