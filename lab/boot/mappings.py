"""What a router remembers of its hosts at this moment: the kernel's flows, and the tables of lab.nat.maps, by netlink.

Belongs here: reading both into plain rows, and one flow alone. Never: rules, names, or what a row means to a person.
"""

import errno
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, ip_address
from typing import Any, NamedTuple

from pyroute2 import NFCTSocket
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import TCP_CONNTRACK_TO_NAME, NFCTAttrTuple
from pyroute2.netlink.nfnetlink.nftsocket import NFT_MSG_GETSETELEM, NFTSocket, nft_set_elem_list_msg

from lab.errors import ConfigError
from lab.nat.wiring import Wiring

Row = dict[str, Any]
_SEEN_REPLY = 1 << 1  # IPS_SEEN_REPLY, linux/netfilter/nf_conntrack_common.h
_PROTOCOLS = {socket.IPPROTO_UDP: "udp", socket.IPPROTO_TCP: "tcp"}
_FAMILIES = {socket.AF_INET: "V4", socket.AF_INET6: "V6"}
_MOST = 2_000
"""Rows of either kind in an answer: as much as a person looks at, and a line that an order's reader takes."""


class _Way(NamedTuple):
    """One direction of a flow, as the kernel has it."""

    protocol: str
    source: tuple[str, int]
    destination: tuple[str, int]


def read(sides: Wiring) -> Row:
    """{"flows", "kept", "left_out"}: flows of hosts inside, and mappings that outlive a flow; see the two functions.

    Raises OSError and NetlinkError.
    """
    flows, kept = list(_flows(sides)), list(_kept())
    more = max(0, len(flows) - _MOST) + max(0, len(kept) - _MOST)
    return {"flows": flows[:_MOST], "kept": kept[:_MOST], "left_out": more}


def numbers(sides: Wiring) -> dict[str, dict[str, int]]:
    """{"flows", "kept"}: how many of what `read` tells there are in all, by protocol. Raises OSError, NetlinkError."""
    found = {"flows": [row["protocol"] for row in _flows(sides)], "kept": [row["protocol"] for row in _kept()]}
    return {what: {name: rows.count(name) for name in _PROTOCOLS.values()} for what, rows in found.items()}


def tally(order: Mapping[str, Any]) -> Row:
    """{"flow"}: what the kernel has counted of the flow {"protocol", "inner", "remote"}, each an [address, port] as a
    host inside has it, whoever opened it; None where none is tracked.

    Raises ConfigError for what is no flow, OSError and NetlinkError.
    """
    try:
        protocol = next(number for number, name in _PROTOCOLS.items() if name == order["protocol"])
        (source, port), (destination, far) = order["inner"], order["remote"]
        family = socket.AF_INET6 if ip_address(source).version == 6 else socket.AF_INET
        asked = NFCTAttrTuple(family, str(source), str(ip_address(destination)), protocol, int(port), int(far))
    except (KeyError, StopIteration, TypeError, ValueError) as error:
        raise ConfigError(f"expected protocol, inner and remote of a flow, got {dict(order)!r}") from error
    with NFCTSocket(nfgen_family=family) as tracking:
        try:
            messages = list(tracking.entry("get", tuple_orig=asked))
        except NetlinkError as error:
            if error.code == errno.ENOENT:
                return {"flow": None}
            raise
    return {"flow": next((found for one in messages if (found := counts(one, (source, int(port))))), None)}


# --- connection tracking -----------------------------------------------------


def counts(message: Any, inner: tuple[str, int]) -> Row | None:
    """Of a tracked flow of the host `inner`: `packets` and `bytes`, each [out, in], None where they are not counted.

    None for a message that is no flow.
    """
    there = _way(message, "CTA_TUPLE_ORIG")
    if there is None:
        return None
    ways = ("ORIG", "REPLY") if there.source == inner else ("REPLY", "ORIG")
    packets, sizes = ([_counted(message, f"CTA_COUNTERS_{way}", what) for way in ways] for what in ("PACKETS", "BYTES"))
    return {"packets": None if None in packets else packets, "bytes": None if None in sizes else sizes}


def _flows(sides: Wiring) -> Iterator[Row]:
    for family in _FAMILIES:
        with NFCTSocket(nfgen_family=family) as tracking:
            for message in list(tracking.dump()):
                row = flow(message, sides)
                if row is not None:
                    yield row


def flow(message: Any, sides: Wiring) -> Row | None:
    """A tracked flow of a host inside: `inner`, `outer`, `remote` as [address, port], `opened` from inside or outside,
    `state`, `seconds` left, `packets` [out, in] where they are counted. None for what is no host's, or has no ports."""
    there, back = _way(message, "CTA_TUPLE_ORIG"), _way(message, "CTA_TUPLE_REPLY")
    if there is None or back is None:
        return None
    counted = [_counted(message, f"CTA_COUNTERS_{way}") for way in ("ORIG", "REPLY")]
    if _inside(there.source[0], sides):
        inner, outer, remote, opened = there.source, back.destination, there.destination, "inside"
    elif _inside(back.source[0], sides):
        inner, outer, remote, opened = back.source, there.destination, there.source, "outside"
        counted.reverse()
    else:
        return None
    return {
        "protocol": there.protocol,
        "inner": list(inner),
        "outer": list(outer),
        "remote": list(remote),
        "opened": opened,
        "state": _state(message, there.protocol),
        "seconds": message.get_attr("CTA_TIMEOUT"),
        "packets": None if None in counted else counted,
    }


def _way(message: Any, attribute: str) -> _Way | None:
    tuple_ = message.get_attr(attribute)
    version = _FAMILIES.get(message["nfgen_family"])
    if tuple_ is None or version is None:
        return None
    address, transport = tuple_.get_attr("CTA_TUPLE_IP"), tuple_.get_attr("CTA_TUPLE_PROTO")
    protocol = _PROTOCOLS.get(transport.get_attr("CTA_PROTO_NUM"))
    if protocol is None:
        return None
    source, destination = (
        (str(address.get_attr(f"CTA_IP_{version}_{end}")), int(transport.get_attr(f"CTA_PROTO_{end}_PORT")))
        for end in ("SRC", "DST")
    )
    return _Way(protocol, source, destination)


def _inside(address: str, sides: Wiring) -> bool:
    networks = (sides.inside, sides.lan6.network if sides.lan6 else None)
    return any(network is not None and ip_address(address) in network for network in networks)


def _state(message: Any, protocol: str) -> str:
    """A connection's by name; of UDP whether an answer was seen."""
    if protocol == "tcp":
        about = message.get_attr("CTA_PROTOINFO")
        tcp = about.get_attr("CTA_PROTOINFO_TCP") if about is not None else None
        state = tcp.get_attr("CTA_PROTOINFO_TCP_STATE") if tcp is not None else None
        return str(TCP_CONNTRACK_TO_NAME.get(state, "unknown")).lower().replace("_", "-")
    return "two-way" if (message.get_attr("CTA_STATUS") or 0) & _SEEN_REPLY else "one-way"


def _counted(message: Any, attribute: str, what: str = "PACKETS") -> int | None:
    counters = message.get_attr(attribute)
    return None if counters is None else int(counters.get_attr(f"CTA_COUNTERS_{what}") or 0)


# --- the tables of lab.nat.maps ----------------------------------------------


def _kept() -> Iterator[Row]:
    with NFTSocket() as tables:
        for protocol in _PROTOCOLS.values():
            out = list(_elements(tables, f"out_{protocol}"))
            yield from (mapping(protocol, *element) for element in out)
            if not out:  # a flow of its own for every destination, or what was opened from outside alone
                inward = _elements(tables, f"in_{protocol}")
                yield from (mapping(protocol, value, key, left) for key, value, left in inward)


def mapping(protocol: str, inner: bytes, outer: bytes, left: float | None) -> Row:
    """A mapping of a table: `inner` and `outer` as [address, port], `remote` the address, or [address, port], that it
    is for (None: any), `seconds` left."""
    host, remote = inner[:8], inner[8:]
    far: Any = None
    if len(remote) >= 8:
        far = endpoint(remote)
    elif remote:
        far = [str(IPv4Address(remote[:4])), None]
    return {
        "protocol": protocol,
        "inner": endpoint(host),
        "outer": endpoint(outer),
        "remote": far,
        "seconds": left,
    }


def endpoint(data: bytes) -> list[Any]:
    """`ipv4_addr . inet_service` as the kernel has it: each part begins at a multiple of four bytes."""
    address, port = struct.unpack_from("!4sH", data)
    return [str(IPv4Address(address)), port]


def _elements(tables: NFTSocket, name: str) -> Iterator[tuple[bytes, bytes, float | None]]:
    """Key, value, and seconds left of each element of a map of the table `lab`; none where there is no such map."""
    asked = nft_set_elem_list_msg()
    asked["attrs"] = [["NFTA_SET_ELEM_LIST_TABLE", "lab"], ["NFTA_SET_ELEM_LIST_SET", name]]
    try:
        messages: Iterable[Any] = list(tables.request_get(asked, NFT_MSG_GETSETELEM))
    except NetlinkError as error:
        if error.code == errno.ENOENT:
            return
        raise
    for message in messages:
        for element in message.get_attr("NFTA_SET_ELEM_LIST_ELEMENTS") or ():
            key, value = (
                element.get_attr(f"NFTA_SET_ELEM_{part}").get_attr("NFTA_DATA_VALUE") for part in ("KEY", "DATA")
            )
            left = element.get_attr("NFTA_SET_ELEM_EXPIRATION")  # milliseconds
            yield bytes(key), bytes(value), None if left is None else left / 1000
