"""How alike two voices are: the proof that what was heard is what was said, and not noise or another speaker.

Compares the rise and fall of loudness, which codecs, concealment and small changes of delay leave alone.
"""

import array
import math
from itertools import pairwise
from operator import mul

from lab.media.timing import FRAME_SAMPLES

_STEP = FRAME_SAMPLES  # 20 ms
_WINDOW = 150  # steps: 3 s, more than a syllable's rhythm can match by chance
_QUIET = 30.0  # RMS of 16 bits, -61 dBFS: below it everything is silence


def loudness(pcm: bytes) -> float:
    """RMS of 16-bit PCM, 0 to 32768."""
    samples = array.array("h", pcm)
    return math.sqrt(sum(map(mul, samples, samples)) / len(samples)) if samples else 0.0


def similarity(sent: bytes, received: bytes) -> float:
    """1 for the same voice, about 0 for silence, noise or someone else's (never below 0, in practice below 0.6).

    `sent` is one turn of the looped recording, `received` any stretch heard of it, both 16-bit mono at 16 kHz. Each 3 s
    of `received` are laid over the best place in `sent`; the result is the mean correlation of their loudness in dB.
    """
    voice, heard = _contour(sent), _contour(received)
    size = min(_WINDOW, len(heard), len(voice))
    if not size:
        return 0.0
    endless = voice + voice[:size]
    starts = [*range(0, len(heard) - size, size), len(heard) - size]
    windows = [heard[start : start + size] for start in starts]
    best = [max(_correlation(endless[at : at + size], window) for at in range(len(voice))) for window in windows]
    return sum(max(0.0, value) for value in best) / len(best)


def _contour(pcm: bytes) -> list[float]:
    bounds = range(0, len(pcm) + 1, 2 * _STEP)
    return [20 * math.log10(max(_QUIET, loudness(pcm[start:end]))) for start, end in pairwise(bounds)]


def _correlation(a: list[float], b: list[float]) -> float:
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    both = sum(map(mul, a, b)) - len(a) * mean_a * mean_b
    spread_a = sum(map(mul, a, a)) - len(a) * mean_a**2
    spread_b = sum(map(mul, b, b)) - len(b) * mean_b**2
    # A contour without any rise or fall is silence or a tone: like no voice.
    return both / math.sqrt(spread_a * spread_b) if spread_a > 1e-6 and spread_b > 1e-6 else 0.0
