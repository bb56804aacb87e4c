"""SRTP between two ends: keys, replays, and the datagrams of strangers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.media.srtp import MediaKeys, Protector
from lab.wire.rtp import RtpPacket

KEYS = MediaKeys(bytes(range(30)), bytes(range(100, 130)))


def rtp(sequence: int, ssrc: int = 7) -> bytes:
    return RtpPacket(111, sequence & 0xFFFF, 960 * sequence & 0xFFFFFFFF, ssrc, b"voice %d" % sequence).encode()


@pytest.fixture
def ends() -> tuple[Protector, Protector]:
    return Protector(KEYS), Protector(KEYS.swapped())


def test_the_other_end_reads_what_was_protected_both_ways(ends: tuple[Protector, Protector]) -> None:
    here, there = ends
    assert there.unprotect(here.protect(rtp(1))) == rtp(1)
    assert here.unprotect(there.protect(rtp(9))) == rtp(9)


def test_the_payload_is_not_readable_on_the_way(ends: tuple[Protector, Protector]) -> None:
    protected = ends[0].protect(rtp(1))
    assert b"voice" not in protected
    assert len(protected) == len(rtp(1)) + 10


def test_a_packet_under_another_key_is_rejected_and_counted(ends: tuple[Protector, Protector]) -> None:
    stranger = Protector(MediaKeys(bytes(30), bytes(30)))
    assert ends[1].unprotect(stranger.protect(rtp(1))) is None
    assert (ends[1].rejected, ends[1].replayed) == (1, 0)


def test_a_changed_bit_is_rejected(ends: tuple[Protector, Protector]) -> None:
    protected = bytearray(ends[0].protect(rtp(1)))
    protected[15] ^= 1
    assert ends[1].unprotect(bytes(protected)) is None
    assert ends[1].rejected == 1


def test_a_replay_is_refused_and_counted(ends: tuple[Protector, Protector]) -> None:
    protected = ends[0].protect(rtp(1))
    assert ends[1].unprotect(protected) is not None
    assert ends[1].unprotect(protected) is None
    assert (ends[1].rejected, ends[1].replayed) == (0, 1)


def test_what_an_abandoned_path_delivers_a_thousand_packets_late_is_still_read(
    ends: tuple[Protector, Protector],
) -> None:
    here, there = ends
    protected = [here.protect(rtp(sequence)) for sequence in range(1, 1100)]
    for packet in (protected[0], *protected[1000:]):
        assert there.unprotect(packet) is not None
    assert there.unprotect(protected[500]) == rtp(501)


def test_a_sequence_number_that_wraps_is_followed(ends: tuple[Protector, Protector]) -> None:
    here, there = ends
    for sequence in range(32_000, 66_000, 250):
        assert there.unprotect(here.protect(rtp(sequence))) == rtp(sequence)


def test_any_source_of_the_other_end_is_read(ends: tuple[Protector, Protector]) -> None:
    for ssrc in (1, 2, 0xFFFFFFFF):
        assert ends[1].unprotect(ends[0].protect(rtp(1, ssrc))) == rtp(1, ssrc)


@given(st.binary(max_size=2000))
def test_no_datagram_of_a_stranger_raises(data: bytes) -> None:
    assert _LISTENER.unprotect(data) is None


_LISTENER = Protector(KEYS)


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="media key to receive has 29 bytes, expected 30"):
        MediaKeys(bytes(30), bytes(29))


def test_keys_are_not_printed() -> None:
    assert repr(KEYS) == "MediaKeys()"
