"""Clients behind every firewall, in memory: how they sign in, what they find out, which paths their calls take."""

import itertools

import pytest

from lab.overlay.call_events import Answered, Moved
from lab.overlay.ladder import Way
from lab.overlay.member import SignedIn
from lab.overlay.passage import ANY, PROXY
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

HARD = "address-and-port-dependent"
NARROW = {
    "udp-blocked": {"udp": False},
    "tcp-443": {"udp": False, "tcp_ports": {443}},
    "web-only": {"udp": False, "tcp_ports": {443, 80}},
    "tls-only": {"udp": False, "tcp_ports": {443}, "tls_only": True},
    "proxy-only": {"udp": False, "tcp_ports": set(), "proxy": True},
}
NAMES = {name: f"client.{name}" for name in NARROW}


@pytest.fixture
def net() -> FakeNet:
    """A client behind each firewall, one on the open internet, one behind an ordinary router; all signed in."""
    net = FakeNet()
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("open", "198.51.100.18", Router("203.0.113.31", mapping=None))
    net.client("cone", "192.168.32.10", Router("203.0.113.32"))
    for number, (name, allowed) in enumerate(NARROW.items(), 33):
        net.client(NAMES[name], f"192.168.{number}.10", Router(f"203.0.113.{number}", mapping=HARD, **allowed))
    clients = ("open", "cone", *NAMES.values())
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in clients))
    net.run(4)
    return net


@pytest.mark.parametrize(
    ("firewall", "port", "proxied"),
    [
        ("udp-blocked", 33033, False),
        ("tcp-443", 443, False),
        ("web-only", 443, False),
        ("tls-only", 443, False),
        ("proxy-only", 443, True),
    ],
)
def test_each_firewall_is_climbed_by_its_rung(net: FakeNet, firewall: str, port: int, proxied: bool) -> None:
    signed_in = net.told(NAMES[firewall], SignedIn)[0][1]
    assert (signed_in.port, signed_in.proxied) == (port, proxied)


@pytest.mark.parametrize(
    ("firewall", "best", "found"),
    [
        ("udp-blocked", ANY, {"udp": False, "voice_by_udp": None, "tcp": ["any"], "tls_only": False, "proxy": False}),
        ("tcp-443", Way(443), {"udp": False, "voice_by_udp": None, "tcp": [443], "tls_only": False, "proxy": False}),
        (
            "web-only",
            Way(443),
            {"udp": False, "voice_by_udp": None, "tcp": [443, 80], "tls_only": False, "proxy": False},
        ),
        (
            "tls-only",
            Way(443, secure=True),
            {"udp": False, "voice_by_udp": None, "tcp": [443], "tls_only": True, "proxy": False},
        ),
        ("proxy-only", PROXY, {"udp": False, "voice_by_udp": None, "tcp": [], "tls_only": True, "proxy": True}),
    ],
)
def test_a_client_knows_what_passes_before_any_call(
    net: FakeNet, firewall: str, best: Way, found: dict[str, object]
) -> None:
    machine = net.hosts[NAMES[firewall]].machine
    first = machine.passage.routes([("203.0.113.21", port) for port in (33034, 443, 80)])[0]
    assert (first.secure, first.proxied) == (best.secure, best.proxied)
    assert best.port is None or first.address[1] == best.port
    assert machine.found(net.now) == found


def test_two_ways_out_are_told_apart_from_one(net: FakeNet) -> None:
    assert net.hosts["open"].machine.found(net.now)["udp"] is True
    only_80 = net.client("eighty", "192.168.60.10", Router("203.0.113.60", udp=False, tcp_ports={80}))
    assert net.run(10, until=lambda: only_80.machine.hub.hub is not None)
    net.run(4)
    assert only_80.machine.found(net.now) == {
        "udp": False,
        "voice_by_udp": None,
        "tcp": [80],
        "tls_only": False,
        "proxy": False,
    }


PAIRS = [
    *(("open", firewall, "direct/tcp") for firewall in NARROW),
    *(("cone", firewall, "relayed/mixed via relay-1") for firewall in NARROW),
    *((one, other, "relayed/tcp via relay-1") for one, other in itertools.combinations(NARROW, 2)),
]


@pytest.mark.parametrize(
    ("caller", "callee", "expected"),
    [(*names, path) for *pair, path in PAIRS for names in itertools.permutations(pair)],
)
def test_calls_take_the_path_that_both_firewalls_allow_and_speak_at_once(
    net: FakeNet, caller: str, callee: str, expected: str
) -> None:
    caller, callee = NAMES.get(caller, caller), NAMES.get(callee, callee)
    place(net, caller, callee)
    net.run(2)
    answered = net.told(callee, Answered)[0][0]
    round_trip = 4 * 2 * net.delay
    for name in (caller, callee):
        moves = net.told(name, Moved)
        assert [str(event.path) for _, event in moves][-1:] == [expected]
        assert moves[0][0] - answered <= 1.5 * round_trip


def test_a_call_right_after_sign_in_gets_through_without_knowing_anything() -> None:
    net = FakeNet()
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("cone", "192.168.32.10", Router("203.0.113.32"))
    net.run(3)
    hurried = net.client("hurried", "192.168.37.10", Router("203.0.113.37", mapping=HARD, **NARROW["proxy-only"]))
    assert net.run(10, until=lambda: hurried.machine.hub.hub is not None)
    place(net, "hurried", "cone")
    net.run(3)
    assert str(net.told("hurried", Moved)[-1][1].path) == "relayed/mixed via relay-1"


def test_a_firewall_that_closes_later_is_noticed_by_the_next_call(net: FakeNet) -> None:
    router = net.hosts["cone"].routers[4]
    router.udp, router.tcp_ports, router.tls_only = False, {443}, True
    net.hosts["cone"].machine.hub._lost("told to by the test", net.now)
    net.settle(net.hosts["cone"])
    assert net.run(10, until=lambda: net.hosts["cone"].machine.hub.hub is not None)
    net.run(20)
    assert net.hosts["cone"].machine.found(net.now) == {
        "udp": False,
        "voice_by_udp": None,
        "tcp": [443],
        "tls_only": True,
        "proxy": False,
    }
    place(net, "cone", "open")
    net.run(1)
    assert str(net.told("cone", Moved)[-1][1].path) == "direct/tcp"
