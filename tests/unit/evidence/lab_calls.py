"""Calls of the world of packets with all that a lab's have: sides of routers apart, checks that nominate, a timeline.

Belongs here: how such a call would lie in its folder. Never: anything of the judge.
"""

import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from packet_world import IN, PLACES, RELAY, START, SUPERNODE, TOPOLOGY, World, relay, talk, write_pcap

from lab.evidence import pcapng
from lab.evidence.whole import Setting

LAN, WAN = 7, 9
SECONDS = 3.0


def stun(number: int, kind: int = 0x001, nominates: bool = False) -> bytes:
    """A check (0x001), its answer (0x101), a bind (0x2E0); `number` is the transaction's."""
    attributes = struct.pack("!HH", 0x25, 0) if nominates else struct.pack("!HHI", 0x24, 4, 1)
    return struct.pack("!HHI", kind, len(attributes), 0x2112A442) + struct.pack("!QI", number, 5) + attributes


def sealed(size: int) -> bytes:
    return b"\x17\x03\x03" + struct.pack("!H", size) + bytes(range(256))[: size % 250] + bytes(size - size % 250)


def files(world: World, folder: Path, extra: tuple[str, ...] = ()) -> dict[str, Path]:
    """A pcap a place, where a router's two sides have interfaces of their own, as they have in a lab."""
    found = {}
    for place in (*PLACES, *extra):
        frames = world.frames[place]
        if place.endswith("-router"):
            subnet = TOPOLOGY.lan_of(place.removesuffix("-router")).subnet

            def sided(data: bytes, subnet: Any = subnet) -> bytes:
                near = data[32:36] if data[10] == IN else data[36:40]
                return data[:4] + struct.pack("!I", LAN if ip_address(near) in subnet else WAN) + data[8:]

            frames = [(time, sided(data)) for time, data in frames]
        found[place] = write_pcap(folder / f"{place}.pcap", frames)
    return found


def word(world: World, number: int, at: float, client: str, to_client: bool) -> None:
    """One packet of TLS between a client and its supernode."""
    out = world.outer(client, "tcp", 50000, SUPERNODE)
    if to_client:
        world.send(at, "tcp", "supernode-1", SUPERNODE[1], out, sealed(200 + number))
    else:
        world.send(at, "tcp", client, 50000, SUPERNODE, sealed(300 + number))


def punched() -> tuple[World, list[dict[str, Any]]]:
    """bob calls frank: a first check that frank's router drops, checks, one that nominates, voice; and its timeline."""
    world = World()
    bob, frank = world.outer("bob", "udp", 4000, ("0.0.0.0", 0)), world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
    word(world, 0, START - 0.5, "frank", False)  # their connections stand
    word(world, 1, START - 0.5, "bob", False)
    for number, (client, to_client, at) in enumerate(
        [("bob", False, 0.001), ("frank", True, 0.011), ("frank", False, 0.02), ("bob", True, 0.03),
         ("frank", False, 0.52), ("bob", True, 0.53)]
    ):  # fmt: skip
        word(world, 10 + number, START + at, client, to_client)
    world.send(START + 0.025, "udp", "frank", 5000, bob, stun(1), lost="home-router")
    world.send(START + 0.040, "udp", "bob", 4000, frank, stun(2))
    world.send(START + 0.045, "udp", "frank", 5000, bob, stun(2, 0x101))
    for number in range(4):
        world.send(START + 0.06 + number / 50, "udp", "bob", 4000, frank, stun(10 + number, nominates=number > 1))
        world.send(START + 0.065 + number / 50, "udp", "frank", 5000, bob, stun(10 + number, 0x101))
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.6, SECONDS)
    return world, timeline("bob", "frank")


def moved() -> tuple[World, list[dict[str, Any]]]:
    """bob's call to frank begins at the relay, and is punched after 1.5 s."""
    world = World()
    world.send(START + 0.01, "udp", "bob", 4000, RELAY, stun(1, 0x2E0))
    relay(world, ("bob", 4000), ("frank", 5000), START + 0.6, 1.5)
    talk(world, ("bob", 4000), ("frank", 5000), START + 2.1, 2.0)
    return world, timeline("bob", "frank")


def timeline(caller: str, callee: str) -> list[dict[str, Any]]:
    def line(at: float, node: str, event: str, **more: Any) -> dict[str, Any]:
        return {"at": START + at, "node": node, "event": event, "call": "c1", **more}

    def carried(at: float, sender: str, recipient: str) -> dict[str, Any]:
        return line(at, "supernode-1", "carried", sender=sender, recipient=recipient, toward=recipient)

    return [
        line(0.0, caller, "dialled", callee=callee),
        carried(0.010, caller, callee),
        carried(0.029, callee, caller),
        line(0.518, callee, "answered"),
        carried(0.529, callee, caller),
    ]


def setting(caller: str = "bob", callee: str = "frank") -> Setting:
    return Setting("c1", caller, callee, START - 0.1, START + 5, TOPOLOGY)


def in_nanoseconds(data: bytes) -> bytes:
    """A call's file as a tool saves it anew that counts in nanoseconds."""
    saved, at = bytearray(data), 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == pcapng.INTERFACE:
            unit = data.index(struct.pack("<HHB", 9, 1, 6), at, at + length)  # if_tsresol
            saved[unit + 4] = 9
        elif kind == pcapng.PACKET:
            high, low = struct.unpack_from("<II", data, at + 12)
            struct.pack_into("<II", saved, at + 12, *divmod((high << 32 | low) * 1000, 1 << 32))
        at += length
    return bytes(saved)
