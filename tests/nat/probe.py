"""What a test asks of the network from inside a node; its source is run there as `python3 -c`.

Belongs here: standard library, one JSON line per answer. Never: lab code, judgement.
"""

import json
import os
import select
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

PATIENCE_S = 1.0  # the lab answers within milliseconds; so long a silence is a drop


def say(value: object) -> None:
    print(json.dumps(value), flush=True)


def parse(endpoint: str) -> tuple[str, int]:
    address, _, port = endpoint.partition(":")
    return address, int(port)


def udp_socket(port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # a sender beside a reflector on its port
    sock.bind(("0.0.0.0", port))
    return sock


def reflect(*ports: str) -> None:
    """Answer UDP with the sender's address, and accept TCP, until stdin ends. Says "listening" once it does."""
    udp = [udp_socket(int(port)) for port in ports]
    tcp = [socket.create_server(("0.0.0.0", int(port))) for port in ports]
    say("listening")
    while True:
        ready, _, _ = select.select([*udp, *tcp], [], [])
        for sock in ready:
            if sock in udp:
                _, source = sock.recvfrom(2048)
                sock.sendto(f"{source[0]}:{source[1]}".encode(), source)
            else:
                connection, source = sock.accept()
                connection.sendall(f"{source[0]}:{source[1]}\n".encode())
                connection.close()


def udp(port: str, *endpoints: str) -> None:
    """How each reflector sees one local UDP port: {"address:port": "address:port" or null}."""
    seen: dict[str, str | None] = dict.fromkeys(endpoints)
    sock = udp_socket(int(port))
    sock.settimeout(PATIENCE_S)
    for endpoint in endpoints:
        sock.sendto(b"?", parse(endpoint))
    while None in seen.values():
        try:
            text, source = sock.recvfrom(2048)
        except TimeoutError:
            break
        seen[f"{source[0]}:{source[1]}"] = text.decode()
    say(seen)


def converse(port: str, endpoint: str) -> None:
    """Two-way traffic for longer than the two seconds after which Linux calls a UDP flow a stream."""
    sock = udp_socket(int(port))
    sock.settimeout(PATIENCE_S)
    end = time.monotonic() + 2.5
    while time.monotonic() < end:
        sock.sendto(b"?", parse(endpoint))
        sock.recvfrom(2048)
        time.sleep(0.1)  # the traffic's pace
    say("said")


def tcp(*endpoints: str) -> None:
    """What becomes of connections: {"address:port": "connected", "refused" or "silent"}."""
    with ThreadPoolExecutor(len(endpoints)) as pool:
        say(dict(zip(endpoints, pool.map(fate, endpoints), strict=True)))


def fate(endpoint: str) -> str:
    try:
        socket.create_connection(parse(endpoint), timeout=PATIENCE_S).close()
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return error.strerror or "failed"
    return "connected"


def listen(port: str, *endpoints: str) -> None:
    """Open towards reflectors, then take datagrams until one says "end".

    Says {"outside": [...]}, how the reflectors see the port, and at last {"heard": [[source, text], ...]}.
    """
    sock = udp_socket(int(port))
    sock.settimeout(PATIENCE_S)
    outside = []
    for endpoint in endpoints:
        sock.sendto(b"?", parse(endpoint))
        outside.append(sock.recvfrom(2048)[0].decode())
    sock.settimeout(None)
    say({"outside": outside})
    heard = []
    while not heard or heard[-1][1] != "end":
        text, source = sock.recvfrom(2048)
        heard.append((f"{source[0]}:{source[1]}", text.decode()))
    say({"heard": heard})


def send(port: str, endpoint: str, *texts: str) -> None:
    """Send datagrams, one a text, from a local port (beside whoever else has it)."""
    sock = udp_socket(int(port))
    for text in texts:
        sock.sendto(text.encode(), parse(endpoint))
    say("sent")


def stream(port: str, endpoint: str) -> None:
    """Send a datagram every two milliseconds from one port until stdin ends."""
    sock = udp_socket(int(port))
    say("streaming")
    while True:
        sock.sendto(b"stream", parse(endpoint))
        time.sleep(0.002)  # the traffic's pace


def stray_reset(source: str, endpoint: str) -> None:
    """Send a TCP reset that belongs to no connection (connection tracking calls it invalid)."""
    address, port = parse(endpoint)
    segment = bytearray(b"\x9c\x40" + port.to_bytes(2, "big") + b"\0\0\0\1\0\0\0\0" + b"\x50\x04\0\0" + b"\0\0\0\0")
    pseudo = socket.inet_aton(source) + socket.inet_aton(address) + b"\0\6" + len(segment).to_bytes(2, "big")
    data = bytes(pseudo) + bytes(segment)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    total = (total & 0xFFFF) + (total >> 16)
    segment[16:18] = (~((total & 0xFFFF) + (total >> 16)) & 0xFFFF).to_bytes(2, "big")
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.sendto(bytes(segment), (address, 0))
    say("sent")


def end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    order, *arguments = sys.argv[1:]
    if order in ("reflect", "listen", "stream"):
        threading.Thread(target=end_with_stdin, daemon=True).start()
    orders = {"reflect": reflect, "udp": udp, "converse": converse, "tcp": tcp, "listen": listen, "send": send}
    {**orders, "stream": stream, "stray-reset": stray_reset}[order](*arguments)
