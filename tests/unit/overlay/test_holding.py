"""A call on hold: silent at both ends, alive on every path, and back at once on the path of before."""

import itertools

import pytest

from lab.overlay.call_events import Ended, Heard, Held, Moved
from lab.overlay.holding import Holding
from lab.wire.addresses import Address
from lab.wire.stun import Kind, Method, StunMessage, is_stun
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.natsim import Nat
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow

PAIR = ("cone", "flat")
OUTER = {"cone": "203.0.113.32", "flat": "203.0.113.33"}


def network(timeout: float, delay: float = 0.01) -> FakeNet:
    """Two cones whose routers forget after `timeout` seconds, and whose clients have found that out."""
    net = FakeNet(delay=delay)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.relay(2)
    for number, name in enumerate(PAIR, 32):
        router = Nat(OUTER[name], net=net, timeout=timeout)
        net.client(name, f"192.168.{number}.10", router)
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in PAIR))
    net.run(130)
    return net


def hold(net: FakeNet, id: str, name: str, on: bool) -> None:
    net.hosts[name].machine.hold(id, on, net.now)
    net.settle(net.hosts[name])


def asked(net: FakeNet, host: str) -> list[float]:
    """When `cone` asks at an address whether the path there works, from now on."""
    times: list[float] = []
    send = net._datagram

    def seen(sender: object, source: Address, destination: Address, data: bytes) -> None:
        if sender is net.hosts["cone"] and destination[0] == host and is_stun(data):
            message = StunMessage.parse(data)
            if message.method == Method.BINDING and message.kind is Kind.REQUEST:
                times.append(net.now)
        send(sender, source, destination, data)  # type: ignore[arg-type]

    net._datagram = seen  # type: ignore[method-assign,assignment]
    return times


def gaps(times: list[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@pytest.mark.parametrize("holder", PAIR)
def test_both_ends_are_silent_and_voice_is_back_at_once_on_the_path_of_before(holder: str) -> None:
    net = network(timeout=20)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    moves = {name: len(net.told(name, Moved)) for name in PAIR}
    ordered = net.now
    hold(net, id, holder, True)
    net.run(100)
    resumed = net.now
    hold(net, id, holder, False)
    net.run(0.1)
    for name in PAIR:
        assert [event.on for _, event in net.told(name, Held)] == [True, False]
        begun, over = (at for at, _ in net.told(name, Held))
        assert begun - ordered < 0.05 and over - resumed < 0.05, "a word takes one way"
        assert len(net.told(name, Moved)) == moves[name]
    talk(net, id, PAIR, 3, first=150)
    for name in PAIR:
        heard = [at for at, _ in net.told(name, Heard) if at > resumed]
        assert heard[0] - resumed < 0.2 and len(heard) >= 149
        assert len(net.told(name, Moved)) == moves[name] and not net.told(name, Ended)


@pytest.mark.parametrize(("timeout", "learnt"), [(9, 5.25), (30, 18.0), (120, 48.0)])
def test_while_held_the_path_in_use_is_asked_for_consent_and_the_others_as_seldom_as_the_router_allows(
    timeout: float, learnt: float
) -> None:
    net = network(timeout)
    assert net.hosts["cone"].machine.discovery.lifetime.keepalive() == learnt
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    hold(net, id, "cone", True)
    net.run(5)
    using, standby = asked(net, OUTER["flat"]), asked(net, net.open_addresses(21)[0])
    net.run(200)
    assert len(using) > 15 and max(gaps(using)) <= min(6.1, learnt + 0.1) and min(gaps(using)) >= 3.9
    assert len(standby) >= 3 and gaps(standby) == pytest.approx([learnt] * len(gaps(standby)), abs=0.1)


def test_without_a_hold_the_pace_of_the_checks_says_nothing_of_the_router() -> None:
    net = network(timeout=20)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    using, standby = asked(net, OUTER["flat"]), asked(net, net.open_addresses(21)[0])
    talk(net, id, PAIR, 8, first=150)
    assert max(gaps(using)) < 0.7 and max(gaps(standby)) < 2.6


def test_a_path_that_dies_in_a_hold_is_left_soon_and_voice_goes_on_by_the_next() -> None:
    net = network(timeout=20)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    hold(net, id, "cone", True)
    net.run(20)
    died = net.now
    net.lose = lambda source, to: {source[0], to[0]} == set(OUTER.values())
    net.run(12)
    for name in PAIR:
        at, moved = net.told(name, Moved)[-1]
        assert str(moved.path) == "relayed/udp via relay-1" and at - died < 10
    hold(net, id, "cone", False)
    resumed = net.now
    talk(net, id, PAIR, 2, first=150)
    for name in PAIR:
        assert min(at for at, _ in net.told(name, Heard) if at > resumed) - resumed < 0.3


def test_what_was_in_flight_when_the_call_was_held_makes_no_alarm() -> None:
    net = network(timeout=20, delay=0.05)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    hold(net, id, "cone", True)
    number = itertools.count(150)
    while not net.told("flat", Held):  # it does not know yet
        talk(net, id, ("flat",), 0.02, first=next(number))
    using = asked(net, OUTER["flat"])
    net.run(3)
    assert len(net.told("cone", Heard)) > 150, "nothing was in flight"
    assert len(using) <= 4
    vigils = [net.hosts[name].machine.calls[id].checklist.choice.vigil for name in PAIR]
    assert [vigil.suspicious_since for vigil in vigils] == [None, None]


def test_a_standby_path_that_died_long_before_the_path_in_use_is_found_dead_as_soon_as_it_is_wanted() -> None:
    net = network(timeout=300)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    hold(net, id, "cone", True)
    net.run(100)  # they are asked once in 90 s
    net.kill("relay-1")
    net.run(10)
    died = net.now
    net.lose = lambda source, to: {source[0], to[0]} == set(OUTER.values())
    net.run(20)
    for name in PAIR:
        at, moved = net.told(name, Moved)[-1]
        assert str(moved.path) == "relayed/udp via relay-2" and at - died < 15


def test_who_is_held_as_well_goes_on_only_when_both_have_taken_it_off() -> None:
    net = network(timeout=20)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 1)
    for name in PAIR:
        hold(net, id, name, True)
    net.run(5)
    hold(net, id, "cone", False)
    net.run(5)
    assert all([event.on for _, event in net.told(name, Held)] == [True] for name in PAIR)
    hold(net, id, "flat", False)
    net.run(1)
    assert all([event.on for _, event in net.told(name, Held)] == [True, False] for name in PAIR)


def test_a_word_that_was_overtaken_changes_nothing() -> None:
    told: list[bool] = []
    holding = Holding(lambda on, now: told.append(on))
    for word in (None, 1, None, 1, 2, 1):
        holding.heard(word, 0.0)
    assert told == [True, False]


def test_an_order_that_is_repeated_is_one() -> None:
    told: list[bool] = []
    holding = Holding(lambda on, now: told.append(on))
    for on in (False, True, True, False, False):
        holding.order(on, 0.0)
    assert told == [True, False] and holding.word == 2
