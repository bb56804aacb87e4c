"""Opus through opuslib-next: does redundancy and concealment really do what they say?"""

import array
import math
from collections.abc import Callable
from operator import mul

import pytest

from lab.errors import ProtocolError
from lab.media.codec import Decoder, Encoder, has_redundancy, merge
from lab.media.likeness import loudness
from lab.media.source import VoiceSource
from lab.media.timing import FRAME_BYTES

FRAMES = 250


def encoded(expected_loss: int = 10, frames: int = FRAMES) -> list[bytes]:
    encoder, source = Encoder(expected_loss), VoiceSource.recording("speech-a", start=1)
    return [encoder.encode(source.next_frame()) for _ in range(frames)]


@pytest.fixture(scope="module")
def payloads() -> list[bytes]:
    return encoded()


@pytest.fixture(scope="module")
def clean(payloads: list[bytes]) -> list[bytes]:
    decoder = Decoder()
    return [decoder.decode(payload) for payload in payloads]


def correlation(a: bytes, b: bytes) -> float:
    x, y = array.array("h", a), array.array("h", b)
    return sum(map(mul, x, y)) / math.sqrt(sum(map(mul, x, x)) * sum(map(mul, y, y)) + 1)


def replaced(payloads: list[bytes], clean: list[bytes], lost: Callable[[Decoder, bytes], bytes]) -> float:
    """How well every fifth frame comes back when it is lost and `lost` gives it back from the one that follows."""
    decoder, back, there = Decoder(), b"", b""
    for index, payload in enumerate(payloads[:-1]):
        following = payloads[index + 1]
        if index % 5 == 3:
            pcm = lost(decoder, following)
            if has_redundancy(following):
                back, there = back + pcm, there + clean[index]
        else:
            decoder.decode(payload)
    return correlation(back, there)


def test_decoded_speech_is_the_speech_that_was_encoded(clean: list[bytes]) -> None:
    source = VoiceSource.recording("speech-a", start=1)
    said = b"".join(source.next_frame() for _ in range(FRAMES))
    heard = b"".join(clean)[2 * 104 :]  # the codec's look-ahead: 104 samples
    assert correlation(said[: len(heard)], heard) > 0.9


def test_a_payload_is_a_small_part_of_its_frame(payloads: list[bytes]) -> None:
    rate = sum(map(len, payloads)) * 8 / (len(payloads) * 0.02)
    assert 12_000 < rate < 28_000


def test_speech_carries_redundancy_when_loss_is_expected_and_none_otherwise(payloads: list[bytes]) -> None:
    assert sum(map(has_redundancy, payloads)) > 0.7 * len(payloads)
    assert not any(map(has_redundancy, encoded(expected_loss=0)))


def test_a_lost_frame_comes_back_from_the_redundancy_of_the_next(payloads: list[bytes], clean: list[bytes]) -> None:
    recovered = replaced(payloads, clean, lambda decoder, following: decoder.recover(following))
    concealed = replaced(payloads, clean, lambda decoder, following: decoder.conceal())
    assert recovered > 0.85
    assert recovered > concealed + 0.2


def test_concealment_goes_on_with_the_sound_and_fades_out(payloads: list[bytes], clean: list[bytes]) -> None:
    loud = max(range(20, 240), key=lambda index: loudness(clean[index]))
    decoder = Decoder()
    for payload in payloads[: loud + 1]:
        decoder.decode(payload)
    made_up = [loudness(decoder.conceal()) for _ in range(25)]
    assert made_up[0] > 0.2 * loudness(clean[loud])
    assert made_up[-1] < 0.1 * made_up[0]


def test_expected_loss_can_change_while_speaking() -> None:
    encoder, source = Encoder(expected_loss=0), VoiceSource.recording("speech-a", start=1)
    before = [encoder.encode(source.next_frame()) for _ in range(60)]
    encoder.expect_loss(20)
    after = [encoder.encode(source.next_frame()) for _ in range(60)]
    assert not any(map(has_redundancy, before))
    assert any(map(has_redundancy, after))


@pytest.mark.parametrize("payload", [b"", b"\xff" * 40, b"\x03\xff", b"\x00\x01\x02", bytes([0x58]) + b"x" * 20])
def test_what_is_not_20_ms_of_opus_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError, match="Opus payload"):
        Decoder().decode(payload)


def test_a_decoder_goes_on_after_a_bad_payload(payloads: list[bytes]) -> None:
    decoder = Decoder()
    decoder.decode(payloads[0])
    with pytest.raises(ProtocolError):
        decoder.decode(b"\xff" * 40)
    assert len(decoder.decode(payloads[1])) == FRAME_BYTES


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="frame has 320 bytes, expected 640"):
        Encoder().encode(bytes(320))


def test_an_expected_loss_outside_percent_is_refused() -> None:
    with pytest.raises(ValueError, match="expected loss is 101 %"):
        Encoder(expected_loss=101)


def test_merging_starts_with_the_first_frame_and_ends_with_the_second() -> None:
    merged = array.array(
        "h", merge(array.array("h", [1000] * 320).tobytes(), array.array("h", [-1000] * 320).tobytes())
    )
    assert len(merged) == 320
    assert merged[0] == 1000
    assert abs(merged[160]) <= 10
    assert merged[-1] < -980
