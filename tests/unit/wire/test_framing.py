"""Frames in a stream: found wherever the stream is cut, refused over the limit, and never held beyond it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ProtocolError
from lab.wire.framing import LengthPrefixed, Width, frame

widths = st.sampled_from([2, 4])


@given(widths, st.lists(st.binary(min_size=1, max_size=300), max_size=8), st.data())
def test_a_stream_cut_anywhere_gives_the_same_frames(width: Width, sent: list[bytes], data: st.DataObject) -> None:
    wire = b"".join(frame(each, width) for each in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    deframer = LengthPrefixed(width, limit=300)
    read: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        read += deframer.feed(wire[start:end])
    assert read == sent
    assert deframer.pending == 0


@given(widths, st.lists(st.binary(max_size=40), max_size=10))
def test_any_stream_is_cut_or_refused_and_never_held_beyond_the_limit(width: Width, chunks: list[bytes]) -> None:
    deframer = LengthPrefixed(width, limit=30)
    try:
        for chunk in chunks:
            assert all(1 <= len(each) <= 30 for each in deframer.feed(chunk))
            assert deframer.pending < 30 + width
    except ProtocolError:
        assert deframer.pending == 0


@pytest.mark.parametrize(("width", "length"), [(2, b"\x00\x0b"), (4, b"\x00\x00\x00\x0b")])
def test_a_frame_over_the_limit_is_refused_by_its_length_alone(width: Width, length: bytes) -> None:
    deframer = LengthPrefixed(width, limit=10)
    for _ in range(2):
        with pytest.raises(ProtocolError, match="frame of 11 bytes is over the limit of 10"):
            deframer.feed(length)
        assert deframer.pending == 0


@pytest.mark.parametrize("width", [2, 4])
def test_a_frame_as_long_as_the_limit_is_allowed(width: Width) -> None:
    assert LengthPrefixed(width, limit=10).feed(frame(bytes(10), width)) == [bytes(10)]


def test_a_cut_stream_shows_in_what_is_pending() -> None:
    deframer = LengthPrefixed(2, limit=10)
    assert deframer.feed(frame(b"whole", 2) + b"\x00\x05cut") == [b"whole"]
    assert deframer.pending == 5


def test_null_packets_of_media_are_ignored() -> None:
    # RFC 4571, 2
    assert LengthPrefixed(2, limit=10).feed(frame(b"", 2) + frame(b"x", 2) + frame(b"", 2)) == [b"x"]


def test_empty_signalling_frame_is_refused_by_both_sides() -> None:
    with pytest.raises(ProtocolError, match="signalling frame is empty"):
        LengthPrefixed(4, limit=10).feed(bytes(4))
    with pytest.raises(ProtocolError, match="signalling frame is empty"):
        frame(b"", 4)


def test_a_frame_that_its_length_cannot_tell_is_refused() -> None:
    assert frame(bytes(65535), 2)[:2] == b"\xff\xff"
    with pytest.raises(ProtocolError, match="frame has 65536 bytes, a length of 2 bytes allows 65535"):
        frame(bytes(65536), 2)
