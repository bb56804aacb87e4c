"""How often and how fast ports are guessed through routers in memory, and what it may cost a third party."""

import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from lab.overlay.courtesy import MOST_A_SECOND, Pace, Share
from lab.overlay.guesses import MOST_DUE, WINDOW, TryingTold
from lab.overlay.guessing import HANDFUL, LIMIT, SWEEP
from lab.overlay.prospects import Part, part
from lab.wire.messages import Candidate, Network
from tests.unit.overlay.hardnat import SERVER, Nat, World

pytestmark = pytest.mark.slow


TRIES = 40
HARD = "address-and-port-dependent"


def steady(outer: str) -> Nat:
    return Nat(outer)


def counting(outer: str, busy: float = 0.0) -> Nat:
    return Nat(outer, HARD, HARD, "sequential", range(40_000, 44_096), busy=busy)


def busy(outer: str) -> Nat:
    return counting(outer, busy=1.0)


def very_busy(outer: str) -> Nat:
    return counting(outer, busy=5.0)


def counting_by_address(outer: str) -> Nat:
    return Nat(outer, "address-dependent", "address-dependent", "sequential", range(50_000, 60_000), busy=1.0)


def drawing(outer: str) -> Nat:
    return Nat(outer, HARD, HARD, "random")


def biased(outer: str) -> Nat:
    return Nat(outer, HARD, HARD, "random", biased=True)


def drawing_by_address(outer: str) -> Nat:
    return Nat(outer, "address-dependent", "address-dependent", "random")


def from_a_block(outer: str) -> Nat:
    return Nat(outer, HARD, HARD, "random", range(20_480, 21_504))


def behind_a_carrier(outer: str) -> Nat:
    return Nat(outer, HARD, HARD, "random", range(20_480, 21_504), carried=True)


def times(one: Callable[[str], Nat], other: Callable[[str], Nat], until: float) -> list[float]:
    """Seconds after the answer of the tries that succeeded, half of them called from either side."""
    found = []
    for seed in range(TRIES):
        nats = [one("198.51.100.1"), other("198.51.100.2")]
        world = World(*(nats if seed % 2 else reversed(nats)), seed=seed)
        world.call()
        world.run(until)
        if world.took is not None:
            found.append(world.took)
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (counting, steady),
        (busy, steady),
        (very_busy, steady),
        (counting, counting),
        (busy, busy),
        (counting_by_address, steady),
    ],
)
def test_a_router_that_counts_is_predicted_within_a_second_of_the_answer(
    one: Callable[[str], Nat], other: Callable[[str], Nat]
) -> None:
    found = times(one, other, until=6)
    assert sum(took <= 1.0 for took in found) >= 0.95 * TRIES, found


@pytest.mark.parametrize("hard", [drawing, biased])
def test_drawn_ports_are_found_in_seconds_by_a_side_that_filters_by_port(hard: Callable[[str], Nat]) -> None:
    found = times(hard, steady, until=8)
    assert sum(took <= 6.0 for took in found) >= 0.95 * TRIES, sorted(found)
    assert statistics.median(found) <= 2.5


def test_linux_favours_some_ports_and_they_are_tried_first() -> None:
    assert statistics.median(times(biased, steady, until=8)) < statistics.median(times(drawing, steady, until=8))


@pytest.mark.parametrize("other", [drawing, drawing_by_address, counting])
def test_who_filters_by_address_is_found_whatever_the_other_maps(other: Callable[[str], Nat]) -> None:
    found = times(drawing_by_address, other, until=8)
    assert sum(took <= 6.0 for took in found) >= 0.95 * TRIES, sorted(found)


def test_a_side_that_draws_from_a_block_is_found_within_a_second_or_two() -> None:
    found = times(from_a_block, steady, until=6)
    assert len(found) >= 0.95 * TRIES and statistics.median(found) <= 1.0, sorted(found)


@pytest.mark.parametrize("hard", [from_a_block, behind_a_carrier])
def test_two_sides_that_draw_from_blocks_meet_within_15_seconds(hard: Callable[[str], Nat]) -> None:
    found = times(hard, hard, until=16)
    assert sum(took <= 15.0 for took in found) >= 0.9 * TRIES, sorted(found)


def one_try(one: Nat, other: Nat, **how: bool) -> World:
    world = World(one, other, seed=5, **how)
    world.call()
    return world


@pytest.mark.parametrize("other", [drawing, counting, from_a_block])
def test_a_call_without_prospects_does_not_guess_at_all(other: Callable[[str], Nat]) -> None:
    world = one_try(drawing("198.51.100.1"), other("198.51.100.2"))
    world.run(LIMIT + 5)
    assert not any(side.sent or side.guessing.opened for side in world.sides)


def test_two_steady_sides_do_not_guess() -> None:
    world = one_try(steady("198.51.100.1"), steady("198.51.100.2"))
    world.run(5)
    assert not any(side.guessing.active or side.sent for side in world.sides)


def test_a_network_that_is_told_anew_in_mid_call_and_needs_no_guess_begins_none() -> None:
    world = one_try(steady("198.51.100.1"), steady("198.51.100.2"))
    world.run(2)
    for side in world.sides:
        side.works_at = None  # what worked does no longer
        side.guessing.meet(side.nat.network, side.other.nat.network, side.controlling, world.now)
    world.run(5)
    assert not any(side.guessing.under_way or side.sent for side in world.sides)


def unlucky(one: Nat, other: Nat) -> World:
    """Both say that they guess, and nothing of the other arrives."""
    world = one_try(one, other)
    for side in world.sides:
        admit = side.nat.admit
        side.nat.admit = lambda remote, port, admit=admit: admit(remote, port) if remote == SERVER else None
    return world


PAIRS = [(drawing, steady), (from_a_block, from_a_block), (counting, steady), (counting, counting)]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_guessing_ends_after_20_seconds_and_closes_its_sockets(
    one: Callable[[str], Nat], other: Callable[[str], Nat]
) -> None:
    world = unlucky(one("198.51.100.1"), other("198.51.100.2"))
    world.run(LIMIT + 10)
    for side in world.sides:
        assert side.guessing.part and not side.guessing.active and not side.guessing.sockets
        assert max((at for at, _ in side.sent), default=0.0) <= world.answered + LIMIT + 1


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_more_than_200_guesses_leave_in_any_second(one: Callable[[str], Nat], other: Callable[[str], Nat]) -> None:
    world = unlucky(one("198.51.100.1"), other("198.51.100.2"))
    world.run(LIMIT + 10)
    for side in world.sides:
        seconds = Counter(int(at * 2) for at, _ in side.sent)
        assert max((seconds[half] + seconds[half + 1] for half in seconds), default=0) <= 200


def test_a_peer_that_tells_ports_as_fast_as_it_can_has_no_more_tried() -> None:
    world = unlucky(counting("198.51.100.1"), steady("198.51.100.2"))
    trying = world.sides[1]
    assert trying.other.nat.outer == "198.51.100.1"

    def tell(first: int = 1024) -> None:
        told = [Candidate("predicted", "udp", ("198.51.100.1", first + number)) for number in range(WINDOW)]
        trying.guessing.learn(told, world.now)
        trying.flush()
        world.after(0.01, lambda: tell(1024 + (first + WINDOW) % 60_000))

    world.after(2.0, tell)
    world.run(6)
    times = [at for at, _ in trying.sent]
    assert len(times) > 400
    assert all(later - earlier >= 1.0 for earlier, later in zip(times, times[200:], strict=False))
    assert isinstance(trying.guessing.guess, TryingTold) and len(trying.guessing.guess.checks) <= MOST_DUE


def test_two_outer_addresses_of_a_peer_share_the_200_guesses_of_a_second() -> None:
    world = unlucky(drawing("198.51.100.1"), steady("198.51.100.2"))
    trying = world.sides[1]
    trying.guessing.learn([Candidate("server-reflexive", "udp", ("198.51.100.9", 5000))], 0.0)
    world.run(LIMIT + 10)
    by_host = Counter(remote[0] for _, remote in trying.sent)
    assert set(by_host) == {"198.51.100.1", "198.51.100.9"}
    assert abs(by_host["198.51.100.1"] - by_host["198.51.100.9"]) <= 1
    seconds = Counter(int(at * 2) for at, _ in trying.sent)
    assert max(seconds[half] + seconds[half + 1] for half in seconds) <= 200


def test_two_calls_of_one_client_share_the_200_guesses_of_a_second() -> None:
    """Nothing of either peer arrives; the two calls go on side by side, 5 ms at a time."""
    pace, worlds = Pace(), [unlucky(drawing("198.51.100.1"), steady("198.51.100.2")) for _ in range(2)]
    for world in worlds:
        guessing = world.sides[1].guessing
        guessing.means = replace(guessing.means, share=Share(pace))
    for step in range(8 * 200):
        for world in worlds:
            world.run(step / 200)
    times = sorted(at for world in worlds for at, _ in world.sides[1].sent)
    assert len(times) > 1000
    assert all(later - earlier > 0.99 for earlier, later in zip(times, times[200:], strict=False))
    assert min(len(world.sides[1].sent) for world in worlds) > 0.45 * len(times)


def test_a_long_search_of_one_call_leaves_another_its_share() -> None:
    pace = Pace()
    long, short = Share(pace), Share(pace)
    got = {long: 0, short: 0}
    for ms in range(5000):
        for share in (long, short) if ms >= 3000 else (long,):
            if share.free(ms / 1000):
                share.take(ms / 1000)
                got[share] += 1
        if ms == 2999:
            assert got[long] == 3 * MOST_A_SECOND
    assert got[short] == 2 * MOST_A_SECOND // 2


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_a_host_that_the_peer_alone_names_gets_a_handful(
    one: Callable[[str], Nat], other: Callable[[str], Nat]
) -> None:
    world = unlucky(one("198.51.100.1"), other("198.51.100.2"))
    guessing = world.sides[0].guessing
    guessing.means = replace(guessing.means, known=lambda host: host != "198.51.100.2")
    world.run(LIMIT + 10)
    assert len(world.sides[0].sent) <= HANDFUL


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_who_does_not_say_that_it_guesses_gets_a_handful(
    one: Callable[[str], Nat], other: Callable[[str], Nat]
) -> None:
    world = unlucky(one("198.51.100.1"), other("198.51.100.2"))
    world.sides[1].willing = False
    world.run(LIMIT + 10)
    assert len(world.sides[0].sent) <= HANDFUL


def test_guesses_go_to_the_outer_address_of_the_peer_and_nowhere_else() -> None:
    world = one_try(drawing("198.51.100.1"), steady("198.51.100.2"))
    world.run(10)
    for side in world.sides:
        assert {remote[0] for _, remote in side.sent} == {side.other.nat.outer}


def test_the_sockets_of_lost_guesses_are_closed_and_the_lucky_one_stays() -> None:
    world = one_try(drawing("198.51.100.1"), steady("198.51.100.2"))
    world.run(10)
    hard = world.sides[0]
    assert len(hard.guessing.sockets) > 1
    for _ in range(3):
        hard.guessing.poll(world.now)
        hard.flush()
        world.now += SWEEP
    assert hard.guessing.sockets == hard.used - {hard.media.socket}
    assert len(hard.guessing.sockets) == 1


def test_what_is_known_of_ipv6_leads_to_no_guess_over_ipv4() -> None:
    hard = Network(True, "address-and-port-dependent", "address-and-port-dependent", "random", outer="203.0.113.34")
    steady = Network(True, "none", "address-and-port-dependent", outer="203.0.113.31")
    over_ipv6 = Network(True, "none", "address-and-port-dependent", outer="2001:db8:72::10")
    assert part(steady, hard, True) is Part.TRY
    assert part(over_ipv6, hard, True) is part(hard, over_ipv6, False) is Part.NOTHING


def test_two_hard_sides_behind_one_carrier_do_not_guess_at_ports_that_it_has_not_given() -> None:
    hard = Network(True, HARD, HARD, "random", outer="203.0.113.64", ports=(20_480, 21_503))
    elsewhere = msgspec.structs.replace(hard, outer="203.0.113.66")
    assert part(hard, elsewhere, True) is Part.BOTH
    assert part(hard, hard, True) is part(hard, hard, False) is Part.NOTHING
    steady = Network(True, "endpoint-independent", HARD, outer="203.0.113.64")
    assert part(steady, hard, True) is Part.TRY, "what has been given is turned back"
