"""Which relays a caller is offered: several, near both ends by measured round trips, and busy ones after the others."""

import random

import pytest

from lab.overlay.identity import Identity
from lab.overlay.nearness import CHANGED, EVERY, PAUSE, TELL_EVERY, TOLD, Nearness
from lab.overlay.roster import RELAYS_OFFERED, Roster
from lab.overlay.wallclock import SetClock
from lab.wire.addresses import Address
from lab.wire.messages import Near, RelayEntry
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place
from tests.unit.overlay.test_survival import HARD, path


def relay(number: int, load: int = 0, room: int | None = 100, beside: bool = False) -> RelayEntry:
    return RelayEntry(f"relay-{number}", (f"203.0.113.{number}",), 33034, (443,), load, room, beside)


def roster(distances: dict[str, float], *relays: RelayEntry) -> Roster:
    found = Roster(Identity("supernode-1"), SetClock(0.0), lambda name, hub: distances.get(name))
    found.here = {each.name: each for each in relays}
    return found


def names(chosen: list[RelayEntry]) -> list[str]:
    return [each.name for each in chosen]


def test_of_many_those_nearest_to_both_are_offered_nearest_first() -> None:
    far = {f"relay-{number}": 0.3 - 0.03 * number for number in range(1, 9)}
    assert names(roster(far, *map(relay, range(1, 9))).chosen()) == ["relay-8", "relay-7", "relay-6"]
    assert RELAYS_OFFERED == 3


def test_one_that_is_busy_comes_last_however_near_and_one_that_is_full_never() -> None:
    far = {"relay-1": 0.01, "relay-2": 0.02, "relay-3": 0.2, "relay-4": 0.3}
    found = roster(far, relay(1, 90, 10), relay(2, 100, 0), relay(3), relay(4))
    assert names(found.chosen()) == ["relay-3", "relay-4", "relay-1"]


def test_of_equally_near_ones_the_least_loaded_is_first() -> None:
    far = {"relay-1": 0.100, "relay-2": 0.103, "relay-3": 0.200}
    assert names(roster(far, relay(1, 9), relay(2, 3), relay(3, 0)).chosen()) == ["relay-2", "relay-1", "relay-3"]


def test_a_users_computer_comes_first_only_where_it_is_much_nearer() -> None:
    far = {"relay-1": 0.10, "relay-2": 0.08}
    assert names(roster(far, relay(1), relay(2, beside=True)).chosen()) == ["relay-1", "relay-2"]
    far["relay-2"] = 0.02
    assert names(roster(far, relay(1), relay(2, beside=True)).chosen()) == ["relay-2", "relay-1"]


def test_one_that_has_not_answered_is_offered_to_nobody_and_counts_for_nothing() -> None:
    answered: set[str] = set()
    found = Roster(Identity("supernode-1"), SetClock(0.0), lambda name, hub: None, lambda relay: relay.name in answered)
    found.told("liar", [relay(1, load=0, room=10**9)])
    assert found.chosen() == [] and found.lacking and not found.suffices
    answered.add("relay-1")
    found.weigh_anew()
    assert names(found.chosen()) == ["relay-1"] and not found.lacking and found.suffices


def test_who_tells_of_a_hundred_that_are_near_fills_one_place_and_not_the_one_that_was_seen_here() -> None:
    found = roster({f"relay-{number}": 0.01 for number in range(2, 102)} | {"relay-1": 0.2, "relay-200": 0.1}, relay(1))
    found.told("liar", map(relay, range(2, 102)))
    found.told("honest", [relay(200)])
    chosen = names(found.chosen())
    assert {"relay-1", "relay-200"} < set(chosen) and len(chosen) == 3


class World:
    """Relays at such round trips; some never answer."""

    def __init__(self, trips: dict[int, float]) -> None:
        self.trips = trips
        self.relays = {f"relay-{number}": relay(number) for number in trips}
        self.sent: list[tuple[float, Address]] = []
        self.told: list[Near] = []
        self.coming: list[tuple[float, bytes, Address]] = []
        self.now = 0.0
        self.near = Nearness(random.Random(1), lambda: self.relays, lambda hosts: hosts, self._send, self.told.append)

    def _send(self, to: Address, data: bytes) -> None:
        self.sent.append((self.now, to))
        trip = self.trips[int(to[0].rpartition(".")[2])]
        asked = StunMessage.parse(data)
        answer = StunMessage(Method.BINDING, Kind.SUCCESS, asked.transaction_id, xor_mapped=("203.0.113.200", 3478))
        assert len(answer.encode()) + 70 <= len(data), "there is room for a relay's signature"
        if trip < 10:
            self.coming.append((self.now + trip, answer.encode(), to))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            due = self.near.deadline()
            self.now = min([end, *(at for at, _, _ in self.coming), *([due] if due is not None else [])])
            for each in [each for each in self.coming if each[0] <= self.now]:
                self.coming.remove(each)
                assert self.near.answered(each[1], each[2], self.now)
            self.near.poll(self.now)


def test_a_round_trip_is_measured_now_and_then_and_told_to_the_others_when_it_changes() -> None:
    world = World({1: 0.05, 2: 0.15, 3: 99.0})
    world.run(TELL_EVERY + 10)
    assert world.near.rtt == {"relay-1": pytest.approx(0.05), "relay-2": pytest.approx(0.15)}
    assert world.told == [Near((("relay-1", 50), ("relay-2", 150)))]
    world.run(20 * EVERY)
    assert len(world.told) == 1, "there is nothing new"
    assert len(world.sent) <= 3 * 2 * 22
    world.trips[1] = 0.4
    world.run(10 * EVERY)
    assert dict(world.told[-1].relays)["relay-1"] == pytest.approx(400, rel=CHANGED)
    del world.relays["relay-2"]
    world.run(2 * TELL_EVERY)
    assert "relay-2" not in world.near.rtt and "relay-2" not in dict(world.told[-1].relays)


def test_hundreds_are_measured_a_few_at_a_time_and_the_nearest_are_told() -> None:
    world = World({number: number / 1000 for number in range(1, 200)})
    world.run(TELL_EVERY * 2)
    assert len(world.near.rtt) == 199
    assert max(sum(at <= other < at + 1 for other, _ in world.sent) for at, _ in world.sent) <= 1 / PAUSE + 2
    assert [name for name, _ in world.told[-1].relays] == [f"relay-{number}" for number in range(1, TOLD + 1)]


def test_what_is_said_of_a_relay_counts_as_measured_only_where_it_has_answered() -> None:
    world = World({1: 0.02, 2: 99.0})
    world.run(10)
    assert world.near.has_measured(relay(1)) and not world.near.has_measured(relay(2))
    elsewhere = RelayEntry("relay-1", ("203.0.113.66",), 33034, (443,))
    assert not world.near.has_measured(elsewhere), "a name that somebody else has"
    world.trips[66] = 0.03
    world.relays["relay-1"] = elsewhere
    world.near.look([elsewhere])
    world.run(1)
    assert world.near.has_measured(elsewhere) and world.near.rtt["relay-1"] == pytest.approx(0.03)


def test_a_relay_that_has_just_come_is_measured_at_once() -> None:
    world = World({1: 0.05})
    world.run(30)
    world.trips[2] = 0.05
    world.relays["relay-2"] = relay(2)
    world.near.look([relay(2)])
    world.run(PAUSE + 0.1)
    assert "relay-2" in world.near.rtt


def test_hundreds_that_one_makes_up_leave_the_others_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.overlay.nearness.MOST", 20)
    found = Roster(Identity("supernode-1"), SetClock(0.0))
    found.told("liar", map(relay, range(100, 164)))
    found.told("honest", map(relay, range(1, 9)))
    found.here["relay-9"] = relay(9)
    world = World({number: 0.05 for number in (*range(1, 10), *range(100, 164))})
    world.relays = found.all()
    world.run(30)
    assert {f"relay-{number}" for number in range(1, 10)} < set(world.near.rtt) and len(world.near.rtt) == 20


def test_near_both_is_what_is_near_here_and_near_there() -> None:
    world = World({1: 0.02, 2: 0.08, 3: 0.2, 4: 0.02})
    world.run(10)
    near = world.near
    near.word("supernode-2", Near((("relay-3", 10), ("relay-2", 60), ("relay-1", 200))))
    sums = {name: near.both(name, "supernode-2") for name in world.relays}
    assert sums == {name: pytest.approx(s) for name, s in zip(world.relays, (0.22, 0.14, 0.21, 0.22), strict=True)}
    assert near.both("relay-3", None) == near.both("relay-3", "unknown") == pytest.approx(0.4)
    assert near.both("relay-9", "supernode-2") is None
    near.forget("supernode-2")
    assert near.both("relay-2", "supernode-2") == pytest.approx(0.16)


def test_an_answer_that_nobody_asked_for_is_none() -> None:
    world = World({1: 0.05})
    stray = StunMessage(Method.BINDING, Kind.SUCCESS, bytes(12), xor_mapped=("203.0.113.200", 3478)).encode()
    assert not world.near.answered(stray, ("203.0.113.1", 33034), 0.0)
    world.near.poll(0.0)
    (transaction,) = world.near.asked
    forged = StunMessage(Method.BINDING, Kind.SUCCESS, transaction, xor_mapped=("203.0.113.200", 3478)).encode()
    assert not world.near.answered(forged, ("203.0.113.9", 33034), 0.01)
    assert not world.near.rtt


def test_a_call_of_two_that_need_a_relay_goes_through_the_nearest_of_many() -> None:
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    for number in range(1, 6):
        net.relay(number)
        net.detour[f"203.0.113.{20 + number}"] = 0.2 - 0.04 * number
    net.client("hard", "192.168.34.10", Router("203.0.113.134", mapping=HARD))
    net.client("drawn", "192.168.36.10", Router("203.0.113.136", mapping=HARD, ports_drawn_from=range(1024, 65536)))
    net.run(10)
    for number in (1, 2):
        roster = net.hosts[f"supernode-{number}"].machine.roster
        assert names(roster.chosen()) == ["relay-5", "relay-4", "relay-3"]
    id = place(net, "hard", "drawn")
    talk(net, id, ("hard", "drawn"), 3)
    assert path(net, "hard") == "relayed/udp via relay-5"
