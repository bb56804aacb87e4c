"""Transport addresses as text and as STUN carries them, plain and XORed, in both families.

No name is ever resolved here: an address is an IP in text and a port, or it is refused.
"""

from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

from lab.errors import ProtocolError

Address = tuple[str, int]
"""An IP address in text (IPv4 or IPv6, no brackets) and a port from 0 to 65535."""

MAGIC_COOKIE = 0x2112A442
"""Fixed second word of every STUN header, and the mask of XOR addresses (RFC 8489, 5 and 14.2)."""

# RFC 8489, 14.1: family numbers, and the bytes of an address in each.
_IPV4 = 0x01
_IPV6 = 0x02
_NAMES = {_IPV4: "IPv4", _IPV6: "IPv6"}
_SIZES = {_IPV4: 4, _IPV6: 16}

_COOKIE_BYTES = MAGIC_COOKIE.to_bytes(4, "big")


def family(host: str) -> int:
    """4 or 6, of a host in text."""
    return 6 if ":" in host else 4


@lru_cache(maxsize=4096)
def is_address(host: str) -> bool:
    """Whether text is an IPv4 or IPv6 address: what is not must never reach a resolver."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def pack_address(address: Address) -> bytes:
    """The value of MAPPED-ADDRESS and its like (RFC 8489, 14.1). Raises ProtocolError if it is no address.

    An IPv6 zone (`%eth0`) means nothing to the peer and is left out.
    """
    family, port, raw = _split(address)
    return bytes((0, family)) + port.to_bytes(2, "big") + raw


def unpack_address(value: bytes) -> Address:
    """The address in the value of MAPPED-ADDRESS and its like (RFC 8489, 14.1)."""
    family, port, raw = _fields(value)
    return _text(family, raw), port


def pack_xor_address(address: Address, transaction_id: bytes) -> bytes:
    """The value of XOR-MAPPED-ADDRESS (RFC 8489, 14.2): unreadable to a NAT that rewrites addresses in payloads."""
    family, port, raw = _split(address)
    return bytes((0, family)) + (port ^ MAGIC_COOKIE >> 16).to_bytes(2, "big") + _xor(raw, transaction_id)


def unpack_xor_address(value: bytes, transaction_id: bytes) -> Address:
    """The address in the value of XOR-MAPPED-ADDRESS (RFC 8489, 14.2)."""
    family, port, raw = _fields(value)
    return _text(family, _xor(raw, transaction_id)), port ^ MAGIC_COOKIE >> 16


def _split(address: Address) -> tuple[int, int, bytes]:
    host, port = address
    if not 0 <= port <= 0xFFFF:
        raise ProtocolError(f"STUN address has port {port}, expected 0 to 65535")
    family, raw = _packed(host)
    return family, port, raw


@lru_cache(maxsize=4096)
def _packed(host: str) -> tuple[int, bytes]:
    """A host's family and bytes: every answer carries one, and few hosts ask for many."""
    try:
        if ":" in host:
            return _IPV6, IPv6Address(host).packed
        return _IPV4, IPv4Address(host).packed
    except AddressValueError:
        raise ProtocolError(f"STUN address has host {host!r}, expected an IPv4 or IPv6 address") from None


def _fields(value: bytes) -> tuple[int, int, bytes]:
    if len(value) < 4:
        raise ProtocolError(f"STUN address has {len(value)} bytes, expected at least 4")
    # RFC 8489, 14.1: the first byte is for alignment and is ignored.
    family = value[1]
    size = _SIZES.get(family)
    if size is None:
        raise ProtocolError(f"STUN address has unknown family {family}")
    if len(value) != 4 + size:
        raise ProtocolError(f"STUN address has invalid length for {_NAMES[family]}")
    return family, int.from_bytes(value[2:4], "big"), value[4:]


def _text(family: int, raw: bytes) -> str:
    # Formatting IPv4 by hand is several times faster than ipaddress, and each check carries one.
    return "{}.{}.{}.{}".format(*raw) if family == _IPV4 else str(IPv6Address(raw))


def _xor(raw: bytes, transaction_id: bytes) -> bytes:
    size = len(raw)
    mask = (_COOKIE_BYTES + transaction_id)[:size]
    return (int.from_bytes(raw, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
