"""What happens to the network in mid-call: voice is back soon, on the best path that is left, and no call ends."""

import itertools
import random

import pytest

from lab.overlay.call_events import Ended, Heard, Moved
from lab.overlay.vigil import Vigil
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.natsim import Nat
from tests.unit.overlay.test_lossy_paths import rtp, talk
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow

HARD = "address-and-port-dependent"


@pytest.fixture
def net() -> FakeNet:
    """Ten milliseconds each way on every access link, and two relays."""
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.relay(2)
    net.client("open", "198.51.100.18", Router("203.0.113.31", mapping=None))
    net.client("cone", "192.168.32.10", Router("203.0.113.32"))
    net.client("flat", "192.168.33.10", Router("203.0.113.33"))
    net.client("hard", "192.168.34.10", Router("203.0.113.34", mapping=HARD))
    net.client("drawn", "192.168.36.10", Router("203.0.113.36", mapping=HARD, ports_drawn_from=range(1024, 65536)))
    net.client("blocked", "192.168.35.10", Router("203.0.113.35", mapping=HARD, udp=False))
    net.client("full", "192.168.37.10", Nat("203.0.113.37", net=net, filtering="endpoint-independent"))
    clients = ("open", "cone", "flat", "hard", "drawn", "blocked", "full")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in clients))
    net.run(4)
    return net


def longest_gap(net: FakeNet, name: str, since: float) -> float:
    """Seconds between two packets of voice that `name` heard, the longest since `since`."""
    heard = [since, *(at for at, _ in net.told(name, Heard) if at >= since), net.now]
    return max(later - earlier for earlier, later in itertools.pairwise(heard))


def path(net: FakeNet, name: str) -> str:
    return [str(event.path) for _, event in net.told(name, Moved)][-1]


@pytest.mark.parametrize(
    ("caller", "callee", "before", "meanwhile"),
    [
        ("cone", "flat", "punched/udp", "relayed/udp"),
        ("flat", "cone", "punched/udp", "relayed/udp"),
        ("open", "cone", "direct/udp", "direct/tcp"),
    ],
)
def test_a_path_that_dies_in_silence_is_left_for_the_next_best_and_taken_again_when_it_works(
    net: FakeNet, caller: str, callee: str, before: str, meanwhile: str
) -> None:
    id = place(net, caller, callee)
    talk(net, id, (caller, callee), 3)
    assert path(net, caller) == before
    hosts = [net.hosts[name] for name in (caller, callee)]
    outer = [next(iter(host.routers.values())).outer for host in hosts]
    died = net.now
    ours = [{outer[number], next(iter(host.addresses.values()))} for number, host in enumerate(hosts)]
    net.lose = lambda source, to: any(
        source[0] in one and to[0] in other for one, other in ((ours[0], ours[1]), (ours[1], ours[0]))
    )
    talk(net, id, (caller, callee), 3, first=150)
    for name in (caller, callee):
        assert longest_gap(net, name, died) < 1.0
        assert path(net, name).startswith(meanwhile)
    net.lose = None
    talk(net, id, (caller, callee), 12, first=300)
    for name in (caller, callee):
        assert path(net, name) == before
        assert not net.told(name, Ended)


@pytest.mark.parametrize("deaf", ["cone", "flat"])
def test_one_direction_alone_that_dies_moves_both_ends(net: FakeNet, deaf: str) -> None:
    """The deaf end leaves the path first; that its voice comes another way then tells the other to."""
    routers = {"cone": "203.0.113.32", "flat": "203.0.113.33"}
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    died = net.now
    net.lose = lambda source, to: to[0] == routers[deaf] and source[0] in routers.values()
    talk(net, id, ("cone", "flat"), 3, first=150)
    for name in ("cone", "flat"):
        assert path(net, name).startswith("relayed")
        assert longest_gap(net, name, died) < 0.9


def test_who_follows_the_caller_away_from_a_silent_path_takes_it_for_dead_as_well(net: FakeNet) -> None:
    """Or it would wait for it, and try nothing else, for as long as a path that stands by may be silent."""
    routers = {"cone": "203.0.113.32", "flat": "203.0.113.33"}
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    net.lose = lambda source, to: to[0] == routers["cone"] and source[0] in routers.values()
    talk(net, id, ("cone", "flat"), 0.1, first=150)
    net.lose = lambda source, to: {source[0], to[0]} == set(routers.values())
    talk(net, id, ("flat",), 1, first=155)  # the caller's nomination is all that tells the callee
    talk(net, id, ("cone", "flat"), 0.5, first=205)
    for name in ("cone", "flat"):
        assert path(net, name).startswith("relayed")
        assert not net.hosts[name].machine.calls[id].checklist.choice.between(net.now), name


@pytest.mark.parametrize("pair", [("hard", "drawn"), ("blocked", "hard"), ("drawn", "hard")])
def test_a_relay_that_is_killed_is_replaced_by_the_other(net: FakeNet, pair: tuple[str, str]) -> None:
    id = place(net, *pair)
    talk(net, id, pair, 3)
    relay = path(net, pair[0]).partition(" via ")[2]
    assert relay
    died = net.now
    net.kill(relay)
    talk(net, id, pair, 3, first=150)
    for name in pair:
        assert longest_gap(net, name, died) < 1.0
        assert path(net, name).partition(" via ")[2] not in ("", relay)


def test_a_new_outer_address_in_mid_call_ends_on_the_path_of_before(net: FakeNet) -> None:
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    changed = net.now
    net.hosts["cone"].routers[4] = Router("203.0.113.132")
    talk(net, id, ("cone", "flat"), 15, first=150)
    for name in ("cone", "flat"):
        assert longest_gap(net, name, changed) < 3.0
        assert path(net, name) == "punched/udp"


def test_another_mapping_at_the_relay_in_mid_call_changes_no_path(net: FakeNet) -> None:
    id = place(net, "blocked", "cone")
    talk(net, id, ("blocked", "cone"), 3)
    before, moves = path(net, "cone"), len(net.told("cone", Moved))
    net.hosts["cone"].routers[4] = Router("203.0.113.32", mapping=HARD)
    changed = net.now
    talk(net, id, ("blocked", "cone"), 6, first=150)
    assert longest_gap(net, "blocked", changed) < 1.0
    assert path(net, "cone") == before
    assert len(net.told("cone", Moved)) == moves


def test_every_network_gone_for_ten_seconds_ends_no_call(net: FakeNet) -> None:
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    net.cut = lambda source, to: True
    talk(net, id, ("cone", "flat"), 10, first=150)
    assert path(net, "cone") == path(net, "flat") == "None"
    back = net.now
    net.cut = None
    talk(net, id, ("cone", "flat"), 3, first=650)
    for name in ("cone", "flat"):
        assert min(at for at, _ in net.told(name, Heard) if at > back) - back < 1.0
        assert not net.told(name, Ended)


@pytest.mark.parametrize(
    ("caller", "callee", "after"),
    [
        ("cone", "open", "direct/tcp"),
        ("cone", "hard", "relayed/mixed"),
        ("cone", "flat", "punched/tcp"),
        ("hard", "full", "punched/tcp"),
    ],
)
def test_a_firewall_that_blocks_udp_in_mid_call_ends_on_tcp(net: FakeNet, caller: str, callee: str, after: str) -> None:
    id = place(net, caller, callee)
    talk(net, id, (caller, callee), 3)
    cut = net.now
    net.hosts[caller].routers[4].udp = False
    talk(net, id, (caller, callee), 8, first=150)
    for name in (caller, callee):
        assert longest_gap(net, name, cut) < 3.0
        assert path(net, name).startswith(after)
    assert "relayed/udp" not in [str(event.path)[:11] for at, event in net.told(caller, Moved) if at > cut + 0.1]


def test_both_supernodes_killed_disturb_no_call(net: FakeNet) -> None:
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    died = net.now
    net.kill("supernode-1")
    net.kill("supernode-2")
    talk(net, id, ("cone", "flat"), 6, first=150)
    for name in ("cone", "flat"):
        assert longest_gap(net, name, died) < 0.1


def test_a_call_without_any_path_ends_on_both_sides_after_thirty_seconds(net: FakeNet) -> None:
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    net.lose = lambda source, to: True
    net.cut = lambda source, to: {source[0], to[0]} == {"203.0.113.32", "203.0.113.33"}  # nor do they meet by TCP
    net.kill("relay-1")
    net.kill("relay-2")
    talk(net, id, ("cone", "flat"), 28, first=150)
    assert not net.told("cone", Ended) and not net.told("flat", Ended)
    net.run(15)
    for name in ("cone", "flat"):
        ((_, ended),) = net.told(name, Ended)
        assert "no path" in (ended.error or "")


def test_a_call_that_has_no_path_yet_waits_for_one_as_long(net: FakeNet) -> None:
    for name in ("relay-1", "relay-2", "open"):  # who would become a relay
        net.kill(name)
    net.lose = lambda source, to: {source[0], to[0]} == {"203.0.113.32", "203.0.113.33"}
    place(net, "cone", "flat")
    answered = net.now
    net.run(29)
    assert not net.told("cone", Ended) and not net.told("flat", Ended)
    net.run(3)
    for name in ("cone", "flat"):
        ((at, ended),) = net.told(name, Ended)
        assert at - answered + 0.1 >= 30 and "no path" in (ended.error or "") and not ended.connected


def test_silence_is_suspicious_only_where_voice_was_steady() -> None:
    vigil, path = Vigil(), object()
    vigil.watch(path, 0.0)
    vigil.hear(path, 0.1)
    assert not vigil.suspects(5.0)
    for number in range(20):
        vigil.hear(path, 5.0 + number / 50)
    assert not vigil.suspects(5.5)
    assert vigil.suspects(5.6)


def test_a_peer_that_answers_and_says_nothing_is_not_left(net: FakeNet) -> None:
    """A path is left when neither voice nor answers come; the peer may have nothing to say."""
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    talk(net, id, ("cone",), 4, first=150)
    assert path(net, "cone") == path(net, "flat") == "punched/udp"


def test_voice_with_gaps_of_chance_stays_where_it_is(net: FakeNet) -> None:
    rng = random.Random(7)
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 2)
    moves = len(net.told("cone", Moved))
    for number in range(500):
        if rng.random() > 0.05:
            net.hosts["flat"].machine.send(id, rtp(100 + number))
            net.settle(net.hosts["flat"])
        net.run(0.02)
    assert len(net.told("cone", Moved)) == moves
