"""A router that starts while its clients are already sending: before, between and after its rules.

A client would find out only at its next heartbeat that its connection is gone: the test starts it anew.
"""

import json
import time
from pathlib import Path

from reach import Node, Nodes
from scapy.layers.inet import IP, UDP

PATIENCE_S = 30.0


def test_a_restarted_router_lets_nothing_out_untranslated(nodes: Nodes, port: str, tmp_path: Path) -> None:
    carol, router, relay = nodes["carol"], nodes["office-router"], nodes["relay-1"]
    with (
        nodes["core"].capturing(tmp_path / "core.pcap", incoming=True) as packets,
        carol.probing("stream", port, f"{relay.address}:{port}") as stream,
    ):
        assert stream.answer() == "streaming"
        assert "1 received" in carol.run("ping", "-c", "1", "-W", "1", relay.address)
        router.restart()
        _wait_until_ready(router)
        assert "1 received" in carol.run("ping", "-c", "1", "-W", "1", relay.address)
    carol.restart()
    _wait_until_ready(carol)
    streamed = [packet[IP] for packet in packets if UDP in packet and packet[UDP].dport == int(port)]
    assert {packet.src for packet in streamed} == {"203.0.113.34"}
    assert len({packet[UDP].sport for packet in streamed}) == 2, "expected one mapping before and one after"


def _wait_until_ready(node: Node) -> None:
    order = """printf '{"id": 1, "order": "status"}\\n' | socat - UNIX-CONNECT:/run/lab/control.sock"""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        said = node.run("sh", "-c", order)
        if said.startswith("{") and json.loads(said).get("state") == "ready":
            return
    raise AssertionError(f"{node.name} was not ready within {PATIENCE_S} s")
