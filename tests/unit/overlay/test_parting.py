"""A relay that is told to end hands its calls over first: no frame of them is lost, and none comes twice."""

import random
from collections import Counter

import pytest

from lab.overlay.actions import CountOffloaded, Offloaded
from lab.overlay.call_events import Ended, Heard, RankedDown
from lab.overlay.legs import MOST_LEGS
from lab.overlay.parting import DEAF_AFTER, LEAVING_LIMIT, LOOK_EVERY, TELL_EVERY
from lab.overlay.paths import Why
from lab.overlay.relay import HandedOver
from lab.wire.messages import Offers
from lab.wire.stun import Kind, Method, StunMessage, is_stun, peek_method
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_offloading import KernelBench
from tests.unit.overlay.test_paths_in_memory import place
from tests.unit.overlay.test_relay import FAR, NEAR, Bench, Connection
from tests.unit.overlay.test_survival import HARD, longest_gap, path

pytestmark = pytest.mark.slow


def world(relays: int = 2) -> FakeNet:
    """Ten milliseconds each way on every access link."""
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    for number in range(relays):
        net.relay(number + 1)
    net.client("cone", "192.168.32.10", Router("203.0.113.32"))
    net.client("hard", "192.168.34.10", Router("203.0.113.34", mapping=HARD))
    net.client("drawn", "192.168.36.10", Router("203.0.113.36", mapping=HARD, ports_drawn_from=range(1024, 65536)))
    net.client("blocked", "192.168.35.10", Router("203.0.113.35", mapping=HARD, udp=False))
    net.client("tls", "192.168.37.10", Router("203.0.113.37", mapping=HARD, udp=False, tcp_ports={443}))
    clients = ("cone", "hard", "drawn", "blocked", "tls")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in clients))
    net.run(4)
    return net


def relay_of(net: FakeNet, name: str) -> str:
    return path(net, name).partition(" via ")[2]


def frames(net: FakeNet, name: str) -> Counter[bytes]:
    """What `name` heard, each frame as often as it came."""
    return Counter(event.data for _, event in net.told(name, Heard))


def assert_whole(net: FakeNet, pair: tuple[str, str], first: int, last: int) -> None:
    """Every frame of a stretch came to both ends, and once."""
    for name in pair:
        numbers = Counter(int.from_bytes(data[2:4], "big") for data in frames(net, name).elements())
        assert {number: numbers[number] for number in range(first, last)} == dict.fromkeys(range(first, last), 1), name


@pytest.mark.parametrize("pair", [("hard", "drawn"), ("blocked", "hard"), ("cone", "blocked"), ("tls", "blocked")])
def test_calls_go_to_the_other_relay_without_a_frame_lost_or_heard_twice(pair: tuple[str, str]) -> None:
    net = world()
    id = place(net, *pair)
    talk(net, id, pair, 4)
    relay, began = relay_of(net, pair[0]), net.now
    assert relay
    net.terminate(relay)
    talk(net, id, pair, 1, first=200)
    assert {relay_of(net, name) for name in pair} == {"relay-1", "relay-2"} - {relay}
    assert net.now - began < LEAVING_LIMIT / 2
    talk(net, id, pair, 3, first=250)
    assert relay not in net.hosts, "it has ended before its limit: nothing goes through it any more"
    net.run(1)
    assert_whole(net, pair, 100, 400)
    assert not any(net.told(name, Ended) for name in pair)
    (told, *_) = [event.demotion for _, event in net.told(pair[0], RankedDown) if event.demotion.why is Why.LEAVING]
    assert relay in told.path


def test_a_call_that_knows_no_other_relay_is_given_one_and_loses_nothing() -> None:
    net, pair = world(relays=1), ("blocked", "hard")
    id = place(net, *pair)
    talk(net, id, pair, 3)
    net.relay(2)
    talk(net, id, pair, 2, first=150)
    assert relay_of(net, "hard") == "relay-1"
    net.terminate("relay-1")
    talk(net, id, pair, 4, first=250)
    assert {relay_of(net, name) for name in pair} == {"relay-2"}
    talk(net, id, pair, 2, first=450)
    assert "relay-1" not in net.hosts
    net.run(1)
    assert_whole(net, pair, 100, 550)


def test_the_only_relay_serves_to_its_limit_and_its_call_is_back_with_the_next() -> None:
    net, pair = world(relays=1), ("blocked", "hard")
    id = place(net, *pair)
    talk(net, id, pair, 3)
    net.terminate("relay-1")
    left = net.now
    talk(net, id, pair, LEAVING_LIMIT - 0.2, first=150)
    assert "relay-1" in net.hosts
    assert longest_gap(net, "hard", left) < 0.1
    talk(net, id, pair, 2, first=400)
    assert "relay-1" not in net.hosts
    net.relay(2)
    talk(net, id, pair, 10, first=500)
    for name in pair:
        assert relay_of(net, name) == "relay-2"
        assert not net.told(name, Ended)


@pytest.mark.slow
def test_relays_that_end_one_after_the_other_are_followed_by_as_many() -> None:
    net, pair = world(relays=1), ("blocked", "hard")
    id = place(net, *pair)
    talk(net, id, pair, 3)
    for number in range(1, MOST_LEGS + 3):
        net.relay(number + 1)
        talk(net, id, pair, 2, first=400 * number)
        net.terminate(f"relay-{number}")
        talk(net, id, pair, 6, first=400 * number + 100)
        for name in pair:
            assert relay_of(net, name) == f"relay-{number + 1}", number
        assert f"relay-{number}" not in net.hosts
        assert_whole(net, pair, 400 * number + 50, 400 * number + 350)


def test_a_call_on_hold_is_elsewhere_by_the_time_it_goes_on() -> None:
    net, pair = world(), ("hard", "drawn")
    id = place(net, *pair)
    talk(net, id, pair, 4)
    relay = relay_of(net, "hard")
    net.hosts["hard"].machine.hold(id, True, net.now)
    net.settle(net.hosts["hard"])
    net.run(8)
    net.terminate(relay)
    net.run(LEAVING_LIMIT)
    assert relay not in net.hosts
    assert relay_of(net, "hard") == relay_of(net, "drawn") != relay
    net.hosts["hard"].machine.hold(id, False, net.now)
    net.settle(net.hosts["hard"])
    net.run(0.2)
    talk(net, id, pair, 3, first=200)
    net.run(1)
    assert_whole(net, pair, 200, 350)


@pytest.mark.parametrize("end", ["caller", "callee"])
def test_a_call_that_rings_meanwhile_begins_on_the_other_relay(end: str) -> None:
    net, pair = world(), ("blocked", "hard")
    if end == "callee":
        pair = ("hard", "blocked")
    host, other = (net.hosts[name] for name in pair)
    host.machine.dial("c1.x", pair[1], net.now)
    net.settle(host)
    net.run(2)
    first = net.hosts[pair[0]].machine.calls["c1.x"].checklist.selected
    assert first is not None and first.via is not None
    net.terminate(first.via)
    net.run(1)
    other.machine.answer("c1.x", net.now)
    net.settle(other)
    net.run(0.2)
    talk(net, "c1.x", pair, 3)
    net.run(1)
    for name in pair:
        assert relay_of(net, name) not in ("", first.via)
    assert_whole(net, pair, 0, 150)


def test_both_relays_that_end_at_once_lose_a_call_that_has_nothing_else_and_it_comes_back() -> None:
    net, pair = world(), ("blocked", "hard")
    id = place(net, *pair)
    talk(net, id, pair, 3)
    for number in (1, 2):
        net.terminate(f"relay-{number}")
    talk(net, id, pair, LEAVING_LIMIT + 2, first=150)
    assert "relay-1" not in net.hosts and "relay-2" not in net.hosts
    net.relay(3)
    talk(net, id, pair, 10, first=500)
    for name in pair:
        assert relay_of(net, name) == "relay-3"
        assert not net.told(name, Ended)


def test_words_that_are_lost_are_said_again() -> None:
    net, pair = world(), ("hard", "drawn")
    id = place(net, *pair)
    talk(net, id, pair, 4)
    relay, rng = relay_of(net, "hard"), random.Random(3)
    host = net.hosts[relay].addresses[4]
    real, lost = net._datagram, []

    def lossy(sender, source, destination, data):  # type: ignore[no-untyped-def]
        """Four in five of the words between the relay and its legs are lost, and no voice is."""
        words = host in (source[0], destination[0]) and is_stun(data) and peek_method(data) == Method.BIND
        if words and rng.random() < 0.8:
            lost.append(data)
            return
        real(sender, source, destination, data)

    net._datagram = lossy  # type: ignore[method-assign]
    net.terminate(relay)
    talk(net, id, pair, 4, first=200)
    assert lost
    assert relay_of(net, "hard") == relay_of(net, "drawn") != relay
    net.run(3)
    assert_whole(net, pair, 100, 400)


def test_a_stranger_who_has_seen_no_bind_moves_nobody_and_is_answered_nothing() -> None:
    net, pair = world(), ("hard", "drawn")
    id = place(net, *pair)
    talk(net, id, pair, 4)
    relay = relay_of(net, "hard")
    client, before = net.hosts["hard"].machine, path(net, "hard")
    call = client.calls[id]
    leg = next(leg for leg in call.legs.all if leg.offer.relay == relay)
    sent = len(leg.binds.asked)
    for _ in range(50):
        forged = StunMessage(Method.BIND, Kind.INDICATION, random.randbytes(12), leaving=True).encode()
        client.datagram(call.media.socket, forged, leg.udp_address, net.now)
    assert not leg.leaving and len(leg.binds.asked) == sent
    assert path(net, "hard") == before


def test_words_that_are_replayed_cost_one_bind_in_a_tenth_of_a_second() -> None:
    net, pair = world(), ("hard", "drawn")
    id = place(net, *pair)
    talk(net, id, pair, 4)
    client = net.hosts["hard"].machine
    call = client.calls[id]
    leg = next(leg for leg in call.legs.all if leg.offer.relay == relay_of(net, "hard"))
    known = next(iter(leg.binds.answered))
    client.actions.take()
    for _ in range(50):
        word = StunMessage(Method.BIND, Kind.INDICATION, known, leaving=True).encode()
        client.datagram(call.media.socket, word, leg.udp_address, net.now)
    binds = [a for a in client.actions.take() if peek_method(getattr(a, "data", bytes(2))) == Method.BIND]
    assert len(binds) == 1
    net.settle(net.hosts["hard"])


def test_no_new_call_is_offered_a_relay_that_leaves() -> None:
    net, pair = world(), ("hard", "drawn")
    id = place(net, *pair)
    talk(net, id, pair, 4)
    relay = relay_of(net, "hard")
    net.terminate(relay)
    net.run(0.1)
    assert relay in net.hosts
    place(net, "cone", "blocked", id="c2.x")
    assert {leg.offer.relay for leg in net.hosts["cone"].machine.calls["c2.x"].legs.all} == {"relay-1", "relay-2"} - {
        relay
    }


# -- the relay alone ---------------------------------------------------------------------------------------------------


def words(bench: Bench) -> list[tuple[tuple[str, int], StunMessage]]:
    """Its own words since the last look, by whom they are for."""
    sent = [a for a in bench.relay.actions.take() if hasattr(a, "address") and hasattr(a, "data")]
    said = [(a.address, StunMessage.parse(a.data)) for a in sent]
    return [(to, word) for to, word in said if word.kind is Kind.INDICATION]


def wait(bench: Bench, seconds: float) -> None:
    end = bench.now + seconds
    while bench.now < end:
        bench.now = min(end, bench.now + 0.1)
        bench.relay.poll(bench.now)


def over(bench: Bench) -> list[HandedOver]:
    return [action for action in bench.relay.actions.take() if isinstance(action, HandedOver)]


def bind(bench: Bench, source: tuple[str, int], leg: int, heard: bool = False) -> StunMessage:
    identifier = random.randbytes(12)
    request = StunMessage(Method.BIND, Kind.REQUEST, identifier, token=bench.token(leg), leaving=heard)
    answers = [StunMessage.parse(data) for to, data in bench.say(source, request.encode()) if to == source]
    return next(answer for answer in answers if answer.kind is not Kind.INDICATION)


def test_a_relay_without_calls_is_over_at_once() -> None:
    bench = Bench()
    bench.relay.leave(bench.now)
    assert over(bench) == [HandedOver(0)]
    bench.relay.leave(bench.now)
    assert not over(bench), "it is said once"


def test_a_leg_is_told_in_the_name_of_its_last_bind_until_it_says_that_it_has_heard() -> None:
    bench = Bench()
    for source, leg in ((NEAR, 0), (FAR, 1)):
        bind(bench, source, leg)
    asked = {leg.address: leg.asked for leg in bench.relay.sessions["c1"].legs if leg is not None}
    bench.relay.leave(bench.now)
    assert {to: word.transaction_id for to, word in words(bench)} == asked
    assert bind(bench, NEAR, 0).leaving, "whoever binds is told in the answer as well"
    wait(bench, TELL_EVERY)
    assert {to for to, _ in words(bench)} == {NEAR, FAR}
    bind(bench, NEAR, 0, heard=True)
    wait(bench, TELL_EVERY)
    assert {to for to, _ in words(bench)} == {FAR}


def test_no_word_is_longer_than_the_bind_in_whose_name_it_is() -> None:
    bench = Bench()
    request = StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=bench.token(0)).encode()
    bench.say(NEAR, request)
    bench.relay.leave(bench.now)
    ((_, word),) = words(bench)
    assert 5 * len(word.encode()) < len(request)
    wait(bench, LEAVING_LIMIT + 5)
    assert len(words(bench)) <= LEAVING_LIMIT / TELL_EVERY


def test_a_relay_that_leaves_takes_no_new_call_and_lets_the_other_leg_of_an_old_one_in() -> None:
    bench = Bench()
    waiting = Connection(bench, 1)
    waiting.bind(bench.token(None, call="dave"))
    bind(bench, NEAR, 0)
    bench.relay.leave(bench.now)
    assert not waiting.open, "who waits for a call waits elsewhere"
    assert bind(bench, FAR, 1).kind is Kind.SUCCESS
    request = StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=bench.token(0, call="c2")).encode()
    ((_, answer),) = bench.say(("203.0.113.40", 1), request)
    refused = StunMessage.parse(answer)
    assert refused.error is not None and "about to end" in refused.error[1]


def test_it_goes_on_forwarding_and_is_over_when_its_call_is_silent() -> None:
    bench = Bench()
    for source, leg in ((NEAR, 0), (FAR, 1)):
        bind(bench, source, leg)
    bench.relay.leave(bench.now)
    for source, leg in ((NEAR, 0), (FAR, 1)):
        bind(bench, source, leg, heard=True)
    for _ in range(100):
        assert bench.say(NEAR, b"\x80voice") == [(FAR, b"\x80voice")]
        wait(bench, 0.02)
    assert not over(bench), "one end has not moved yet"
    wait(bench, 2 * LOOK_EVERY + 0.1)
    assert over(bench) == [HandedOver(0)]


def test_a_call_that_goes_on_is_served_to_the_limit() -> None:
    bench = Bench()
    for source, leg in ((NEAR, 0), (FAR, 1)):
        bind(bench, source, leg)
    bench.relay.leave(bench.now)
    left = bench.now
    while bench.now < left + LEAVING_LIMIT - 0.05:
        assert not over(bench)
        bench.say(NEAR, b"\x80voice")
        bench.now += 0.02
        bench.relay.poll(bench.now)
    wait(bench, 0.1)
    assert over(bench) == [HandedOver(1)]


def test_a_silent_call_whose_ends_do_not_hear_is_not_waited_for() -> None:
    bench = Bench()
    bind(bench, NEAR, 0)
    bench.relay.leave(bench.now)
    wait(bench, DEAF_AFTER - 0.1)
    assert not over(bench)
    wait(bench, LOOK_EVERY + 0.2)
    assert over(bench) == [HandedOver(0)]


def test_what_the_kernel_forwards_goes_on_there_and_is_counted_until_it_is_silent() -> None:
    bench = KernelBench()
    session = bench.joined()
    bench.relay.leave(bench.now)
    for source, leg in ((NEAR, 0), (FAR, 1)):
        request = StunMessage(Method.BIND, Kind.REQUEST, random.randbytes(12), token=bench.token(leg), leaving=True)
        bench.relay.datagram(0, request.encode(), source, bench.now)
    had = ended = 0
    for step in range(40):
        bench.now += 0.1
        bench.relay.poll(bench.now)
        asked = bench.relay.actions.take()
        if CountOffloaded(session) in asked:
            had += 50 if step < 20 else 0
            bench.relay.kernel_counted(session, Offloaded((had, had), (had, had), (0, 0)), bench.now)
        if any(isinstance(action, HandedOver) for action in asked):
            ended = step
            break
        assert session in bench.relay.offloading.placed, "it forwards as long as it is there"
    assert 20 <= ended < 36


def test_a_word_of_offers_is_what_moves_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without fresh offers the call stays where it is: the test above can fail."""
    net, pair = world(relays=1), ("blocked", "hard")
    id = place(net, *pair)
    talk(net, id, pair, 3)
    net.relay(2)
    net.run(2)
    deliver = net.hosts["blocked"].machine.hub_message
    monkeypatch.setattr(
        net.hosts["blocked"].machine,
        "hub_message",
        lambda hub, message, now: None if isinstance(message, Offers) else deliver(hub, message, now),
    )
    net.terminate("relay-1")
    talk(net, id, pair, 2, first=150)
    assert relay_of(net, "blocked") == "relay-1"
