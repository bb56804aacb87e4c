"""A long capture cut into those of its calls: by time and by address, while it grows."""

import struct
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab.errors import EvidenceError
from lab.evidence import Recording, read

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 4096, 276)
BOB, FRANK, CAROL = "203.0.113.32", "203.0.113.33", "203.0.113.34"


def record(time: float, source: str, destination: str, payload: bytes = b"voice") -> bytes:
    one, two = ip_address(source).packed, ip_address(destination).packed
    udp = struct.pack("!HHHH", 4000, 5000, 8 + len(payload), 0) + payload
    if len(one) == 4:
        ether, ip = 0x0800, struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + one + two
    else:
        ether, ip = 0x86DD, struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + one + two
    frame = struct.pack("!HHIHBB8s", ether, 0, 1, 1, 0, 6, b"") + ip + udp
    whole = int(time)
    return struct.pack("<IIII", whole, round((time - whole) * 1e6), len(frame), len(frame)) + frame


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "long.pcap"
    path.write_bytes(HEADER)
    return path


def grow(file: Path, *records: bytes) -> None:
    with file.open("ab") as output:
        output.write(b"".join(records))


def times(path: Path) -> list[float]:
    return [round(packet.time, 2) for packet in read(path, "core").packets]


def test_a_call_gets_its_time_and_nothing_before_or_after(file: Path, tmp_path: Path) -> None:
    grow(file, *(record(100 + number / 10, BOB, FRANK) for number in range(100)))
    assert Recording(file, "core").cut(103, 104, (), tmp_path / "cut.pcap") == 11
    assert times(tmp_path / "cut.pcap") == [round(103 + number / 10, 2) for number in range(11)]


def test_packets_of_strangers_are_left_out_whoever_sent_them(file: Path, tmp_path: Path) -> None:
    grow(file, record(1, BOB, FRANK), record(2, BOB, CAROL), record(3, CAROL, BOB), record(4, FRANK, BOB))
    grow(file, record(5, "2001:db8::1", "2001:db8::2"), record(6, "2001:db8::3", "2001:db8::2"))
    assert Recording(file, "core").cut(0, 10, [CAROL, "2001:db8::3"], tmp_path / "cut.pcap") == 3
    assert times(tmp_path / "cut.pcap") == [1, 4, 5]


def test_what_has_come_since_the_last_cut_is_there_and_a_torn_record_is_not(file: Path, tmp_path: Path) -> None:
    recording, target = Recording(file, "core"), tmp_path / "cut.pcap"
    torn = record(3, BOB, FRANK)
    grow(file, record(1, BOB, FRANK), record(2, BOB, FRANK), torn[:-3])
    assert recording.cut(0, 10, (), target) == 2
    grow(file, torn[-3:], record(4, BOB, FRANK))
    assert recording.cut(2, 10, (), target) == 3 and times(target) == [2, 3, 4]


def test_packets_that_were_queued_apart_are_found_all_the_same(file: Path, tmp_path: Path) -> None:
    order = [number / 100 + (0.2 if number % 2 else 0.0) for number in range(1000)]
    grow(file, *(record(100 + at, BOB, FRANK) for at in order))
    assert Recording(file, "core").cut(104, 105, (), tmp_path / "cut.pcap") == sum(
        4 <= round(at, 3) <= 5 for at in order
    )


def test_what_is_no_capture_is_refused_by_name(file: Path, tmp_path: Path) -> None:
    file.write_bytes(b"")
    with pytest.raises(EvidenceError, match="core"):
        Recording(file, "core").cut(0, 1, (), tmp_path / "cut.pcap")
