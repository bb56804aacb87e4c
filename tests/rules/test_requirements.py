"""What RFCs 4787, 5382, 5508, 6296 and 6888 ask of a router beside mapping, filtering and allocation, axis by axis.

Belongs here: one case a requirement. Never: firewalls.
"""

import time
from contextlib import ExitStack

import pytest
from measure import TARGETS, Sockets, tcp_outer, udp_outer, udp_seen
from world import (
    FIRST,
    HOST6,
    HOSTS,
    OUTER,
    OUTER_TOO,
    SERVER6,
    SILENCE_S,
    Endpoint,
    World,
    connect,
    connected,
    ready,
)

TRANSLATING = ("full-cone", "restricted-cone", "port-restricted-cone", "linux", "rfc4787")
OTHERS = iter(range(45_000, 46_000))  # inner ports where many are needed, each once
UNTOUCHED = 47  # no mapping has it: below every range of ports


@pytest.mark.parametrize("preset", ["full-cone", "rfc4787", "carrier-grade"])
def test_a_neighbour_is_reached_by_its_outer_address_and_seen_by_one(
    preset: str, world: World, reflectors: Sockets
) -> None:
    """RFC 4787 REQ-9."""
    world.behave(preset)
    with world.udp("anna", HOSTS["anna"], world.port()) as anna, world.udp("bert", HOSTS["bert"], world.port()) as bert:
        outer, own = udp_outer(anna, reflectors, TARGETS[0]), udp_outer(bert, reflectors, TARGETS[0])
        bert.sendto(b"hairpin", outer)
        assert Endpoint(*anna.recvfrom(64)[1]) == own
        anna.sendto(b"back", own)
        assert Endpoint(*bert.recvfrom(64)[1]) == outer


def test_an_outer_port_serves_one_inner_endpoint_alone_also_where_half_of_a_block_is_in_use(
    world: World, reflectors: Sockets
) -> None:
    """RFC 4787 REQ-3: connection tracking would give a port twice, for two destinations."""
    world.behave("carrier-grade", "ports=40000-40599 ports-per-host=300")
    with ExitStack() as kept:
        hosts = [kept.enter_context(world.udp("anna", HOSTS["anna"], world.port())) for _ in range(150)]
        outer = [udp_outer(host, reflectors, TARGETS[number % 3]) for number, host in enumerate(hosts)]
        assert len(set(outer)) == len(hosts)
        again = [udp_outer(host, reflectors, TARGETS[(number + 1) % 3]) for number, host in enumerate(hosts)]
        assert again == outer


@pytest.mark.parametrize(
    ("preset", "axes"),
    [
        ("full-cone", "allocation=sequential ports=40000-40063"),
        ("address-dependent", "allocation=sequential ports=40000-40063"),
        ("full-cone", "ports=40000-40127"),
    ],
)
def test_a_port_in_use_is_nobody_else_s_also_where_there_are_few(
    preset: str, axes: str, world: World, reflectors: Sockets
) -> None:
    """RFC 4787 REQ-3, of ports that go round in order, and of those that are kept where an inner one is not theirs."""
    world.behave(preset, f"{axes} udp-timeout=2 udp-timeout-one-way=2")
    with world.udp("anna", HOSTS["anna"], world.port()) as first:
        outer = udp_outer(first, reflectors, TARGETS[0])
        for _ in range(2):  # of 64 ports the second forty come round
            with ExitStack() as kept:
                others = [kept.enter_context(world.udp("bert", HOSTS["bert"], next(OTHERS))) for _ in range(40)]
                found = [udp_outer(other, reflectors, TARGETS[number % 3]) for number, other in enumerate(others)]
            assert len({outer, *found}) == 41
            until = time.monotonic() + 2.5  # what others had is over: their timers are what is waited for
            while time.monotonic() < until:
                assert udp_outer(first, reflectors, TARGETS[0]) == outer
                time.sleep(0.2)


@pytest.mark.parametrize("preset", ["restricted-cone", "symmetric", "linux"])
def test_a_neighbour_is_not_reached_where_nothing_is_hairpinned(preset: str, world: World, reflectors: Sockets) -> None:
    world.behave(preset)
    with world.udp("anna", HOSTS["anna"], world.port()) as anna, world.udp("bert", HOSTS["bert"], world.port()) as bert:
        outer = udp_outer(anna, reflectors, TARGETS[0])
        bert.sendto(b"hairpin", outer)
        udp_outer(bert, reflectors, TARGETS[1])
        reflectors[TARGETS[0]].sendto(b"barrier", outer)
        assert Endpoint(*anna.recvfrom(64)[1]) == TARGETS[0]


@pytest.mark.parametrize(
    ("axes", "udp", "tcp"),
    [("", True, True), ("udp-hairpinning=no", False, True), ("tcp-hairpinning=no", True, False)],
)
def test_hairpinning_is_of_one_transport_or_of_both(
    axes: str, udp: bool, tcp: bool, world: World, reflectors: Sockets, listeners: Sockets
) -> None:
    world.behave("full-cone", axes)
    with world.udp("anna", HOSTS["anna"], world.port()) as anna, world.udp("bert", HOSTS["bert"], world.port()) as bert:
        outer = udp_outer(anna, reflectors, TARGETS[0])
        bert.sendto(b"hairpin", outer)
        udp_outer(bert, reflectors, TARGETS[1])
        reflectors[TARGETS[0]].sendto(b"barrier", outer)
        first = Endpoint(*anna.recvfrom(64)[1])
        assert (first != TARGETS[0]) == udp
    with ExitStack() as kept:
        port = world.port()
        outer = tcp_outer(world, kept, listeners, "anna", port, TARGETS[0])
        kept.enter_context(world.tcp("anna", HOSTS["anna"], port, listening=True))
        neighbour = kept.enter_context(world.tcp("bert", HOSTS["bert"], 0))
        connect(neighbour, outer)
        assert connected(neighbour, SILENCE_S) == tcp


def test_stock_linux_gives_a_destination_a_mapping_of_its_own_on_a_clash(world: World, reflectors: Sockets) -> None:
    world.behave("linux")
    port = world.port()
    with world.udp("anna", HOSTS["anna"], port) as anna, world.udp("bert", HOSTS["bert"], port) as bert:
        udp_outer(bert, reflectors, TARGETS[2])
        seen = udp_seen(anna, reflectors)
    assert [endpoint.port == port for endpoint in seen] == [True, True, False]


@pytest.mark.parametrize("preset", TRANSLATING)
def test_an_icmp_error_comes_back_and_ends_no_mapping(preset: str, world: World, reflectors: Sockets) -> None:
    """RFC 4787 REQ-12, RFC 5508 REQ-4."""
    world.behave(preset)
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        before = udp_outer(anna, reflectors, TARGETS[0])
        anna.connect((FIRST, UNTOUCHED))
        anna.send(b"nobody listens there")
        with pytest.raises(ConnectionRefusedError):
            anna.recv(64)
        anna.connect((FIRST, TARGETS[0].port))
        anna.send(b"question")
        assert Endpoint(*reflectors[TARGETS[0]].recvfrom(64)[1]) == before


@pytest.mark.parametrize("preset", [*TRANSLATING, "symmetric", "symmetric-sequential", "carrier-grade"])
def test_fragments_pass_both_ways(preset: str, world: World, reflectors: Sockets) -> None:
    """RFC 4787 REQ-13, REQ-14: twice the MTU of the path."""
    world.behave(preset)
    whole = bytes(range(250)) * 12
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        anna.sendto(whole, TARGETS[0])
        came, outer = reflectors[TARGETS[0]].recvfrom(4000)
        reflectors[TARGETS[0]].sendto(whole, outer)
        assert came == whole == anna.recvfrom(4000)[0]


@pytest.mark.parametrize("preset", ["restricted-cone", "port-restricted-cone", "linux", "rfc4787", "carrier-grade"])
def test_tcp_opens_from_both_sides_at_once(preset: str, world: World, listeners: Sockets) -> None:
    """RFC 5382 REQ-2: the one outside is first, and is met with silence.

    Not a full cone: it lets that first SYN in, and a host that has not begun yet refuses it.
    """
    world.behave(preset)
    port, far = world.port(), Endpoint(FIRST, world.port())
    with ExitStack() as kept:
        outer = tcp_outer(world, kept, listeners, "anna", port, TARGETS[2])
        outside = kept.enter_context(world.tcp("server", *far))
        inside = kept.enter_context(world.tcp("anna", HOSTS["anna"], port))
        connect(outside, outer)
        connect(inside, far)
        assert connected(inside) and connected(outside)
        assert inside.getpeername() == far and Endpoint(*outside.getpeername()) == outer


@pytest.mark.parametrize("preset", [*TRANSLATING, "symmetric"])
def test_an_unsolicited_syn_is_met_with_silence(preset: str, world: World) -> None:
    """RFC 5382 REQ-4; a refusal would raise ConnectionError."""
    world.behave(preset)
    with world.tcp("server", FIRST, 0) as stranger:
        connect(stranger, Endpoint(OUTER, world.port()))
        assert not connected(stranger, SILENCE_S)


@pytest.mark.parametrize("refreshing", ["inbound", "outbound"])
def test_a_mapping_lives_on_with_packets_of_either_direction_and_ends_without(
    refreshing: str, world: World, reflectors: Sockets
) -> None:
    """RFC 4787 REQ-5, REQ-6: here 2 s."""
    world.behave("full-cone", "udp-timeout=2 allocation=random")
    server = reflectors[TARGETS[0]]
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        outer = udp_outer(anna, reflectors, TARGETS[0])
        for _ in range(3):
            time.sleep(0.9)  # idle time is what is measured
            if refreshing == "inbound":
                server.sendto(b"on", outer)
                assert anna.recvfrom(64)[0] == b"on"
            else:
                anna.sendto(b"on", TARGETS[0])
                assert Endpoint(*server.recvfrom(64)[1]) == outer
        time.sleep(2.6)
        server.sendto(b"too late", outer)
        assert udp_outer(anna, reflectors, TARGETS[0]) != outer


@pytest.mark.parametrize("pooling", ["paired", "arbitrary"])
def test_outer_addresses_are_paired_or_not(pooling: str, world: World, reflectors: Sockets) -> None:
    """RFC 4787 REQ-2: twenty mappings of one host; by chance all on one address once in half a million."""
    world.behave("carrier-grade", f"pooling={pooling}", outer=(OUTER_TOO,))
    with ExitStack() as kept:
        hosts = [kept.enter_context(world.udp("anna", HOSTS["anna"], world.port())) for _ in range(20)]
        used = {udp_outer(host, reflectors, TARGETS[0]).address for host in hosts}
    assert used <= {OUTER, OUTER_TOO}
    assert len(used) == (1 if pooling == "paired" else 2)


def test_each_host_keeps_to_its_block_of_ports(world: World, reflectors: Sockets) -> None:
    """RFC 6888: random in 64 ports a subscriber; ten in a row going up by one would be no chance."""
    world.behave("carrier-grade", "ports=50000-51023 ports-per-host=64")
    blocks = []
    with ExitStack() as kept:
        for name in HOSTS:
            hosts = [kept.enter_context(world.udp(name, HOSTS[name], world.port())) for _ in range(10)]
            ports = [udp_outer(host, reflectors, TARGETS[0]).port for host in hosts]
            assert len(set(ports)) == 10 and ports != sorted(ports)
            blocks.append({(port - 50000) // 64 for port in ports})
    assert [len(block) for block in blocks] == [1, 1]
    assert blocks[0] != blocks[1]


DRAWN, BY_FLOW = "carrier-grade", "symmetric"
"""Presets: one whose ports are drawn here, one that leaves them to connection tracking."""


@pytest.mark.parametrize("preset", [DRAWN, BY_FLOW, "full-cone", "symmetric-sequential"])
def test_udp_and_tcp_have_outer_ports_of_their_own(
    preset: str, world: World, reflectors: Sockets, listeners: Sockets
) -> None:
    world.behave(preset, "ports-per-host=all udp-ports=50000-50999 tcp-ports=20000-20999")
    with ExitStack() as kept:
        port = world.port()
        hosts = [
            kept.enter_context(world.udp("anna", HOSTS["anna"], port if not n else world.port())) for n in range(4)
        ]
        udp = [udp_outer(host, reflectors, TARGETS[0]).port for host in hosts]
        tcp = [
            tcp_outer(world, kept, listeners, "anna", port if not n else world.port(), TARGETS[0]).port
            for n in range(4)
        ]
    assert {one // 1000 for one in udp} == {50}
    assert {one // 1000 for one in tcp} == {20}
    assert len(set(udp)) == len(set(tcp)) == 4


@pytest.mark.parametrize("preset", [DRAWN, BY_FLOW])
def test_each_host_keeps_to_its_block_of_each_transport(
    preset: str, world: World, reflectors: Sockets, listeners: Sockets
) -> None:
    """RFC 6888 REQ-4 B: limits may be of a transport each. Hosts .2 and .3 have the second and the third block."""
    world.behave(preset, "udp-ports=50000-51023 udp-ports-per-host=64 tcp-ports=20000-20511 tcp-ports-per-host=16")
    for number, name in enumerate(HOSTS, start=1):
        with ExitStack() as kept:
            hosts = [kept.enter_context(world.udp(name, HOSTS[name], world.port())) for _ in range(10)]
            udp = {udp_outer(host, reflectors, TARGETS[0]).port for host in hosts}
            tcp = {tcp_outer(world, kept, listeners, name, world.port(), TARGETS[0]).port for _ in range(5)}
        assert (len(udp), {(port - 50000) // 64 for port in udp}) == (10, {number})
        assert (len(tcp), {(port - 20000) // 16 for port in tcp}) == (5, {number})


@pytest.mark.parametrize(("arbitrary", "paired"), [("udp", "tcp"), ("tcp", "udp")])
def test_outer_addresses_are_paired_in_one_transport_and_not_in_the_other(
    arbitrary: str, paired: str, world: World, reflectors: Sockets, listeners: Sockets
) -> None:
    """Twenty mappings of one host; by chance all on one address once in half a million."""
    world.behave("carrier-grade", f"{arbitrary}-pooling=arbitrary", outer=(OUTER_TOO,))
    with ExitStack() as kept:
        hosts = [kept.enter_context(world.udp("anna", HOSTS["anna"], world.port())) for _ in range(20)]
        used = {
            "udp": {udp_outer(host, reflectors, TARGETS[0]).address for host in hosts},
            "tcp": {tcp_outer(world, kept, listeners, "anna", world.port(), TARGETS[0]).address for _ in range(20)},
        }
    assert (len(used[arbitrary]), len(used[paired])) == (2, 1)


def test_prefixes_are_exchanged_and_no_port_is(world: World) -> None:
    """RFC 6296; anyone may write to an address of the outer prefix."""
    world.behave("linux", profile6="nptv6")
    port = world.port()
    with (
        world.udp("anna", HOST6, port) as anna,
        world.udp("server", SERVER6, 9001) as server,
        world.udp("server", SERVER6, 9002) as stranger,
    ):
        anna.sendto(b"out", (SERVER6, 9001))
        assert server.recvfrom(64)[1][:2] == ("2001:db8:32::2", port)
        stranger.sendto(b"in", ("2001:db8:32::2", port))
        assert anna.recvfrom(64)[1][:2] == (SERVER6, 9002)


def test_nothing_shows_after_its_rules_were_replaced(world: World, reflectors: Sockets) -> None:
    """A mapping of former rules is forgotten with them."""
    world.behave("full-cone", "allocation=random")
    with world.udp("anna", HOSTS["anna"], world.port()) as anna:
        outer = udp_outer(anna, reflectors, TARGETS[0])
        world.behave("symmetric")
        reflectors[TARGETS[0]].sendto(b"to the former mapping", outer)
        again = udp_outer(anna, reflectors, TARGETS[0])
        assert again != outer
        assert not ready([anna], seconds=0)
