"""What a target is."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`run` is given any bytes; `seeds` are some that it reads."""

    run: Callable[[bytes], object]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()
    """What is put in here and there."""


def text(data: bytes) -> str:
    return data.decode(errors="replace")
