"""A fuzzer in plain Python, for machines that have no atheris: bytes that reach new lines are kept and changed further.

Slower than atheris by far, and it needs nothing.
"""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOM = str(Path(__file__).parents[2] / "lab")
LONGEST = 20_000
INTERESTING = (
    b"\x00",
    b"\xff",
    b"\x7f",
    b"\x80",
    b"\xff\xff\xff\xff",
    b"9" * 5000,
    b"\xe2\x82\xac",
    b"=",
    b",",
    b".",
)
SEPARATORS = b" \n\t,:;={}[]\"'./%"

Edge = tuple[CodeType, int, int]


class Trace:
    """Which lines of the product follow which, while `run` is under way."""

    def __init__(self) -> None:
        self.edges: set[Edge] = set()

    def run(self, what: Callable[[bytes], object], data: bytes) -> set[Edge]:
        self.edges = set()
        sys.settrace(self._called)
        try:
            what(data)
        finally:
            sys.settrace(None)
        return self.edges

    def _called(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(ROOM):
            return None
        last = 0

        def line(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "line":
                self.edges.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line


def _token(data: bytearray, at: int) -> slice:
    """The word around a place, between what separates words in what people write."""
    begin = end = at
    while begin and data[begin - 1] not in SEPARATORS:
        begin -= 1
    while end < len(data) and data[end] not in SEPARATORS:
        end += 1
    return slice(begin, end)


def changed(data: bytes, corpus: list[bytes], words: tuple[bytes, ...], rng: random.Random) -> bytes:
    """One to four small changes."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(found) + 1)
        match rng.randrange(8):
            case 0 if found:
                found[at % len(found)] ^= 1 << rng.randrange(8)
            case 1 if found:
                found[at % len(found)] = rng.randrange(256)
            case 2:
                del found[at : at + rng.randint(1, 8)]
            case 3:
                found[at:at] = rng.choice(INTERESTING + words)
            case 4:
                found[at:at] = found[at : at + rng.randint(1, 32)]
            case 5:
                other = rng.choice(corpus)
                begin = rng.randrange(len(other) + 1)
                found[at : at + rng.randint(0, 16)] = other[begin : begin + rng.randint(1, 32)]
            case 6:
                found[_token(found, at)] = rng.choice(words or INTERESTING)
            case _:
                found[at:at] = rng.randbytes(rng.randint(1, 4))
    return bytes(found[:LONGEST])


def fuzz(
    what: Callable[[bytes], object], seeds: tuple[bytes, ...], words: tuple[bytes, ...], seconds: float, seed: int
) -> tuple[int, int, dict[str, bytes]]:
    """So many executions, so many edges seen, and the shortest bytes for each finding, by what was raised where."""
    rng, trace, corpus = random.Random(seed), Trace(), list(seeds)
    known: set[Edge] = set()
    found: dict[str, bytes] = {}
    executions, until = 0, time.monotonic() + seconds
    waiting = [*seeds, b""]
    while time.monotonic() < until:
        data = waiting.pop() if waiting else changed(rng.choice(corpus), corpus, words, rng)
        executions += 1
        try:
            edges = trace.run(what, data)
        except Exception as error:  # whatever it is, it is a finding
            edges = trace.edges
            last = error.__traceback__
            while last is not None and last.tb_next is not None and ROOM in last.tb_next.tb_frame.f_code.co_filename:
                last = last.tb_next
            while last is not None and last.tb_next is not None and ROOM not in last.tb_frame.f_code.co_filename:
                last = last.tb_next
            where = f"{Path(last.tb_frame.f_code.co_filename).name}:{last.tb_lineno}" if last else ""
            kind = f"{type(error).__name__} at {where}: {str(error)[:120]}"
            key = kind.partition(":")[0] + where
            if key not in found or len(data) < len(found[key].partition(b"\n")[2]):
                found[key] = kind.encode(errors="replace") + b"\n" + data
        if not edges <= known:
            known |= edges
            corpus.append(data)
    return executions, len(known), found
