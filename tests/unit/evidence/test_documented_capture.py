"""The capture in docs/ holds what the README says of it: a client that has TLS to port 443 alone, and a stranger who
sits at another supernode and calls it."""

from functools import cache
from ipaddress import ip_address
from pathlib import Path

from lab.evidence import pcapng, whole
from lab.evidence.filed import verdict
from lab.evidence.pcap import Packet
from lab.topology.model import Role

FILE = Path(__file__).parents[3] / "docs" / "tls-only.pcapng"
CALLER, CALLEE = "symmetric-1-pc", "tls-only-1-pc"
PORTS = {33033, 443}
"""Those at which a client signs in at a supernode."""


@cache
def read() -> whole.Whole:
    found = whole.read(FILE.read_bytes())
    assert found is not None and found.setting is not None and not found.incomplete
    return found


def crossing() -> list[Packet]:
    """What `core` saw: each packet that crossed the internet, once."""
    return list(read().captures.need("core").capture.packets)


def behind(client: str) -> str:
    """The address under which the internet sees a client."""
    topology = read().topology
    return str(next(iter(topology.router_of(str(topology.node(client).site)).addresses)))


def hubs(client: str) -> set[str]:
    """The supernodes that it has a connection of TCP with."""
    topology = read().topology
    found = {
        topology.owner_of(ip_address(packet.destination.address))
        for packet in crossing()
        if packet.protocol == "tcp"
        and packet.source.address == behind(client)
        and packet.destination.port in PORTS
        and packet.length
    }
    return {node.name for node in found if node is not None and node.role is Role.SUPERNODE}


def test_it_is_a_call_of_that_client_through_a_relay_over_tcp() -> None:
    assert FILE.read_bytes()[:4] == pcapng.MAGIC
    document = verdict(FILE).to_json()
    assert (document["caller"], document["callee"]) == (CALLER, CALLEE)
    assert (document["kind"], document["transport"], document["via"]) == ("relayed", "mixed", "relay-1")
    assert f"{CALLEE} 203.0.113.57:49162" in document["why"] and document["why"].endswith("by TCP")


def test_nothing_of_it_leaves_the_callees_network_but_tls_to_port_443() -> None:
    sent = [packet for packet in crossing() if packet.source.address == behind(CALLEE)]
    assert {(packet.protocol, packet.destination.port) for packet in sent} == {("tcp", 443)}
    hellos = [packet.payload for packet in sent if packet.payload[:1] == b"\x16"]
    assert hellos, "connections begin as TLS"


def test_the_two_sit_at_different_supernodes() -> None:
    assert hubs(CALLER) == {"supernode-2"} and hubs(CALLEE) == {"supernode-1"}
