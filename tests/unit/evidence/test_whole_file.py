"""One file for the whole lab: who saw what, in order and by name, and what a verdict needs without the lab."""

import json
import struct
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from lab_calls import files, moved, punched, setting
from packet_world import IN, START, TOPOLOGY, World, address, frame, talk, write_pcap

from lab.errors import ConfigError, EvidenceError
from lab.evidence import Captures, conclude, pcapng, whole
from lab.evidence.pcapng import Interface, PacketRecord, Section
from lab.evidence.whole import Setting

pytestmark = pytest.mark.slow


def written(tmp_path: Path, world: World, comments: Any = None, dropped: Any = None) -> bytes:
    target = tmp_path / "call.pcapng"
    whole.write(setting(), files(world, tmp_path), target, comments or {}, dropped or {})
    return target.read_bytes()


def test_each_side_of_a_router_is_an_interface_and_core_has_each_packet_once(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 1.0)
    blocks = [block for _, block in pcapng.blocks(written(tmp_path, world))]
    names = [block.name for block in blocks if isinstance(block, Interface)]
    assert names[:5] == ["home lan", "home wan", "core", "flat lan", "flat wan"] and "relay-1" in names
    seen = Counter(names[block.interface] for block in blocks if isinstance(block, PacketRecord))
    assert seen == dict.fromkeys(names[:5], 100)


def test_packets_are_in_the_order_of_time_and_say_which_way_they_went(tmp_path: Path) -> None:
    world, _ = punched()
    packets = [block for _, block in pcapng.blocks(written(tmp_path, world)) if isinstance(block, PacketRecord)]
    assert [one.ticks for one in packets] == sorted(one.ticks for one in packets)
    assert all(one.inbound == (one.data[10] == IN) for one in packets)


def test_packets_that_a_place_has_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    sent = [frame("udp", (address("bob"), 4000), (address("frank"), 5000), bytes([number] * 20)) for number in range(8)]
    late, early = ([(START + at + number * 0.01, sent[number]) for number in range(8)] for at in (0.2, 0.0))
    data = write_pcap(tmp_path / "late", late).read_bytes() + write_pcap(tmp_path / "early", early).read_bytes()[24:]
    (file := tmp_path / "core.pcap").write_bytes(data)
    target = tmp_path / "call.pcapng"
    assert whole.write(setting(), {"core": file}, target, {}, {}) == 16
    found = [block.ticks for _, block in pcapng.blocks(target.read_bytes()) if isinstance(block, PacketRecord)]
    assert len(found) == 16 and found == sorted(found)


def test_a_long_capture_is_written_without_having_it_in_memory(tmp_path: Path) -> None:
    data = frame("udp", (address("bob"), 4000), (address("frank"), 5000), bytes(1400))
    files = {
        place: write_pcap(tmp_path / f"{place}.pcap", [(START + number * 0.001, data) for number in range(4_000)])
        for place in ("core", "home-router")
    }
    target = tmp_path / "call.pcapng"
    tracemalloc.start()
    try:
        assert whole.write(setting(), files, target, {}, {}) == 8_000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert target.stat().st_size > 11_000_000 and most < 6 * whole.CHUNK


def test_addresses_of_packets_are_named_and_no_others(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 1.0)
    data = written(tmp_path, world)
    at, named = 0, b""
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        named = data[at : at + length] if kind == pcapng.NAMES else named
        at += length
    assert all(name in named for name in (b"bob\0", b"frank\0", b"home-router\0", b"flat-router\0"))
    assert b"carol" not in named and b"supernode-1" not in named


@pytest.mark.parametrize("make", [punched, moved])
def test_the_verdict_of_the_file_is_that_of_the_captures(tmp_path: Path, make: Any) -> None:
    world, _ = make()
    one = setting()
    captures = Captures.read(files(world, tmp_path))
    expected, scene = conclude(one.topology, captures, one.caller, one.callee, one.start, one.end)
    found = whole.read(written(tmp_path, world))
    assert found is not None and not found.incomplete and len(scene.paths) >= 1
    again, _ = conclude(found.topology, found.captures, "bob", "frank", *found.window)
    assert expected.kind == "punched"
    assert (again.kind, again.transport, again.via, again.packets, again.reason) == (
        (expected.kind, expected.transport, expected.via, expected.packets, expected.reason)
    )


def test_a_topology_that_no_comment_has_room_for_is_left_out_and_then_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = {"home lan": "home-router", "home wan": "home-router"}
    people, about = whole.watched(TOPOLOGY, places, 7)
    document = json.loads(about)
    assert "packets of a lab" in people and (document["lab"], document["packets"]) == (1, 7)
    assert document["places"] == places and len(document["topology"]["nodes"]) == len(TOPOLOGY.nodes)
    monkeypatch.setattr(whole, "_MOST_TOPOLOGY", len(about) - 50)
    _, about = whole.watched(TOPOLOGY, places)
    known = {node["name"] for node in json.loads(about)["topology"]["nodes"]}
    assert {"bob", "home-router", "core"} <= known and "frank" not in known
    monkeypatch.setattr(whole, "_MOST_TOPOLOGY", 100)
    assert whole.watched(TOPOLOGY, places) == (people,)


@pytest.mark.parametrize("change", [{"lab": 2}, {"topology": None}, {"topology": {"nodes": [{}], "networks": []}}])
def test_a_document_of_no_call_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    about = json.loads(whole.watched(TOPOLOGY, {"core": "core"})[1]) | change
    data = pcapng.section(("for people", json.dumps(about)), "tests") + pcapng.interface(Interface(276, "core"))
    with pytest.raises(ConfigError, match="expected a topology"):
        whole.read(data)


def test_comments_stand_at_their_packets_and_what_captures_lost_at_the_end(tmp_path: Path) -> None:
    world, _ = punched()
    first = next(iter(Captures.read(files(world, tmp_path)).everything()))
    data = written(tmp_path, world, {(first.place, first.offset): ["the first of all"]}, {"core": 3})
    packets = [block for _, block in pcapng.blocks(data) if isinstance(block, PacketRecord)]
    assert [one.comments for one in packets if one.comments] == [("the first of all",)] == [packets[0].comments]
    found = whole.read(data)
    assert found is not None and found.captures.dropped == {"core": 3}


def test_the_header_says_what_a_verdict_needs_and_not_which_path_it_was(tmp_path: Path) -> None:
    world, _ = punched()
    section = next(block for _, block in pcapng.blocks(written(tmp_path, world)))
    assert isinstance(section, Section) and "`lab verdict`" in section.comments[0]
    about = json.loads(section.comments[1])
    assert (about["lab"], about["caller"], about["callee"]) == (1, "bob", "frank")
    assert about["places"]["home wan"] == about["places"]["home lan"] == "home-router"
    assert not {"path", "observed", "kind", "via"} & about.keys()


def test_the_markers_of_captures_are_left_out(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 1.0)
    world.see("core", START, frame("udp", ("127.0.0.1", 9), ("127.0.0.1", 9), b"lab-marker"))
    assert b"lab-marker" not in written(tmp_path, world)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_a_torn_file_keeps_what_was_whole(tmp_path: Path, part: float) -> None:
    world, _ = punched()
    data = written(tmp_path, world)
    found = whole.read(data[: int(len(data) * part)])
    assert found is not None and found.incomplete and 0 < found.packets < found.expected


def test_a_file_that_lacks_packets_is_not_whole(tmp_path: Path) -> None:
    world, _ = punched()
    data = written(tmp_path, world)
    last = [at for at, block in pcapng.blocks(data) if isinstance(block, PacketRecord)][-1]
    found = whole.read(data[:last])
    assert found is not None and found.torn is None and found.incomplete


def test_a_pcapng_of_somebody_else_is_no_labs() -> None:
    assert whole.read(pcapng.section(("a comment", "{}", "[1"), "tests")) is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"lab": 2}, "version 1, got 2"),
        ({"caller": "nobody"}, "nobody"),
        ({"from": "then"}, "expected who called whom"),
        ({"topology": {"nodes": [{}], "networks": []}}, "topology"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Setting.parse(setting().to_json() | change)


def test_another_link_type_is_refused(tmp_path: Path) -> None:
    world = World()
    (other := tmp_path / "other").mkdir()
    place = {"core": write_pcap(other / "core.pcap", world.frames["core"], linktype=1)}
    with pytest.raises(EvidenceError, match="link type 1; expected 276"):
        whole.write(setting(), place, tmp_path / "x.pcapng", {}, {})
    about = setting().to_json() | {"places": {"core": "core"}, "packets": 0}
    with pytest.raises(ConfigError, match="link type 1; expected 276"):
        whole.read(pcapng.section((json.dumps(about),), "tests") + pcapng.interface(Interface(1, "core")))


class FullDisk:
    """Takes so many bytes, some at a time, and then none."""

    def __init__(self, room: int) -> None:
        self.data, self._room = bytearray(), room

    def write(self, data: memoryview) -> int:
        fits = min(len(data), self._room - len(self.data), 1000)
        if not fits:
            raise OSError(28, "No space left on device")
        self.data += data[:fits]
        return fits

    def truncate(self, size: int) -> None:
        del self.data[size:]


@pytest.mark.parametrize("room", [200, 4321, 9999])
def test_a_full_disk_leaves_whole_blocks(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "CHUNK", 3000)
    disk = FullDisk(room)
    writer = whole.Writer(disk)
    writer.add(pcapng.section((), "tests") + pcapng.interface(Interface(276, "core")))
    with pytest.raises(OSError, match="No space left"):
        for number in range(500):
            writer.add(pcapng.packet(PacketRecord(0, number, 50, bytes(50))))
    packets = [block for _, block in pcapng.blocks(bytes(disk.data)) if isinstance(block, PacketRecord)]
    assert [one.ticks for one in packets] == list(range(len(packets))) and room - 200 < len(disk.data) <= room


def test_a_device_that_is_full_says_so_and_not_that_it_cannot_be_cut(tmp_path: Path) -> None:
    world, _ = punched()
    with pytest.raises(OSError, match="No space left on device"):
        whole.write(setting(), files(world, tmp_path), Path("/dev/full"), {}, {})


def test_neighbours_are_places_by_their_own_names(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("bella", 5000), START, 2.0)
    one = setting("bob", "bella")
    target = tmp_path / "call.pcapng"
    whole.write(one, files(world, tmp_path, ("bob", "bella")), target, {}, {})
    found = whole.read(target.read_bytes())
    assert found is not None
    seen, _ = conclude(found.topology, found.captures, "bob", "bella", one.start, one.end)
    assert (seen.kind, seen.transport, seen.packets) == ("direct", "udp", 200)
    assert address("bob") != address("bella")
