"""How the internet sees the clients of each site, and who of it gets in.

Expectations stand here as RFC 4787 words them; profiles are not consulted.
"""

import pytest
from reach import Nodes, Reflecting


@pytest.mark.parametrize(("who", "router"), [("bob", "203.0.113.32"), ("frank", "203.0.113.33")])
def test_linux_maps_endpoint_independently_and_keeps_the_port(
    nodes: Nodes, reflecting: Reflecting, port: str, who: str, router: str
) -> None:
    with reflecting("relay-1", "authority") as reflectors:
        seen = nodes[who].probe("udp", port, *reflectors)
    assert seen == dict.fromkeys(reflectors, f"{router}:{port}")


def test_symmetric_maps_every_destination_to_a_port_of_its_own(nodes: Nodes, reflecting: Reflecting, port: str) -> None:
    with reflecting("relay-1", "authority") as reflectors:
        seen = nodes["carol"].probe("udp", port, *reflectors)
    assert {outside.split(":")[0] for outside in seen.values()} == {"203.0.113.34"}
    assert len(set(seen.values())) == len(reflectors)


def test_open_does_not_translate(nodes: Nodes, reflecting: Reflecting, port: str) -> None:
    with reflecting("relay-1", "authority") as reflectors:
        seen = nodes["alice"].probe("udp", port, *reflectors)
    assert seen == dict.fromkeys(reflectors, f"{nodes['alice'].address}:{port}")


def test_open_lets_anybody_in(nodes: Nodes, port: str) -> None:
    alice = f"{nodes['alice'].address}:{port}"
    with nodes["alice"].probing("listen", port) as listener:
        listener.answer()
        nodes["relay-1"].probe("send", "7001", alice, "hello")
        nodes["bob"].probe("send", "40505", alice, "end")
        heard = listener.answer()["heard"]
    assert heard == [["203.0.113.21:7001", "hello"], ["203.0.113.32:40505", "end"]]


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_translated_sites_admit_only_the_address_and_port_that_was_written_to(
    nodes: Nodes, reflecting: Reflecting, port: str, who: str
) -> None:
    with reflecting("relay-1", ports=(7001,)) as reflectors, nodes[who].probing("listen", port, *reflectors) as inside:
        (outside,) = inside.answer()["outside"]
        nodes["authority"].probe("send", "7001", outside, "another address")
        nodes["relay-1"].probe("send", "7002", outside, "another port")
        nodes["relay-1"].probe("send", "7001", outside, "end")
        heard = inside.answer()["heard"]
    assert heard == [["203.0.113.21:7001", "end"]]


@pytest.mark.parametrize(
    ("who", "router", "seconds"), [("bob", "home-router", (25, 30)), ("carol", "office-router", (55, 60))]
)
def test_udp_timer_of_an_unanswered_flow(
    nodes: Nodes, port: str, who: str, router: str, seconds: tuple[int, int]
) -> None:
    nodes[who].probe("send", port, "203.0.113.21:9", "nobody answers")
    assert seconds[0] <= _timer(nodes, router, "203.0.113.21", 9, port) <= seconds[1]


@pytest.mark.parametrize(
    ("who", "router", "seconds"), [("bob", "home-router", (115, 120)), ("carol", "office-router", (55, 60))]
)
def test_udp_timer_of_a_two_way_flow(
    nodes: Nodes, reflecting: Reflecting, port: str, who: str, router: str, seconds: tuple[int, int]
) -> None:
    with reflecting("relay-1", ports=(7001,)) as reflectors:
        nodes[who].probe("converse", port, *reflectors)
    assert seconds[0] <= _timer(nodes, router, "203.0.113.21", 7001, port) <= seconds[1]


def _timer(nodes: Nodes, router: str, address: str, to: int, source: str) -> int:
    listed = nodes[router].run(
        "conntrack", "-L", "-p", "udp", "--orig-dst", address, "--orig-port-dst", str(to), "--orig-port-src", source
    )
    (entry,) = [line for line in listed.splitlines() if line.startswith("udp ")]
    return int(entry.split()[2])
