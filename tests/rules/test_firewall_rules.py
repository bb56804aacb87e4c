"""What every firewall lets out, beside a router that translates and one more that might let others in.

Belongs here: one case a firewall. Never: what is translated.
"""

from contextlib import ExitStack
from ipaddress import ip_network

import pytest
from measure import TARGETS, Sockets, udp_filtering, udp_outer
from world import FIRST, HOST6, HOSTS, OUTSIDE6, SERVER6, SILENCE_S, Endpoint, World, connect, connected, ready

from lab.nat import Filtering

# firewall: UDP, TCP to any port, to 80, to 443, a plain protocol on 443
LETS_OUT = {
    "none": (True, True, True, True, True),
    "inbound-blocked": (True, True, True, True, True),
    "udp-blocked": (False, True, True, True, True),
    "tcp-443": (False, False, False, True, True),
    "web-only": (False, False, True, True, True),
    "tls-only": (False, False, False, True, False),
    "proxy-only": (False, False, False, False, False),
    "udp-throttled": (True, True, True, True, True),
}
TLS, PLAIN = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x00\x04ping, in no TLS record"


def opens(world: World, port: int, says: bytes, inner: str = HOSTS["anna"], server: str = FIRST) -> bool:
    """Whether a connection is opened and its first bytes arrive."""
    with ExitStack() as kept:
        listener = kept.enter_context(world.tcp("server", server, port, listening=True))
        host = kept.enter_context(world.tcp("anna", inner, world.port()))
        connect(host, Endpoint(server, port))
        if not connected(host, SILENCE_S):
            return False
        assert ready([listener])
        accepted = kept.enter_context(listener.accept()[0])
        host.send(says)
        try:
            return bool(ready([accepted], seconds=SILENCE_S)) and accepted.recv(64) == says
        except ConnectionError:
            return False


@pytest.mark.parametrize("firewall", LETS_OUT)
def test_a_firewall_lets_out_what_its_name_says(firewall: str, world: World, reflectors: Sockets) -> None:
    world.behave("linux", firewall=firewall)
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        anna.sendto(b"question", TARGETS[0])
        udp = bool(ready([reflectors[TARGETS[0]]], seconds=SILENCE_S))
    tcp = (opens(world, 9000, PLAIN), opens(world, 80, PLAIN), opens(world, 443, TLS), opens(world, 443, PLAIN))
    assert (udp, *tcp) == LETS_OUT[firewall]


@pytest.mark.parametrize("says", [b"h", b"hi", b"hi!", b"hi!!", TLS[:2]])
@pytest.mark.parametrize("over", [4, 6])
def test_a_few_bytes_are_no_tls(says: bytes, over: int, world: World) -> None:
    """Fewer than a record's header: nobody could tell what it is the beginning of."""
    world.behave("linux", firewall="tls-only", profile6="nptv6")
    inner, server = (HOSTS["anna"], FIRST) if over == 4 else (HOST6, SERVER6)
    assert opens(world, 443, TLS, inner, server)
    assert not opens(world, 443, says, inner, server)


@pytest.mark.parametrize("firewall", LETS_OUT)
def test_it_lets_out_the_same_over_ipv6_and_nobody_in(firewall: str, world: World) -> None:
    with world.udp("anna", HOST6, world.port()) as anna, world.udp("server", SERVER6, 9001) as server:
        world.behave("linux", profile6="nptv6")
        anna.sendto(b"who is there", (SERVER6, 9001))  # neighbours know one another before it is measured
        server.recvfrom(64)
        world.behave("linux", firewall=firewall, profile6="nptv6")
        anna.sendto(b"question", (SERVER6, 9001))
        udp = bool(ready([server], seconds=SILENCE_S))
        outer = str(ip_network(OUTSIDE6)[2]), anna.getsockname()[1]
        with world.udp("server", SERVER6, 9002) as other:
            other.sendto(b"unasked", outer)
            let_in = bool(ready([anna], seconds=SILENCE_S))
    says = (9000, PLAIN), (80, PLAIN), (443, TLS), (443, PLAIN)
    tcp = tuple(opens(world, port, words, HOST6, SERVER6) for port, words in says)
    assert (udp, *tcp) == LETS_OUT[firewall]
    assert let_in is (firewall == "none"), "prefixes that are translated filter nothing by themselves"


def test_a_firewall_lets_nobody_in_to_a_mapping_that_would(world: World, reflectors: Sockets) -> None:
    found = {}
    for firewall in ("none", "inbound-blocked"):
        world.behave("full-cone", firewall=firewall)
        with world.udp("anna", HOSTS["anna"], world.port()) as anna:
            found[firewall] = udp_filtering(anna, reflectors)
    assert found == {
        "none": Filtering.ENDPOINT_INDEPENDENT,
        "inbound-blocked": Filtering.ADDRESS_AND_PORT_DEPENDENT,
    }


@pytest.mark.parametrize("direction", ["up", "down"])
def test_udp_beyond_16_kbit_a_second_is_dropped(direction: str, world: World, reflectors: Sockets) -> None:
    """A bucket of one second's worth, 2,000 bytes: 7 or 8 packets of 228 with headers, of 100 sent at once."""
    world.behave("full-cone", firewall="udp-throttled")
    server = reflectors[TARGETS[0]]
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        outer = udp_outer(anna, reflectors, TARGETS[0])
        sender, receiver, to = (anna, server, TARGETS[0]) if direction == "up" else (server, anna, outer)
        for _ in range(100):
            sender.sendto(bytes(200), to)
        came = 0
        while ready([receiver], seconds=SILENCE_S):
            receiver.recvfrom(400)
            came += 1
    assert 4 <= came <= 12
