"""Paths that pass checks and lose voice: noticed at the receiving end, left for clean ones, not gone back to."""

import itertools
import random

import pytest

from lab.overlay.binds import Binds
from lab.overlay.call_events import Ended, Heard, Moved
from lab.overlay.leg import NOT_YET, SELDOM
from lab.overlay.loss import ATTENTIVE, SOONEST, TOO_MUCH, WINDOW, LegMeter, LossMeter
from lab.overlay.voice_trial import VoiceTrial
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.natsim import Nat
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow


HARD = "address-and-port-dependent"
THROTTLE = 2_000.0  # bytes a second: 16 kbit/s


def rtp(number: int) -> bytes:
    return b"\x80\x6f" + (number % 0x10000).to_bytes(2, "big") + bytes(8) + bytes(90)


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> FakeNet:
    """Ten milliseconds each way on every access link, and throttled sites beside others, which do not know it yet."""
    monkeypatch.setattr(VoiceTrial, "begin", lambda *about: None)
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("open", "198.51.100.18", Router("203.0.113.31", mapping=None))
    net.client("cone", "192.168.32.10", Router("203.0.113.32"))
    net.client("hard", "192.168.33.10", Router("203.0.113.33", mapping=HARD))
    net.client("blocked", "192.168.34.10", Router("203.0.113.34", mapping=HARD, udp=False))
    net.client("slow", "192.168.35.10", Router("203.0.113.35", udp_rate=THROTTLE))
    net.client("slower", "192.168.36.10", Router("203.0.113.36", mapping=HARD, udp_rate=THROTTLE))
    net.client("full", "192.168.37.10", Nat("203.0.113.37", net=net, filtering="endpoint-independent"))
    clients = ("open", "cone", "hard", "blocked", "slow", "slower", "full")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in clients))
    net.run(4)
    return net


def talk(net: FakeNet, id: str, names: tuple[str, ...], seconds: float, first: int = 0) -> None:
    """Fifty packets a second from each side."""
    for number in range(first, first + round(seconds * 50)):
        for name in names:
            net.hosts[name].machine.send(id, rtp(number))
            net.settle(net.hosts[name])
        net.run(0.02)


def paths(net: FakeNet, name: str) -> list[str]:
    return [str(event.path) for _, event in net.told(name, Moved)]


PAIRS = [
    ("slow", "open", "direct/tcp"),
    ("slow", "cone", "punched/tcp"),
    ("slow", "hard", "relayed/mixed via relay-1"),
    ("slow", "blocked", "relayed/tcp via relay-1"),
    ("slow", "slower", "relayed/tcp via relay-1"),
    ("slower", "full", "punched/tcp"),
]


@pytest.mark.parametrize(
    ("caller", "callee", "expected"),
    [each for a, b, path in PAIRS for each in ((a, b, path), (b, a, path))],
)
def test_a_call_whose_udp_is_throttled_ends_on_what_carries_voice(
    net: FakeNet, caller: str, callee: str, expected: str
) -> None:
    id = place(net, caller, callee)
    talk(net, id, (caller, callee), 10)
    for name in (caller, callee):
        assert paths(net, name)[-1] == expected
        assert not net.told(name, Ended)
    before = {name: len(net.told(name, Heard)) for name in (caller, callee)}
    moves = {name: len(paths(net, name)) for name in (caller, callee)}
    talk(net, id, (caller, callee), 15, first=500)
    for name in (caller, callee):
        assert len(paths(net, name)) == moves[name], "it swings"
        assert len(net.told(name, Heard)) - before[name] >= 0.99 * 750


def test_the_second_call_of_a_throttled_client_binds_over_tcp_at_once(net: FakeNet) -> None:
    id = place(net, "slow", "hard")
    talk(net, id, ("slow", "hard"), 8)
    net.hosts["slow"].machine.hang_up(id, net.now)
    net.settle(net.hosts["slow"])
    assert net.run(5, until=lambda: bool(net.told("slow", Ended)) and bool(net.told("hard", Ended)))
    known = len(paths(net, "slow"))
    net.hosts["slow"].machine.dial("c2.x", "hard", net.now)
    net.settle(net.hosts["slow"])
    net.run(1)
    net.hosts["hard"].machine.answer("c2.x", net.now)
    net.settle(net.hosts["hard"])
    net.run(1)
    assert paths(net, "slow")[known:] == ["relayed/mixed via relay-1"]


def test_a_leg_that_stands_on_tcp_stays_there_for_a_while_once_voice_was_lost_over_udp(net: FakeNet) -> None:
    """Its network lets a bind over UDP out, and may drop a voice."""
    relay, slow = net.hosts["relay-1"].addresses[4], net.hosts["slow"].routers[4].outer
    barred = True
    net.lose = lambda source, destination: barred and {source[0], destination[0]} == {slow, relay}
    place(net, "cone", "slow")
    call = next(iter(net.hosts["slow"].machine.calls.values()))
    (leg,) = call.legs.all
    assert net.run(5, until=lambda: leg.tcp_bound is not None)
    leg.suspect(net.now)
    barred = False
    assert not net.run(NOT_YET - 1, until=lambda: leg.udp_bound), "it returned"
    assert net.run(SELDOM, until=lambda: leg.udp_bound)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ways", [1, 2])
@pytest.mark.parametrize("pair", [("cone", "full"), ("full", "cone")])
def test_three_in_ten_lost_are_heard_for_a_second_where_a_clean_path_stands_by(
    net: FakeNet, pair: tuple[str, str], ways: int, seed: int
) -> None:
    """Half a second in the mean (LATEST), and as long again where the dice have it so."""
    id = place(net, *pair)
    talk(net, id, pair, 4)
    assert paths(net, "cone")[-1] == "punched/udp"
    begun, dice = net.now, random.Random(seed)
    routers = [net.hosts[name].routers[4].outer for name in ("cone", "full")]
    net.lose = lambda source, destination: (
        [source[0], destination[0]] in (routers, routers[::-1])[:ways] and dice.random() < 0.3
    )
    talk(net, id, pair, 2, first=200)
    for name in pair:
        moves = [(at, str(event.path)) for at, event in net.told(name, Moved) if at > begun]
        assert [path for _, path in moves] == ["relayed/udp via relay-1"]
        assert moves[0][0] - begun < 1.2


def test_a_little_loss_moves_nobody(net: FakeNet) -> None:
    dice = random.Random(5)
    net.lose = lambda source, destination: dice.random() < 0.03
    id = place(net, "open", "cone")
    talk(net, id, ("open", "cone"), 20)
    assert paths(net, "open") == ["direct/udp"]


def test_a_clean_call_stays_where_it_is(net: FakeNet) -> None:
    id = place(net, "cone", "blocked")
    talk(net, id, ("cone", "blocked"), 10)
    assert paths(net, "cone") == ["relayed/mixed via relay-1"]


def test_a_leg_that_loses_nothing_binds_as_seldom_as_its_mapping_allows(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = place(net, "hard", "blocked")
    talk(net, id, ("hard", "blocked"), ATTENTIVE + 1)
    bind, binds = Binds.ask, []
    monkeypatch.setattr(Binds, "ask", lambda leg, *given: binds.append(net.now) or bind(leg, *given))
    talk(net, id, ("hard", "blocked"), 30, first=round(50 * (ATTENTIVE + 1)))
    assert paths(net, "hard")[-1] == "relayed/mixed via relay-1"
    assert len(binds) <= 2 * 4, "one in ten seconds from each end"


@pytest.mark.parametrize("direction", ["out", "in"])
def test_a_leg_that_begins_to_lose_voice_in_mid_call_is_left_within_three_seconds(net: FakeNet, direction: str) -> None:
    id = place(net, "hard", "blocked")
    talk(net, id, ("hard", "blocked"), 15)
    moved, dice = len(paths(net, "hard")), random.Random(7)
    end = "203.0.113.33"
    net.lose = lambda source, destination: (
        (source if direction == "out" else destination)[0] == end and dice.random() < 0.3
    )
    talk(net, id, ("hard", "blocked"), 3, first=750)
    assert paths(net, "hard")[moved:] == ["relayed/tcp via relay-1"]


def counts(had: int, returned: int) -> int:
    return had << 32 | returned


def test_what_a_leg_missed_in_the_seconds_of_which_nobody_complained_is_not_held_against_it() -> None:
    for missing, left in ((12, False), (16, True)):
        meter = LegMeter()
        for now, sent, had in ((0.0, 0, 0), (10.0, 500, 500 - missing)):
            meter.sent = meter.voice = sent
            meter.ask(bytes([int(now)]))
            assert meter.answer(bytes([int(now)]), counts(had, 0), now) is (left and now > 0)


@pytest.mark.parametrize(("voice", "left"), [(0, False), (100, True)])
def test_what_a_relay_says_counts_for_nothing_where_no_voice_goes(voice: int, left: bool) -> None:
    meter = LegMeter()
    for now, returned in ((0.0, 0), (10.0, 500)):
        meter.got, meter.voice = round(10 * now), voice if now else 0
        meter.ask(bytes([int(now)]))
        assert meter.answer(bytes([int(now)]), counts(0, returned), now) is (left and now > 0)


def test_loss_is_a_share_of_what_one_path_should_have_brought() -> None:
    meter = LossMeter()
    for number in range(150):
        if number % 5:
            meter.hear("a", rtp(65_500 + number), number * 0.02)
    lost = meter.lost(149 * 0.02)
    assert lost is not None and abs(lost - 0.2) < 0.02


@pytest.mark.parametrize(
    ("missing", "lost"),
    [
        ({75, 76, 79, 80, 88, 89}, 6 / 25),
        ({75, 76, 79, 80, 88}, 0.0),
        ({50, 54, 58, 62, 66, 70, 79, 88}, 8 / 50),
        ({50, 51, 62, 63, 64, 79, 80, 88}, 8 / 50),
        ({50, 51, 52, 53, 64, 65, 79, 80}, 0.0),
        (set(range(75, 83)), 0.0),  # a burst, which is over
        ({64, 65, 79, 80, 88, 89}, 0.0),
    ],
)
def test_what_is_lost_in_many_gaps_at_once_is_told_before_the_window_has_passed(missing: set[int], lost: float) -> None:
    meter, told = LossMeter(), False
    for number in range(95):
        if number not in missing:
            told = meter.hear("a", rtp(number), number * 0.02)
            assert told is any(gone < number for gone in missing), "it is worth asking"
    assert (meter.lost(94 * 0.02) or 0.0) == lost


def test_of_lines_that_lose_three_in_ten_98_in_a_hundred_are_told_within_a_second() -> None:
    """0.8 in a hundred are later by the binomial law, twice as many as that where half a second alone is looked at."""
    dice, late = random.Random(11), 0
    for _ in range(1_000):
        meter = LossMeter()
        came = (number for number in itertools.count() if number < 100 or dice.random() >= 0.3)
        told = next(
            number
            for number in came
            if meter.hear("a", rtp(number), number * 0.02) and (meter.lost(number * 0.02) or 0.0) > TOO_MUCH
        )
        late += (told - 100) * 0.02 > 1.0 + SOONEST
    assert late <= 15


def jittered(spread: float, losing: float, seconds: float = 12.0) -> float:
    """The most that a meter says while packets of 20 ms come, each late by up to `spread` seconds by itself."""
    dice = random.Random(3)
    sent = [(number * 0.02 + dice.random() * spread, number) for number in range(round(seconds * 50))]
    meter, most = LossMeter(), 0.0
    for at, number in sorted(sent):
        if dice.random() >= losing and meter.hear("a", rtp(number), at):
            most = max(most, meter.lost(at) or 0.0)
    return most


@pytest.mark.parametrize("spread", [0.03, 0.1, 0.3])
def test_packets_that_overtake_one_another_are_not_lost(spread: float) -> None:
    assert jittered(spread, 0.0) < TOO_MUCH
    assert jittered(spread, 0.3) > TOO_MUCH


def test_a_packet_of_another_time_says_nothing_and_two_in_a_row_begin_anew() -> None:
    meter = LossMeter()
    for number in range(150):
        meter.hear("a", rtp(number), number * 0.02)
    for stray in (9_000, 60_000, 12):
        assert not meter.hear("a", rtp(stray), 3.0)
        assert meter.hear("a", rtp(150), 3.0) is False
        assert meter.lost(3.1) == 0
    for number in range(20_000, 20_150):
        meter.hear("a", rtp(number), 3.0 + (number - 20_000) * 0.02)
    assert meter.lost(6.1) == 0 and meter.highest == 20_149


def test_late_packets_and_a_change_of_path_are_no_loss() -> None:
    meter = LossMeter()
    for number in range(0, 150, 2):
        for each in (number + 1, number):
            meter.hear("a", rtp(each), number * 0.02)
    assert meter.lost(3.0) is not None and meter.lost(3.0) < 0.02
    for number in range(150, 300):
        if number >= 160:  # lost in the move: nobody's
            meter.hear("b", rtp(number), number * 0.02)
    assert meter.lost(300 * 0.02) == 0


def test_nothing_is_said_before_a_path_has_carried_voice_for_a_while() -> None:
    meter = LossMeter()
    assert meter.lost(0.0) is None
    for number in range(0, 50, 5):
        meter.hear("a", rtp(number), number * 0.02)
    assert meter.lost(0.9) is None
    meter.hear("a", b"\x58an envelope", 1.1)
    assert meter.lost(WINDOW + 10) is None
