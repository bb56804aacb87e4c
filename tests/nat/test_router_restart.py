"""A router that starts while its clients are already sending: before, between and after its rules.

Restarting a router costs its client the connection to its supernode; the tests wait until that is back.
"""

import json
import time
from pathlib import Path

from reach import Node, Nodes
from scapy.layers.inet import IP, UDP

PATIENCE_S = 60.0


def test_a_restarted_router_lets_nothing_out_untranslated(nodes: Nodes, port: str, tmp_path: Path) -> None:
    carol, relay = nodes["carol"], nodes["relay-1"]
    with nodes["core"].capturing(tmp_path / "core.pcap", incoming=True) as packets:
        with carol.probing("stream", port, f"{relay.address}:{port}") as stream:
            assert stream.answer() == "streaming"
            nodes["office-router"].restart()
            _wait_for_supernode(carol)
    streamed = [packet[IP] for packet in packets if UDP in packet and packet[UDP].dport == int(port)]
    assert {packet.src for packet in streamed} == {"203.0.113.34"}
    assert len({packet[UDP].sport for packet in streamed}) == 2, "expected one mapping before and one after"


def _wait_for_supernode(client: Node) -> None:
    order = """printf '{"id": 1, "order": "status"}\\n' | socat - UNIX-CONNECT:/run/lab/control.sock"""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        said = client.run("sh", "-c", order, user="1000")
        if said.startswith("{") and json.loads(said).get("state") == "ready":
            return
    raise AssertionError(f"{client.name} did not come back within {PATIENCE_S} s")
