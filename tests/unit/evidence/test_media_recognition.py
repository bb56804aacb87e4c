"""Voice by rate, size and direction; everything else that runs beside it is not voice."""

import random

import pytest
from packet_world import START, World

from lab.evidence import Endpoint, Packet
from lab.evidence.flows import Stream
from lab.evidence.media import bouts, voice_like
from lab.evidence.pcap import Direction

ONE, TWO = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)


def stream(packets: list[tuple[float, bytes]], protocol: str = "udp") -> Stream:
    made = Stream("core", protocol, ONE, TWO, Direction.IN)  # type: ignore[arg-type]
    sequence = 0
    for time, payload in packets:
        size = len(payload)
        made.add(Packet(time, "core", 1, Direction.IN, protocol, ONE, TWO, size, payload, sequence, 0, 0))  # type: ignore[arg-type]
        sequence += size
    return made


def steady(seconds: float, every: float, size: int, start: float = START) -> list[tuple[float, bytes]]:
    return [(start + n * every, random.Random(n).randbytes(size)) for n in range(round(seconds / every))]


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
@pytest.mark.parametrize(("every", "size"), [(0.02, 60), (0.02, 120), (0.02, 172), (0.02, 300), (0.01, 90), (0.03, 60)])
def test_voice_is_media_for_as_long_as_it_lasts(protocol: str, every: float, size: int) -> None:
    (bout,) = bouts(stream(steady(3, every, size), protocol), START - 1, START + 9)
    assert bout.start == START
    assert bout.end == pytest.approx(START + 3, abs=0.05)
    assert bout.packets == round(3 / every)


@pytest.mark.parametrize(
    ("what", "packets", "protocol"),
    [
        ("a heartbeat a second", steady(20, 1.0, 40), "udp"),
        ("a heartbeat ten times a second", steady(5, 0.1, 60), "udp"),
        ("probes of one byte", steady(3, 0.02, 1), "udp"),
        ("full packets of a file", steady(1, 0.001, 1400), "udp"),
        ("a file over TCP", steady(1, 0.002, 1400), "tcp"),
        ("large datagrams of a picture", steady(1, 0.005, 600), "udp"),
        ("a flood of small packets", steady(1, 0.001, 60), "udp"),
        ("a burst of signalling", steady(0.2, 0.01, 300), "tcp"),
        ("a shell: single keys", steady(5, 0.15, 40), "tcp"),
        ("one second of probes at 10 a second", steady(1, 0.1, 80), "udp"),
        ("a few checks inside TLS", steady(0.35, 0.04, 124), "tcp"),
    ],
)
def test_what_is_not_voice_is_not_media(what: str, packets: list[tuple[float, bytes]], protocol: str) -> None:
    assert bouts(stream(packets, protocol), START - 1, START + 30) == [], what


def test_bursts_of_a_page_load_are_not_media() -> None:
    packets = [packet for burst in range(6) for packet in steady(0.05, 0.005, 900, START + burst * 0.9)]
    assert bouts(stream(packets, "tcp"), START, START + 6) == []


def test_stun_is_never_voice_whatever_carries_it() -> None:
    message = World().stun()
    assert not voice_like(stream([(START, message)]).packets[0])
    assert not voice_like(stream([(START, len(message).to_bytes(2) + message)], "tcp").packets[0])
    assert voice_like(stream([(START, len(message).to_bytes(2) + message + message)], "tcp").packets[0])


def test_stun_at_the_rate_of_voice_is_not_media() -> None:
    world = World()
    assert bouts(stream([(START + n * 0.02, world.stun()) for n in range(200)]), START, START + 4) == []


def test_a_keepalive_after_the_media_does_not_lengthen_it() -> None:
    packets = steady(2, 0.02, 100) + steady(5, 0.3, 50, START + 2)
    (bout,) = bouts(stream(packets, "tcp"), START, START + 9)
    assert bout.end == pytest.approx(START + 2, abs=0.4)
    (bout,) = bouts(stream(packets), START, START + 9)
    assert bout.end == pytest.approx(START + 2, abs=0.4)


def test_a_pause_parts_media_in_two() -> None:
    packets = steady(1, 0.02, 100) + steady(1, 0.02, 100, START + 2)
    assert [bout.packets for bout in bouts(stream(packets), START, START + 3)] == [50, 50]


def test_a_window_cuts_media_and_sees_beyond_its_edges() -> None:
    made = stream(steady(5, 0.02, 100))
    (bout,) = bouts(made, START + 2, START + 2.1)
    assert (bout.start, bout.end) == pytest.approx((START + 2, START + 2.1))
    assert bouts(made, START + 5.1, START + 6) == []


@pytest.mark.parametrize("seed", range(30))
def test_a_loss_of_thirty_percent_leaves_it_whole(seed: int) -> None:
    chance = random.Random(seed)
    packets = [packet for packet in steady(4, 0.02, 80) if chance.random() > 0.3]
    (bout,) = bouts(stream(packets), START, START + 4)
    assert bout.seconds > 3.7
    for begin in (0.0, 1.3, 3.5):
        assert bouts(stream([p for p in packets if begin <= p[0] - START <= begin + 0.5]), START, START + 9)
        assert bouts(stream(packets), START + begin, START + begin + 0.4)


@pytest.mark.parametrize("joined", [2, 3, 5])
def test_coalesced_tcp_is_media(joined: int) -> None:
    made = stream(steady(3, 0.02 * joined, 90 * joined), "tcp")
    (bout,) = bouts(made, START, START + 3)
    assert bout.seconds > 2.8
