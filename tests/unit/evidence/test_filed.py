"""The verdict on a capture file: a lab's, somebody else's, and whatever else lies in a file of that name."""

import struct
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from lab_calls import files, moved, punched, setting, word
from packet_world import RELAY, START, TOPOLOGY, World, relay, talk, write_pcap

from lab.errors import ConfigError, EvidenceError, LabError
from lab.evidence import Finding, pcapng, whole
from lab.evidence.filed import ONE_PLACE, verdict
from lab.evidence.unclaimed import NO_VOICE, ONE_WAY

BOB, FRANK = ip_address("203.0.113.32"), ip_address("203.0.113.33")


def filed(tmp_path: Path, call: Any) -> Path:
    target = tmp_path / "call.pcapng"
    whole.write(setting(), files(call[0], tmp_path), target, {}, {})
    return target


def test_a_labs_file_names_the_path_and_every_path_before_it(tmp_path: Path) -> None:
    document = verdict(filed(tmp_path, moved())).to_json()
    assert list(document)[:5] == ["kind", "transport", "via", "packets", "why"]
    assert (document["kind"], document["transport"], document["via"]) == ("punched", "udp", None)
    assert [(one["kind"], one["via"]) for one in document["paths"]] == [("relayed", "relay-1"), ("punched", None)]
    assert document["packets"] == sum(one["packets"] for one in document["paths"]) == 2 * 150 + 200
    assert document["why"].startswith("UDP media between bob 203.0.113.32:4000 (translated from 192.168.32.2:4000)")
    assert (document["call"], document["caller"], document["callee"]) == ("c1", "bob", "frank")


def test_packets_that_name_no_path_are_a_finding(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0, back=False)
    found = verdict(filed(tmp_path, (world, [])))
    assert found.observed.kind is None and found.observed.finding is Finding.ONE_WAY
    assert found.to_json()["finding"] == "one-way"


def test_a_place_that_is_missing_is_named(tmp_path: Path) -> None:
    world, _ = punched()
    target = tmp_path / "call.pcapng"
    captured = files(world, tmp_path)
    del captured["home-router"]
    whole.write(setting(), captured, target, {}, {})
    with pytest.raises(EvidenceError, match="home-router was not captured"):
        verdict(target)


def content(tmp_path: Path) -> bytes:
    return filed(tmp_path, punched()).read_bytes()


@pytest.mark.parametrize(
    ("part", "why", "status"),
    [
        (0.005, "no pcapng file, or torn", 2),
        (0.02, "ends within a block, and the capture of core is empty", 1),
        (0.07, "ends within a block, and what is there shows no media", 1),
        (0.9, "ends within a block: what is there shows punched/udp", 2),
    ],
)
def test_a_truncated_file_is_no_whole_call(tmp_path: Path, part: float, why: str, status: int) -> None:
    data = content(tmp_path)
    (tmp_path / "torn.pcapng").write_bytes(data[: int(len(data) * part)])
    with pytest.raises(LabError, match=why) as refused:
        verdict(tmp_path / "torn.pcapng")
    assert refused.value.exit_code == status and str(tmp_path / "torn.pcapng") in str(refused.value)


def test_a_file_from_which_packets_were_taken_says_how_many_are_left(tmp_path: Path) -> None:
    data = content(tmp_path)
    at = [at for at, block in pcapng.blocks(data) if isinstance(block, pcapng.PacketRecord)]
    (tmp_path / "part.pcapng").write_bytes(data[: at[-100]])
    with pytest.raises(ConfigError, match=rf"it holds {len(at) - 100} of {len(at)} packets: .* shows punched/udp"):
        verdict(tmp_path / "part.pcapng")


def test_a_file_of_a_filter_is_no_whole_call_and_says_which(tmp_path: Path) -> None:
    world, _ = moved()
    captured, target = files(world, tmp_path), tmp_path / "udp.pcapng"
    why = "it holds the packets of the filter 'udp port 33034' alone"
    whole.write(setting(), captured, target, {}, {}, expression="udp port 33034")
    with pytest.raises(ConfigError, match=f"{why}: what is there shows punched/udp, which need not be") as refused:
        verdict(target)
    assert refused.value.exit_code == 2
    data = target.read_bytes()
    target.write_bytes(data[: int(len(data) * 0.9)])
    with pytest.raises(ConfigError, match=f"ends within a block and {why}: what is there shows"):
        verdict(target)
    whole.collect(TOPOLOGY, captured, target, {}, {}, "udp port 33034")
    with pytest.raises(ConfigError, match=f"{why}: what is there shows punched/udp"):
        verdict(target, ("bob", "frank", None))
    empty = {"core": write_pcap(tmp_path / "none.pcap", [])}
    whole.collect(TOPOLOGY, empty, target, {}, {}, "tcp port 1")
    with pytest.raises(ConfigError, match="it holds no packet of the filter 'tcp port 1'"):
        verdict(target, ("bob", "frank", None))


@pytest.mark.parametrize(
    "data", [b"", b"hello, world", b"\x0a\x0d\x0d\x0a", b"\xd4\xc3\xb2\xa1", b"\x1f\x8b" + bytes(99)]
)
@pytest.mark.parametrize("named", [None, (BOB, FRANK, None)])
def test_what_is_no_capture_is_refused(tmp_path: Path, data: bytes, named: Any) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ConfigError):
        verdict(tmp_path / "x", named)


def test_what_is_not_there_or_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        verdict(tmp_path / "missing.pcapng")
    with pytest.raises(ConfigError, match="directory"):
        verdict(tmp_path)


def plain(tmp_path: Path, world: World, link: int = 276, place: str = "core") -> Path:
    def other(data: bytes) -> bytes:
        ether, packet = data[:2], data[20:]
        before = {1: bytes(12) + ether, 113: data[10:11].rjust(2, b"\0") + bytes(12) + ether, 101: b"",
                  0: struct.pack("<I", 2)}  # fmt: skip
        return data if link == 276 else before[link] + packet

    return write_pcap(tmp_path / "other.pcap", [(time, other(data)) for time, data in world.frames[place]], link)


@pytest.mark.parametrize("link", [276, 113, 1, 101, 0])
def test_a_capture_of_somebody_else_is_judged_between_the_ends_that_are_named(tmp_path: Path, link: int) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0)
    found = verdict(plain(tmp_path, world, link), (BOB, FRANK, None))
    seen = found.observed
    assert (seen.kind, seen.transport, seen.via, seen.packets) == ("direct", "udp", None, 200)
    assert found.note == ONE_PLACE and found.call is None


def watched(tmp_path: Path, world: World, extra: tuple[str, ...] = (), without: str = "") -> Path:
    """A file of `lab capture`: of no call."""
    captured = files(world, tmp_path, extra)
    captured.pop(without, None)
    target = tmp_path / "packets.pcapng"
    whole.collect(TOPOLOGY, captured, target, {}, {"core": 3})
    return target


@pytest.mark.parametrize("ends", [("bob", "frank"), (BOB, FRANK), ("bob", ip_address("192.168.33.2"))])
def test_a_file_of_no_call_is_judged_like_that_of_a_call_between_those_who_are_named(tmp_path: Path, ends: Any) -> None:
    world = World()
    for number in range(3):  # words that are of no call
        word(world, number, START + number, "frank", False)
    relay(world, ("bob", 4000), ("frank", 5000), START + 0.6, 1.5)
    talk(world, ("bob", 4000), ("frank", 5000), START + 2.1, 2.0)
    expected = verdict(filed(tmp_path, (world, []))).observed
    if ends[0] is BOB:
        with pytest.raises(ConfigError, match=r"203.0.113.32 is home-router, with bob, bella behind it; name an end"):
            verdict(watched(tmp_path, world), (*ends, None))
        ends = "bob", FRANK
    found = verdict(watched(tmp_path, world), (*ends, None))
    seen = found.observed
    assert (seen.kind, seen.transport, seen.via, seen.packets) == ("punched", "udp", None, expected.packets)
    assert seen.reason == expected.reason and [path.via for path in found.scene.paths] == ["relay-1", None]
    assert (found.call, found.caller, found.callee, found.note) == (None, "bob", "frank", None)


def test_a_relay_of_a_file_of_no_call_is_known(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("dave", 5000), START, 2.0, ("udp", "tcp"))
    target = watched(tmp_path, world)
    for one in (None, "relay-1", ip_address(RELAY[0])):
        seen = verdict(target, ("bob", "dave", one)).observed
        assert (seen.kind, seen.transport, seen.via) == ("relayed", "mixed", "relay-1")


def test_what_a_file_of_no_call_does_not_show_is_said(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0)
    target = watched(tmp_path, world)
    for named, why in (
        (None, "it is of no call; say whose .* --caller NAME --callee NAME, of adam, alice, bella, bob"),
        (("bob", "nobody", None), "no node is called 'nobody'"),
        (("bob", ip_address("192.168.32.2"), None), "bob and 192.168.32.2 are both bob"),
        (("bob", ip_address("192.0.2.1"), None), "nobody of its lab has the address 192.0.2.1"),
    ):
        with pytest.raises(ConfigError, match=why):
            verdict(target, named)
    (tmp_path / "torn.pcapng").write_bytes(target.read_bytes()[:-50_001])
    with pytest.raises(ConfigError, match="ends within a block: what is there shows punched/udp"):
        verdict(tmp_path / "torn.pcapng", ("bob", "frank", None))
    with pytest.raises(EvidenceError, match="home-router was not captured"):
        verdict(watched(tmp_path, world, without="home-router"), ("bob", "frank", None))


def test_a_host_that_has_no_name_there_is_an_end_by_its_address(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0)
    known = replace(TOPOLOGY, nodes=tuple(node for node in TOPOLOGY.nodes if node.name != "bob"))
    whole.collect(known, files(world, tmp_path), tmp_path / "packets.pcapng", {}, {})
    found = verdict(tmp_path / "packets.pcapng", (ip_address("192.168.32.2"), "frank", None))
    assert (found.observed.kind, found.caller) == ("punched", "192.168.32.2")


def test_a_name_means_nobody_in_a_capture_of_somebody_else(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0)
    with pytest.raises(ConfigError, match="does not say who is called bob; name the addresses"):
        verdict(plain(tmp_path, world), ("bob", FRANK, None))


def test_a_relay_that_is_named_joins_two_legs(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("dave", 5000), START, 2.0, ("udp", "tcp"))
    found = verdict(plain(tmp_path, world), (BOB, ip_address("203.0.113.35"), ip_address(RELAY[0])))
    seen = found.observed
    assert (seen.kind, seen.transport, seen.via, seen.packets) == ("relayed", "mixed", "relay", 400)
    assert found.note is None


def test_a_packet_seen_on_two_interfaces_counts_once(tmp_path: Path) -> None:
    world = World()
    talk(world, ("alice", 4000), ("frank", 5000), START, 2.0)
    found = verdict(plain(tmp_path, world, place="park-router"), (ip_address("198.51.100.18"), FRANK, None))
    assert (found.observed.kind, found.observed.packets) == ("direct", 200)


def test_a_capture_of_somebody_else_needs_the_ends_and_a_labs_file_does_not(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0)
    with pytest.raises(ConfigError, match="--caller ADDRESS --callee ADDRESS"):
        verdict(plain(tmp_path, world))
    with pytest.raises(ConfigError, match="says itself who called whom"):
        verdict(filed(tmp_path, punched()), (BOB, FRANK, None))


def test_an_end_that_no_packet_names_is_said(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0)
    with pytest.raises(EvidenceError, match=r"no packet of UDP or TCP from or to 192\.0\.2\.1, the callee"):
        verdict(plain(tmp_path, world), (BOB, ip_address("192.0.2.1"), None))


def test_ends_between_which_nothing_went_are_asked_for_a_relay(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START, 2.0)
    with pytest.raises(EvidenceError, match=r"between 203.0.113.32 and 203.0.113.33; was there a relay"):
        verdict(plain(tmp_path, world), (BOB, FRANK, None))


@pytest.mark.parametrize("named", [None, (BOB, FRANK, None), ("bob", "frank", None)])
def test_what_no_address_helps_with_is_told_before_addresses_are_asked_for(tmp_path: Path, named: Any) -> None:
    header = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
    file = tmp_path / "other.pcap"
    for data, why in (
        (header[:20] + struct.pack("<I", 105), r"link type 105; expected Ethernet \(1\), Linux cooked"),
        (header[:20] + struct.pack("<I", 9), "link type 9; expected Ethernet"),
        (pcapng.section((), "tests") + pcapng.interface(pcapng.Interface(127, "radio")), "link type 127; expected"),
        (header[:10], "it ends within its file header: 10 of 24 bytes"),
        (header, "it holds no packet of UDP or TCP"),
        (header[:4] + bytes(996), "it holds no packet of UDP or TCP|it ends within a packet"),
        (header + bytes(9), "it ends within a packet"),
    ):
        file.write_bytes(data)
        with pytest.raises(ConfigError, match=why):
            verdict(file, named)


def one_way(world: World) -> None:
    talk(world, ("bob", 4000), ("frank", 5000), START, 2.0, back=False)


def twice(world: World) -> None:
    for port in (4000, 4002):
        talk(world, ("bob", port), ("frank", port + 1000), START, 2.0)


def single(world: World) -> None:
    frank = world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
    for number in range(4):
        world.send(START + number / 2, "udp", "bob", 4000, frank, b"ping %d" % number)


@pytest.mark.parametrize(("flows", "limit"), [(one_way, ONE_WAY), (twice, None), (single, NO_VOICE)])
def test_what_flows_in_a_file_of_no_call_is_told_as_what_flows_now(tmp_path: Path, flows: Any, limit: Any) -> None:
    world = World()
    flows(world)
    found = verdict(watched(tmp_path, world), ("bob", "frank", None))
    assert (found.observed.kind, found.observed.transport, found.note) == ("punched", "udp", limit)
    found = verdict(plain(tmp_path, world), (BOB, FRANK, None))
    limits = f"{limit}; {ONE_PLACE}" if limit else ONE_PLACE
    assert (found.observed.kind, found.observed.transport, found.note) == ("direct", "udp", limits)
    assert verdict(filed(tmp_path, (world, []))).observed.kind is None, "a call is two voices on one path"


def test_what_flows_in_a_file_of_no_call_that_is_cut_need_not_be_how_it_ended(tmp_path: Path) -> None:
    world = World()
    one_way(world)
    target = watched(tmp_path, world)
    target.write_bytes(target.read_bytes()[:-50_001])
    with pytest.raises(ConfigError, match="ends within a block: what is there shows punched/udp, which need not be"):
        verdict(target, ("bob", "frank", None))


def test_a_file_of_no_call_in_which_nothing_flows_between_the_two_names_no_path(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("carol", 5000), START, 2.0)
    world.send(START, "udp", "frank", 5000, RELAY, world.stun())
    found = verdict(watched(tmp_path, world), ("bob", "frank", None)).observed
    assert (found.kind, found.reason) == (None, "no flow between bob and frank")
    target = watched(tmp_path, world)
    target.write_bytes(target.read_bytes()[:-1_001])
    with pytest.raises(
        EvidenceError, match="ends within a block, and what is there shows no flow between bob and frank"
    ):
        verdict(target, ("bob", "frank", None))
