"""The link to the hub: the ladder, heartbeats, silent deaths, coming back."""

import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from lab.overlay.actions import Actions, Connect
from lab.overlay.call_events import Answered, Ended, Rings
from lab.overlay.host_cache import HostCache
from lab.overlay.hub import (
    ATTEMPT_LIMIT,
    BACKOFF_FIRST,
    BACKOFF_MOST,
    MOST_SILENT,
    SIDE_BY_SIDE,
    SILENT,
    STAGGER,
    Attempt,
    Greeting,
    HostsLearnt,
    HubLink,
)
from lab.overlay.identity import issue_credential
from lab.overlay.ladder import Route
from lab.overlay.member import SignedIn, SignedOut
from lab.overlay.mesh import Peer
from lab.overlay.seat import Joined, ToldToWait, TurnedAway
from lab.overlay.wallclock import SetClock
from tests.unit.overlay.fakenet import WALL, FakeNet, Router


def hub_of(net: FakeNet, name: str) -> str | None:
    return net.hosts[name].machine.hub.hub


def test_clients_spread_over_both_supernodes(net: FakeNet) -> None:
    hubs = {hub_of(net, name) for name in ("alice", "bob", "carol", "dave", "erin", "frank")}
    assert hubs == {"supernode-1", "supernode-2"}


def test_a_firewall_that_lets_out_only_443_is_climbed_over(net: FakeNet) -> None:
    ports = {name: net.told(name, SignedIn)[0][1].port for name in ("dave", "erin")}
    assert ports == {"dave": 33033, "erin": 443}


def test_a_silent_death_is_noticed_within_three_seconds_and_mended_within_five_more(net: FakeNet) -> None:
    for victim in (hub_of(net, "bob"),):
        net.kill(victim)
        died = net.now
        assert net.run(3, until=lambda: bool(net.told("bob", SignedOut)))
        assert net.run(5, until=lambda victim=victim: hub_of(net, "bob") not in (None, victim))
        assert net.now - died <= 8


def test_a_client_without_any_hub_keeps_trying_and_comes_back(net: FakeNet) -> None:
    for name in ("supernode-1", "supernode-2"):
        net.kill(name)
    assert net.run(4, until=lambda: hub_of(net, "bob") is None)
    net.run(60)
    for name in ("supernode-1", "supernode-2"):
        net.hosts[name].alive = True
        for link in list(net.hosts[name].machine.actions.links):
            net.hosts[name].machine.link_down(link, "broken while away", net.now)
        net.settle(net.hosts[name])
    assert net.run(BACKOFF_MOST + 10, until=lambda: hub_of(net, "bob") is not None)


def alone(seed: int) -> tuple[HubLink, Actions]:
    """A link to a hub at one address and port, of a client that nobody else hears."""
    net = FakeNet()
    member = net.membership("bob", "198.51.100.18")
    member.identity.credential = issue_credential(net.authority_key, "bob", member.identity.public, WALL)
    actions = Actions()
    hub = HubLink(
        actions,
        SimpleNamespace(),  # type: ignore[arg-type]  # nobody is told of anything: nothing happens
        member.identity,
        member.authority,
        Greeting("client"),
        HostCache([("203.0.113.11",)]),
        member.own,
        (33033,),
        random.Random(seed),
        SetClock(WALL),
    )
    return hub, actions


def pauses(hub: HubLink, actions: Actions, climbs: int, now: float = 0.0) -> list[float]:
    """Seconds between one climb's last refusal and the next climb, so many times."""
    found = []
    for _ in range(climbs):
        (connect,) = [action for action in actions.take() if isinstance(action, Connect)]
        hub.link_down(connect.link, "connection refused", now)
        hub.poll(now)
        assert not [action for action in actions.take() if isinstance(action, Connect)], "it waits"
        due = hub.deadline()
        assert due is not None
        found.append(due - now)
        now = due
        hub.poll(now)
    return found


def test_a_client_that_finds_nobody_waits_twice_as_long_each_time_up_to_a_limit_and_never_exactly() -> None:
    hub, actions = alone(1)
    hub.start(0.0)
    found = pauses(hub, actions, 12)
    for number, pause in enumerate(found):
        whole = min(BACKOFF_FIRST * 2**number, BACKOFF_MOST)
        assert whole / 2 <= pause <= whole
    assert max(found) > BACKOFF_MOST / 2
    other, others = alone(2)
    other.start(0.0)
    assert not set(pauses(other, others, 12)) & set(found)


def test_the_back_off_begins_anew_once_somebody_has_let_it_in_or_it_stands_elsewhere() -> None:
    hub, actions = alone(1)
    hub.start(0.0)
    pauses(hub, actions, 8)
    assert hub.backoff == BACKOFF_MOST
    for link in list(hub.attempts):
        hub.link_down(link, "connection refused", 0.0)
    actions.take()
    hub.relocated(1_000.0)
    assert pauses(hub, actions, 1, 1_000.0)[0] <= BACKOFF_FIRST


def test_back_off_is_jittered_so_that_nobody_returns_in_step(net: FakeNet) -> None:
    for name in ("supernode-1", "supernode-2"):
        net.kill(name)
    net.run(40)
    retries = [net.hosts[name].machine.hub.retry_at for name in ("alice", "bob", "carol", "frank")]
    known = [at for at in retries if at is not None]
    assert len(set(known)) == len(known)


def test_a_name_that_signs_in_elsewhere_leaves_its_old_place(net: FakeNet) -> None:
    old = hub_of(net, "bob")
    bob = net.hosts["bob"].machine.hub
    bob._lost("told to by the test", net.now)
    net.settle(net.hosts["bob"])
    assert net.run(5, until=lambda: hub_of(net, "bob") not in (None, old))
    net.run(1)
    assert "bob" not in net.hosts[old].machine.clients
    assert net.hosts[old].machine.directory.kept["bob"].hub == hub_of(net, "bob")


@pytest.mark.parametrize(("hub", "name"), [("supernode-1", "relay-1"), ("supernode-2", "supernode-1"), (None, "bob")])
def test_who_is_back_before_its_old_link_is_found_dead_keeps_its_place(
    net: FakeNet, hub: str | None, name: str
) -> None:
    supernode = net.hosts[hub or hub_of(net, name) or ""].machine
    (old,) = [link for link, session in supernode.sessions.items() if session.name == name]
    places = supernode.clients, supernode.peers, supernode.roster.here
    session = supernode.sessions[old]
    supernode.sessions[new := 10_000] = replace(session)
    if name == "bob":
        supernode.clients[name] = new
    before = [set(names) for names in places]
    supernode.link_down(old, "found dead", net.now)
    assert [set(names) for names in places] == before
    supernode.link_down(new, "found dead", net.now)
    assert not any(name in names for names in places)


def test_an_invite_that_died_with_the_hub_link_is_sent_again(net: FakeNet) -> None:
    bob = net.hosts["bob"]
    net.kill(hub_of(net, "bob"))
    bob.machine.dial("c1.x", "frank", net.now)  # into a link that is dead and does not know it yet
    net.settle(bob)
    assert net.run(6, until=lambda: bool(net.told("bob", Rings)))
    assert len(net.told("frank", Rings)) == 1


@pytest.mark.parametrize("gone", [False, True])
def test_a_callee_whose_hub_died_as_well_is_given_time_to_come_back(net: FakeNet, gone: bool) -> None:
    hub = hub_of(net, "bob")
    neighbour = next(name for name in ("alice", "frank", "carol", "dave", "erin") if hub_of(net, name) == hub)
    net.kill(hub)
    if gone:
        net.kill(neighbour)
    net.hosts["bob"].machine.dial("c1.x", neighbour, net.now)
    net.settle(net.hosts["bob"])
    assert net.run(7, until=lambda: bool(net.told("bob", Rings) or net.told("bob", Ended)))
    assert bool(net.told("bob", Rings)) is not gone
    assert [event.error for _, event in net.told("bob", Ended)] == gone * [
        f"{hub_of(net, 'bob')} says: {neighbour} is not signed in at any supernode"
    ]


def test_an_answer_that_died_with_the_callees_hub_link_is_sent_again(net: FakeNet) -> None:
    place_until_ringing(net, "alice", "frank")
    net.kill(hub_of(net, "frank"))
    net.hosts["frank"].machine.answer("c1.x", net.now)
    net.settle(net.hosts["frank"])
    assert net.run(8, until=lambda: bool(net.told("alice", Answered)))


def test_an_answer_that_died_with_the_callers_hub_link_is_asked_for_again(net: FakeNet) -> None:
    place_until_ringing(net, "alice", "frank")
    net.kill(hub_of(net, "alice"))
    net.hosts["frank"].machine.answer("c1.x", net.now)
    net.settle(net.hosts["frank"])
    assert net.run(8, until=lambda: bool(net.told("alice", Answered)))
    assert len(net.told("alice", Answered)) == 1
    assert len(net.told("frank", Answered)) == 1


def place_until_ringing(net: FakeNet, caller: str, callee: str) -> None:
    net.hosts[caller].machine.dial("c1.x", callee, net.now)
    net.settle(net.hosts[caller])
    assert net.run(3, until=lambda: bool(net.told(caller, Rings)))


def test_a_slow_network_that_lets_several_rungs_through_signs_in_once() -> None:
    net = FakeNet(delay=0.2)  # a round trip is longer than the time between two rungs
    net.authority()
    net.supernode(1)
    net.supernode(2)
    bob = net.client("bob", "192.168.32.10", Router("203.0.113.32"))
    assert net.run(30, until=lambda: bob.machine.hub.hub is not None)
    net.run(10)
    assert len(net.told("bob", SignedIn)) == 1
    assert not net.told("bob", SignedOut)
    joined = [event for name in ("supernode-1", "supernode-2") for _, event in net.told(name, Joined)]
    assert [event.name for event in joined if event.role == "client"] == ["bob"]


def crowded(capacities: dict[int, int | None], clients: int) -> FakeNet:
    """Supernodes of so many places each, and clients on open addresses that all know the first one alone."""
    net = FakeNet()
    net.authority()
    for number, capacity in capacities.items():
        host = net.supernode(number)
        host.machine.admission.capacity = capacity
    net.run(3)
    for number in range(clients):
        net.client(f"client-{number}", f"192.168.{number}.10", Router(f"203.0.113.{40 + number}"))
        machine = net.hosts[f"client-{number}"].machine
        machine.hub.hubs = HostCache([("203.0.113.11",)])
    return net


def sits(net: FakeNet, clients: int) -> Counter[str | None]:
    return Counter(hub_of(net, f"client-{number}") for number in range(clients))


def test_a_full_supernode_names_others_and_clients_go_there() -> None:
    net = crowded({1: 3, 2: None}, 8)
    assert net.run(5, until=lambda: None not in sits(net, 8))
    assert sits(net, 8).total() == 8 and 2 <= sits(net, 8)["supernode-1"] <= 3
    assert len({event.name for _, event in net.told("supernode-1", ToldToWait)}) >= 5
    learnt = [event.machines for _, event in net.told("client-7", HostsLearnt)]
    assert learnt[-1] == (("203.0.113.12",),)


def test_a_client_that_was_let_in_knows_where_to_go_when_its_hub_dies() -> None:
    net = crowded({1: None, 2: None}, 1)
    assert net.run(5, until=lambda: hub_of(net, "client-0") == "supernode-1")
    net.kill("supernode-1")
    assert net.run(8, until=lambda: hub_of(net, "client-0") == "supernode-2")


def test_a_client_that_came_before_the_other_supernodes_hears_of_them() -> None:
    net = crowded({1: None}, 1)
    assert net.run(5, until=lambda: hub_of(net, "client-0") == "supernode-1")
    net.supernode(2)
    assert net.run(5, until=lambda: bool(net.told("client-0", HostsLearnt)))
    net.run(30)
    assert [event.machines for _, event in net.told("client-0", HostsLearnt)] == [(("203.0.113.12",),)], "told once"
    net.kill("supernode-1")
    assert net.run(8, until=lambda: hub_of(net, "client-0") == "supernode-2")


def with_a_stale_cache(*alive: int, router: Router) -> FakeNet:
    """A client whose built-in supernodes are dead, as are all that it learnt weeks ago but for these in the order in
    which it knows them."""
    net = FakeNet()
    net.authority()
    learnt = [(f"198.51.{100 + number // 100}.{1 + number % 100}",) for number in range(198)]
    for number, place in enumerate(alive):
        host = net.supernode(3 + number)
        learnt[place] = tuple(host.addresses.values())
    net.client("late", "192.168.1.10", router)
    net.hosts["late"].machine.hub.hubs = HostCache([("203.0.113.11",), ("203.0.113.12",)], learnt)
    return net


@pytest.mark.parametrize(("ports", "seconds"), [(None, 20.0), ({443}, 40.0)])
def test_a_client_that_knows_two_hundred_dead_supernodes_and_one_that_lives_finds_it_soon(
    ports: set[int] | None, seconds: float
) -> None:
    net = with_a_stale_cache(197, router=Router("203.0.113.40", tcp_ports=ports))
    hub, most = net.hosts["late"].machine.hub, 0

    def found() -> bool:
        nonlocal most
        most = max(most, len(hub.attempts))
        return hub.hub is not None

    assert net.run(seconds, until=found)
    assert SILENT < most <= MOST_SILENT
    assert hub_of(net, "late") == "supernode-3"


def test_of_several_that_live_behind_dead_ones_it_signs_in_at_one_alone() -> None:
    net = with_a_stale_cache(*range(20, 28), router=Router("203.0.113.40"))
    assert net.run(10, until=lambda: hub_of(net, "late") is not None)
    net.run(10)
    told = [event for name in net.hosts if name.startswith("supernode") for _, event in net.told(name, Joined)]
    assert [event.name for event in told if event.role == "client"] == ["late"]


@pytest.mark.parametrize("kind", ["has no room", "is about to leave"])
def test_where_a_supernode_has_answered_no_others_are_tried_side_by_side(kind: str) -> None:
    """Those that are alive have as much to do."""
    net = with_a_stale_cache(0, router=Router("203.0.113.40"))
    hub, machine, most = net.hosts["late"].machine.hub, net.hosts["supernode-3"].machine, 0
    if kind == "has no room":
        machine.admission.capacity = 0
    else:
        machine.leaving = float("inf")

    def counted() -> bool:
        nonlocal most
        most = max(most, len(hub.attempts))
        return False

    net.run(20, until=counted)
    assert hub.greeted and (hub.waits_at == ["supernode-3"]) is (kind == "has no room")
    assert SILENT < most <= SIDE_BY_SIDE + 2 + ATTEMPT_LIMIT / STAGGER, "once, before it did"


def test_where_all_are_full_nobody_is_asked_in_a_hurry_and_a_place_that_is_free_again_is_taken() -> None:
    net = crowded({1: 2, 2: 2}, 6)
    net.run(20)
    assert sits(net, 6) == {"supernode-1": 2, "supernode-2": 2, None: 2}
    waiting = [n for n in range(6) if hub_of(net, f"client-{n}") is None]
    for name, told in (("supernode-1", 4), ("supernode-2", 2)):
        assert len(net.told(name, ToldToWait)) <= told + 1, "each is told once or twice, and waits at both"
        line = net.hosts[name].machine.admission.line.values()
        assert {entry.name for entry in line} == {f"client-{n}" for n in waiting}
    leaving = next(n for n in range(6) if hub_of(net, f"client-{n}") == "supernode-1")
    net.kill(f"client-{leaving}")
    assert net.run(7, until=lambda: any(hub_of(net, f"client-{n}") for n in waiting))


def test_many_that_are_told_of_others_go_to_each_by_how_much_room_it_has() -> None:
    net = FakeNet()
    machine = net.supernode(1).machine
    for name, room in (("much", 30), ("little", 10), ("none", 0)):
        machine.mesh.peers[name] = Peer(name, b"", (name,), lambda message: None, False, room=room)
    told = [machine.somewhere() for _ in range(400)]
    assert {frozenset(each) for each in told} == {frozenset({("much",), ("little",)})}
    assert 60 < sum(each[0] == ("little",) for each in told) < 140


def test_a_client_goes_to_those_that_a_full_supernode_names_in_its_order() -> None:
    net = crowded({1: None}, 1)
    hub = net.hosts["client-0"].machine.hub
    hub.rungs.clear()
    hub.listed.clear()
    hub._go_first([("203.0.113.13",), ("203.0.113.12",)])
    hub._go_first([("203.0.113.14",), ("203.0.113.12",)])
    order = list(dict.fromkeys(route.address[0] for route in hub.rungs))
    assert order == ["203.0.113.14", "203.0.113.12", "203.0.113.13"]


def test_of_several_lines_a_client_leaves_the_longest_for_another() -> None:
    net = crowded({1: None}, 1)
    hub = net.hosts["client-0"].machine.hub
    route = Route(("203.0.113.12", 443), True, False)
    for link, ahead in ((91, 2), (92, 60), (93, 9), (94, 80)):
        hub.attempts[link] = Attempt(route, 0.0, waiting=True, ahead=ahead)
    hub._leave_a_line(but=hub.attempts[94])
    assert list(hub.attempts) == [91, 93, 94]


def test_who_sits_at_a_full_supernode_keeps_its_place_when_its_link_breaks() -> None:
    net = crowded({1: 1, 2: None}, 1)
    assert net.run(5, until=lambda: hub_of(net, "client-0") == "supernode-1")
    net.move("client-0", ("192.168.99.10", Router("203.0.113.99")))
    assert net.run(5, until=lambda: hub_of(net, "client-0") == "supernode-1")
    assert not net.told("supernode-1", TurnedAway)


@pytest.mark.parametrize("rate", [10.0, 3.0], ids=["before its old links are found dead", "after it"])
def test_a_world_that_is_back_at_once_is_let_in_no_faster_than_the_rate_and_keeps_its_places(rate: float) -> None:
    net = crowded({1: 30, 2: None}, 30)
    net.kill("supernode-2")
    supernode = net.hosts["supernode-1"].machine
    assert net.run(10, until=lambda: sits(net, 30)["supernode-1"] == 30)
    supernode.admission.rate = rate
    began = net.now
    for number in range(30):
        hub = net.hosts[f"client-{number}"].machine.hub
        hub.link = hub.at = None  # its process is another, and nobody has said goodbye
        hub.start(net.now)
        net.settle(net.hosts[f"client-{number}"])
    net.client("client-30", "192.168.30.10", Router("203.0.113.70"))
    assert net.run(30 / rate + 5, until=lambda: sits(net, 30)["supernode-1"] == 30)
    joined = [at for at, event in net.told("supernode-1", Joined) if at > began]
    for at in joined:
        assert sum(at <= other < at + 1 for other in joined) <= rate + 1
    net.run(10)
    assert len(supernode.clients) == 30 and sits(net, 30)["supernode-1"] >= 29


def test_a_client_that_replaces_its_own_connection_waits_for_its_turn_and_for_nobody_else() -> None:
    net = crowded({1: 2, 2: None}, 2)
    net.kill("supernode-2")
    assert net.run(5, until=lambda: sits(net, 2)["supernode-1"] == 2)
    for number in range(2, 12):
        net.client(f"client-{number}", f"192.168.{number}.10", Router(f"203.0.113.{40 + number}"))
    net.run(3)
    assert len(net.hosts["supernode-1"].machine.admission.line) == 10
    hub = net.hosts["client-0"].machine.hub
    hub.link = hub.at = None
    hub.start(net.now)
    net.settle(net.hosts["client-0"])
    assert net.run(1, until=lambda: hub_of(net, "client-0") == "supernode-1"), "before any of those that are new"


def test_a_client_that_is_asked_to_signs_in_anew_over_a_new_connection(net: FakeNet) -> None:
    bob = net.hosts["bob"].machine
    before = bob.hub.link
    times = len(net.told("bob", SignedIn))
    bob.sign_in_anew(net.now)
    net.settle(net.hosts["bob"])
    assert hub_of(net, "bob") is None
    assert net.run(2, until=lambda: hub_of(net, "bob") is not None)
    assert bob.hub.link != before and len(net.told("bob", SignedIn)) == times + 1
    net.run(5)
    assert hub_of(net, "bob") is not None
