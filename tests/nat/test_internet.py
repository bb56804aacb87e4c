"""That the internet is what it claims to be: everything through core, once, and no way around.

A way around is looked for as the container's root, who can do more than the client's program ever could.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reach import Node, Nodes
from scapy.layers.inet import UDP

TEXTS = [*(f"packet {number}" for number in range(20)), "end"]


@pytest.mark.parametrize(
    ("sender", "receiver"),
    [
        ("supernode-1", "supernode-2"),
        ("bob", "relay-1"),
        ("carol", "alice"),
        ("alice", "supernode-1"),
    ],
)
def test_core_sees_every_crossing_packet_once(
    nodes: Nodes, port: str, tmp_path: Path, sender: str, receiver: str
) -> None:
    to = f"{nodes[receiver].address}:{port}"
    with (
        nodes["core"].capturing(tmp_path / "core.pcap", incoming=True) as packets,
        nodes[receiver].probing("listen", port) as listener,
    ):
        listener.answer()
        nodes[sender].probe("send", port, to, *TEXTS)
        assert [text for _, text in listener.answer()["heard"]] == TEXTS
    seen = [packet[UDP] for packet in packets if UDP in packet and packet[UDP].dport == int(port)]
    assert [bytes(datagram.payload).decode() for datagram in seen] == TEXTS


def test_neighbours_are_two_hops_apart_and_nobody_is_told_a_shorter_way(nodes: Nodes) -> None:
    said = nodes["supernode-1"].run("ping", "-c", "3", "-i", "0.2", nodes["supernode-2"].address)
    assert said.count("ttl=63") == 3
    assert "Redirect" not in said
    assert "via 203.0.113.1 " in nodes["supernode-1"].run("ip", "route", "get", nodes["supernode-2"].address)


@pytest.mark.parametrize(("who", "hops"), [("alice", 62), ("bob", 62), ("carol", 62)])
def test_clients_are_a_router_and_core_away_from_the_internet(nodes: Nodes, who: str, hops: int) -> None:
    assert f"ttl={hops}" in nodes[who].run("ping", "-c", "1", "-W", "1", "203.0.113.21")


@pytest.mark.parametrize("inner", ["192.168.32.10", "192.168.34.10", "192.168.32.1"])
def test_private_addresses_cannot_be_reached_from_the_internet(nodes: Nodes, inner: str) -> None:
    assert "0 received" in nodes["authority"].run("ping", "-c", "1", "-W", "1", inner)
    assert "0 received" in nodes["alice"].run("ping", "-c", "1", "-W", "1", inner)


def test_one_site_cannot_reach_the_private_addresses_of_another(nodes: Nodes) -> None:
    assert "0 received" in nodes["bob"].run("ping", "-c", "1", "-W", "1", "192.168.33.10")


def test_packets_sent_straight_at_a_router_do_not_reach_its_lan(nodes: Nodes, port: str) -> None:
    neighbour, bob = nodes["authority"], nodes["bob"]
    with (
        bob.probing("listen", port) as listener,
        _route(neighbour, "203.0.113.32", "dev", "eth0"),
        _route(neighbour, f"{bob.address}/32", "via", "203.0.113.32"),
    ):
        listener.answer()
        neighbour.probe("send", port, f"{bob.address}:{port}", "straight")
        assert "0 received" in neighbour.run("ping", "-c", "1", "-W", "1", bob.address)
        bob.probe("send", "0", f"{bob.address}:{port}", "end")
        assert [text for _, text in listener.answer()["heard"]] == ["end"]


@pytest.mark.parametrize(
    ("who", "gateway"), [("alice", "198.51.100.30"), ("bob", "192.168.32.254"), ("dave", "192.168.35.254")]
)
def test_the_engine_is_no_way_out(nodes: Nodes, port: str, who: str, gateway: str) -> None:
    """The bridge's own address on the host is the last of every subnet; somebody who is root in a node tries it."""
    node, relay = nodes[who], nodes["relay-1"]
    with relay.probing("listen", port) as listener, _without_route(node, "blackhole", gateway):
        listener.answer()
        with _route(node, f"{relay.address}/32", "via", gateway):
            node.probe("send", port, f"{relay.address}:{port}", "round the router")
            assert "0 received" in node.run("ping", "-c", "1", "-W", "1", relay.address)
        nodes["authority"].probe("send", port, f"{relay.address}:{port}", "end")
        assert [text for _, text in listener.answer()["heard"]] == ["end"]


@pytest.mark.parametrize("name", ["bob", "supernode-1", "core", "home-router"])
def test_no_node_has_a_route_to_the_engine(nodes: Nodes, name: str) -> None:
    said = nodes[name].run("ip", "-4", "route")
    toward = [line for line in said.splitlines() if ".254" in line]
    assert toward and all(line.startswith("blackhole") for line in toward)
    if name == "core":
        assert "default" not in said


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("alice", "198.51.100.30"),
        ("bob", "192.168.32.254"),
        ("home-router", "203.0.113.254"),
        ("core", "203.0.113.254"),
    ],
)
def test_the_machine_that_the_lab_runs_on_is_no_neighbour(nodes: Nodes, name: str, host: str) -> None:
    """Its address is there, or the bridge would not be; but what listens on the machine is not for the lab."""
    assert "bytes from" not in nodes[name].run("ping", "-c", "1", "-W", "1", host)
    assert "bytes from" not in nodes["carol"].run("ping", "-c", "1", "-W", "1", "203.0.113.254")


@contextmanager
def _without_route(node: Node, *words: str) -> Iterator[None]:
    assert node.run("ip", "route", "del", *words) == ""
    try:
        yield
    finally:
        assert node.run("ip", "route", "add", *words) == ""


@contextmanager
def _route(node: Node, *words: str) -> Iterator[None]:
    assert node.run("ip", "route", "add", *words) == ""
    try:
        yield
    finally:
        node.run("ip", "route", "del", *words)
