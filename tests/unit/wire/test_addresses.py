"""Addresses in STUN: both families, plain and XORed, and each way of not being one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ProtocolError
from lab.wire.addresses import Address, pack_address, pack_xor_address, unpack_address, unpack_xor_address

ID = bytes.fromhex("b7e7a701bc34d686fa87dfae")
V4 = ("192.0.2.1", 32853)
V6 = ("2001:db8:1234:5678:11:2233:4455:6677", 32853)


@pytest.mark.parametrize(
    ("address", "plain", "masked"),
    [
        # The masked values are those of RFC 5769, 2.2 and 2.3.
        pytest.param(V4, "00018055c0000201", "0001a147e112a643", id="ipv4"),
        pytest.param(
            V6,
            "0002805520010db8123456780011223344556677",
            "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9",
            id="ipv6",
        ),
    ],
)
def test_address_is_packed_as_the_rfc_shows(address: Address, plain: str, masked: str) -> None:
    assert pack_address(address).hex() == plain
    assert pack_xor_address(address, ID).hex() == masked


@given(st.ip_addresses().map(str), st.integers(0, 0xFFFF), st.binary(min_size=12, max_size=12))
def test_address_is_read_as_it_was_packed(host: str, port: int, transaction_id: bytes) -> None:
    assert unpack_address(pack_address((host, port))) == (host, port)
    assert unpack_xor_address(pack_xor_address((host, port), transaction_id), transaction_id) == (host, port)


@given(st.binary(max_size=24))
def test_any_bytes_are_an_address_or_refused(value: bytes) -> None:
    for unpack in (unpack_address, lambda value: unpack_xor_address(value, ID)):
        try:
            unpack(value)
        except ProtocolError as refusal:
            assert str(refusal).startswith("STUN address has")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "example.org",
        "1.2.3",
        "1.2.3.256",
        "01.2.3.4",
        "1.2.3.4:5",
        "[::1]",
        "::g",
        "1:2:3:4:5:6:7:8:9",
        "\u0661.2.3.4",
    ],
)
def test_what_is_no_address_is_refused(host: str) -> None:
    with pytest.raises(ProtocolError, match="expected an IPv4 or IPv6 address"):
        pack_address((host, 1))


@pytest.mark.parametrize("port", [-1, 65536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(ProtocolError, match=f"STUN address has port {port}, expected 0 to 65535"):
        pack_xor_address(("192.0.2.1", port), ID)


def test_zone_of_an_ipv6_address_stays_at_home() -> None:
    assert unpack_address(pack_address(("fe80::1%eth0", 1))) == ("fe80::1", 1)
