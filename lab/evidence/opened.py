"""The voice of a call in the clear, from a file that holds its packets and its media keys: RTP that any tool plays.

SRTP (RFC 3711) with AES-128 in counter mode and HMAC-SHA1 of 80 bits, as the comment lines of the file's key log name
it (RFC 4568, 6.2.1 and 9.1):

    # SRTP bob AES_CM_128_HMAC_SHA1_80 inline:BASE64 of the master key and salt with which bob sends

Belongs here: opening packets, and a file of them. Never: verdicts; none needs a key.
"""

import base64
import hmac
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from lab.errors import ConfigError
from lab.evidence import pcapng
from lab.evidence.pcap import LINUX_SLL2, Decoder

OPENED = "the voice of a call in the clear, as {place} saw it pass"
_LINE = re.compile(r"^# SRTP (\S+) AES_CM_128_HMAC_SHA1_80 inline:(\S+)$", re.MULTILINE)
_KEY, _SALT, _TAG = 16, 14, 10
_CIPHER, _AUTHENTICATION, _SALTING = 0, 1, 2  # RFC 3711, 4.3.2
_IP, _UDP = 20, 8
"""Where an IP header begins in a frame of SLL2, and the bytes of one of UDP."""


@dataclass
class Direction:
    """Opens one sender's packets, in the order of time. `sender`: its node. Raises ValueError for what is no key."""

    sender: str
    master: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.master) != _KEY + _SALT:
            raise ValueError(f"an SRTP key has {len(self.master)} bytes, expected {_KEY + _SALT}")
        self._key, self._salt = self._derived(_CIPHER, _KEY), self._derived(_SALTING, _SALT)
        self._tag_key = self._derived(_AUTHENTICATION, 20)
        self._highest: dict[int, int] = {}

    def _derived(self, label: int, size: int) -> bytes:
        """RFC 3711, 4.3.1, with a key derivation rate of 0."""
        start = int.from_bytes(self.master[_KEY:]) ^ label << 48
        return _stream(self.master[:_KEY], start << 16, size)

    def opened(self, packet: bytes) -> bytes | None:
        """The RTP packet within an SRTP packet; None for one of another key, or none."""
        begin = _header(packet)
        if begin is None or len(packet) < begin + _TAG:
            return None
        sequence, ssrc = struct.unpack_from("!H4xI", packet, 2)
        index = self._index(ssrc, sequence)
        body, tag = packet[:-_TAG], packet[-_TAG:]
        if not hmac.compare_digest(
            hmac.digest(self._tag_key, body + struct.pack("!I", index >> 16), "sha1")[:_TAG], tag
        ):
            return None
        self._highest[ssrc] = max(index, self._highest.get(ssrc, index))
        start = int.from_bytes(self._salt) << 16 ^ ssrc << 64 ^ index << 16  # 4.1.1
        stream = _stream(self._key, start, len(body) - begin)
        return body[:begin] + bytes(a ^ b for a, b in zip(body[begin:], stream, strict=True))

    def _index(self, ssrc: int, sequence: int) -> int:
        """The packet's index, by the highest seen (3.3.1)."""
        highest = self._highest.get(ssrc)
        if highest is None:
            return sequence
        around = ((highest >> 16) + turn << 16 | sequence for turn in (-1, 0, 1))
        return min((one for one in around if one >= 0), key=lambda one: abs(one - highest))


def _stream(key: bytes, start: int, size: int) -> bytes:
    """AES in counter mode from a counter on."""
    cipher = Cipher(algorithms.AES128(key), modes.CTR(start.to_bytes(16))).encryptor()
    return cipher.update(bytes(size))


def _header(packet: bytes) -> int | None:
    """Bytes of an RTP header with its sources and extensions; None for what is no RTP (RFC 5761, 4, RTCP among it)."""
    if len(packet) < 12 or packet[0] >> 6 != 2 or 64 <= packet[1] & 0x7F <= 95:
        return None
    size = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        if len(packet) < size + 4:
            return None
        size += 4 + 4 * int.from_bytes(packet[size + 2 : size + 4])
    return size if size <= len(packet) else None


def directions(log: str) -> list[Direction]:
    """Those whose keys a key log holds; a line that is none is passed over."""
    found = []
    for sender, text in _LINE.findall(log):
        try:
            found.append(Direction(sender, base64.b64decode(text, validate=True)))
        except ValueError:
            continue
    return found


def write(file: Path, target: Path) -> int:
    """Write the voice of a call's file in the clear, from the place that saw most of it; returns how many packets.

    Raises ConfigError where there is no key in it, or no voice over UDP that one opens; OSError where it cannot be
    written.
    """
    try:
        blocks = [block for _, block in pcapng.blocks(file.read_bytes())]
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from None
    except pcapng.Torn as error:
        raise ConfigError(f"{file}: it is no pcapng file, or torn: {error}") from None
    logs = [block.log for block in blocks if isinstance(block, pcapng.Keys)]
    if not directions("\n".join(logs)):
        raise ConfigError(f"{file} holds no media keys; `lab call --keys` writes them into --capture")
    opened = [(one, list(_opened(one, records, "\n".join(logs)))) for one, records in _by_place(blocks)]
    place, best = max(opened, key=lambda found: len(found[1]), default=(None, []))
    if place is None or not best:
        raise ConfigError(f"{file} holds no voice over UDP that its keys open; over TCP it cannot be written as such")
    with target.open("wb") as out:
        out.write(pcapng.section((OPENED.format(place=place.name),), "supernode-lab"))
        out.write(pcapng.interface(pcapng.Interface(LINUX_SLL2, place.name)))
        out.writelines(pcapng.packet(record) for record in best)
    return len(best)


def _by_place(blocks: Iterable[pcapng.Block]) -> list[tuple[pcapng.Interface, list[pcapng.PacketRecord]]]:
    """The packets of each interface that is of a lab's kind; every section numbers its own."""
    found: list[tuple[pcapng.Interface, list[pcapng.PacketRecord]]] = []
    first = 0
    for block in blocks:
        match block:
            case pcapng.Section():
                first = len(found)
            case pcapng.Interface():
                found.append((block, []))
            case pcapng.PacketRecord():
                found[first + block.interface][1].append(block)
    return [one for one in found if one[0].link == LINUX_SLL2]


def _opened(place: pcapng.Interface, records: Iterable[pcapng.PacketRecord], log: str) -> Iterator[pcapng.PacketRecord]:
    """Those of voice, with what they say in the clear; each sender's name is their comment."""
    senders, decoder = directions(log), Decoder("")
    for record in records:
        packet = decoder.decode(0.0, record.data, 0)
        if packet is None or packet.protocol != "udp" or packet.length != len(packet.payload):
            continue
        for one in senders:
            if (clear := one.opened(packet.payload)) is not None:
                frame = _carrying(record.data, packet.payload, clear)
                said = f"voice of {one.sender}"
                ticks = pcapng.micros(place, record.ticks)
                yield replace(record, interface=0, ticks=ticks, length=len(frame), data=frame, comments=(said,))
                break


def _carrying(frame: bytes, before: bytes, payload: bytes) -> bytes:
    """A frame of UDP with another payload than before: lengths fit it, and checksums, which none has made, are 0."""
    at = frame.index(before)
    head, shorter = bytearray(frame[:at]), len(before) - len(payload)
    lengths = [at - _UDP + 4, _IP + 2 if head[_IP] >> 4 == 4 else _IP + 4]
    for where in lengths:
        struct.pack_into("!H", head, where, struct.unpack_from("!H", head, where)[0] - shorter)
    struct.pack_into("!H", head, at - _UDP + 6, 0)
    if head[_IP] >> 4 == 4:
        struct.pack_into("!H", head, _IP + 10, 0)
    return bytes(head) + payload
