"""Packets of the reference lab as its places see them, for tests of what is said about them."""

from pathlib import Path

from lab.evidence.pcap import Direction, Endpoint, Packet, Protocol
from lab.topology import parse

TOPOLOGY = parse(Path(__file__).parents[2] / "compose" / "reference.yml", {})
IN, OUT = Direction.IN, Direction.OUT
BOB, HOME = "192.168.32.10:40000", "203.0.113.32:40000"
FRANK, FLAT = "192.168.33.10:50000", "203.0.113.33:50000"
COOKIE = bytes.fromhex("2112a442")
PRIORITY = b"\x00\x24\x00\x04" + bytes(4)
"""What makes a binding request a check (RFC 8445, 16.1)."""


def stun(kind: int = 1, transaction: bytes = b"a" * 12, attributes: bytes = PRIORITY) -> bytes:
    return kind.to_bytes(2, "big") + len(attributes).to_bytes(2, "big") + COOKIE + transaction + attributes


def seen(
    at: float,
    place: str,
    direction: Direction,
    source: str,
    destination: str,
    payload: bytes = stun(),
    protocol: Protocol = "udp",
    flags: int = 0,
    sequence: int = 7,
) -> Packet:
    ends = [Endpoint(host, int(port)) for host, _, port in (one.rpartition(":") for one in (source, destination))]
    return Packet(at, place, 1, direction, protocol, *ends, len(payload), payload, sequence, flags, 0)


def out_of_home(at: float, to: str, payload: bytes = stun()) -> list[Packet]:
    """One of bob's on its way out: both sides of his router, and core."""
    return [
        seen(at, "home-router", IN, BOB, to, payload),
        seen(at + 0.0001, "home-router", OUT, HOME, to, payload),
        seen(at + 0.0002, "core", IN, HOME, to, payload),
    ]
