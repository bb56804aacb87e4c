"""A relay sits at the built-in supernodes, and at some of the others: callers there want relays when those are gone."""

from lab.overlay.hub import HostsLearnt
from lab.overlay.relay_hubs import AWAY_LIMIT, MOST_LEARNT
from lab.wire.messages import RelayEntry
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place
from tests.unit.overlay.test_survival import HARD, path


def world(others: int) -> FakeNet:
    """One built-in supernode, a relay, and supernodes that come later and are not built in."""
    net = FakeNet(delay=0.01)
    net.built_in = 1
    net.authority()
    net.supernode(1)
    net.relay(1)
    net.run(2)
    for number in range(others):
        net.supernode(2 + number)
    return net


def sits_at(net: FakeNet) -> set[str]:
    return {hub.hub for hub in net.hosts["relay-1"].machine.hubs if hub.hub is not None}


def test_callers_at_a_supernode_that_came_later_have_relays_when_all_built_in_ones_are_dead() -> None:
    net = world(1)
    assert net.run(10, until=lambda: sits_at(net) == {"supernode-1", "supernode-2"})
    for number, name in enumerate(("hard", "blocked")):
        router = Router(f"203.0.113.{34 + number}", mapping=HARD, udp=name != "blocked")
        net.client(name, f"192.168.{34 + number}.10", router)
    net.run(5)
    net.kill("supernode-1")
    assert net.run(10, until=lambda: all(net.hosts[n].machine.hub.hub == "supernode-2" for n in ("hard", "blocked")))
    place(net, "blocked", "hard")
    net.run(3)
    assert path(net, "blocked") == "relayed/mixed via relay-1"


def test_of_many_it_sits_at_some_and_at_another_where_one_lets_it_in_no_more() -> None:
    net = world(MOST_LEARNT + 2)
    assert net.run(10, until=lambda: len(sits_at(net)) == 1 + MOST_LEARNT)
    net.run(20)
    before = sits_at(net)
    assert len(before) == 1 + MOST_LEARNT
    net.kill(gone := max(before - {"supernode-1"}))
    assert net.run(5, until=lambda: gone not in sits_at(net))
    assert net.run(AWAY_LIMIT + 5, until=lambda: len(sits_at(net)) == 1 + MOST_LEARNT)
    net.run(60)
    assert len(sits_at(net)) == 1 + MOST_LEARNT, "it does not wander"


def test_it_keeps_those_that_it_has_learnt_for_its_next_start() -> None:
    net = world(1)
    net.run(10)
    assert [event.machines for _, event in net.told("relay-1", HostsLearnt)] == [(("203.0.113.12",),)]


def test_one_that_is_named_by_nobody_else_is_tried_for_ever() -> None:
    net = world(1)
    assert net.run(10, until=lambda: "supernode-2" in sits_at(net))
    net.kill("supernode-2")
    net.run(10 * AWAY_LIMIT)
    assert sits_at(net) == {"supernode-1"}
    net.start("supernode-2")
    assert net.run(40, until=lambda: "supernode-2" in sits_at(net))


def test_a_relay_that_leaves_as_soon_as_it_has_come_is_known_to_nobody() -> None:
    """It was there when two supernodes linked, and gone before the one was due to tell what had changed."""
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.run(3)
    one = net.hosts["supernode-1"].machine
    assert one.told is not None and not one.told[1].relays
    one.told_at = net.now  # it has just told all that there is no relay
    one.roster.here["relay-1"] = RelayEntry("relay-1", ("203.0.113.21",), 33034, (443,))
    net.supernode(2)
    assert net.run(0.9, until=lambda: "supernode-2" in one.peers)
    one.roster.goes("relay-1")
    net.run(3)
    assert not net.hosts["supernode-2"].machine.roster.all()
