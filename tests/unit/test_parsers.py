"""Every parser, over any bytes and over bytes that are nearly right: it reads them, or refuses as it says it does."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.mutating import changed
from tests.fuzz.targets import TARGETS

COSTLY = {"topology", "capture", "captured-live", "boot-order"}


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=4 if name in COSTLY else 40, deadline=None, database=None)
    @given(st.binary(max_size=120))
    def holds(data: bytes) -> None:
        target.run(data)

    holds()


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_nearly_right_is_read_or_refused(name: str) -> None:
    target = TARGETS[name]
    seeds = list(target.seeds)

    @settings(max_examples=4 if name in COSTLY else 60, deadline=None, database=None)
    @given(st.sampled_from(seeds), st.integers(0, 2**32))
    def holds(data: bytes, luck: int) -> None:
        target.run(changed(data, seeds, target.words, random.Random(luck)))

    for seed in seeds:
        target.run(seed)
    holds()
