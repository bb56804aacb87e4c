"""What each site's clients can open towards the internet, and that nothing leaves a site in its own clothes.

"silent" means dropped without a word; "refused" means that the packet arrived.
"""

from pathlib import Path

import pytest
from reach import Nodes, Reflecting
from scapy.layers.inet import IP

ARRIVED = {"connected", "refused"}


@pytest.mark.parametrize("who", ["dave", "erin"])
def test_udp_stays_inside(nodes: Nodes, reflecting: Reflecting, port: str, who: str) -> None:
    with reflecting("relay-1") as reflectors:
        assert nodes[who].probe("udp", port, *reflectors) == dict.fromkeys(reflectors)


@pytest.mark.parametrize("who", ["dave", "erin"])
def test_pings_stay_inside(nodes: Nodes, who: str) -> None:
    assert "0 received" in nodes[who].run("ping", "-c", "1", "-W", "1", "203.0.113.21")


@pytest.mark.parametrize("who", ["alice", "bob", "frank", "carol"])
def test_pings_pass_where_nothing_is_blocked(nodes: Nodes, who: str) -> None:
    assert "1 received" in nodes[who].run("ping", "-c", "1", "-W", "1", "203.0.113.21")


@pytest.mark.parametrize("who", ["alice", "bob", "frank", "carol", "dave"])
def test_tcp_passes_to_any_port(nodes: Nodes, reflecting: Reflecting, who: str) -> None:
    with reflecting("relay-1") as reflectors:
        assert nodes[who].probe("tcp", *reflectors) == dict.fromkeys(reflectors, "connected")


def test_bank_opens_tcp_443_and_nothing_else(nodes: Nodes, reflecting: Reflecting) -> None:
    with reflecting("relay-1") as reflectors:
        said = nodes["erin"].probe("tcp", *reflectors, "203.0.113.21:80", "203.0.113.21:443", "203.0.113.5:443")
    assert said.pop("203.0.113.21:443") in ARRIVED
    assert said.pop("203.0.113.5:443") in ARRIVED
    assert said == dict.fromkeys([*reflectors, "203.0.113.21:80"], "silent")


@pytest.mark.parametrize("router", ["park", "home", "flat", "office", "hotel", "bank"])
def test_routers_are_silent_to_the_internet(nodes: Nodes, router: str) -> None:
    (wan,) = [address for address in nodes[f"{router}-router"].addresses if address.startswith("203.0.113.")]
    said = nodes["authority"].probe("tcp", f"{wan}:443", f"{wan}:7001")
    assert said == {f"{wan}:443": "silent", f"{wan}:7001": "silent"}
    ping = nodes["authority"].run("ping", "-c", "1", "-W", "1", wan)
    assert "0 received" in ping
    assert "Unreachable" not in ping


@pytest.mark.parametrize("who", ["bob", "carol", "dave", "erin"])
def test_no_private_address_leaves_a_site(
    nodes: Nodes, reflecting: Reflecting, port: str, tmp_path: Path, who: str
) -> None:
    node = nodes[who]
    with nodes["core"].capturing(tmp_path / "core.pcap", incoming=True) as packets, reflecting("relay-1") as reflectors:
        node.run("ping", "-c", "1", "-W", "1", "203.0.113.21")
        node.probe("udp", port, *reflectors)
        node.probe("tcp", *reflectors, "203.0.113.21:443")
        node.probe("stray-reset", node.address, "203.0.113.21:443")
        nodes["authority"].run("ping", "-c", "1", "-W", "1", "203.0.113.21")
    assert packets
    assert [packet.summary() for packet in packets if packet[IP].src.startswith("192.168.")] == []
