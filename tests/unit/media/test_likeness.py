"""The measure that proves a voice: itself, someone else, noise, silence."""

import array
import random

from lab.media.likeness import loudness, similarity
from lab.media.source import load_recording

VOICE = load_recording("speech-a")
STRETCH = VOICE[64_000 : 64_000 + 6 * 32_000]


def test_a_stretch_of_the_recording_is_itself() -> None:
    assert similarity(VOICE, STRETCH) > 0.99


def test_a_quieter_copy_is_still_the_same_voice() -> None:
    quiet = array.array("h", [sample // 4 for sample in array.array("h", STRETCH)]).tobytes()
    assert similarity(VOICE, quiet) > 0.95


def test_another_speaker_is_not() -> None:
    assert similarity(VOICE, load_recording("speech-b")[: 6 * 32_000]) < 0.65


def test_noise_and_silence_are_not() -> None:
    noise = random.Random(1)
    hiss = array.array("h", [noise.randrange(-4000, 4000) for _ in range(48_000)]).tobytes()
    assert similarity(VOICE, hiss) < 0.5
    assert similarity(VOICE, bytes(96_000)) == 0
    assert similarity(VOICE, b"") == 0


def test_loudness_is_the_root_of_the_mean_square() -> None:
    assert loudness(array.array("h", [300, -400] * 160).tobytes()) == (125_000) ** 0.5
    assert loudness(b"") == 0
