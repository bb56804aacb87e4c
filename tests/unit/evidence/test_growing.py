"""A capture that is read while it comes, and the pcapng that is made of it meanwhile."""

import random
import struct
from pathlib import Path

import pytest
from lab_calls import files, punched
from packet_world import TOPOLOGY

from lab.errors import EvidenceError
from lab.evidence import pcapng, whole
from lab.evidence.growing import Frame, Growing
from lab.evidence.pcapng import Interface, PacketRecord
from lab.evidence.piping import Piping


def frames(data: bytes, sizes: random.Random | None = None) -> list[Frame]:
    growing, found, at = Growing("core"), [], 0
    while at < len(data):
        step = sizes.randint(1, 300) if sizes else len(data)
        found += growing.feed(data[at : at + step])
        at += step
    return found


def test_frames_are_the_same_in_whatever_pieces_they_come(tmp_path: Path) -> None:
    world, _ = punched()
    data = files(world, tmp_path)["core"].read_bytes()
    expected = frames(data)
    assert len(expected) == len(world.frames["core"])
    assert all(frames(data, random.Random(seed)) == expected for seed in range(10))


def test_a_packet_that_a_restart_has_torn_is_not_there_and_the_next_is(tmp_path: Path) -> None:
    world, _ = punched()
    data = files(world, tmp_path)["core"].read_bytes()
    growing = Growing("core")
    first = list(growing.feed(data[:24] + data[24:60]))
    growing.again()
    assert first == [] and len(list(growing.feed(data[24:]))) == len(world.frames["core"])


@pytest.mark.parametrize(("order", "magic", "scale"), [("<", 0xA1B2C3D4, 1), (">", 0xA1B23C4D, 1000)])
def test_either_order_and_either_unit_is_read(order: str, magic: int, scale: int) -> None:
    head = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 4096, 276)
    (frame,) = frames(head + struct.pack(f"{order}IIII", 7, 5 * scale, 3, 9) + b"abc")
    assert frame == Frame(7_000_005, 9, b"abc")


def test_what_is_no_capture_is_refused() -> None:
    with pytest.raises(EvidenceError, match="core is no pcap"):
        frames(b"tcpdump: permission denied")


def test_a_pipe_has_the_places_and_names_of_a_file_and_what_both_sides_saw(tmp_path: Path) -> None:
    world, _ = punched()
    pcaps = files(world, tmp_path)
    nodes = [TOPOLOGY.node(name) for name in ("home-router", "core", "relay-1")]
    piping = Piping(TOPOLOGY, nodes)
    data = piping.head() + b"".join(
        piping.packet(node.name, frame) for node in nodes for frame in frames(pcaps[node.name].read_bytes())
    )
    blocks = [block for _, block in pcapng.blocks(data)]
    names = [block.name for block in blocks if isinstance(block, Interface)]
    assert names == ["home lan", "home wan", "core", "relay-1"]
    seen = [names[block.interface] for block in blocks if isinstance(block, PacketRecord)]
    expected = len(world.frames["home-router"])
    assert seen.count("home lan") + seen.count("home wan") == expected and 0 < seen.count("home lan") < expected
    assert b"frank\0" in data
    found = whole.read(data)
    assert found is not None and found.setting is None and found.packets == found.expected == len(seen)
    assert found.captures.need("home-router").capture.frames == expected and found.topology == TOPOLOGY
