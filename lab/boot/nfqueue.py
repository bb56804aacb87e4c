"""A netfilter queue over a raw netlink socket: packets' headers in, verdicts out.

Belongs here: linux/netfilter/nfnetlink_queue.h. Never: what the verdict on a packet is.
"""

import errno
import os
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lab.errors import RuntimeUnavailable

_SUBSYSTEM = 3 << 8  # NFNL_SUBSYS_QUEUE
_PACKET, _VERDICT, _CONFIG = (_SUBSYSTEM | kind for kind in (0, 1, 2))
_REQUEST, _ACK = 1, 4
_COMMAND, _PARAMETERS, _MAX_LENGTH = 1, 2, 3  # NFQA_CFG_*
_BIND, _COPY_PACKET = 1, 2
_HEADER, _TIMESTAMP, _PAYLOAD, _VERDICT_HEADER = 1, 4, 10, 2  # NFQA_*
_NETLINK_NETFILTER, _SO_RCVBUFFORCE, _SO_TIMESTAMP = 12, 33, 29  # linux/netlink.h, asm-generic/socket.h

HEADERS = 40  # bytes copied of each packet: IPv6's header, or IPv4's and more
LONGEST_QUEUE = 100_000  # packets the kernel holds for us: 20,000/s for five seconds
_RECEIVE_BUFFER = 32 << 20  # bytes, about 1 KB a packet: what may come in while the reader does not run

_NLMSG = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_SECONDS = struct.Struct("!QQ")
_PACKET_ID = struct.Struct("!I")
_ONE_VERDICT = struct.Struct("=IHHIIBBHHH")  # nlmsghdr, nfgenmsg, nlattr; the attribute's data follows
_BATCH = 256  # messages read, and verdicts given, at a time


class Packet(NamedTuple):
    """One packet that waits for its verdict."""

    number: int
    at: float
    """When it came, in seconds of time.monotonic()."""
    size: int
    """Bytes, from its IP header."""
    addresses: bytes
    """Source and destination, as they stand in the header."""


class Queue:
    """The reader's end of one netfilter queue. Raises RuntimeUnavailable where the kernel has none to give."""

    def __init__(self, number: int) -> None:
        self.overruns = 0
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        except OSError as error:
            raise _none(error.strerror or str(error)) from error
        self._socket.bind((0, 0))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        self._stamping = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stamping.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMP, 1)  # has the kernel stamp packets on arrival
        self._verdict = self._verdicts_prefix(number)
        self._configure(number, _COMMAND, struct.pack("!BxH", _BIND, 0))
        self._configure(number, _PARAMETERS, struct.pack("!IB", HEADERS, _COPY_PACKET))
        self._configure(number, _MAX_LENGTH, struct.pack("!I", LONGEST_QUEUE))
        self._socket.setblocking(False)
        self._buffer = bytearray(4096)

    def fileno(self) -> int:
        """For select."""
        return self._socket.fileno()

    def read(self) -> Iterator[Packet]:
        """Packets that wait to be read, at most some hundreds."""
        now = time.monotonic()
        offset = now - time.time()
        buffer, receive = self._buffer, self._socket.recv_into
        for _ in range(_BATCH):
            try:
                length = receive(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.overruns += 1  # the kernel dropped packets, and goes on
                continue
            packet = parse(buffer, length, now, offset)
            if packet is not None:
                yield packet

    def give(self, verdicts: Iterable[tuple[int, bool]]) -> None:
        """Let packets go on, or drop them, in this order."""
        prefix, tail = self._verdict, _VERDICT_DATA
        messages = [prefix + tail.pack(goes_on, number) for number, goes_on in verdicts]
        for first in range(0, len(messages), _BATCH):
            self._socket.send(b"".join(messages[first : first + _BATCH]))

    @staticmethod
    def _verdicts_prefix(number: int) -> bytes:
        return _ONE_VERDICT.pack(32, _VERDICT, _REQUEST, 0, 0, 0, 0, socket.htons(number), 12, _VERDICT_HEADER)

    def _configure(self, number: int, attribute: int, data: bytes) -> None:
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, number) + _ATTRIBUTE.pack(4 + len(data), attribute) + data
        body += bytes(-len(body) % 4)
        self._socket.send(_NLMSG.pack(16 + len(body), _CONFIG, _REQUEST | _ACK, 0, 0) + body)
        while True:
            answer = self._socket.recv(4096)
            if _NLMSG.unpack_from(answer)[1] == 2:  # NLMSG_ERROR; a packet may come before it
                break
        error = -struct.unpack_from("=i", answer, 16)[0]
        if error:
            raise _none(os.strerror(error))


def _none(why: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(f"this kernel gives no netfilter queue, in which links hold packets back ({why})")


_VERDICT_DATA = struct.Struct("!II")  # nfqnl_msg_verdict_hdr: NF_DROP is 0, NF_ACCEPT 1


def parse(buffer: bytearray, length: int, now: float, offset: float) -> Packet | None:
    """A message of the kernel; None where it is no packet. `offset` turns the wall clock into the monotonic one."""
    if _NLMSG.unpack_from(buffer)[1] != _PACKET:
        return None
    at, number, stamp = 20, -1, 0.0  # behind nlmsghdr and nfgenmsg
    while at + 4 <= length:
        size, kind = _ATTRIBUTE.unpack_from(buffer, at)
        if kind == _PAYLOAD:
            break
        if kind == _HEADER:
            (number,) = _PACKET_ID.unpack_from(buffer, at + 4)
        elif kind == _TIMESTAMP:
            seconds, microseconds = _SECONDS.unpack_from(buffer, at + 4)
            stamp = seconds + microseconds * 1e-6
        at += (size + 3) & ~3
    at += 4
    arrived = stamp + offset if stamp else now
    if buffer[at] >> 4 == 4:
        return Packet(number, arrived, (buffer[at + 2] << 8) + buffer[at + 3], bytes(buffer[at + 12 : at + 20]))
    return Packet(number, arrived, (buffer[at + 4] << 8) + buffer[at + 5] + 40, bytes(buffer[at + 8 : at + 40]))


if __name__ == "__main__":  # `lab doctor` asks whether the kernel has one
    try:
        Queue(1)
    except (RuntimeUnavailable, OSError) as refusal:
        sys.exit(str(refusal))
