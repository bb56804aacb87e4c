"""Whether UDP carries a voice is known before the first call; loss by chance, a call and silence are not mistaken."""

import random
from itertools import pairwise

import pytest

from lab.overlay import voice_trial
from lab.overlay.actions import Actions
from lab.overlay.call_events import Moved
from lab.overlay.stunserver import ALTERNATE_PORT
from lab.overlay.voice_trial import (
    DOUBT,
    LATE,
    LATER,
    PACE,
    PACKETS,
    PATIENCE,
    PAUSE,
    SPOILT,
    STALE,
    SURE,
    VoiceTrial,
)
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow

OUTER = "203.0.113.35"
THROTTLE = 2_000.0  # bytes a second: 16 kbit/s
TRIAL = PAUSE + PACKETS * PACE + PATIENCE  # seconds: its pause, packets at their pace, answers
KNOWN = 3.0 + SURE * TRIAL + 1.0  # what is asked before


def world(router: Router, delay: float = 0.01) -> FakeNet:
    net = FakeNet(delay=delay)
    net.voice_trials = True
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("zoe", "192.168.35.10", router)
    net.client("yan", "192.168.32.10", Router("203.0.113.32"))
    clients = [net.hosts[name] for name in ("zoe", "yan")]
    assert net.run(10, until=lambda: all(host.machine.hub.hub for host in clients))
    return net


def throttled(net: FakeNet, name: str = "zoe") -> bool:
    return bool(net.hosts[name].machine.passage.throttled(net.now))


def spied(trial: VoiceTrial) -> list[tuple[float, bool]]:
    """When an outcome was told from now on, and whether voice is carried."""
    outcomes: list[tuple[float, bool]] = []
    told, trial.told = trial.told, lambda carries, now: (outcomes.append((now, carries)), told(carries, now))[1]
    return outcomes


def test_a_throttle_is_known_before_the_first_call_which_begins_over_tcp() -> None:
    net = world(Router(OUTER, udp_rate=THROTTLE))
    net.run(KNOWN)
    assert (throttled(net), throttled(net, "yan")) == (True, False)
    place(net, "zoe", "yan")
    paths = [str(event.path) for _, event in net.told("zoe", Moved)]
    assert paths and not any(path.endswith("/udp") or "/udp " in path for path in paths), paths


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("loss", [0.0, 0.05, 0.1])
def test_loss_by_chance_is_no_throttle(loss: float, seed: int) -> None:
    dice = random.Random(seed)
    net = world(Router(OUTER))
    net.lose = lambda source, destination: dice.random() < loss
    net.run(KNOWN + 2)
    assert not throttled(net)


def test_a_network_that_stumbles_once_is_no_throttle() -> None:
    net = world(Router(OUTER))
    trial = net.hosts["zoe"].machine.discovery.trial
    net.lose = lambda source, destination: OUTER in (source[0], destination[0]) and len(trial.sent) > PACKETS // 3
    assert net.run(10, until=lambda: trial.narrow == 1)
    net.lose = None
    assert trial.under_way and not throttled(net)
    net.run(TRIAL + 0.5)
    assert not trial.under_way and not throttled(net)


def test_a_network_that_was_called_narrow_in_error_is_so_for_seconds() -> None:
    net = world(Router(OUTER))
    machine = net.hosts["zoe"].machine
    trial = machine.discovery.trial
    net.lose = lambda source, destination: OUTER in (source[0], destination[0]) and len(trial.sent) > PACKETS // 3
    assert net.run(15, until=lambda: throttled(net))
    net.lose = None
    net.run(DOUBT)
    assert throttled(net) and trial.under_way and not machine.discovery.under_way, "what is known holds until then"
    assert net.run(TRIAL, until=lambda: not throttled(net))


def test_a_throttle_is_doubted_ever_less_often() -> None:
    net = world(Router(OUTER, udp_rate=THROTTLE))
    net.run(KNOWN)
    trial = net.hosts["zoe"].machine.discovery.trial
    outcomes = spied(trial)
    net.run(10 * DOUBT)
    assert throttled(net)
    pauses = [later - earlier for (earlier, _), (later, _) in pairwise(outcomes)]
    assert len(outcomes) == 2 and pauses[0] > 2.5 * DOUBT, outcomes


def test_a_throttle_that_others_use_up_as_it_is_tried_again_is_still_one() -> None:
    net = world(Router(OUTER, udp_rate=THROTTLE))
    net.run(KNOWN)
    trial = net.hosts["zoe"].machine.discovery.trial
    outcomes = spied(trial)
    dice = random.Random(3)
    net.lose = lambda source, destination: (
        trial.doubting and OUTER in (source[0], destination[0]) and (len(trial.sent) <= 2 or dice.random() < 0.7)
    )
    assert net.run(DOUBT + 3 * TRIAL, until=lambda: bool(outcomes))
    assert [carries for _, carries in outcomes] == [False] and throttled(net)


@pytest.mark.parametrize(("late", "carries"), [(True, True), (False, False)])
def test_a_machine_that_stood_still_has_tried_no_network(late: bool, carries: bool) -> None:
    """Each train loses its last half; of a machine that slept meanwhile that says nothing."""
    outcomes: list[bool] = []
    trial = VoiceTrial(Actions(), random.Random(1))
    trial.told = lambda carries, now: outcomes.append(carries)
    server, now, trains = ("203.0.113.11", 3478), 0.0, 0
    trial.begin(server, now)
    while not outcomes:
        now = trial.deadline() or now
        if late and len(trial.sent) == PACKETS // 2:
            now += 2 * LATE
        trial.poll(now)
        if trial.socket is not None and trial.next_at is None:
            trial.udp_up(trial.socket, ("192.168.35.10", 50_000), now)
            trains += 1
        trial.answered |= {number for number in trial.sent.values() if number < PACKETS // 2}
    assert outcomes == [carries] and trains == (SPOILT + 1 if late else SURE)


def test_it_is_a_voice_for_a_little_more_than_a_second() -> None:
    net = world(Router(OUTER))
    sent: list[float] = []
    net.lose = lambda source, destination: bool(
        source[0] == OUTER and destination[1] in (3478, ALTERNATE_PORT) and sent.append(net.now)
    )
    net.run(KNOWN)
    busiest = max((sum(at <= each < at + 1.0 for each in sent), at) for at in sent)
    assert busiest[0] <= 55
    assert PACKETS <= sum(busiest[1] - 1 <= each <= busiest[1] + 2 for each in sent) <= PACKETS + 4


def test_a_call_that_comes_between_is_not_disturbed_and_it_is_tried_after_it() -> None:
    net = world(Router(OUTER, udp_rate=THROTTLE))
    trial = net.hosts["zoe"].machine.discovery.trial
    assert net.run(10, until=lambda: len(trial.sent) > PACKETS // 2)
    id = place(net, "zoe", "yan")
    assert not trial.sent
    net.run(4)
    assert not trial.sent
    net.hosts["zoe"].machine.hang_up(id, net.now)
    net.settle(net.hosts["zoe"])
    assert net.run(20, until=lambda: throttled(net))


def test_who_moves_away_from_a_throttle_does_not_take_it_along() -> None:
    net = world(Router(OUTER, udp_rate=THROTTLE))
    net.run(KNOWN)
    net.move("zoe", ("192.168.41.10", Router("203.0.113.41")))
    assert not throttled(net)
    net.run(KNOWN + 3)
    assert not throttled(net)


@pytest.mark.slow
def test_a_client_that_is_always_in_calls_goes_on_knowing_its_throttle() -> None:
    net = world(Router(OUTER, udp_rate=THROTTLE))
    net.run(KNOWN)
    place(net, "zoe", "yan")
    net.run(450)
    assert throttled(net)


def test_a_call_over_tcp_beside_udp_that_is_too_narrow_for_voice_is_finished_soon() -> None:
    net = world(Router(OUTER, udp_rate=THROTTLE))
    net.run(KNOWN)
    id = place(net, "zoe", "yan")
    both = [net.hosts[name].machine.calls[id].checklist for name in ("zoe", "yan")]
    assert net.run(5, until=lambda: all(checklist.both_finished() for checklist in both))


def test_a_throttle_that_was_lifted_is_forgotten_when_it_is_tried_again() -> None:
    router = Router(OUTER, udp_rate=THROTTLE)
    net = world(router)
    net.run(KNOWN)
    router.udp_rate = None
    assert throttled(net)
    assert net.run(320, until=lambda: not throttled(net))


def test_the_call_after_the_next_one_takes_udp_again_where_a_throttle_was_lifted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is known of a network is minutes old at most; a call that it has cost something has it looked at anew."""
    monkeypatch.setattr(voice_trial, "DOUBT", 300.0)
    router = Router(OUTER, udp_rate=THROTTLE)
    net = world(router)
    net.run(KNOWN)
    net.run(STALE)
    router.udp_rate = None
    net.hosts["zoe"].machine.hang_up(place(net, "zoe", "yan"), net.now)
    assert net.run(LATER + TRIAL + 1, until=lambda: not throttled(net))
    call = place(net, "zoe", "yan", id="c2.x")
    net.run(2)
    paths = [str(event.path) for _, event in net.told("zoe", Moved) if event.call == call]
    assert paths and paths[-1] == "punched/udp", paths


def test_what_a_call_has_lost_by_is_looked_into_after_it() -> None:
    net = world(Router(OUTER))
    net.run(KNOWN + STALE)
    call = place(net, "zoe", "yan")
    net.hosts["zoe"].machine.passage.throttles(net.now)
    net.hosts["zoe"].machine.hang_up(call, net.now)
    assert throttled(net)
    assert net.run(LATER + TRIAL + 1, until=lambda: not throttled(net)), "it was the call's misfortune alone"


def test_calls_in_a_throttled_network_do_not_have_it_tried_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_trial, "DOUBT", 100.0)
    net = world(Router(OUTER, udp_rate=THROTTLE))
    net.run(KNOWN)
    trial = net.hosts["zoe"].machine.discovery.trial
    net.hosts["zoe"].machine.hang_up(place(net, "zoe", "yan"), net.now)
    net.run(LATER + PAUSE + 1)
    assert not trial.under_way and throttled(net)


def test_where_no_udp_passes_nothing_is_tried() -> None:
    net = world(Router(OUTER, udp=False))
    net.run(KNOWN + 2)
    assert not net.hosts["zoe"].machine.discovery.trial.sent
    assert not throttled(net)
