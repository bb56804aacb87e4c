"""What `lab status` says of the networks that clients have found out, in a few words each."""

import io
from typing import Any

import pytest
from rich.console import Console

from lab.harness.status import LabStatus, NodeStatus
from lab.report.tables import status

EVERYTHING = {"udp": True, "voice_by_udp": True, "tcp": ["any"], "tls_only": False, "proxy": False}


@pytest.mark.parametrize(
    ("lets_out", "words"),
    [
        ({}, "TCP, UDP"),
        ({"voice_by_udp": None}, "TCP, UDP"),
        ({"udp": False, "voice_by_udp": False}, "TCP, UDP slower than a voice"),
        ({"udp": False, "voice_by_udp": None}, "TCP"),
        ({"udp": False, "voice_by_udp": None, "tcp": [443, 80]}, "TCP 443, 80"),
        ({"udp": False, "voice_by_udp": None, "tcp": [443], "tls_only": True}, "TLS 443"),
        ({"udp": False, "voice_by_udp": None, "tcp": [], "tls_only": True, "proxy": True}, "by its proxy"),
        ({"udp": None, "voice_by_udp": None, "tcp": []}, "?"),
    ],
)
def test_what_a_network_lets_out_is_said_in_a_few_words(lets_out: dict[str, Any], words: str) -> None:
    node = NodeStatus(
        "bob", "client", "home", "linux", "none", "ready", "supernode-1", None,
        network={"mapping": "endpoint-independent"}, lets_out={**EVERYTHING, **lets_out}, keepalive_s=10.0,
    )  # fmt: skip
    written = io.StringIO()
    Console(file=written, width=200).print(status(LabStatus((node,))))
    head, row = written.getvalue().rstrip().splitlines()[-2:]
    begin = head.index("lets out")
    assert row[begin : head.index("outer address")].strip() == words
