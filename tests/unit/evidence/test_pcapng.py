"""The blocks of a pcapng: what is written is read again, by others too, and what is torn is read up to there."""

import struct
from pathlib import Path

import pytest
from scapy.utils import RawPcapNgReader

from lab.evidence import pcapng
from lab.evidence.pcapng import Interface, Lost, PacketRecord, Section, Torn

TICKS = 1_700_000_000_123_456
PLACES = [Interface(276, "home lan", "seen at home-router"), Interface(276, "core")]
PACKETS = [
    PacketRecord(0, TICKS, 60, b"abcde", ("invite: bob → frank", "and more"), True),
    PacketRecord(1, TICKS + 1, 4, b"wxyz", (), False),
    PacketRecord(1, TICKS + 2, 0, b""),
]
FILE = b"".join(
    [
        pcapng.section(("for people", '{"lab": 1}'), "tests"),
        *map(pcapng.interface, PLACES),
        pcapng.names({bytes([192, 168, 32, 10]): "bob", bytes(15) + b"\1": "six"}),
        *map(pcapng.packet, PACKETS),
        pcapng.lost(Lost(1, 7)),
    ]
)


def read(data: bytes) -> list[pcapng.Block]:
    return [block for _, block in pcapng.blocks(data)]


def test_what_is_written_is_read_again() -> None:
    assert read(FILE) == [Section(("for people", '{"lab": 1}')), *PLACES, *PACKETS, Lost(1, 7)]


def test_another_reader_finds_names_comments_directions_and_times(tmp_path: Path) -> None:
    (tmp_path / "f.pcapng").write_bytes(FILE)
    with RawPcapNgReader(str(tmp_path / "f.pcapng")) as reader:
        found = list(reader)
    assert [data for data, _ in found] == [b"abcde", b"wxyz", b""]
    first = found[0][1]
    assert (first.ifname, first.direction, first.wirelen, first.linktype) == (b"home lan", 1, 60, 276)
    assert first.comments == ["invite: bob → frank".encode(), b"and more"]
    assert first.tshigh << 32 | first.tslow == TICKS and first.tsresol == 1_000_000


def test_names_stand_beside_their_addresses() -> None:
    block = pcapng.names({bytes([192, 168, 32, 10]): "bob"})
    assert struct.unpack_from("<II", block) == (4, len(block)) and len(block) % 4 == 0
    assert block[8:-4] == struct.pack("<HH", 1, 8) + bytes([192, 168, 32, 10]) + b"bob\0" + bytes(4)


def test_a_file_cut_anywhere_gives_what_was_whole_and_says_that_it_is_torn() -> None:
    whole, ends, at = read(FILE), {0}, 0
    while at < len(FILE):
        at += struct.unpack_from("<I", FILE, at + 4)[0]
        ends.add(at)
    for size in range(1, len(FILE)):
        found, torn = list[pcapng.Block](), False
        try:
            for _, block in pcapng.blocks(FILE[:size]):
                found.append(block)
        except Torn as error:
            torn = True
            assert error.at in ends
        assert found == whole[: len(found)] and torn == (size not in ends), size


def test_the_other_byte_order_and_a_clock_of_nanoseconds_are_read() -> None:
    def block(kind: int, body: bytes) -> bytes:
        return struct.pack(">II", kind, len(body) + 12) + body + struct.pack(">I", len(body) + 12)

    nano = struct.pack(">HHI", 1, 0, 0) + struct.pack(">HHB3xHH", 9, 1, 9, 0, 0)
    data = block(pcapng.SECTION, struct.pack(">IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, nano)
    data += block(0x0BAD, bytes(8)) + block(6, struct.pack(">IIIII", 0, 1, 2, 3, 9) + b"abc\0")
    assert read(data) == [Section(), Interface(1, unit=1e-9), PacketRecord(0, 1 << 32 | 2, 9, b"abc")]


@pytest.mark.parametrize(
    ("at", "what", "why"),
    [
        (0, b"\xd4\xc3\xb2\xa1", "begins with"),
        (8, bytes(4), "byte order"),
        (4, struct.pack("<I", 13), "13 bytes"),
        (4, struct.pack("<I", 1 << 30), "bytes"),
    ],
)
def test_what_is_no_pcapng_is_said_so(at: int, what: bytes, why: str) -> None:
    with pytest.raises(Torn, match=why):
        read(FILE[:at] + what + FILE[at + len(what) :])


def test_a_packet_of_an_interface_that_there_is_not_ends_the_file() -> None:
    head = pcapng.section((), "tests")
    with pytest.raises(Torn, match="type 6"):
        read(head + pcapng.packet(PacketRecord(3, 0, 1, b"a")))
