"""A client finds out how its router behaves, by asking two supernodes; what it cannot know, it does not say."""

import random

import pytest

from lab.overlay.actions import SendTo
from lab.overlay.discovery import NetworkFound
from lab.overlay.passage import STUN_PORT
from lab.overlay.supernode import STUN_SOCKET
from lab.wire.addresses import Address
from lab.wire.messages import Network
from lab.wire.stun import Kind, StunMessage
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.natsim import Nat

EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"
OUTER = "203.0.113.40"


def world(seed: int = 1, delay: float = 0.01, dual: bool = False) -> FakeNet:
    net = FakeNet(delay=delay, seed=seed, dual=dual)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    assert net.run(10, until=lambda: len(net.hosts["supernode-1"].machine.peers) == 1)
    return net


def find_out(net: FakeNet, router: Router, address: str = "192.168.40.10") -> Network:
    """What a client behind a router knows once it has found out."""
    net.client("zoe", address, router)
    assert net.run(15, until=lambda: bool(net.told("zoe", NetworkFound)))
    return net.hosts["zoe"].machine.discovery.network


# A router that keeps ports gives every destination the same one: preserving goes with one mapping alone.
AXES = [(EI, "preserving"), *((mapping, chosen) for mapping in (EI, AD, APD) for chosen in ("sequential", "random"))]


@pytest.mark.parametrize("filtering", [EI, AD, APD])
@pytest.mark.parametrize(("mapping", "allocation"), AXES)
def test_every_kind_of_router_is_recognised(mapping: str, filtering: str, allocation: str) -> None:
    net = world()
    found = find_out(net, Nat(OUTER, mapping, net=net, filtering=filtering, allocation=allocation))
    assert (found.mapping, found.filtering, found.allocation) == (mapping, filtering, allocation)
    assert (found.outer, found.ports) == (OUTER, None)
    assert found.tcp_mapping == mapping


@pytest.mark.parametrize("filtering", ["none", AD, APD])
def test_without_translation_only_the_firewall_filters(filtering: str) -> None:
    net = world()
    found = find_out(net, Nat("198.51.100.30", None, net=net, filtering=filtering), "198.51.100.20")
    assert (found.mapping, found.filtering, found.allocation) == ("none", filtering, None)
    assert found.outer == "198.51.100.20"


@pytest.mark.parametrize("filtering", ["none", AD, APD])
def test_a_client_with_ipv6_alone_finds_out_what_its_firewall_lets_in_and_for_how_long(filtering: str) -> None:
    net = world(dual=True)
    firewall = Nat("2001:db8:72::1", None, net=net, filtering=filtering, timeout=30.0)
    found = find_out(net, firewall, "2001:db8:72::10")
    assert (found.mapping, found.filtering, found.tcp_mapping) == ("none", filtering, "none")
    assert found.outer == "2001:db8:72::10"
    net.run(130)
    firewalled = 18.0 if filtering != "none" else 90.0
    assert net.hosts["zoe"].machine.discovery.lifetime.keepalive() == firewalled


def test_a_client_with_ipv6_alone_finds_out_that_its_prefix_is_translated() -> None:
    net = world(dual=True)
    router = Nat("2001:db8:73::10", EI, net=net, filtering=EI, allocation="preserving")
    found = find_out(net, router, "fd00:73::10")
    assert (found.mapping, found.filtering, found.allocation) == (EI, EI, "preserving")
    assert found.outer == "2001:db8:73::10"


def test_a_client_with_both_families_looks_at_the_one_that_is_translated() -> None:
    net = world(dual=True)
    net.client("zoe", "192.168.40.10", Nat(OUTER, APD, net=net), ("2001:db8:72::10", None))
    assert net.run(15, until=lambda: bool(net.told("zoe", NetworkFound)))
    assert net.hosts["zoe"].machine.discovery.network.outer == OUTER


def test_it_takes_two_seconds_and_few_packets_at_forty_milliseconds() -> None:
    net = world(delay=0.01)
    sent: list[float] = []
    net.lose = lambda source, destination: bool(
        source[0] == OUTER and destination[1] in (3478, 3479) and sent.append(net.now)
    )
    net.client("zoe", "192.168.40.10", Nat(OUTER, APD, net=net, allocation="random"))
    hub = net.hosts["zoe"].machine.hub
    assert net.run(10, until=lambda: hub.hub is not None)
    begun = net.now
    assert net.run(10, until=lambda: bool(net.told("zoe", NetworkFound)))
    assert net.now - begun < 2.0
    assert len(sent) <= 30  # the call's own socket asks as well
    assert max(sum(at <= each < at + 0.1 for each in sent) for at in sent) <= 12


@pytest.mark.parametrize("seed", range(20))
def test_loss_makes_less_known_and_nothing_false(seed: int) -> None:
    net = world(seed)
    chance = random.Random(seed)
    net.lose = lambda source, destination: chance.random() < 0.05
    found = find_out(net, Nat(OUTER, AD, net=net, filtering=AD, allocation="random"))
    assert found.mapping in (AD, None)
    assert found.filtering in (AD, None)
    assert found.allocation in ("random", None)


@pytest.mark.parametrize("busy", [1, 5])
def test_a_router_that_counts_is_known_while_others_take_ports(busy: int) -> None:
    net = world()
    assert find_out(net, Nat(OUTER, APD, net=net, allocation="sequential", busy=busy)).allocation == "sequential"


@pytest.mark.parametrize(("first", "size"), [(1024, 512), (32768, 1024), (20_480, 2048), (10_000, 1000)])
@pytest.mark.parametrize("seed", range(5))
def test_a_block_of_ports_is_recognised(first: int, size: int, seed: int) -> None:
    net = world(seed)
    ports = find_out(
        net, Nat(OUTER, EI, net=net, filtering=AD, allocation="random", drawn_from=range(first, first + size))
    ).ports
    assert ports is not None and ports[1] - ports[0] < 2048
    missed = max(0, ports[0] - first) + max(0, first + size - 1 - ports[1])
    aligned = size.bit_count() == 1 and first % size == 0
    assert missed == 0 if aligned else missed < size / 3


def test_a_block_is_looked_for_again_where_answers_were_lost() -> None:
    net = world()
    asked: set[Address] = set()

    def lose(source: Address, destination: Address) -> bool:
        """Only the first eight mappings get answers."""
        if source[0] == OUTER and destination[1] == STUN_PORT and len(asked) < 8:
            asked.add(source)
        return destination[0] == OUTER and source[1] == STUN_PORT and destination not in asked

    net.lose = lose
    drawn_from = range(32_768, 33_792)
    found = find_out(net, Nat(OUTER, APD, net=net, allocation="random", drawn_from=drawn_from))
    assert (found.allocation, found.ports) == ("random", None)
    net.lose = None
    net.run(12)
    assert net.hosts["zoe"].machine.discovery.network.ports == (32_768, 33_791)


def test_a_block_that_is_too_large_to_try_is_none() -> None:
    net = world()
    assert find_out(net, Nat(OUTER, EI, net=net, allocation="random", drawn_from=range(8192, 16_384))).ports is None


def test_a_network_without_udp_is_not_guessed_at() -> None:
    net = world()
    assert find_out(net, Router(OUTER, udp=False)) == Network(tcp_mapping=EI)


def test_where_a_firewall_drops_tcp_to_the_supernodes_ports_nothing_is_said_of_it() -> None:
    net = world()
    found = find_out(net, Nat(OUTER, EI, net=net, tcp_ports={443}))
    assert (found.mapping, found.tcp_mapping) == (EI, None)


def test_with_one_supernode_alone_only_what_it_can_tell_is_known() -> None:
    net = world()
    net.kill("supernode-2")
    net.run(6)  # until its fellow has noticed
    found = find_out(net, Nat(OUTER, EI, net=net, filtering=AD))
    assert (found.mapping, found.filtering, found.allocation, found.outer) == (None, None, "preserving", OUTER)


def lying(net: FakeNet, supernode: str, wrong: Address) -> None:
    """Makes a supernode tell everybody another outer address."""
    host = net.hosts[supernode]
    told = host.machine.datagram

    def lie(socket: int, data: bytes, source: Address, now: float) -> None:
        told(socket, data, source, now)
        for at, action in enumerate(host.machine.actions.pending):
            if isinstance(action, SendTo) and action.socket == STUN_SOCKET:
                answer = StunMessage.parse(action.data)
                if answer.kind is Kind.SUCCESS:
                    false = StunMessage(answer.method, answer.kind, answer.transaction_id, xor_mapped=wrong)
                    host.machine.actions.pending[at] = SendTo(action.socket, action.address, false.encode())

    host.machine.datagram = lie  # type: ignore[method-assign]


@pytest.mark.parametrize("liar", ["supernode-1", "supernode-2"])
@pytest.mark.parametrize("wrong", [("198.51.100.200", 4444), (OUTER, 4444)])
def test_a_supernode_that_lies_makes_nothing_false_known(liar: str, wrong: Address) -> None:
    net = world()
    lying(net, liar, wrong)
    found = find_out(net, Nat(OUTER, EI, net=net, filtering=AD))
    assert found.mapping in (EI, None)
    assert found.outer in (OUTER, None)
    assert found.allocation in ("preserving", None)


def test_a_client_that_moves_forgets_and_finds_out_anew() -> None:
    net = world()
    find_out(net, Nat(OUTER, EI, net=net))
    machine = net.hosts["zoe"].machine
    net.move("zoe", ("192.168.41.10", Nat("203.0.113.41", APD, net=net, allocation="random")))
    assert machine.discovery.network == Network()
    assert net.run(15, until=lambda: len(net.told("zoe", NetworkFound)) == 2)
    assert (machine.discovery.network.mapping, machine.discovery.network.outer) == (APD, "203.0.113.41")


def test_a_client_that_gets_one_more_address_stays_signed_in_and_finds_out_anew() -> None:
    net = world()
    router = Nat(OUTER, EI, net=net)
    find_out(net, router)
    zoe = net.hosts["zoe"]
    signed_in_at = zoe.machine.hub.at
    zoe.machine.relocated((*zoe.machine.membership.own.addresses, "fd00:40::10"), net.now)
    net.settle(zoe)
    assert zoe.machine.discovery.network == Network()
    assert net.run(15, until=lambda: zoe.machine.discovery.network.mapping == EI)
    assert zoe.machine.hub.at is signed_in_at


def test_who_has_no_answer_at_first_asks_again_soon() -> None:
    net = world()
    deaf = True
    net.lose = lambda source, destination: deaf and destination[1] in (3478, 3479)
    assert find_out(net, Nat(OUTER, EI, net=net)).mapping is None
    deaf = False
    assert net.run(10, until=lambda: net.hosts["zoe"].machine.discovery.network.mapping == EI)


def test_a_supernode_that_answers_over_tcp_a_little_later_is_asked_again_soon() -> None:
    net = world()
    listeners = net.hosts["supernode-2"].listeners
    late = {port: listeners.pop(port) for port in (3478, 3479)}
    assert find_out(net, Nat(OUTER, EI, net=net)).tcp_mapping is None
    listeners |= late
    assert net.run(10, until=lambda: net.hosts["zoe"].machine.discovery.network.tcp_mapping == EI)


@pytest.mark.parametrize(
    ("timeout", "keepalive"),
    [(2.5, 2.0), (5.5, 2.25), (10.0, 5.25), (20.0, 10.5), (30.0, 18.0), (60.0, 25.5), (120.0, 48.0), (300.0, 90.0)],
)
@pytest.mark.parametrize("mapping", [EI, APD])
def test_mappings_are_kept_alive_as_often_as_the_router_wants(mapping: str, timeout: float, keepalive: float) -> None:
    net = world()
    find_out(net, Nat(OUTER, mapping, net=net, timeout=timeout, allocation="preserving"))
    lifetime = net.hosts["zoe"].machine.discovery.lifetime
    assert lifetime.keepalive() == 10.0
    began = net.now
    assert net.run(200, until=lambda: not lifetime.under_way)
    assert net.now - began == pytest.approx(124, abs=2), "how long it takes to find out"
    assert lifetime.keepalive() == keepalive
    assert (lifetime.longest or 0) < timeout
    assert lifetime.shortest is None or lifetime.shortest > timeout


def test_what_is_known_of_the_routers_patience_grows_while_it_is_found_out() -> None:
    net = world()
    find_out(net, Nat(OUTER, EI, net=net, timeout=300.0))
    lifetime = net.hosts["zoe"].machine.discovery.lifetime
    known = []
    for seconds in (10, 10, 10, 10, 30, 60):
        net.run(seconds)
        known.append(lifetime.keepalive())
    assert known == [5.25, 10.5, 18.0, 25.5, 48.0, 90.0]


def test_looking_again_for_what_is_missing_does_not_begin_the_long_wait_anew() -> None:
    net = world()
    listeners = net.hosts["supernode-2"].listeners
    for port in (3478, 3479):  # the mapping of TCP stays unknown, and is looked for again and again
        listeners.pop(port)
    find_out(net, Nat(OUTER, EI, net=net, timeout=300.0))
    net.run(130)
    assert net.hosts["zoe"].machine.discovery.network.tcp_mapping is None
    assert net.hosts["zoe"].machine.discovery.lifetime.keepalive() == 90.0


def test_a_mapping_lives_as_long_as_its_socket_is_kept() -> None:
    net = world()
    router = Nat(OUTER, EI, net=net, timeout=20.0)
    find_out(net, router)
    net.run(60)
    spare = net.hosts["zoe"].machine.spare
    for _ in range(40):
        net.run(1)
        assert net.now - router.used[OUTER, spare.port] < 20.0


@pytest.mark.parametrize("liar", ["supernode-1", "supernode-2"])
@pytest.mark.parametrize("wrong", [("198.51.100.200", 4444), (OUTER, 4444)])
def test_a_call_goes_direct_though_a_supernode_lies(liar: str, wrong: Address) -> None:
    net = world()
    net.relay(1)
    lying(net, liar, wrong)
    net.client("zoe", "192.168.40.10", Nat(OUTER, EI, net=net))
    net.client("yan", "192.168.41.10", Nat("203.0.113.41", EI, net=net))
    clients = [net.hosts[name] for name in ("zoe", "yan")]
    assert net.run(10, until=lambda: all(host.machine.hub.hub for host in clients))
    net.run(3)
    zoe, yan = clients
    zoe.machine.dial("c", "yan", net.now)
    net.settle(zoe)
    assert net.run(5, until=lambda: "c" in yan.machine.calls)
    yan.machine.answer("c", net.now)
    net.settle(yan)
    net.run(3)
    for host in clients:
        path = host.machine.calls["c"].path
        assert path is not None and (str(path.kind), str(path.transport)) == ("punched", "udp")


def test_a_router_that_is_configured_anew_is_noticed_by_looking_again() -> None:
    net = world()
    router = Nat(OUTER, EI, net=net, filtering=APD)
    find_out(net, router)
    machine = net.hosts["zoe"].machine
    router.filtering = AD
    assert net.run(310, until=lambda: machine.discovery.network.filtering == AD)
    assert machine.discovery.network.mapping == EI
