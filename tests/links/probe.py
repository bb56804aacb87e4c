"""One-way probes: a sender and a receiver on one clock; the source of this file is run inside a node as `python3 -c`.

Belongs here: standard library, one JSON line per answer. Never: lab code, judgement.
"""

import json
import socket
import struct
import sys
import threading
import time

SO_TIMESTAMPNS = 35  # asm-generic/socket.h: the kernel says when a packet came, whenever the receiver gets to it
STAMP = struct.Struct("!Iq")  # number of the packet, nanoseconds of the wall clock at which it was sent

QUIET_S = 0.7  # longer than any packet of these tests is under way


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def send(address: str, port: str, count: str, rate: str, size: str) -> None:
    """Say "sending", then send `count` UDP packets of `size` bytes of payload, `rate` a second (0: at once)."""
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    # With DF, whatever the kernel remembers of the path's MTU; IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: IP_PMTUDISC_PROBE.
    level, option = (socket.IPPROTO_IPV6, 23) if ":" in address else (socket.IPPROTO_IP, 10)
    sock.setsockopt(level, option, 3)
    sock.connect((address, int(port)))
    filling = bytes(int(size) - STAMP.size)
    say("sending")
    begin = time.monotonic()
    late = 0
    for number in range(int(count)):
        if int(rate):
            wait = begin + number / int(rate) - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # the traffic's pace
            late += wait < -0.01
        try:
            sock.send(STAMP.pack(number, time.time_ns()) + filling)
        except OSError as error:  # refused on the way: an ICMP error that came back
            say({"sent": number, "error": error.strerror})
            return
    say({"sent": int(count), "seconds": time.monotonic() - begin, "late": late})


def receive(address: str, port: str) -> None:
    """Take packets until stdin ends and none has come for QUIET_S.

    Says "listening", and at last [[number, one-way delay in ms], ...].
    """
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    sock.bind((address, int(port)))
    sock.settimeout(QUIET_S)
    heard: list[tuple[int, float]] = []
    told = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        told.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    say("listening")
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(2048, 64)
        except TimeoutError:
            if told.is_set():
                break
            continue
        number, sent = STAMP.unpack_from(data)
        seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
        heard.append((number, (seconds * 1_000_000_000 + nanoseconds - sent) / 1e6))
    say([(number, round(delay, 4)) for number, delay in heard])


if __name__ == "__main__":
    order, *arguments = sys.argv[1:]
    {"send": send, "receive": receive}[order](*arguments)
