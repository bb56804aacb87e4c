"""Streams inside TLS joined by their sizes: what was carried is recognised, chance and pauses are not taken for it."""

import random
from itertools import islice
from pathlib import Path

import pytest
from packet_world import ACK, IN, OUT, PSH, START, frame, framed, record, write_pcap

from lab.evidence.flows import Captures, Stream
from lab.evidence.legs import RelayLegs
from lab.evidence.media import Bout, bouts
from lab.evidence.pcap import Direction
from lab.evidence.sealed import Unit, likeness, passed_at_once, sealed, spoken, units

NEAR, FAR, RELAY = ("203.0.113.32", 4000), ("203.0.113.33", 5000), ("203.0.113.21", 443)


def row(sizes: list[int], after: float = 0.0) -> list[Unit]:
    return [Unit(START + 0.02 * number + after, size) for number, size in enumerate(sizes)]


def chance(seed: int, count: int = 150) -> list[int]:
    dice = random.Random(seed)
    return [dice.randrange(60, 140) for _ in range(count)]


def stream(folder: Path, segments: list[bytes], source: tuple[str, int], to: tuple[str, int], kind: int) -> Stream:
    sequence, frames = 1000, []
    for number, data in enumerate(segments):
        frames.append((START + 0.02 * number, frame("tcp", source, to, data, kind, sequence, ACK | PSH)))
        sequence += len(data)
    path = write_pcap(folder / f"{source[1]}-{to[1]}-{kind}.pcap", frames)
    direction = Direction.IN if kind == IN else Direction.OUT
    (found,) = Captures.read({"relay-1": path}).need("relay-1").streams("tcp", direction)
    return found


def test_the_same_sizes_soon_after_and_whatever_is_added_are_alike() -> None:
    sizes = chance(1)
    found = likeness(row(sizes), row([size + 39 for size in sizes], after=0.03))
    assert found.holds
    assert len(found.found) == found.telling == 145
    assert abs(found.delay - 0.03) < 0.001


def test_what_left_before_it_came_is_not_alike() -> None:
    sizes = chance(1)
    assert not likeness(row(sizes), row(sizes, after=-0.5)).found


def test_other_sizes_and_a_few_runs_in_common_are_not_alike() -> None:
    sizes = chance(1)
    assert not likeness(row(sizes), row(chance(2))).holds
    few = likeness(row(sizes), row([*sizes[:12], *chance(2)[12:]]))
    assert len(few.found) >= 5
    assert not few.holds


def joined(units_of_voice: list[Unit], seed: int) -> list[Unit]:
    """What a busy relay makes of it: every few packets it has two or three at once, and sends them on as one."""
    dice, found = random.Random(seed), list[Unit]()
    rest = iter(units_of_voice)
    while together := list(islice(rest, dice.choice([1, 1, 1, 2, 2, 3]))):
        found.append(Unit(together[-1].time, sum(unit.size for unit in together)))
    return found


@pytest.mark.parametrize("seed", range(5))
def test_packets_that_a_relay_has_joined_are_those_that_it_was_sent(seed: int) -> None:
    sent = row(chance(seed, 60))
    anew = joined([unit._replace(time=unit.time + 0.001) for unit in sent], seed)
    assert len(anew) < 45
    for one, two in ((sent, anew), (anew, [unit._replace(time=unit.time + 0.06) for unit in sent])):
        assert likeness(one, two).holds
    assert not likeness(sent, joined(row(chance(seed + 100, 60)), seed)).holds
    assert not likeness(sent, [unit._replace(time=unit.time - 0.5) for unit in anew]).found


def test_packets_of_one_size_tell_nothing() -> None:
    pause = [80] * 150
    assert likeness(row(pause), row(pause)).telling == 0
    assert likeness(row([80, 90] * 75), row([80, 90] * 75)).telling == 0


def test_single_packets_pass_at_once_when_most_grow_alike() -> None:
    sent = row([70, 90, 65, 110])
    assert passed_at_once(sent, row([109, 129, 104, 149], after=0.0005))
    assert not passed_at_once(sent, row([71, 97, 99, 140], after=0.0005))
    assert not passed_at_once(sent, row([109, 129, 104, 149], after=0.5))
    assert not passed_at_once([], [])


def test_records_and_frames_are_read_however_they_are_cut(tmp_path: Path) -> None:
    dice = random.Random(3)
    voice = [dice.randbytes(size) for size in chance(4, 60)]
    for wrap, inside in ((lambda data: record(dice, framed(data)), True), (framed, False)):
        data = b"".join(map(wrap, voice))
        cut = [data[at : at + 333] for at in range(0, len(data), 333)]
        found = units(stream(tmp_path, cut, NEAR, RELAY, IN), START, START + 9)
        assert [unit.size for unit in found] == [len(framed(payload)) for payload in voice]
        assert [unit.time for unit in found] == sorted(unit.time for unit in found)
        assert sealed(stream(tmp_path, cut, NEAR, RELAY, IN)) is inside


def test_records_are_found_again_behind_a_gap(tmp_path: Path) -> None:
    dice = random.Random(3)
    parts = [record(dice, framed(bytes(size))) for size in chance(4, 60)]
    whole = stream(tmp_path, parts, NEAR, RELAY, IN)
    del whole.packets[10:13]
    assert len(units(whole, START, START + 9)) == 57
    whole.packets[0] = whole.packets[0]._replace(payload=whole.packets[0].payload[20:])  # begun in mid-record
    assert len(units(whole, START, START + 9)) == 56


def test_what_comes_back_on_a_leg_is_no_other_leg(tmp_path: Path) -> None:
    dice = random.Random(3)
    sizes = chance(4)
    sealed_anew = [[record(dice, bytes(size)) for size in sizes] for _ in range(3)]
    brought = stream(tmp_path, sealed_anew[0], NEAR, RELAY, IN)
    left = stream(tmp_path, sealed_anew[1], RELAY, FAR, OUT)
    echo = stream(tmp_path, sealed_anew[2], RELAY, NEAR, OUT)
    legs = RelayLegs([brought], [left, echo], START, START + 3)
    assert legs.passing(brought, left).joined
    assert not legs.passing(brought, echo).joined


def in_tls(folder: Path, sizes: list[int]) -> Stream:
    """One record each 20 ms; none where the size is 0."""
    dice, sequence, frames = random.Random(3), 1000, []
    for number, size in enumerate(sizes):
        if size:
            data = record(dice, framed(bytes(size)))
            frames.append((START + 0.02 * number, frame("tcp", NEAR, RELAY, data, IN, sequence, ACK | PSH)))
            sequence += len(data)
    path = write_pcap(folder / "tls.pcap", frames)
    (found,) = Captures.read({"relay-1": path}).need("relay-1").streams("tcp", Direction.IN)
    return found


def voice_of(found: Stream) -> list[tuple[float, float]]:
    """Begin and end of what is voice, in seconds since the first record."""
    cut = [spoken(found, bout) for bout in bouts(found, START, START + 60)]
    return [(round(bout.start - START, 2), round(bout.end - START, 2)) for bout in cut if bout is not None]


STORM = [104, 0, 64, 0, 196, 0] * 16
"""Checks of a path that has fallen silent, their answers and the peer's, as many as there ever are: of three sizes."""


def test_checks_in_quick_succession_are_no_voice(tmp_path: Path) -> None:
    found = in_tls(tmp_path, STORM)
    assert bouts(found, START, START + 60), "by their rhythm alone they are"
    assert not voice_of(found)


def test_checks_before_and_behind_a_voice_are_not_part_of_it(tmp_path: Path) -> None:
    ((begin, end),) = voice_of(in_tls(tmp_path, [*STORM, *chance(4, 100), *STORM]))
    assert 1.55 < begin <= 1.92
    assert 3.9 <= end < 4.25


def test_a_voice_that_pauses_or_never_varies_is_one(tmp_path: Path) -> None:
    pausing = [*chance(4, 60), *[48] * 50, *chance(5, 60)]
    assert voice_of(in_tls(tmp_path, pausing)) == [(0.0, 3.38)]
    within = spoken(in_tls(tmp_path, pausing), Bout(START + 1.6, START + 1.9, 16))
    assert within == Bout(START + 1.6, START + 1.9, 16)
    assert voice_of(in_tls(tmp_path, [80] * 100)) == [(0.0, 1.98)]
