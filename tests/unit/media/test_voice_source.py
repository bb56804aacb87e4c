"""The recordings and the voice that loops over them."""

import array
from itertools import pairwise

import pytest

from lab.errors import ConfigError
from lab.media.likeness import loudness, similarity
from lab.media.source import RECORDINGS, VoiceSource, load_recording
from lab.media.timing import FRAME_BYTES


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_seconds_of_speech_at_a_speaking_level(name: str) -> None:
    pcm = load_recording(name)
    assert 8 * 32_000 < len(pcm) < 12 * 32_000
    assert 2_000 < loudness(pcm) < 6_000
    assert max(map(abs, array.array("h", pcm))) < 32_000


def test_the_two_speakers_do_not_say_the_same() -> None:
    first, second = (load_recording(name) for name in RECORDINGS)
    assert similarity(first, second) < 0.65


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_voice_loops_without_a_click(name: str) -> None:
    source = VoiceSource.recording(name)
    turns = b"".join(source.next_frame() for _ in range(source.frames + 50))
    samples = array.array("h", turns)
    seam = source.frames * FRAME_BYTES // 2
    steps = [abs(b - a) for a, b in pairwise(samples[seam - 320 : seam + 320])]
    assert max(steps) < 100


def test_every_frame_is_20_ms_and_the_second_turn_repeats_the_first() -> None:
    source = VoiceSource.recording("speech-a")
    first = [source.next_frame() for _ in range(source.frames)]
    assert {len(frame) for frame in first} == {FRAME_BYTES}
    assert [source.next_frame() for _ in range(source.frames)] == first


def test_two_sources_of_one_recording_say_the_same() -> None:
    one, other = VoiceSource.recording("speech-a"), VoiceSource.recording("speech-a")
    assert [one.next_frame() for _ in range(100)] == [other.next_frame() for _ in range(100)]


def test_a_skipped_stretch_is_gone() -> None:
    skipping, speaking = VoiceSource.recording("speech-a"), VoiceSource.recording("speech-a", start=30)
    skipping.skip(30)
    assert skipping.next_frame() == speaking.next_frame()


def test_an_unknown_recording_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="no recording 'speech-z', expected one of speech-a, speech-b"):
        VoiceSource.recording("speech-z")


def test_an_empty_recording_is_refused() -> None:
    with pytest.raises(ConfigError, match="the recording is empty"):
        VoiceSource(b"")
