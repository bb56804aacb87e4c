"""Who is a stranger to a candidate: nobody whose address a router may know from what the candidate has sent."""

from lab.overlay.acquaintances import FORGOTTEN, MOST, MOST_HOSTS, Acquaintances
from lab.overlay.promoting import Candidate
from lab.overlay.supernode import Supernode
from lab.wire.messages import Dial, RelayEntry
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

OPEN, SHARED = "198.51.100.20", "203.0.113.90"


def world() -> FakeNet:
    """A client on an open address; two of one address, and one of another."""
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.kill(net.supernode(2).name)
    router = Router(SHARED)
    net.client("open", OPEN, Router("", mapping=None))
    net.client("here", "192.168.1.10", router)
    net.client("mate", "192.168.1.11", router)
    net.client("far", "192.168.2.10", Router("203.0.113.91"))
    assert net.run(20, until=lambda: all(net.hosts[name].machine.hub.hub for name in ("open", "here", "mate", "far")))
    net.run(2)
    return net


def strangers(net: FakeNet, name: str = "open") -> dict:
    hub: Supernode = net.hosts["supernode-1"].machine
    seat = hub.sessions[hub.clients[name]]
    return hub.relief._strangers(Candidate(name, seat.key, seat.info.peer, seat.since, lambda message: None))


def test_who_shares_an_address_with_one_that_the_candidate_has_talked_to_is_no_stranger() -> None:
    net = world()
    assert set(strangers(net)) == {"here", "mate", "far"}
    place(net, "open", "here")
    assert set(strangers(net)) == {"far"}


def test_it_is_none_either_when_the_other_has_left_since() -> None:
    net = world()
    place(net, "open", "here")
    net.stop("here")
    net.run(3)
    assert "here" not in net.hosts["supernode-1"].machine.clients
    assert set(strangers(net)) == {"far"}


def test_whom_a_client_was_asked_to_dial_is_no_stranger_to_it_but_it_is_one_to_that() -> None:
    net = world()
    hub = net.hosts["supernode-1"].machine
    hub.relief._strangers_to(Dial("relay", "far", bytes(32), ("203.0.113.91",)))["open"](
        Dial("relay", "far", bytes(32), ("203.0.113.91",))
    )
    assert set(strangers(net)) == {"here", "mate"}
    assert "open" in strangers(net, "far")


def test_who_sits_at_the_address_of_a_supernode_is_a_stranger_to_nobody() -> None:
    net = world()
    net.hosts["supernode-1"].machine.mesh.came_in("other", b"", [SHARED], lambda message: None, net.now)
    assert set(strangers(net)) == {"far"}


def test_a_relay_that_a_call_was_offered_and_is_a_client_alone_again_is_no_stranger() -> None:
    net = world()
    hub = net.hosts["supernode-1"].machine
    hub.carrying.acquaintances.offered("open", [RelayEntry("far", ("203.0.113.91",), 1, (1,))])
    assert set(strangers(net)) == {"here", "mate"}


def test_relays_that_are_offered_are_noted_for_both_ends_and_for_who_waits() -> None:
    net = world()
    net.relay(1)
    net.client("shut", "192.168.3.10", Router("203.0.113.93", mapping="address-and-port-dependent", udp=False))
    assert net.run(10, until=lambda: net.hosts["shut"].machine.hub.hub is not None)
    net.run(10)
    met = net.hosts["supernode-1"].machine.carrying.acquaintances
    assert met.contacted("shut") == {"203.0.113.21"}, "it has a connection there that waits for a call"
    place(net, "open", "here")
    assert met.contacted("open") >= {"203.0.113.21", SHARED}
    assert "203.0.113.21" in met.contacted("here")


def test_after_hours_whom_a_candidate_has_contacted_is_a_stranger_again() -> None:
    met = Acquaintances()
    met.turn(100.0)
    met.talks("here", "open", [SHARED])
    met.dials("open", ["203.0.113.91"])
    met.turn(100.0 + FORGOTTEN)
    assert met.talked_with("open") == {"here"} and met.contacted("open") == {SHARED, "203.0.113.91"}
    met.talks("open", "late", [OPEN])
    met.turn(100.0 + 2 * FORGOTTEN)
    assert met.talked_with("open") == {"late"} and met.contacted("open") == set()
    met.turn(100.0 + 5 * FORGOTTEN)
    assert not met.talked_with("open"), "nobody has turned it meanwhile"


def test_a_supernode_forgets_acquaintances_by_itself() -> None:
    net = world()
    hub = net.hosts["supernode-1"].machine
    place(net, "open", "here")
    for times in (1.1, 2.2):
        hub.relief.poll(net.now + times * FORGOTTEN)
    assert set(strangers(net)) == {"here", "mate", "far"}


def test_any_number_of_acquaintances_fills_no_memory() -> None:
    met = Acquaintances()
    for number in range(MOST + 100):
        met.talks(f"c{number}", "open", [f"h{number}"])
        met.dials("open", [f"d{number}"])
    assert len(met._new.talks) == len(met._new.seen) == MOST
    assert len(met._new.dialled["open"]) == MOST_HOSTS
    assert met.talked_with("open") == {f"c{number}" for number in range(100, MOST + 100)}
    assert met.talked_with(f"c{MOST}") == {"open"} and not met.talked_with("c0")
