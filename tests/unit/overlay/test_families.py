"""Both families on a network in memory: which one a call takes, who meets at the relay, and clients that move."""

import pytest

from lab.overlay.call_events import Heard, Moved
from lab.overlay.hub import PROBE_LIMIT
from lab.overlay.member import Relocated, SignedIn, SignedOut
from lab.overlay.whereabouts import Whereabouts
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

CLIENTS = ("dora", "dirk", "sid", "fred")


def stateful() -> Router:
    return Router("", mapping=None, stateful=True)


@pytest.fixture
def net() -> FakeNet:
    """Everybody on the internet is dual-stack; two dual-stack clients, one with IPv6 alone, one with IPv4 alone."""
    net = FakeNet(dual=True)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("dora", "192.168.41.10", Router("203.0.113.41"), ("2001:db8:41::10", stateful()))
    net.client("dirk", "192.168.42.10", Router("203.0.113.42"), ("2001:db8:42::10", stateful()))
    net.client("sid", "2001:db8:43::10", stateful())
    net.client("fred", "192.168.44.10", Router("203.0.113.44"))
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in CLIENTS))
    net.run(2)
    return net


def path_of(net: FakeNet, name: str) -> tuple[str, str]:
    """What the path is called, and the host that it goes to."""
    selected = net.hosts[name].machine.calls["c1.x"].checklist.selected
    assert selected is not None
    return str(selected.name), selected.remote[0]


@pytest.mark.parametrize(
    ("caller", "callee", "path", "toward"),
    [
        ("dora", "dirk", "direct/udp", "2001:db8:42::10"),
        ("dora", "sid", "direct/udp", "2001:db8:43::10"),
        ("sid", "dora", "direct/udp", "2001:db8:41::10"),
        ("dora", "fred", "punched/udp", "203.0.113.44"),
        ("sid", "fred", "relayed/udp via relay-1", "2001:db8:0:1::21"),
        ("fred", "sid", "relayed/udp via relay-1", "203.0.113.21"),
    ],
)
def test_a_call_takes_ipv6_where_both_have_it_and_the_relay_where_they_share_no_family(
    net: FakeNet, caller: str, callee: str, path: str, toward: str
) -> None:
    id = place(net, caller, callee)
    net.run(2)
    assert path_of(net, caller) == (path, toward)
    assert path_of(net, callee)[0] == path
    assert net.hosts[caller].machine.send(id, b"\x80hello")
    net.settle(net.hosts[caller])
    assert net.run(1, until=lambda: bool(net.told(callee, Heard)))


@pytest.mark.parametrize("late", [False, True])
def test_ipv6_between_two_open_networks_is_preferred_to_ipv4_of_the_same_kind(late: bool) -> None:
    net = FakeNet(dual=True)
    net.authority()
    net.supernode(1)
    net.relay(1)
    for name, number in (("anna", 1), ("otto", 2)):
        net.client(name, f"198.51.100.{number}", Router("", mapping=None), (f"2001:db8:5{number}::10", stateful()))
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in ("anna", "otto")))
    net.run(1)
    if late:
        net.lose = lambda source, destination: "2001:db8:5" in source[0] and "2001:db8:5" in destination[0]
    place(net, "anna", "otto")
    assert not late or ":" not in path_of(net, "anna")[1], "IPv4 was the first to work"
    net.lose = None
    net.run(2)
    assert path_of(net, "anna") == ("direct/udp", "2001:db8:52::10")
    assert path_of(net, "otto") == ("direct/udp", "2001:db8:51::10")


def test_no_check_is_sent_to_a_family_that_the_client_has_not(net: FakeNet) -> None:
    place(net, "sid", "dora")
    net.run(1)
    paths = net.hosts["sid"].machine.calls["c1.x"].checklist.paths
    assert {path.remote[0] for path in paths.values() if path.via is None} == {"2001:db8:41::10"}


def test_a_supernode_with_two_addresses_is_one_supernode(net: FakeNet) -> None:
    for number in (1, 2):
        supernode = net.hosts[f"supernode-{number}"].machine
        assert set(supernode.peers) == {f"supernode-{3 - number}"}
        assert set(supernode.roster.here) == {"relay-1"}
        assert sorted(supernode.roster.here["relay-1"].hosts) == ["2001:db8:0:1::21", "203.0.113.21"]
        names = [session.name for session in supernode.sessions.values() if session.role != "client"]
        assert len(names) == len(set(names)), f"signed in twice: {names}"


def test_ipv4_carries_the_client_where_ipv6_leads_nowhere() -> None:
    net = FakeNet(dual=True)
    net.authority()
    net.supernode(1)
    hole = Router("", mapping=None, udp=False, tcp_ports=set())
    net.client("vera", "192.168.45.10", Router("203.0.113.45"), ("2001:db8:45::10", hole))
    vera = net.hosts["vera"].machine
    assert net.run(3, until=lambda: vera.hub.hub is not None)
    assert vera.hub.at.route.address[0] == "203.0.113.11"


def test_the_leg_takes_the_relays_other_address_where_the_first_family_leads_nowhere(net: FakeNet) -> None:
    net.lose = lambda source, destination: "2001:db8:0:1::21" in (source[0], destination[0])
    place(net, "dora", "fred")
    net.run(2)
    (session,) = net.hosts["relay-1"].machine.sessions.values()
    assert [leg.link for leg in session.legs] == [None, None], "both legs are bound over UDP"
    assert {leg.address[0] for leg in session.legs} == {"203.0.113.41", "203.0.113.44"}


def test_a_relay_that_hears_a_bind_late_is_called_back_to_the_address_in_use(net: FakeNet) -> None:
    place(net, "dora", "fred")
    net.run(1)
    leg = net.hosts["dora"].machine.calls["c1.x"].legs.all[0]
    assert leg.udp_address[0] == "2001:db8:0:1::21"
    net.hosts["dora"].machine.actions.send_to(leg.media.socket, ("203.0.113.21", 33034), leg.binds.ask(net.now))
    net.settle(net.hosts["dora"])
    net.run(0.5)
    (session,) = net.hosts["relay-1"].machine.sessions.values()
    assert session.legs[0].address[0] == "2001:db8:41::10"


# -- clients that move -----------------------------------------------------------------------------------------------


def test_a_client_that_moves_is_signed_in_at_its_new_site_at_once(net: FakeNet) -> None:
    net.move("fred", ("2001:db8:43::20", stateful()))
    moved = net.now
    assert net.told("fred", Relocated)[-1][1].addresses == ("2001:db8:43::20",)
    assert "192.168.44.10 is gone" in net.told("fred", SignedOut)[-1][1].reason
    assert net.run(1, until=lambda: net.hosts["fred"].machine.hub.hub is not None)
    assert net.now - moved < 1
    net.run(1)
    place(net, "sid", "fred")
    net.run(1)
    assert path_of(net, "sid") == ("direct/udp", "2001:db8:43::20")


def test_an_unplugged_client_waits_and_comes_back_at_once_when_it_is_plugged_in(net: FakeNet) -> None:
    router = net.hosts["fred"].routers[4]
    net.move("fred")
    assert net.hosts["fred"].machine.hub.hub is None
    net.run(120)
    plugged = net.now
    net.move("fred", ("192.168.44.10", router))
    assert net.run(1, until=lambda: net.hosts["fred"].machine.hub.hub is not None)
    assert net.now - plugged < 1


def test_a_link_that_survives_a_change_of_routes_is_kept(net: FakeNet) -> None:
    fred = net.hosts["fred"]
    net.move("fred", ("192.168.44.10", fred.routers[4]))
    net.run(3)
    assert not net.told("fred", SignedOut)


def test_a_link_that_a_change_of_routes_has_cut_is_replaced_without_waiting_for_silence(net: FakeNet) -> None:
    fred, hub = net.hosts["fred"], net.hosts["fred"].machine.hub.hub
    net.kill(hub)
    changed = net.now
    net.move("fred", ("192.168.44.10", fred.routers[4]))
    assert net.run(3, until=lambda: bool(net.told("fred", SignedOut)))
    assert net.now - changed <= PROBE_LIMIT + 0.01
    assert net.run(2, until=lambda: fred.machine.hub.hub not in (None, hub))


def test_outer_addresses_are_asked_for_anew_when_the_hub_link_breaks(net: FakeNet) -> None:
    fred = net.hosts["fred"]
    fred.routers[4] = Router("203.0.113.144")
    for pipe in [pipe for (name, _), pipe in net.pipes.items() if name == "fred"]:
        pipe.local = "gone"  # the connection's mapping went with the old outer address
    assert net.run(4, until=lambda: bool(net.told("fred", SignedOut)))
    assert net.run(3, until=lambda: len(net.told("fred", SignedIn)) == 2)
    net.run(0.2)
    assert {host for host, _ in fred.machine.spare.reflexive} == {"203.0.113.144"}


@pytest.mark.parametrize("mover", ["dora", "dirk"])
def test_a_call_goes_on_when_one_end_moves(net: FakeNet, mover: str) -> None:
    id = place(net, "dora", "dirk")
    net.run(2)
    net.move(mover)
    net.run(0.3)
    net.move(mover, ("192.168.46.10", Router("203.0.113.46")))
    other = "dirk" if mover == "dora" else "dora"
    net.run(0.7)
    assert net.hosts[mover].machine.send(id, b"\x80already"), "the paths of before are not waited for until they die"
    net.settle(net.hosts[mover])
    assert net.run(0.2, until=lambda: bool(net.told(other, Heard)))
    assert net.run(4, until=lambda: str(net.told(mover, Moved)[-1][1].path) == "punched/udp")
    assert net.run(4, until=lambda: str(net.told(other, Moved)[-1][1].path) == "punched/udp")
    heard = len(net.told(other, Heard))
    assert net.hosts[mover].machine.send(id, b"\x80from elsewhere")
    net.settle(net.hosts[mover])
    assert net.run(1, until=lambda: len(net.told(other, Heard)) == heard + 1)


def test_a_change_of_routes_alone_does_not_interrupt_a_call(net: FakeNet) -> None:
    place(net, "dora", "dirk")
    net.run(1)
    moves, dora = len(net.told("dora", Moved)), net.hosts["dora"]
    net.move("dora", *((address, dora.routers[kind]) for kind, address in dora.addresses.items()))
    assert dora.machine.send("c1.x", b"\x80still here")
    net.run(5)
    assert len(net.told("dora", Moved)) == moves


def test_an_unplugged_relay_signs_in_again_at_once(net: FakeNet) -> None:
    places = [(address, None) for address in net.hosts["relay-1"].addresses.values()]
    net.move("relay-1")
    net.run(8)
    assert not net.hosts["supernode-1"].machine.roster.here
    net.move("relay-1", *places)
    assert net.run(1, until=lambda: all(net.hosts[f"supernode-{n}"].machine.roster.here for n in (1, 2)))


# -- where a node stands ---------------------------------------------------------------------------------------------


def test_whereabouts_put_ipv6_first_and_reach_only_their_families() -> None:
    own = Whereabouts(("192.0.2.1", "2001:db8::1", "192.0.2.1"))
    assert own.addresses == ("2001:db8::1", "192.0.2.1")
    assert own.reachable(["203.0.113.1", "2001:db8::2", "a.name", "::zz"]) == ["2001:db8::2", "203.0.113.1"]
    own.move(["2001:db8::1"])
    assert own.reachable(["203.0.113.1", "2001:db8::2"]) == ["2001:db8::2"]
