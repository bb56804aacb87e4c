"""Every parser that reads what somebody else has written: each takes any bytes, or refuses them as it says it does.

A target raises nothing for whatever bytes; what was read is written and read again where the parser has a counterpart.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping
from functools import cache, partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab import internet, links, nat
from lab.errors import ConfigError, EvidenceError, ProtocolError
from lab.evidence import filed, opened, pcap, pcapng, whole
from lab.harness.feeding import Feed
from lab.links import units
from lab.links.notation import write
from lab.media.srtp import MediaKeys, Protector
from lab.node.control import ControlServer, Order
from lab.node.proxy import HttpProxy
from lab.overlay.sealing import fill, seal, unfill, unseal
from lab.topology import parse
from lab.topology.document import part_of
from lab.wire import messages
from lab.wire.addresses import pack_address, unpack_address, unpack_xor_address
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import encode
from lab.wire.rtp import RtpPacket
from lab.wire.stun import Kind, Method, StunMessage, StunStream, is_stun, verify
from tests.fuzz import programs
from tests.fuzz.target import Target, text

COMPOSE = Path(__file__).parents[2] / "compose"
KEY, SIGNATURE, TRANSACTION = bytes(range(32)), bytes(64), bytes(12)
RTP_SEALED = Protector(MediaKeys(KEY[:30], KEY[:30])).protect(RtpPacket(111, 1, 2, 3, b"words").encode())
PRIVATE = X25519PrivateKey.from_private_bytes(KEY)
PUBLIC = PRIVATE.public_key().public_bytes_raw()
LIMIT = 400
"""Bytes of a frame that the fuzzed deframers allow."""


# -- what comes over the network -----------------------------------------------------------------------------------


def srtp(data: bytes) -> None:
    sender = opened.Direction("bob", KEY[:30])
    sender.opened(data)
    sender.opened(data[:1] + RTP_SEALED[1:])


def stun(data: bytes) -> None:
    is_stun(data)
    verify(data, KEY)
    with contextlib.suppress(ProtocolError):
        message = StunMessage.parse(data)
        with contextlib.suppress(ProtocolError):  # what is read may be longer than what this side writes
            assert StunMessage.parse(message.encode(KEY)) == StunMessage.parse(message.encode()), "written, read anew"


def stream(make: Callable[[], Any], data: bytes) -> None:
    """Cut at every byte or not at all, a stream gives the same, and never holds more than its limit."""
    whole, cut = make(), make()
    found: list[list[bytes]] = [[], []]
    refusals = [0, 0]
    for index, (deframer, pieces) in enumerate(
        ((whole, [data]), (cut, [data[at : at + 1] for at in range(len(data))]))
    ):
        try:
            for piece in pieces:
                found[index] += deframer.feed(piece)
                assert deframer.pending <= LIMIT + 24, "it holds more than its limit"
        except ProtocolError:
            refusals[index] = 1
    assert refusals[0] == refusals[1], "refused in one piece alone"
    assert refusals[0] or found[0] == found[1], "cut otherwise, read otherwise"


def message(decode: Callable[[bytes], msgspec.Struct], data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        read = decode(data)
        assert encode(decode(encode(read))) == encode(read), "written, read anew"


def seen(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        hosts = messages.decode_seen(data)
        assert messages.decode_seen(encode(hosts)) == hosts, "written, read anew"


def sealed(data: bytes) -> None:
    """As it comes, which opens for none but the seed; and as if it had been opened."""
    with contextlib.suppress(ProtocolError):
        assert unseal(data, PRIVATE, b"") == b"word", "opened, and never sealed"
    with contextlib.suppress(ProtocolError):
        assert fill(unfill(data)) == data, "read, and written otherwise"


def token(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        whole, grant = messages.decode_token(data)
        assert messages.decode_token(encode(whole))[1] == grant


def rtp(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        packet = RtpPacket.parse(data)
        assert RtpPacket.parse(packet.encode()) == packet, "written, read anew"


def address(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert unpack_address(pack_address(unpack_address(data))) == unpack_address(data)
    with contextlib.suppress(ProtocolError):
        unpack_xor_address(data, TRANSACTION)


# -- what the harness, a user or a capture brings --------------------------------------------------------------------


class _Ear:
    """A conversation's writer, of which nothing but its last line is kept."""

    said = b""

    def is_closing(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.said = data


def order(data: bytes) -> None:
    def handler(asked: Order, _: object) -> Order:
        raise ConfigError(f"unknown order {asked.get('order')!r}")

    answer = ControlServer(handler)._answer(data, None)  # type: ignore[arg-type]
    assert answer["ok"] is False
    json.dumps(answer, default=str)


def link(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        read = links.entries(text(data))
        assert [one.site for one in links.entries(write(read))] == [one.site for one in read], "written, read anew"


def figure(data: bytes) -> None:
    for read in (units.parse_time, units.parse_share, units.parse_rate, units.parse_size):
        with contextlib.suppress(ConfigError):
            read(text(data))


def axes(data: bytes) -> None:
    for preset in ("linux", "symmetric", "open"):
        with contextlib.suppress(ConfigError):
            nat.profile(preset, text(data))


def routes(data: bytes) -> None:
    for read in (internet.routes, internet.routes6, internet.addresses):
        with contextlib.suppress(ConfigError):
            read(text(data))


def proxy(data: bytes) -> None:
    with contextlib.suppress(ConfigError):
        HttpProxy.named(text(data)).serves("203.0.113.5")


@cache
def folder() -> "tempfile.TemporaryDirectory[str]":
    """Where a file is written for those that read files; base.yml and .env are beside it."""
    place = tempfile.TemporaryDirectory(prefix="fuzz-")
    for name in ("base.yml", ".env"):
        (Path(place.name) / name).write_bytes((COMPOSE / name).read_bytes())
    return place


def topology(data: bytes) -> None:
    file = Path(folder().name) / "fuzzed.yml"
    file.write_bytes(data)
    with contextlib.suppress(ConfigError):
        parse(file)


def capture(data: bytes) -> None:
    file = Path(folder().name) / "fuzzed.pcap"
    file.write_bytes(data)
    with contextlib.suppress(EvidenceError):
        pcap.read(file, "core")


def captured_live(data: bytes) -> None:
    """What comes of a capture while it comes, to rows and to a pipe; the same whether at once or byte by byte."""
    here = parse(COMPOSE / "reference.yml", {})
    nodes = [here.node("home-router"), here.node("core")]
    found = []
    for step in (max(1, len(data)), 1):
        piped: list[bytes] = []
        feed = Feed(here, nodes, True, [piped.extend])
        with contextlib.suppress(EvidenceError):
            for at in range(0, len(data), step):
                for node in nodes:
                    feed.hear(node.name, data[at : at + step], 0.0)
        found.append((sorted(feed.due(0.0, over=True), key=repr), sorted(piped)))
    assert found[0] == found[1]


def one_file(data: bytes) -> None:
    file = Path(folder().name) / "fuzzed.pcapng"
    file.write_bytes(data)
    for named in (None, ("bob", "frank", None), (IPv4Address("203.0.113.5"), IPv4Address("203.0.113.6"), None)):
        with contextlib.suppress(ConfigError, EvidenceError):
            filed.verdict(file, named)


PLACES = {"core": "core", "home lan": "home-router"}


def of_a_lab() -> bytes:
    """The smallest file that says all that a lab's file says."""
    here = parse(COMPOSE / "reference.yml", {})
    setting = whole.Setting("c1", "bob", "frank", 0.0, 9.0, part_of(here, ("bob", "frank"))).to_json()
    return _of_a_lab(setting | {"packets": 2, "places": PLACES})


def of_no_call() -> bytes:
    """The same of a lab's file that nobody called in."""
    return _of_a_lab(json.loads(whole.watched(parse(COMPOSE / "reference.yml", {}), PLACES)[1]))


def _of_a_lab(about: Any) -> bytes:
    seen = [pcapng.PacketRecord(number, 9, 48, PCAP[40:], ("invite",), True) for number in (0, 1)]
    return b"".join(
        [
            pcapng.section(("for people", json.dumps(about)), "fuzz"),
            *(pcapng.interface(pcapng.Interface(276, name)) for name in ("core", "home lan")),
            *map(pcapng.packet, seen),
            pcapng.lost(pcapng.Lost(0, 1)),
        ]
    )


CREDENTIAL = messages.Credential("bob", KEY, 2e9, SIGNATURE)
OFFER = messages.RelayOffer("relay-1", ("203.0.113.21",), 33034, (443,), b"token")
NEAR = messages.Candidate("host", "udp", ("192.168.32.10", 4000))
INVITE = messages.Invite(1, 1.8e9, CREDENTIAL, KEY)
NETWORK = messages.Network(True, "none", ports=(1, 2))
RINGING = messages.Ringing(1, CREDENTIAL, KEY, (NEAR,), KEY, KEY, NETWORK)
TOLD = messages.Trickle(2, (NEAR,), NETWORK)
ENVELOPE = messages.Envelope("bob", "carol", "c1.x", encode(INVITE), SIGNATURE)
LOCATION = messages.Location(CREDENTIAL, "supernode-1", 1.8e9, KEY, SIGNATURE)
GRANT = messages.RelayGrant("c1.x", "relay-1", 0, 1.8e9)
REQUEST = StunMessage(Method.BINDING, Kind.REQUEST, TRANSACTION, username="c1.x")
ANSWER = StunMessage(Method.BINDING, Kind.SUCCESS, TRANSACTION, xor_mapped=("203.0.113.5", 4000), software="lab")
ERROR = StunMessage(Method.BINDING, Kind.ERROR, TRANSACTION, error=(420, "no"), unknown=(3,))
WORD = StunMessage(Method.BIND, Kind.INDICATION, TRANSACTION, leaving=True)
STUN = (REQUEST.encode(KEY), ANSWER.encode(), ERROR.encode(fingerprint=True), WORD.encode())
PCAP = (
    b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00" + bytes(8) + b"\x00\x00\x04\x00" + (276).to_bytes(4, "little")
    + bytes(8) + b"\x30\x00\x00\x00" * 2
    + b"\x08\x00" + bytes(18) + b"\x45\x00\x00\x1c" + bytes(5) + b"\x11" + bytes(2) + bytes(range(8)) + bytes(8)
)  # fmt: skip
HUB = (
    messages.Challenge(CREDENTIAL, KEY),
    messages.Hello("client", CREDENTIAL, SIGNATURE, at=1.8e9, location=SIGNATURE, sealing=KEY),
    messages.Carry(ENVELOPE, True, (OFFER,)),
    messages.Carry(ENVELOPE, seen=messages.Sealed(KEY, b"sealed")),
    messages.Located((LOCATION,)),
    messages.Welcome(("203.0.113.5", 4000), (("203.0.113.11",),)),
    messages.Relays((messages.RelayEntry("relay-1", ("203.0.113.21",), 33034, (443,), 1, 2, True),)),
    messages.Ping(3, 1.0, 17),
    messages.Reflect(("203.0.113.5", 1), ("203.0.113.5", 2), TRANSACTION, True, 100),
)
YAML = tuple(
    b"2001-99-99 &x *x 0x_ !!int !!timestamp << ? ${A ${A:?no} $$ 9:99 .inf - | > --- extends lab.role".split()
)
SMALL = b"""
x-home: &home {lab.site: home, lab.profile: linux, lab.axes: "udp-timeout=20", lab.firewall: none}
x-bridge: &bridge
  driver: bridge
  driver_opts:
    com.docker.network.bridge.enable_ip_masquerade: "false"
    com.docker.network.bridge.gateway_mode_ipv4: nat-unprotected
networks:
  internet:
    <<: *bridge
    labels: {lab.network: internet}
    ipam: {config: [{subnet: "203.0.113.0/24", gateway: "203.0.113.254"}]}
  home:
    <<: *bridge
    labels: {lab.network: site, lab.site: home}
    ipam: {config: [{subnet: "192.168.36.0/24", gateway: "192.168.36.254"}]}
services:
  core:
    extends: {file: base.yml, service: core}
    hostname: core
    labels: {lab.node: core}
    environment: {LAB_LINKS: "home 203.0.113.36 delay=10ms"}
    networks: {internet: {ipv4_address: "${LAB_INTERNET}.1"}}
  authority:
    extends: {file: base.yml, service: authority}
    hostname: authority
    labels: {lab.node: authority}
    networks: {internet: {ipv4_address: "${LAB_INTERNET}.5"}}
  home-router:
    extends: {file: base.yml, service: router}
    hostname: home-router
    labels: {<<: *home, lab.node: home-router}
    environment: *home
    networks: {internet: {ipv4_address: "203.0.113.36"}, home: {ipv4_address: "192.168.36.1"}}
"""
TARGETS: Mapping[str, Target] = {
    "srtp": Target(srtp, (RTP_SEALED,)),
    "stun": Target(stun, STUN),
    "stun-stream": Target(partial(stream, lambda: StunStream(LIMIT)), (STUN[0] + STUN[1], STUN[2])),
    "media-frames": Target(partial(stream, lambda: LengthPrefixed(2, LIMIT)), (frame(b"voice", 2) * 3,)),
    "signalling-frames": Target(partial(stream, lambda: LengthPrefixed(4, LIMIT)), (frame(b"word", 4) * 3,)),
    "hub-message": Target(partial(message, messages.decode_hub), tuple(map(encode, HUB))),
    "authority-message": Target(
        partial(message, messages.decode_authority),
        (encode(messages.Enrol("bob", KEY, SIGNATURE)), encode(messages.Enrolled(CREDENTIAL))),
    ),
    "envelope-body": Target(
        partial(message, messages.decode_body),
        (encode(INVITE), encode(messages.Withdrawn(2)), encode(messages.Sealed(KEY, seal(b"word", PUBLIC, b"")))),
    ),
    "sealed": Target(sealed, (seal(b"word", PUBLIC, b""), fill(b"word"), fill(bytes(300)))),
    "call-message": Target(
        partial(message, messages.decode_call),
        (encode(RINGING), encode(TOLD), encode(messages.Answer(3)), encode(messages.Bye(2, "no", 5))),
    ),
    "seen": Target(seen, (encode(("203.0.113.5", "2001:db8::5")), encode(()))),
    "envelope": Target(partial(message, messages.decode_envelope), (encode(ENVELOPE),)),
    "relay-token": Target(
        token, (encode(messages.RelayToken(encode(GRANT), "supernode-1", KEY, 2e9, SIGNATURE, SIGNATURE)),)
    ),
    "rtp": Target(rtp, (RtpPacket(111, 1, 2, 3, b"voice", True, ((1, b"\x20"), (2, b"abc"))).encode(),)),
    "address": Target(address, (pack_address(("203.0.113.5", 4000)), pack_address(("2001:db8::5", 1)))),
    "order": Target(
        order, (b'{"order": "call", "id": 1, "callee": "bob"}', b'{"id": [[1]]}'), (b"[" * 3000, b'{"a":' * 3000)
    ),
    "link": Target(
        link,
        (
            b"home 203.0.113.32,2001:db8::1 delay=10ms up.rate=1mbit up.queue=9ms; flat 203.0.113.33 mtu=1492",
            b"home 203.0.113.32 toward.flat.loss=5%; flat 203.0.113.33 burst=1%,2% blackhole=yes delay=9ms jitter=1ms",
        ),
    ),
    "figure": Target(figure, (b"50ms", b"1.5s", b"5%", b"512kbit", b"64kb")),
    "axes": Target(axes, (b"udp-timeout=20 tcp-filtering=address-dependent", b"hairpinning=yes ports=1024-2047")),
    "routes": Target(
        routes, (b"198.51.100.16/28 via 203.0.113.31, 2001:db8:2::/64 via 2001:db8:1::31", b"203.0.113.64")
    ),
    "proxy": Target(proxy, (b"http://name:word@192.168.40.3:3128", b"proxy:8080")),
    "topology": Target(topology, (SMALL, b"services: {a: {extends: {service: b}}}"), YAML),
    "capture": Target(capture, (PCAP,)),
    "captured-live": Target(captured_live, (PCAP,)),
    "one-file": Target(
        one_file, (of_a_lab(), of_no_call(), PCAP), (b"\x0a\x0d\x0d\x0a", b"\x06\x00\x00\x00", b'"places"')
    ),
    **programs.TARGETS,
}
