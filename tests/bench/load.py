"""Voice for many calls from one process: frames put on the cable, many by one system call; or bytes on connections.

Python has no sendmmsg: the C library's is called. Belongs here: sending at a pace. Never: relays, figures.
"""

import ctypes
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

PACKET_EVERY, SLICES = 0.02, 100
"""Seconds between two packets of one leg, and the parts in which a turn of all legs is sent.

Calls know nothing of one another, and their packets come one by one; more parts than this would keep the load's own
process from ever sleeping, and what it costs alone would no longer be what it costs beside a relay.
"""
BIND_EVERY = 500
"""Turns, ten seconds, after which a client binds anew while voice flows and none of it is missed: its router's mapping
must live (lab.overlay.leg). What it sends more in the first seconds of a call is a hundredth of a minute's packets."""
VOICE = bytes([0x80, 111]) + bytes(118)
"""An RTP packet of voice: 120 bytes."""


class _Slice(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):  # struct mmsghdr
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("slices", ctypes.POINTER(_Slice)),
        ("slice_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("sent", ctypes.c_uint),
    )


class Batch:
    """Frames that go out by one system call; built once."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.kept = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
        self.slices = (_Slice * len(frames))(*((ctypes.addressof(b), len(b)) for b in self.kept))
        self.messages = (_Message * len(frames))()
        for message, entry in zip(self.messages, self.slices, strict=True):
            message.slices, message.slice_count = ctypes.pointer(entry), 1

    def send(self, library: ctypes.CDLL, descriptor: int) -> None:
        if self.kept:
            library.sendmmsg(descriptor, self.messages, len(self.kept), 0)


def udp_frame(macs: bytes, source: tuple[str, int], to: tuple[str, int], data: bytes) -> bytes:
    """Ethernet, IPv4 and UDP with their checksums around `data`; `macs` are the receiver's and the sender's."""
    length = 8 + len(data)
    ends = socket.inet_aton(source[0]) + socket.inet_aton(to[0])
    udp = struct.pack("!HHHH", source[1], to[1], length, 0)
    total = _checksum(ends + struct.pack("!HH", 17, length) + udp + data) or 0xFFFF
    udp = struct.pack("!HHHH", source[1], to[1], length, total)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, 17, 0) + ends
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    return macs + b"\x08\x00" + head + udp + data


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def play(interface: str, voice: Sequence[bytes], binds: Sequence[bytes], seconds: float) -> None:
    """Sends every frame of voice each PACKET_EVERY, and the binds each BIND_EVERY turns."""
    library = ctypes.CDLL(None)
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    out.bind((interface, 0))
    batches = [Batch(voice[part::SLICES]) for part in range(SLICES)]
    steps = BIND_EVERY * SLICES
    asking = [Batch(binds[part::steps]) for part in range(steps)]
    start, step = time.monotonic(), 0
    while (due := step * PACKET_EVERY / SLICES) < seconds:
        if (ahead := start + due - time.monotonic()) > 0:
            time.sleep(ahead)
        batches[step % SLICES].send(library, out.fileno())
        asking[step % steps].send(library, out.fileno())
        step += 1


def stream(connections: Sequence[socket.socket], frames: Sequence[bytes], seconds: float) -> int:
    """Sends on every connection each PACKET_EVERY and reads all that comes; returns the bytes that came."""
    reading = select.epoll()
    by_number = {sock.fileno(): sock for sock in connections}
    for sock in connections:
        sock.setblocking(False)
        reading.register(sock, select.EPOLLIN)
    start, step, came = time.monotonic(), 0, 0
    pairs = list(zip(connections, frames, strict=True))
    while (due := step * PACKET_EVERY / SLICES) < seconds:
        while (ahead := start + due - time.monotonic()) > 0:
            for number, _ in reading.poll(ahead):
                came += len(by_number[number].recv(65536))
        for sock, frame in pairs[step % SLICES :: SLICES]:
            sock.send(frame)
        step += 1
    return came


if __name__ == "__main__":  # frames on standard input: a length of two bytes each, voice, an empty one, binds
    interface, seconds = sys.argv[1], float(sys.argv[2])
    piles: list[list[bytes]] = [[], []]
    pile, data, at = 0, sys.stdin.buffer.read(), 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 2], "big")
        if size:
            piles[pile].append(data[at + 2 : at + 2 + size])
        else:
            pile = 1
        at += 2 + size
    play(interface, *piles, seconds)
