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
OPENED_S = 10.0  # by then whoever is to ask has come
OPENINGS = 5  # packets that open a mapping: a link that loses 5 % loses all of them once in three million times


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sender(address: str) -> socket.socket:
    """Sends with DF, whatever the kernel remembers of the path's MTU."""
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    # IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: IP_PMTUDISC_PROBE
    level, option = (socket.IPPROTO_IPV6, 23) if ":" in address else (socket.IPPROTO_IP, 10)
    sock.setsockopt(level, option, 3)
    return sock


def send(address: str, port: str, count: str, rate: str, size: str) -> None:
    """Say "sending", then send `count` UDP packets of `size` bytes of payload, `rate` a second (0: at once)."""
    sock = sender(address)
    sock.connect((address, int(port)))
    train(sock, int(count), int(rate), int(size))


def answer(address: str, port: str, count: str, rate: str, size: str) -> None:
    """Say "waiting", and send the same to whoever sends a packet here first: through the mapping that let it out."""
    sock = sender(address)
    sock.bind((address, int(port)))
    sock.settimeout(OPENED_S)
    say("waiting")
    _, source = sock.recvfrom(2048)
    sock.settimeout(None)
    sock.connect(source)
    train(sock, int(count), int(rate), int(size))


def train(sock: socket.socket, count: int, rate: int, size: int) -> None:
    filling = bytes(size - STAMP.size)
    say("sending")
    begin = time.monotonic()
    late = 0
    for number in range(count):
        if rate:
            wait = begin + number / rate - time.monotonic()
            if wait > 0:
                time.sleep(wait)  # the traffic's pace
            late += wait < -0.01
        try:
            sock.send(STAMP.pack(number, time.time_ns()) + filling)
        except OSError as error:  # refused on the way: an ICMP error that came back
            say({"sent": number, "error": error.strerror})
            return
    say({"sent": count, "seconds": time.monotonic() - begin, "late": late})


def receive(address: str, port: str, asked: str = "") -> None:
    """Take packets until stdin ends and none has come for QUIET_S. `asked`: who answers, at the same port.

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
    for _ in range(OPENINGS if asked else 0):
        sock.sendto(b"", (asked, int(port)))
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
    {"send": send, "answer": answer, "receive": receive}[order](*arguments)
