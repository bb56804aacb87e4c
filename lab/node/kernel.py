"""UDP between the two legs of a session by the kernel: nftables at the ingress of the interfaces, addresses rewritten.

Belongs here: the rules, and reading what they counted. Never: who may have a session (the relay's machine), which
process this runs in (the deputy's).

Nothing is routed or tracked: what comes from a leg's address to the relay's port leaves for the other leg, from the
relay's own address. Binds, fragments and everybody else go on to the relay's socket, which so serves every session that
the kernel does not.
"""

import ctypes
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lab.errors import RuntimeUnavailable
from lab.node.netlink import Way, messages, way_to
from lab.wire.addresses import Address

TABLE = "relay"
# STUN's cookie, and the types of the method BIND (0x0f0) in its four classes (RFC 8489, 5): lab.wire.stun.Method.
# A list, for a mask that leaves the class out has holes, and nft 1.1.3 shows another one in its place.
_BIND = "@th,96,32 0x2112a442 @th,64,16 { 0x02e0, 0x02f0, 0x03e0, 0x03f0 }"

# linux/netfilter/nfnetlink.h and nf_tables.h
_NETFILTER, _NFPROTO_NETDEV = 12, 5
_NEWOBJ, _GETOBJ = 10 << 8 | 18, 10 << 8 | 19
_OBJ_TABLE, _OBJ_NAME, _OBJ_TYPE, _OBJ_DATA, _OBJECT_COUNTER = 1, 2, 3, 4, 1
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2
_HEADER = struct.Struct("=IHHIIBBH")  # nlmsghdr and nfgenmsg
_ATTRIBUTE = struct.Struct("=HH")
_NESTED = 0x3FFF  # NLA_TYPE_MASK


@dataclass(frozen=True)
class Counts:
    """Of one session by leg: datagrams had from it, how many of those passed the cap, and their bytes with headers."""

    had: tuple[int, int]
    passed: tuple[int, int]
    bytes: tuple[int, int]


def table(port: int) -> str:
    """An empty relay on UDP `port`; its table goes when the process that made it does (flags owner)."""
    return f"""
add table netdev {TABLE} {{ flags owner; }}
add map netdev {TABLE} from4 {{ type ipv4_addr . inet_service : verdict; }}
add map netdev {TABLE} from6 {{ type ipv6_addr . inet_service : verdict; }}
add chain netdev {TABLE} legs
add rule netdev {TABLE} legs udp dport != {port} accept
add rule netdev {TABLE} legs {_BIND} accept
add rule netdev {TABLE} legs ip frag-off & 0x3fff == 0 ip saddr . udp sport vmap @from4
add rule netdev {TABLE} legs exthdr frag missing ip6 saddr . udp sport vmap @from6
"""


def entrance(way: Way) -> str:
    """The hook at one interface."""
    chain = f"in{way.index}"
    return (
        f'add chain netdev {TABLE} {chain} {{ type filter hook ingress device "{way.interface}" priority 0; }}\n'
        f"add rule netdev {TABLE} {chain} meta l4proto udp jump legs\n"
    )


def allowance(session: int, rate: int) -> str:
    """What a session keeps while its legs move: the cap of both ways together, and its counters.

    The kernel's bucket holds one second of `rate` (bytes a second, headers included) when no burst is named.
    """
    names = [f"{kind}{session}_{leg}" for leg in (0, 1) for kind in ("had", "passed")]
    return f"add limit netdev {TABLE} cap{session} {{ rate over {rate} bytes/second; }}\n" + "".join(
        f"add counter netdev {TABLE} {name}\n" for name in names
    )


def joined(session: int, port: int, legs: Sequence[Address], ways: Sequence[Way]) -> str:
    """Both directions between two legs of one family; `ways` lead to them."""
    family, size = ("ip6", "from6") if ":" in legs[0][0] else ("ip", "from4")
    lines = []
    for index, (host, sender) in enumerate(legs):
        (to, to_port), way, chain = legs[1 - index], ways[1 - index], f"leg{session}_{index}"
        lines += [
            f"add chain netdev {TABLE} {chain}",
            f"flush chain netdev {TABLE} {chain}",
            f"add rule netdev {TABLE} {chain} {family} daddr != {ways[index].source} accept",
            f"add rule netdev {TABLE} {chain} counter name had{session}_{index}",
            f"add rule netdev {TABLE} {chain} limit name cap{session} drop",
            f"add rule netdev {TABLE} {chain} counter name passed{session}_{index}"
            f" {family} saddr set {way.source} {family} daddr set {to} udp sport set {port} udp dport set {to_port}"
            f' fwd {family} to {way.gateway} device "{way.interface}"',
            f"add element netdev {TABLE} {size} {{ {host} . {sender} : goto {chain} }}",
        ]
    return "\n".join(lines) + "\n"


def parted(legs: Sequence[Address]) -> str:
    """No packet of these addresses is the kernel's any more."""
    return "".join(
        f"delete element netdev {TABLE} {'from6' if ':' in host else 'from4'} {{ {host} . {port} }}\n"
        for host, port in legs
    )


def erased(session: int) -> str:
    """Nothing is left of a session whose legs are parted."""
    legs = [f"{session}_{leg}" for leg in (0, 1)]
    return (
        "".join(f"delete chain netdev {TABLE} leg{leg}\n" for leg in legs)
        + "".join(f"delete counter netdev {TABLE} {kind}{leg}\n" for leg in legs for kind in ("had", "passed"))
        + f"delete limit netdev {TABLE} cap{session}\n"
    )


class Kernel:
    """The relay's table in this network namespace. Every method raises RuntimeUnavailable with the kernel's words."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.rules = _Nftables()
        self.entrances: set[int] = set()
        self.legs: dict[int, tuple[Address, Address]] = {}
        self.rules.run(table(port))
        try:
            self.netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)
            self.netlink.bind((0, 0))
        except OSError as error:
            raise RuntimeUnavailable(f"nftables cannot be read: {error.strerror}") from None

    def close(self) -> None:
        self.rules.run(f"delete table netdev {TABLE}")
        self.netlink.close()
        self.rules.close()

    def offload(self, session: int, legs: tuple[Address, Address], rate: int) -> None:
        """Forwards between these legs from now on, in place of the session's former ones."""
        ways = [_way(host) for host, _ in legs]
        new = {way.index: way for way in ways if way.index not in self.entrances}
        former = self.legs.get(session)
        text = "".join(map(entrance, new.values()))
        text += allowance(session, rate) if former is None else parted(former)
        self.rules.run(text + joined(session, self.port, legs, ways))
        self.entrances |= set(new)
        self.legs[session] = legs

    def forget(self, session: int) -> None:
        """Forwards no longer for a session, if it did."""
        if (legs := self.legs.pop(session, None)) is not None:
            self.rules.run(parted(legs) + erased(session))

    def onload(self, session: int) -> Counts:
        """Forwards no longer; what it counted to the end."""
        if (legs := self.legs.pop(session, None)) is None:
            raise RuntimeUnavailable(f"the kernel has no session {session}")
        self.rules.run(parted(legs))
        counts = self.counts(session)
        self.rules.run(erased(session))
        return counts

    def counts(self, session: int) -> Counts:
        """What has been counted since the session came."""
        names = [f"{kind}{session}_{leg}" for kind in ("had", "passed") for leg in (0, 1)]
        (had0, _), (had1, _), (passed0, size0), (passed1, size1) = self._counters(names)
        return Counts((had0, had1), (passed0, passed1), (size0, size1))

    def _counters(self, names: Sequence[str]) -> list[tuple[int, int]]:
        """Packets and bytes of each, asked for at once."""
        try:
            self.netlink.send(b"".join(map(_asking, names)))
            return [self._told(name) for name in names]
        except OSError as error:
            raise RuntimeUnavailable(f"nftables does not say what it counted: {error.strerror}") from None

    def _told(self, name: str) -> tuple[int, int]:
        for kind, message in messages(self.netlink.recv(4096)):
            if kind == _NEWOBJ:
                data = dict(_attributes(dict(_attributes(message[4:]))[_OBJ_DATA]))
                packets, size = data[_COUNTER_PACKETS], data[_COUNTER_BYTES]
                return int.from_bytes(packets, "big"), int.from_bytes(size, "big")
        raise RuntimeUnavailable(f"nftables knows no counter {name}")


def _asking(name: str) -> bytes:
    body = _attribute(_OBJ_TABLE, TABLE.encode() + b"\0") + _attribute(_OBJ_NAME, name.encode() + b"\0")
    body += _attribute(_OBJ_TYPE, struct.pack("!I", _OBJECT_COUNTER))
    return _HEADER.pack(_HEADER.size + len(body), _GETOBJ, 1, 1, 0, _NFPROTO_NETDEV, 0, 0) + body


def _way(host: str) -> Way:
    try:
        return way_to(host)
    except OSError as error:
        raise RuntimeUnavailable(f"no way to {host}: {error.strerror}") from None


class _Nftables:
    """libnftables, which the program nft is made of; one context, for its socket owns the table."""

    def __init__(self) -> None:
        try:
            self.library = ctypes.CDLL("libnftables.so.1")
        except OSError:
            raise RuntimeUnavailable("libnftables.so.1 is not installed (package nftables)") from None
        self.library.nft_ctx_new.restype = ctypes.c_void_p
        self.library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p(self.library.nft_ctx_new(0))
        self.library.nft_ctx_buffer_output(self.context)
        self.library.nft_ctx_buffer_error(self.context)

    def run(self, text: str) -> None:
        """All of the commands or none of them."""
        if self.library.nft_run_cmd_from_buffer(self.context, text.encode()):
            words = self.library.nft_ctx_get_error_buffer(self.context).decode(errors="replace")
            first = next(iter(words.splitlines()), "no reason given")
            raise RuntimeUnavailable(f"nftables refuses the rules: {first.rpartition('Error: ')[2]}")

    def close(self) -> None:
        self.library.nft_ctx_free(self.context)


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(body: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < 4:
            return
        yield kind & _NESTED, body[at + 4 : at + length]
        at += -(-length // 4) * 4
