"""Capture files to records: headers as scapy reads them, and a sentence for every file that cannot be read."""

import logging
import struct
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packet_world import IN, OUT, START, frame, write_pcap

from lab.errors import EvidenceError
from lab.evidence import Endpoint, dissect, read
from lab.evidence.pcap import Direction

pytestmark = pytest.mark.slow

ONE, TWO = ("192.168.32.2", 4000), ("203.0.113.21", 33034)


def test_udp_and_tcp_are_read_with_their_direction_and_payload(tmp_path: Path) -> None:
    frames = [
        (START + 0.25, frame("tcp", TWO, ONE, b"two", OUT, seq=7, flags=0x12)),
        (START, frame("udp", ONE, TWO, b"one", IN)),
    ]
    capture = read(write_pcap(tmp_path / "a.pcap", frames), "home-router", dropped=3)
    first, second = capture.packets
    assert (first.time, first.place, first.interface, first.direction) == (START, "home-router", 2, Direction.IN)
    assert (first.protocol, first.source, first.destination) == ("udp", Endpoint(*ONE), Endpoint(*TWO))
    assert (first.length, first.payload) == (3, b"one")
    assert (second.time, second.direction, second.protocol) == (START + 0.25, Direction.OUT, "tcp")
    assert (second.sequence, second.flags, second.payload) == (7, 0x12, b"two")
    assert (capture.frames, capture.dropped, capture.truncated) == (2, 3, None)


def _by_scapy(layers: object) -> bytes:
    from scapy.layers.l2 import CookedLinuxV2

    return bytes(CookedLinuxV2(ifindex=5, pkttype=4) / layers)  # type: ignore[operator]


def test_headers_are_read_as_scapy_writes_them(tmp_path: Path) -> None:
    from scapy.layers.inet import IP, TCP, UDP, IPOption
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrHopByHop
    from scapy.packet import Raw

    ip, ip6 = IP(src="10.0.0.1", dst="10.0.0.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")
    tcp = TCP(sport=1, dport=2, seq=9, flags="PA", options=[("Timestamp", (1, 2))])
    frames = [
        (START + number, _by_scapy(layers / Raw(b"voice")))
        for number, layers in enumerate(
            [
                ip / UDP(sport=1, dport=2),
                ip / tcp,
                IP(src="10.0.0.1", dst="10.0.0.2", options=[IPOption(b"\x94\x04\x00\x00")]) / UDP(sport=1, dport=2),
                ip6 / UDP(sport=1, dport=2),
                ip6 / IPv6ExtHdrHopByHop() / tcp,
            ]
        )
    ]
    capture = read(write_pcap(tmp_path / "a.pcap", frames), "core")
    assert [packet.payload for packet in capture.packets] == [b"voice"] * 5
    assert [packet.protocol for packet in capture.packets] == ["udp", "tcp", "udp", "udp", "tcp"]
    assert {packet.source for packet in capture.packets} == {Endpoint("10.0.0.1", 1), Endpoint("2001:db8::1", 1)}
    assert capture.packets[4].sequence == 9
    assert str(capture.packets[4].destination) == "[2001:db8::2]:2"
    shown = dissect(capture, capture.packets[4])
    assert shown[TCP].seq == 9
    assert bytes(shown[Raw]) == b"voice"


def test_padding_behind_a_packet_is_not_its_payload(tmp_path: Path) -> None:
    frames = [(START, frame("udp", ONE, TWO, b"v") + bytes(17))]
    (packet,) = read(write_pcap(tmp_path / "a.pcap", frames), "core").packets
    assert packet.payload == b"v"


def test_what_is_neither_udp_nor_tcp_is_a_frame_and_no_packet(tmp_path: Path) -> None:
    whole = frame("udp", ONE, TWO, b"voice")
    icmp = whole[:29] + b"\x01" + whole[30:]
    arp = b"\x08\x06" + whole[2:]
    fragment = whole[:26] + b"\x00\x10" + whole[28:]
    capture = read(write_pcap(tmp_path / "a.pcap", [(START, data) for data in (icmp, arp, fragment, b"")]), "core")
    assert (capture.frames, list(capture.packets)) == (4, [])


@pytest.mark.parametrize("cut", [1, 10, 40, 70])
def test_a_file_cut_in_mid_packet_keeps_what_was_whole_and_says_so(tmp_path: Path, cut: int) -> None:
    path = write_pcap(tmp_path / "a.pcap", [(START + n, frame("udp", ONE, TWO, b"x" * 40)) for n in range(3)])
    path.write_bytes(path.read_bytes()[:-cut])
    capture = read(path, "core")
    assert len(capture.packets) == 2
    assert capture.truncated == "the capture of core ends in mid-packet after 2 whole frames"


def test_a_capture_without_packets_is_read(tmp_path: Path) -> None:
    capture = read(write_pcap(tmp_path / "a.pcap", []), "core")
    assert (capture.frames, capture.truncated) == (0, None)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the capture of core is empty: .* has no bytes"),
        (b"\xd4\xc3\xb2\xa1\2\0", "ends within its file header: 6 of 24 bytes"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "is pcapng; expected pcap"),
        (b"\x1f\x8b" + bytes(40), "is not a pcap file: it begins with 1f8b0000"),
        (b"words, and not packets", "ends within its file header"),
        (b"many words, and not packets", "is not a pcap file"),
    ],
)
def test_what_is_no_capture_is_refused_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "a.pcap"
    path.write_bytes(content)
    with pytest.raises(EvidenceError, match=sentence):
        read(path, "core")


def test_another_link_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="core has link type 1; expected 276, LINUX_SLL2"):
        read(write_pcap(tmp_path / "a.pcap", [], linktype=1), "core")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="the capture of core cannot be read: No such file"):
        read(tmp_path / "none.pcap", "core")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=200), kind=st.sampled_from(["file", "records", "frame"]))
def test_no_file_raises_anything_but_an_evidence_error(data: bytes, kind: str) -> None:
    header = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 276)
    record = struct.pack("<IIII", 1, 2, len(data), len(data))
    content = {"file": data, "records": header + data, "frame": header + record + data}[kind]
    _never_raises(content)


@settings(max_examples=300, deadline=None)
@given(
    protocol=st.sampled_from(["udp", "tcp"]),
    changes=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 90),
    ipv6=st.booleans(),
)
def test_no_frame_raises_anything(protocol: str, changes: list[tuple[int, int]], length: int, ipv6: bool) -> None:
    data = bytearray(frame(protocol, ONE, TWO, b"x" * 30))
    if ipv6:
        data[0:2], data[20] = b"\x86\xdd", 0x60
    for at, value in changes:
        if at < len(data):
            data[at] = value
    header = struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 276)
    cut = bytes(data[:length])
    _never_raises(header + struct.pack("<IIII", 1, 2, len(cut), len(cut)) + cut)


def _never_raises(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.pcap"
        path.write_bytes(content)
        try:
            capture = read(path, "core")
        except EvidenceError as error:
            assert "the capture of core" in str(error)
        else:
            assert all(len(packet.payload) <= packet.length for packet in capture.packets)


def test_reading_prints_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_pcap(tmp_path / "a.pcap", [(START, frame("udp", ONE, TWO, b"x" * 40))])
    path.write_bytes(path.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        read(path, "core")
    assert not caplog.records


def test_only_the_first_fragment_names_the_ends_in_either_family(tmp_path: Path) -> None:
    from scapy.layers.inet import IP, UDP, fragment
    from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, fragment6
    from scapy.packet import Raw

    body = UDP(sport=1, dport=2, len=3008, chksum=1) / Raw(bytes(3000))
    four = fragment(IP(src="10.0.0.1", dst="10.0.0.2", id=7) / body, fragsize=1200)
    ends = IPv6(src="2001:db8::1", dst="2001:db8::2")
    six = fragment6(ends / IPv6ExtHdrFragment(id=7) / body, 1280)
    whole = ends / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment(id=8) / UDP(sport=1, dport=2) / Raw(b"voice")  # RFC 6946
    frames = [(START + number, _by_scapy(layers)) for number, layers in enumerate([*four, *six, whole])]
    capture = read(write_pcap(tmp_path / "a.pcap", frames), "core")
    assert (len(four), len(six), capture.frames) == (3, 3, 7)
    assert [packet.source for packet in capture.packets] == [
        Endpoint("10.0.0.1", 1),
        Endpoint("2001:db8::1", 1),
        Endpoint("2001:db8::1", 1),
    ]
    assert capture.packets[2].payload == b"voice"
