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


@pytest.mark.parametrize(
    ("udp", "tcp", "words"),
    [(True, 10.0, "10.5 s"), (True, 5.0, "10.5 s, TCP 5 s"), (False, 5.0, "5 s"), (True, None, "10.5 s")],
)
def test_how_seldom_mappings_are_kept_alive_names_tcp_where_it_differs(udp: bool, tcp: float, words: str) -> None:
    node = NodeStatus(
        "bob", "client", "home", "linux", "none", "ready", "supernode-1", None,
        network={"mapping": "endpoint-independent"}, lets_out={**EVERYTHING, "udp": udp}, keepalive_s=10.5,
        tcp_keepalive_s=tcp,
    )  # fmt: skip
    head, row = shown(node, 200)[-2:]
    assert row[head.index("keepalive") :].strip() == words


PLAIN = {"up": "delay=10ms", "down": "delay=10ms", "toward": {}}


def shown(node: NodeStatus, width: int) -> list[str]:
    written = io.StringIO()
    Console(file=written, width=width).print(status(LabStatus((node,)), width))
    return written.getvalue().rstrip().splitlines()


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ({}, "delay=10ms"),
        ({"up": "", "down": ""}, "unimpaired"),
        ({"up": "delay=10ms loss=5%"}, "up delay=10ms loss=5%, down delay=10ms"),
        ({"down": ""}, "up delay=10ms, down unimpaired"),
        ({"toward": {"park": "loss=100%"}}, "delay=10ms, toward park loss=100%"),
        ({"up": "mtu=1492", "down": "mtu=1492"}, "mtu=1492"),
        ({"up": "delay=10ms mtu=1492 blackhole=yes"}, "up delay=10ms mtu=1492 blackhole=yes, down delay=10ms"),
    ],
)
def test_a_link_is_said_in_the_words_that_make_it(link: dict[str, Any], words: str) -> None:
    router = NodeStatus("home-router", "router", "home", "linux", "none", "ready", None, None, link={**PLAIN, **link})
    head, row = shown(router, 130)
    assert row[head.index("supernode or link") :].strip() == words


def test_a_link_is_whole_on_a_narrow_terminal() -> None:
    link = {**PLAIN, "up": "delay=10ms jitter=5ms loss=5% rate=1mbit"}
    router = NodeStatus("home-router", "router", "home", "linux", "none", "ready", None, None, link=link)
    lines = shown(router, 80)
    assert max(map(len, lines)) <= 80
    begin = lines[0].index("supernode")
    told = " ".join(line[begin:].strip() for line in lines[1:])
    assert told == "up delay=10ms jitter=5ms loss=5% rate=1mbit, down delay=10ms"


def test_core_says_what_chance_begins_with() -> None:
    core = NodeStatus("core", "core", None, None, None, "ready", None, None, seed=7)
    assert shown(core, 130)[-1].endswith("seed 7")


@pytest.mark.parametrize(("state", "old"), [("ready", False), ("away", True), ("unplugged", True)])
@pytest.mark.parametrize("width", [80, 160])
def test_what_a_client_that_is_away_has_found_out_is_marked_old(state: str, old: bool, width: int) -> None:
    node = NodeStatus(
        "bob", "client", "home", "linux", "none", state, "supernode-1" if state == "ready" else None, None,
        network={"mapping": "endpoint-independent"}, lets_out=EVERYTHING, keepalive_s=10.0,
    )  # fmt: skip
    row = next(line for line in reversed(shown(node, width)) if line.startswith("bob"))
    assert row.startswith("bob (old)") == old


def test_who_was_promoted_and_why_stands_under_the_nodes() -> None:
    because = "supernode-1 had too much to do, and home-pc has reached it"
    node = NodeStatus("open-1-pc", "client", "open-1", "open", "none", "ready", "supernode-1", "supernode", because)
    lines = shown(node, 160)
    assert "client + supernode" in lines[1]
    assert lines[-1] == f"open-1-pc is a supernode: {because}"
