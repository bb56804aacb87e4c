"""What the deputy takes for an order of the relay: rules are made of its words."""

import json
import socket
from typing import Any

import pytest

from lab.errors import ProtocolError
from lab.node import deputy
from lab.node.deputy import Deputy

OFFLOAD = {"order": "offload", "session": 7, "legs": [["203.0.113.32", 4000], ["203.0.113.33", 4001]], "rate": 9000}


@pytest.mark.parametrize(
    "order",
    [
        {"order": "begin"},
        OFFLOAD,
        OFFLOAD | {"legs": [["2001:db8::1", 1], ["2001:db8::2", 65535]]},
        OFFLOAD | {"legs": [["fe80::1%eth0", 1], ["fe80::2", 2]]},  # which nftables refuses, and the deputy lives
        {"order": "onload", "session": 7},
        {"order": "count", "session": 0},
    ],
)
def test_what_the_relay_says_is_an_order(order: dict[str, Any]) -> None:
    assert deputy.read(json.dumps(order).encode()) == order


@pytest.mark.parametrize(
    "order",
    [
        OFFLOAD | {"session": "7 { } ; flush ruleset"},
        OFFLOAD | {"session": True},
        OFFLOAD | {"session": -1},
        OFFLOAD | {"rate": "9000 bytes/second; } ; flush ruleset"},
        OFFLOAD | {"rate": 1.5},
        OFFLOAD | {"legs": [["203.0.113.32 accept", 4000], ["203.0.113.33", 4001]]},
        OFFLOAD | {"legs": [["fe80::1%x accept", 4000], ["fe80::2", 4001]]},
        OFFLOAD | {"legs": [["203.0.113.32", "4000"], ["203.0.113.33", 4001]]},
        OFFLOAD | {"legs": [["203.0.113.32", 65536], ["203.0.113.33", 4001]]},
        OFFLOAD | {"legs": [["203.0.113.32", 4000], ["2001:db8::2", 4001]]},
        OFFLOAD | {"legs": [["203.0.113.32", 4000]]},
        {"order": "onload"},
        {"order": "flush", "session": 7},
        {"order": ["begin"]},
        {},
        [],
    ],
)
def test_what_no_relay_would_say_is_none(order: object) -> None:
    with pytest.raises(ProtocolError, match="is none"):
        deputy.read(json.dumps(order).encode())


@pytest.mark.parametrize("data", [b"begin", b"[" * 4096, b"\xff"])
def test_with_such_a_word_it_ends_and_its_rules_with_it(data: bytes) -> None:
    relay, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with relay, its:
        relay.send(data)
        with pytest.raises(ProtocolError):
            Deputy(its, 33034).run()
