"""Parsers inside the programs: what nodes, routers and probes hear, and what the judge reads of their packets.

As in targets.py, whose list this is a part of.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import Mapping
from functools import cache
from ipaddress import IPv4Interface, ip_network
from typing import Any
from unittest import mock

from lab.boot import attach, forwarding, mappings, router, rules
from lab.boot.core import Core
from lab.boot.nfqueue import parse
from lab.boot.router import Router
from lab.boot.shaping import Shaping
from lab.boot.wiring import Interface, Wiring
from lab.errors import EvidenceError, ProtocolError
from lab.evidence import sealed, sorts
from lab.evidence.claims import Claim
from lab.evidence.flows import Captures, Stream
from lab.evidence.media import bouts
from lab.evidence.pcap import Capture, Direction, Endpoint, Packet, Protocol
from lab.evidence.secrets import hello, randoms
from lab.evidence.unsealed import names
from lab.harness.events import parse_ended, parse_event, parse_key_changed
from lab.links import entries
from lab.links.emulator import Emulator
from lab.node import deputy
from lab.node.proxy import HttpProxy
from lab.node.sniffing import is_for_relay
from lab.overlay.actions import LinkInfo
from lab.overlay.loss import LossMeter
from lab.overlay.mapped_port import Gateway, MappedPort
from lab.overlay.whereabouts import Whereabouts
from lab.probe import stun as probe_stun
from lab.probe.crafting import MARK, craft
from lab.probe.reading import Reader
from lab.probe.train import MARK as TRAIN
from lab.probe.train import Arrivals
from lab.wire import pcp
from lab.wire.framing import frame
from lab.wire.messages import Ping, encode
from lab.wire.rtp import RtpPacket
from lab.wire.stun import Kind, Method, StunMessage
from tests.fuzz.target import Target, text
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.fakenet import Router as Nat

STRANGER = ("198.51.100.66", 1024)
TRANSACTION = bytes(12)

# -- what nodes hear -----------------------------------------------------------------------------------------------


def given(host: str, port: int, lifetime: int) -> None:
    """A router may say anything of the port that it gives."""
    actions = net().hosts["bob"].machine.actions
    here = MappedPort(Gateway(actions, Whereabouts(("192.168.32.10",))), port=4000)
    here.port_mapped(1, (host, port), lifetime, 0.0)
    actions.take()
    if here.outer is not None:
        assert 0 < here.outer[1] <= 0xFFFF, "a port that nobody can send to"
        encode(here.outer)


def mapped(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        answer = pcp.parse(data)
        given(*answer.outer, answer.lifetime)


def by_igd(data: bytes) -> None:
    """The address and the port as the library for UPnP has them: any text, any number."""
    host, _, port = text(data).partition(" ")
    try:
        number = int(port)
    except ValueError:  # which Igd takes for a refusal
        return
    given(host, number, 600)


def connected(data: bytes) -> None:
    """What a proxy answers to CONNECT, which ends where it does."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            (await HttpProxy(f"http://127.0.0.1:{port}").tunnel(("203.0.113.5", 443))).close()
        except OSError as error:
            json.dumps({"reason": str(error)}).encode()  # as it stands in the log
        finally:
            server.close()

    asyncio.run(asyncio.wait_for(story(), 5))


def first_frame(data: bytes) -> None:
    """Once that is known it stays, however much comes behind."""
    said = [is_for_relay(data[:size]) for size in range(min(len(data), 100) + 1)]
    known = next((size for size, one in enumerate(said) if one is not None), len(said))
    assert len(set(said[known:])) <= 1, "what a connection is for has changed"


def heard(data: bytes) -> None:
    """A packet of the voice, as far as losses are counted by it."""
    meter = LossMeter()
    for at in (0.0, 1.0, 4.0):
        meter.hear("path", data, at)
        meter.lost(at)


@cache
def net() -> FakeNet:
    """One node of each role, which have found one another."""
    here = FakeNet()
    here.authority()
    here.supernode(1)
    here.relay(1)
    here.client("bob", "192.168.32.10", Nat("203.0.113.32"))
    assert here.run(10, until=lambda: here.hosts["bob"].machine.hub.hub is not None)
    here.run(2)
    return here


LISTENERS = {
    "authority": ("enrolment",),
    "supernode-1": ("signalling", "stun"),
    "relay-1": ("relay",),
    "bob": ("media",),
}


def doors(data: bytes) -> None:
    """All that a stranger can reach: whatever he says there ends nobody."""
    for name, listeners in LISTENERS.items():
        machine, now = net().hosts[name].machine, net().now
        for listener in listeners:
            for said in (data, frame(data[:4000] or b" ", 4), frame(data[:4000], 2)):
                info = LinkInfo(("203.0.113.11", 443), STRANGER, None if listener == "stun" else b"")
                link = machine.accepted(listener, info, now)
                machine.link_data(link, said, now)
                machine.link_down(link, "it is over", now)
        for socket in list(machine.actions.sockets):
            machine.datagram(socket, data, STRANGER, now)
        machine.actions.take()


# -- what is said inside a container -------------------------------------------------------------------------------


def deputized(data: bytes) -> None:
    """The relay's orders to its deputy: none becomes a rule of which a word is not what it should be."""
    with contextlib.suppress(ProtocolError):
        order = deputy.read(data)
        assert isinstance(order, dict) and order["order"] in ("begin", "offload", "onload", "count")
        if order["order"] == "offload":
            assert not any(set(f"{host}{port}") & set(" \t\n;,{}\"'#\\$@") for host, port in order["legs"])
            assert type(order["rate"]) is int
        assert order["order"] == "begin" or type(order["session"]) is int


class _Still:
    """Holds nothing back."""

    by = "nfqueue"

    def apply(self, *_: object, **__: object) -> None:
        pass

    def status(self) -> dict[str, Any]:
        return {}


LINKS = "home 203.0.113.32 delay=10ms; park 203.0.113.31 up.rate=1mbit"
WAN = Interface(2, "wan0", IPv4Interface("203.0.113.32/24"))
LAN = Interface(3, "lan0", IPv4Interface("192.168.32.1/24"))


def ordered(data: bytes) -> None:
    """A line of the control socket of core, and of a router; the kernel does whatever it is asked for."""
    nothing = mock.DEFAULT
    plan = Wiring(WAN, LAN, (), ())
    with (
        mock.patch.multiple(attach, hold=nothing, forward=nothing, attach=mock.Mock(return_value=plan)),
        mock.patch.multiple(rules, load=nothing, forget=nothing, dropped=mock.Mock(return_value={})),
        mock.patch.multiple(router, readdress=nothing, PortMapping=nothing),
        mock.patch.multiple(router.mtu, set_up=nothing, set_down=nothing),
        mock.patch.multiple(router.memory, recall=mock.Mock(return_value={}), remember=nothing),
        mock.patch.multiple(mappings, NFCTSocket=mock.Mock(side_effect=OSError("no"))),
        mock.patch.object(mappings, "_kept", lambda: iter(())),
    ):
        shaping = Shaping(entries(LINKS), 7, lambda seed: _Still(), 2)  # type: ignore[arg-type,return-value]
        told = {"lab.site": "home", "lab.profile": "linux", "lab.firewall": "none"}
        for orders in (Core(plan, shaping).orders, Router.begin(plan, told).orders):
            said = forwarding.answer(data, orders)
            assert said["ok"] or said["error"], "a no says why"
            json.dumps(said)


def saved_rules(data: bytes) -> None:
    for rule, packets in rules.dropping(text(data)):
        assert rule and packets >= 0


def queued(data: bytes) -> None:
    """A packet as the kernel hands it to the process that holds packets back: its headers are a stranger's."""
    head = struct.pack("=HHI", 8, 10, 0)[:4]  # an attribute's length and type: NFQA_PAYLOAD
    number = struct.pack("=HH", 11, 1) + struct.pack("!IHBx", 7, 0x800, 0)
    message = struct.pack("=IHHII", 0, 3 << 8, 0, 0, 0) + bytes(4) + number + head + data[:40]
    buffer = bytearray(4096)
    buffer[: len(message)] = message
    packet = parse(buffer, len(message), 1.0, 0.0)
    assert packet is not None and packet.number == 7
    emulator = Emulator(1)
    emulator.become(entries(LINKS), {"home": [ip_network("203.0.113.32/32"), ip_network("2001:db8::/64")]}, 0.0)
    emulator.arrive(*packet)
    emulator.run(1e9)
    assert [one for one, _ in emulator.verdicts] == [7], "every packet is let go or dropped, once"


# -- what the judge reads ------------------------------------------------------------------------------------------


def _packets(data: bytes, protocol: Protocol, step: int) -> list[Packet]:
    """Those bytes in packets of one direction, 20 ms apart."""
    ends = Endpoint("192.168.32.10", 40000), Endpoint("203.0.113.11", 443)
    cut = [data[at : at + step] for at in range(0, len(data), step)] or [b""]
    return [
        Packet(0.02 * n, "core", 1, Direction.IN, protocol, *ends, len(part), part, n * step, part[0] if part else 0, n)
        for n, part in enumerate(cut)
    ]


def payload(data: bytes) -> None:
    """What one packet says of itself, of UDP and of TCP."""
    for protocol in ("udp", "tcp"):
        (packet,) = _packets(data, protocol, max(1, len(data)))  # type: ignore[arg-type]
        for flags in (0, packet.flags):
            sorts.tell(packet._replace(flags=flags))
        hello(packet)


def streamed(data: bytes) -> None:
    """A stream of TCP, whatever it carries: as records of TLS, frames of RFC 4571, or neither."""
    for step in (7, 60, max(1, len(data))):
        stream = Stream("core", "tcp", Endpoint("192.168.32.10", 40000), Endpoint("203.0.113.11", 443), Direction.IN)
        for packet in _packets(data, "tcp", step):
            stream.add(packet)
        sealed.sealed(stream)
        found = sealed.units(stream, 0.0, 1e9)
        assert sum(unit.size for unit in found) <= len(data), "more was carried than there is"
        sealed.likeness(found, found)
        for bout in bouts(stream, 0.0, 1e9):
            sealed.spoken(stream, bout)


def opened_by(data: bytes) -> None:
    """A key log and two halves of a connection, the second of which is the server's."""
    log, _, rest = data.partition(b"\n\n")
    there, _, back = rest.partition(b"\n\n")
    packets = [
        *_packets(there, "tcp", max(1, len(there))),
        *(
            one._replace(source=one.destination, destination=one.source, direction=Direction.OUT)
            for one in _packets(back, "tcp", 80)
        ),
    ]
    captures = Captures([Capture("core", packets, len(packets))])
    randoms(captures)
    names(captures, text(log))


def claimed(data: bytes) -> None:
    """What a client says of its call, to the harness and to the judge."""
    with contextlib.suppress(ValueError, RecursionError):  # no JSON: whoever reads the line says so
        said = json.loads(data)
        if not isinstance(said, dict):
            return
        with contextlib.suppress(EvidenceError):
            str(Claim.parse(said))
        with contextlib.suppress(ProtocolError):
            event = parse_event(said)
            parse_key_changed(event)
            parse_ended(event)


# -- what a probe hears --------------------------------------------------------------------------------------------


def probed(data: bytes) -> None:
    """A packet of the network. Scapy may raise anything, which the probe expects; the next packet is read all the same,
    and what is counted without scapy raises nothing."""
    Arrivals().take(data, 0)
    reader = Reader()
    with contextlib.suppress(Exception):
        reader.read(data)
    seen = reader.read(PROBE)
    assert seen is not None and seen["token"] == "a.1"


def probe_asked(data: bytes) -> None:
    answer = probe_stun.answer(data, STRANGER, ("203.0.113.5", 3478), ("203.0.113.5", "203.0.113.6"), (3478, 3479))
    if answer is not None:
        assert len(answer.data) <= len(data) + 100 and 0 <= answer.to[1] <= 0xFFFF


(PROBE,) = craft({"proto": "udp", "src": "203.0.113.5", "dst": "192.0.2.1", "sport": 5, "dport": 6, "token": "a.1"})
PCP_MAPPED = (
    bytes((2, 0x81, 0, 0)) + struct.pack("!II12x", 600, 1) + bytes(12) + bytes((17, 0, 0, 0))
    + struct.pack("!HH", 4000, 4001) + bytes(10) + b"\xff\xff" + bytes((203, 0, 113, 32))
)  # fmt: skip
PMP_MAPPED = bytes((0, 0x81, 0, 0)) + struct.pack("!IHHI", 1, 4000, 4001, 600)
PMP_ADDRESS = bytes((0, 0x80, 0, 0)) + struct.pack("!I", 1) + bytes((203, 0, 113, 32))
BIND = StunMessage(Method.BIND, Kind.REQUEST, TRANSACTION, username="c1.x").encode()
ASKED = StunMessage(Method.BINDING, Kind.REQUEST, TRANSACTION).encode()
VOICE = RtpPacket(111, 65_530, 2, 3, b"words").encode()
OFFLOAD = {"order": "offload", "session": 1, "legs": [["203.0.113.32", 4000], ["203.0.113.33", 4001]], "rate": 9000}
CHANGE = {"order": "link", "site": "home", "direction": "up", "changes": {"loss": "5%"}}
ENDED = {
    "event": "ended", "call": "c1", "node": "bob", "at": 1.8e9, "ok": True, "connected": True, "reason": "bye",
    "path": {"kind": "punched", "transport": "udp", "via": None}, "holds": [{"from": 1, "to": 2}],
    "history": [{"from": 1.0, "to": 2.0, "kind": "punched", "transport": "udp", "via": None}],
    "media": {"sent": 1, "received": 2, "lost": 0, "jitter_ms": 0.5, "rtt_ms": None},
    "contact": "carol", "before": "aa", "now": "bb", "from": 1.0, "to": 2.0, "kind": "punched", "transport": "udp",
}  # fmt: skip
CLIENT_HELLO = b"\x16\x03\x01\x00\x30\x01\x00\x00\x2c\x03\x03" + bytes(range(32)) + bytes(10)
SERVER_HELLO = b"\x16\x03\x03\x00\x2b\x02\x00\x00\x27\x03\x03" + bytes(32) + b"\x00\x13\x01" + bytes(2)
RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)
RANDOM = CLIENT_HELLO[11:43].hex().encode()
KEY_LOG = b"".join(side + b"_TRAFFIC_SECRET_0 " + RANDOM + b" " + b"0a" * 32 + b"\n" for side in (b"CLIENT", b"SERVER"))


def asked_with(*attributes: tuple[int, bytes]) -> bytes:
    body = b"".join(struct.pack("!HH", name, len(value)) + value + bytes(-len(value) % 4) for name, value in attributes)
    return struct.pack("!HHI12s", 1, len(body), probe_stun.COOKIE, TRANSACTION) + body


def in_json(*orders: Mapping[str, object]) -> tuple[bytes, ...]:
    return tuple(json.dumps(order).encode() for order in orders)


TARGETS: Mapping[str, Target] = {
    "pcp": Target(mapped, (PCP_MAPPED, PMP_MAPPED, PMP_ADDRESS)),
    "igd": Target(by_igd, (b"203.0.113.32 4001", b"203.0.113.32 70000", b" 4001", b"::1 0", b"203.0.113.32 -1")),
    "connect-answer": Target(
        connected,
        (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 403 Access violation\r\nServer: x\r\n\r\n"),
        (b"HTTP/", b"\r\n\r\n", b"\xff"),
    ),
    "first-frame": Target(first_frame, (frame(BIND, 2), frame(ASKED, 2), frame(b"voice", 2))),
    "loss": Target(heard, (VOICE,)),
    "doors": Target(doors, (BIND, ASKED, frame(BIND, 2), frame(encode(Ping()), 4), VOICE)),
    "deputy-order": Target(
        deputized,
        in_json(
            OFFLOAD,
            {"order": "begin"},
            {"order": "onload", "session": 1},
            {"order": "count", "session": 1},
        ),
        (b"[" * 3000, b"1; add table ip x", b"fe80::1%x", b"true", b"1e9"),
    ),
    "boot-order": Target(
        ordered,
        in_json(
            CHANGE,
            {"order": "set", "profile": "symmetric", "id": 1},
            {"order": "mtu", "mtu": 1492},
            {"order": "renew", "outer": "203.0.113.9"},
            {"order": "restore"},
            {"order": "status"},
            {"order": "address", "site": "park", "old": "203.0.113.31", "new": "203.0.113.9"},
            {"order": "metrics"},
            {"order": "tally", "protocol": "udp", "inner": ["192.168.32.10", 1], "remote": ["203.0.113.9", 2]},
        ),
        (b"[" * 3000, b"[1]", b"{}", b"null", b'"x"', b"1e99", b'"addresses": {"home": ["203.0.113.9"]}'),
    ),
    "saved-rules": Target(
        saved_rules,
        (b":INPUT DROP [12:800]\n[3:4] -A FORWARD -m comment --comment x -j DROP\n[1:2] -A x -j REJECT y\n",),
    ),
    "queued-packet": Target(queued, (PROBE, b"\x60" + bytes(4) + b"\x08\x11\x40" + bytes(32))),
    "payload": Target(
        payload, (BIND, ASKED, VOICE, frame(BIND, 2), frame(VOICE, 2), CLIENT_HELLO, b"\x80\xc8" + bytes(20))
    ),
    "tls-stream": Target(streamed, (CLIENT_HELLO + RECORD * 3, RECORD * 8, frame(VOICE, 2) * 8)),
    "key-log": Target(
        opened_by,
        (b"\n\n".join((KEY_LOG, CLIENT_HELLO + RECORD, SERVER_HELLO + RECORD * 2)),),
        (KEY_LOG, b"\n\n", RECORD),
    ),
    "claim": Target(
        claimed, (json.dumps(ENDED).encode(),), (b"[" * 3000, b"9" * 400, b"NaN", b"Infinity", b"null", b"[]")
    ),
    "probe-packet": Target(probed, (PROBE, PROBE[:28] + TRAIN + bytes(16), PROBE[:20] + MARK + b"a.1"), (TRAIN, MARK)),
    "probe-stun": Target(
        probe_asked,
        (
            ASKED,
            asked_with((0x0003, b"\0\0\0\x06"), (0x0027, b"\x10\x00\0\0"), (0x0026, bytes(8))),
            asked_with((3, b"")),
        ),
    ),
}
"""Each as `targets.TARGETS` has it."""
