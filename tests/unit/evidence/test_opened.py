"""Voice in the clear from a call's file: what libsrtp has sealed the judge's own reader opens, and nothing else."""

import base64
import struct
from dataclasses import replace
from pathlib import Path

import packet_world as packets
import pytest
from lab_calls import files, in_nanoseconds, punched, setting
from packet_world import START

from lab.errors import ConfigError
from lab.evidence import filed, opened, pcapng
from lab.evidence.opened import Direction
from lab.evidence.whole import write
from lab.media.srtp import MediaKeys, Protector
from lab.node import keys as node_keys

pytestmark = pytest.mark.slow


BOB, FRANK = bytes(range(30)), bytes(range(100, 130))
EXTENDED = b"\xbe\xde\x00\x01\x32abc"
"""A header extension of one word (RFC 8285)."""


def rtp(sequence: int, words: bytes, ssrc: int = 7, extended: bool = False) -> bytes:
    head = struct.pack("!BBHII", 0x90 if extended else 0x80, 111, sequence & 0xFFFF, 960 * sequence, ssrc)
    return head + (EXTENDED if extended else b"") + words


def line(name: str, key: bytes) -> str:
    return f"# SRTP {name} AES_CM_128_HMAC_SHA1_80 inline:{base64.b64encode(key).decode()}\n"


@pytest.mark.parametrize("extended", [False, True])
def test_what_libsrtp_has_sealed_is_opened(extended: bool) -> None:
    sealer, reader = Protector(MediaKeys(BOB, FRANK)), Direction("bob", BOB)
    for number in range(65_530, 65_545):  # the sequence number begins anew in the middle
        clear = rtp(number, b"words %d" % number, extended=extended)
        assert reader.opened(sealer.protect(clear)) == clear


def test_packets_that_are_late_or_lost_around_the_wrap_are_opened() -> None:
    sealer, reader = Protector(MediaKeys(BOB, FRANK)), Direction("bob", BOB)
    sealed = [sealer.protect(rtp(number, b"words")) for number in range(65_530, 65_545)]
    order = [0, 9, 3, 5, 4, 14, 1]
    assert [reader.opened(sealed[one]) for one in order] == [rtp(65_530 + one, b"words") for one in order]


def test_what_is_of_another_key_or_changed_or_no_voice_is_none() -> None:
    sealed, reader = Protector(MediaKeys(BOB, FRANK)).protect(rtp(1, b"words")), Direction("frank", FRANK)
    assert reader.opened(sealed) is None
    own = Direction("bob", BOB)
    assert own.opened(sealed[:-1] + b"\0") is None and own.opened(sealed[:15]) is None
    assert own.opened(b"\x80\xc9" + sealed[2:]) is None, "RTCP"
    assert own.opened(sealed[:1] + b"") is None and own.opened(b"\x9f" + sealed[1:20]) is None
    with pytest.raises(ValueError, match="has 29 bytes, expected 30"):
        Direction("bob", BOB[1:])


def call(folder: Path, log: str) -> Path:
    """A call's file in which each says ten packets, over UDP, from under its own key."""
    world, _ = punched()
    bob, frank = world.outer("bob", "udp", 4000, ("0.0.0.0", 0)), world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
    sealers = Protector(MediaKeys(BOB, FRANK)), Protector(MediaKeys(FRANK, BOB))
    for number in range(10):
        at = START + 3.6 + number / 50
        world.send(at, "udp", "bob", 4000, frank, sealers[0].protect(rtp(number, b"bob %d" % number, 1)))
        world.send(at, "udp", "frank", 5000, bob, sealers[1].protect(rtp(number, b"frank %d" % number, 2)))
    target = folder / "call.pcapng"
    write(setting(), files(world, folder), target, {}, {}, log)
    return target


def test_a_file_with_its_keys_gives_its_voice_in_the_clear(tmp_path: Path) -> None:
    log = "CLIENT_TRAFFIC_SECRET_0 07 aa\n" + line("bob", BOB) + line("frank", FRANK) + "# SRTP torn\n"
    file, target = call(tmp_path, log), tmp_path / "voice.pcapng"
    assert filed.verdict(file).observed.kind == "punched", "keys say nothing to a verdict"
    assert opened.write(file, target) == 20
    blocks = [block for _, block in pcapng.blocks(target.read_bytes())]
    packets = [block for block in blocks if isinstance(block, pcapng.PacketRecord)]
    assert [one.comments[0] for one in packets[:2]] == ["voice of bob", "voice of frank"]
    assert packets[0].data.endswith(b"bob 0") and packets[1].data.endswith(b"frank 0")
    assert len(packets[0].data) == 20 + 20 + 8 + 12 + 5 == packets[0].length
    total, udp = struct.unpack_from("!H", packets[0].data, 22)[0], struct.unpack_from("!H", packets[0].data, 44)[0]
    assert (total, udp) == (20 + 8 + 17, 8 + 17)


def test_its_times_are_those_of_the_file_whatever_unit_that_counts_in(tmp_path: Path) -> None:
    file, target = call(tmp_path, line("bob", BOB)), tmp_path / "voice.pcapng"
    file.write_bytes(in_nanoseconds(file.read_bytes()))
    assert filed.verdict(file).observed.kind == "punched"
    opened.write(file, target)
    first = next(block for _, block in pcapng.blocks(target.read_bytes()) if isinstance(block, pcapng.PacketRecord))
    assert 0 <= first.ticks / 1e6 - (START + 3.6) < 0.01


def test_each_section_of_a_file_numbers_its_own_places(tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    data = call(before, line("bob", BOB)).read_bytes()
    core = [one.name for _, one in pcapng.blocks(data) if isinstance(one, pcapng.Interface)].index("core")
    alone = pcapng.section((), "x") + pcapng.interface(pcapng.Interface(276, "elsewhere"))
    records = [one for _, one in pcapng.blocks(data) if isinstance(one, pcapng.PacketRecord) and one.interface == core]
    alone += b"".join(pcapng.packet(replace(one, interface=0)) for one in records)
    both = tmp_path / "both.pcapng"
    both.write_bytes(pcapng.section((), "x") + pcapng.tls_keys(line("bob", BOB))
                     + pcapng.interface(pcapng.Interface(1, "of another link type")) + alone)  # fmt: skip
    assert opened.write(both, tmp_path / "voice.pcapng") == 10
    found = [one for _, one in pcapng.blocks((tmp_path / "voice.pcapng").read_bytes())]
    assert [one.name for one in found if isinstance(one, pcapng.Interface)] == ["elsewhere"]
    both.write_bytes(data + data)
    with pytest.raises(ConfigError, match="it holds several sections"):
        filed.verdict(both)


def test_a_file_without_keys_or_without_voice_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "voice.pcapng"
    with pytest.raises(ConfigError, match="holds no media keys; `lab call --keys`"):
        opened.write(call(tmp_path, "CLIENT_TRAFFIC_SECRET_0 07 aa\n"), target)
    with pytest.raises(ConfigError, match="holds no voice over UDP that its keys open"):
        opened.write(call(tmp_path, line("bob", bytes(30))), target)
    with pytest.raises(ConfigError, match="cannot be read"):
        opened.write(tmp_path / "none.pcapng", target)
    torn = tmp_path / "torn.pcapng"
    torn.write_bytes(call(tmp_path, line("bob", BOB)).read_bytes()[:-3])
    with pytest.raises(ConfigError, match="torn"):
        opened.write(torn, target)
    assert not target.exists()


def test_a_client_keeps_the_key_of_its_voice_where_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_keys, "VOICE", tmp_path / "run" / "voice-keys")
    monkeypatch.delenv(node_keys.VARIABLE, raising=False)
    node_keys.voice("c7.aa", BOB)
    assert node_keys.of_call("c7") == "" and not node_keys.VOICE.exists()
    monkeypatch.setenv(node_keys.VARIABLE, "1")
    for call, key in (("c7.aa", FRANK), ("c70.bb", FRANK), ("c7.cc", BOB)):
        node_keys.voice(call, key)
    said = f"# SRTP bob {node_keys.of_call('c7')}\n"
    assert [one.master for one in opened.directions(said)] == [BOB], "the last call of that name"
    assert node_keys.of_call("c8") == "" and node_keys.of_call(None) == ""


def test_an_ipv6_packet_says_its_new_length() -> None:
    before = packets.frame("udp", ("2001:db8::1", 4000), ("2001:db8::2", 5000), b"x" * 30)
    after = opened._carrying(before, b"x" * 30, b"y" * 20)
    assert after == packets.frame("udp", ("2001:db8::1", 4000), ("2001:db8::2", 5000), b"y" * 20)
