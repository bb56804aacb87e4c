"""Streams and flows of a capture: counted once, rated over a window, retransmissions told apart."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packet_world import IN, OUT, START, SYN, World, frame, write_pcap

from lab.errors import EvidenceError
from lab.evidence import Captures, Endpoint, Packet
from lab.evidence.flows import Stream
from lab.evidence.pcap import Direction

ONE, TWO = Endpoint("10.0.0.1", 1), Endpoint("10.0.0.2", 2)


def stream(*segments: tuple[int, int], flags: int = 0) -> Stream:
    """A TCP stream of (sequence number, length)."""
    made = Stream("core", "tcp", ONE, TWO, Direction.IN)
    for number, (sequence, length) in enumerate(segments):
        made.add(
            Packet(START + number, "core", 1, Direction.IN, "tcp", ONE, TWO, length, bytes(length), sequence, flags, 0)
        )
    return made


@pytest.mark.parametrize(
    ("segments", "sizes", "again"),
    [
        ([(100, 10), (110, 10)], [10, 10], 0),
        ([(100, 10), (100, 10), (110, 10)], [10, 10], 1),
        ([(100, 10), (120, 10), (110, 10), (110, 10)], [10, 10, 10], 1),  # lost before this place, came later
        ([(100, 10), (100, 30)], [10, 20], 0),  # sent again with more behind it
        ([(100, 10), (130, 10), (105, 30), (105, 30)], [10, 10, 20], 1),
        ([(0xFFFFFFFA, 10), (4, 10), (0xFFFFFFFA, 10)], [10, 10], 1),  # past the end of the numbers
        ([(100, 10), (109, 1), (110, 0)], [10], 1),  # a keep-alive repeats one byte
    ],
)
def test_bytes_of_tcp_are_counted_once(segments: list[tuple[int, int]], sizes: list[int], again: int) -> None:
    made = stream(*segments)
    assert (made.sizes, made.retransmissions) == (sizes, again)


def test_a_new_connection_on_the_same_ports_begins_anew() -> None:
    made = stream((5000, 10))
    made.add(Packet(START, "core", 1, Direction.IN, "tcp", ONE, TWO, 0, b"", 99, SYN, 0))
    made.add(Packet(START, "core", 1, Direction.IN, "tcp", ONE, TWO, 10, bytes(10), 100, 0, 0))
    assert made.sizes == [10, 10]


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=40))
def test_new_bytes_never_exceed_what_was_sent(segments: list[tuple[int, int]]) -> None:
    sent = {byte for start, length in segments for byte in range(start, start + length)}
    first = segments[0][0]
    before = {byte for byte in sent if byte < first}  # what came before the first segment that was seen is not known
    assert sum(stream(*segments).sizes) == len(sent - before)


def test_a_flow_has_both_directions_and_their_figures(tmp_path: Path) -> None:
    frames = [(START + n * 0.02, frame("udp", ONE, TWO, bytes(100), IN)) for n in range(51)]
    frames += [(START + n * 0.1, frame("udp", TWO, ONE, bytes(10), OUT)) for n in range(3)]
    captures = Captures.read({"core": write_pcap(tmp_path / "core.pcap", frames)})
    (flow,) = captures.need("core").flows("10.0.0.1", Direction.IN, Direction.OUT)
    assert (flow.local, flow.remote) == (ONE, TWO)
    assert flow.forward is not None and flow.backward is not None
    figures = flow.forward.figures(START, START + 1)
    assert (figures.packets, figures.bytes) == (51, 5100)
    assert (figures.packets_per_second, figures.bytes_per_second) == pytest.approx((51, 5100))
    assert flow.backward.figures(START + 0.05, START + 1).first == pytest.approx(START + 0.1)
    assert flow.backward.figures(START + 5, START + 6).packets == 0


def test_the_two_sides_of_a_router_are_apart_though_it_changes_nothing(tmp_path: Path) -> None:
    world = World()
    world.send(START, "udp", "alice", 4000, ("203.0.113.32", 9), b"x" * 50)
    table = world.captures(tmp_path).need("park-router")
    assert len(table.leaving("198.51.100.18", Direction.IN)) == 1
    assert len(table.leaving("198.51.100.18", Direction.OUT)) == 1


def test_a_place_that_was_not_captured_is_an_error() -> None:
    with pytest.raises(EvidenceError, match="relay-1 was not captured"):
        Captures([]).need("relay-1")
