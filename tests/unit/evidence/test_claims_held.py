"""What clients claim, held against packets: truth agrees, a lie in either direction does not, grace only at a move."""

from pathlib import Path

import pytest
from packet_world import RELAY, START, TOPOLOGY, Address, World, checks, relay, talk

from lab.errors import EvidenceError
from lab.evidence import Captures, Claim, Verdict, hold

PUNCHED = ("punched", "udp", None)
RELAYED = ("relayed", "udp", "relay-1")
ELSEWHERE = ("203.0.113.22", 34001)
BOB, FRANK = ("bob", 4000), ("frank", 5000)


def claim(start: float, end: float, path: tuple[str, str, str | None]) -> Claim:
    return Claim(START + start, START + end, *path)


def held(captures: Captures, *history: Claim, end: float = 6.0) -> Verdict:
    return hold(TOPOLOGY, captures, "bob", "frank", history, START - 1, START + end)


@pytest.fixture
def begun(tmp_path: Path) -> Captures:
    """The callee has sent by the relay for 0.6 s when the caller hears of its answer, and sends to it straight."""
    world = World()
    relay(world, BOB, FRANK, START, 0.6, senders=(1,))
    talk(world, BOB, FRANK, START + 0.6, 3.0)
    return world.captures(tmp_path)


@pytest.fixture
def punched(tmp_path: Path) -> Captures:
    world = World()
    talk(world, BOB, FRANK, START, 3.0)
    return world.captures(tmp_path)


@pytest.fixture
def relayed(tmp_path: Path) -> Captures:
    world = World()
    relay(world, BOB, FRANK, START, 3.0)
    return world.captures(tmp_path)


@pytest.fixture
def moved(tmp_path: Path) -> Captures:
    """Relayed for 1.5 s while the punch is tried, then punched for 1.5 s."""
    world = World()
    relay(world, BOB, FRANK, START, 1.5)
    checks(world, BOB, FRANK, START + 0.5, 1.0)
    talk(world, BOB, FRANK, START + 1.5, 1.5)
    return world.captures(tmp_path)


def test_the_truth_agrees(punched: Captures) -> None:
    verdict = held(punched, claim(0, 3, PUNCHED))
    assert verdict.agrees, verdict.reasons
    assert (verdict.observed.kind, verdict.observed.packets) == ("punched", 300)
    assert verdict.last == pytest.approx(START + 2.98, abs=0.01)


def test_each_end_answers_for_what_it_has_sent_itself(begun: Captures) -> None:
    callers = [claim(0.6, 3.6, PUNCHED)]
    window = START - 1, START + 6
    told = [claim(0, 0.6, RELAYED), claim(0.6, 3.6, PUNCHED)]
    honest = hold(TOPOLOGY, begun, "bob", "frank", callers, *window, told)
    assert honest.agrees, honest.reasons
    for silent in ([claim(0.6, 3.6, PUNCHED)], [claim(0, 3.6, PUNCHED)]):
        lie = hold(TOPOLOGY, begun, "bob", "frank", callers, *window, silent)
        assert lie.reasons == ("media at relay-1 outside every relayed stretch",)


def test_a_relayed_call_counts_both_legs_of_the_whole_call(relayed: Captures) -> None:
    verdict = held(relayed, claim(0, 3, RELAYED))
    assert verdict.agrees, verdict.reasons
    assert verdict.observed.packets == 600


@pytest.mark.parametrize(
    "wrong", [RELAYED, ("direct", "udp", None), ("punched", "tcp", None), ("punched", "udp", "relay-1")]
)
def test_a_lie_about_a_punched_call_disagrees(punched: Captures, wrong: tuple[str, str, str | None]) -> None:
    verdict = held(punched, claim(0, 3, wrong))
    assert not verdict.agrees
    assert not verdict.stretches[0].agrees
    assert "the packets show: UDP media between bob 203.0.113.32:4000 (translated from" in verdict.stretches[0].reason


@pytest.mark.parametrize("wrong", [PUNCHED, ("relayed", "mixed", "relay-1"), ("relayed", "udp", "relay-2")])
def test_a_lie_about_a_relayed_call_disagrees(relayed: Captures, wrong: tuple[str, str, str | None]) -> None:
    verdict = held(relayed, claim(0, 3, wrong))
    assert not verdict.agrees
    assert not verdict.stretches[0].agrees


def test_a_move_that_is_claimed_where_it_was_agrees(moved: Captures) -> None:
    verdict = held(moved, claim(0, 1.5, RELAYED), claim(1.5, 3, PUNCHED))
    assert verdict.agrees, verdict.reasons
    assert [stretch.agrees for stretch in verdict.stretches] == [True, True]
    assert (verdict.observed.kind, verdict.observed.packets) == ("punched", 450)


@pytest.mark.parametrize("late", [-0.2, 0.2])
def test_a_move_claimed_within_its_grace_agrees(moved: Captures, late: float) -> None:
    verdict = held(moved, claim(0, 1.5 + late, RELAYED), claim(1.5 + late, 3, PUNCHED))
    assert verdict.agrees, verdict.reasons


@pytest.mark.parametrize("late", [-0.7, 0.7])
def test_a_move_claimed_far_from_where_it_was_disagrees(moved: Captures, late: float) -> None:
    verdict = held(moved, claim(0, 1.5 + late, RELAYED), claim(1.5 + late, 3, PUNCHED))
    assert not verdict.agrees


def test_a_move_that_is_not_claimed_disagrees(moved: Captures) -> None:
    assert not held(moved, claim(0, 3, RELAYED)).agrees
    verdict = held(moved, claim(0, 3, PUNCHED))
    assert not verdict.agrees
    assert any("outside every relayed stretch" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("deliver", [True, False])
def test_media_at_a_relay_while_claimed_punched_disagrees(tmp_path: Path, deliver: bool) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 3.0)
    relay(world, BOB, FRANK, START + 1, 0.6, deliver=deliver)
    verdict = held(world.captures(tmp_path), claim(0, 3, PUNCHED))
    assert not verdict.agrees
    assert any("relay-1" in reason and "outside every relayed stretch" in reason for reason in verdict.reasons)


def test_media_at_a_relay_after_the_last_stretch_disagrees(tmp_path: Path) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 2.0)
    relay(world, BOB, FRANK, START + 2, 1.0)
    assert not held(world.captures(tmp_path), claim(0, 2, PUNCHED)).agrees


def test_a_stretch_too_short_for_a_rhythm_agrees_if_such_media_existed(tmp_path: Path) -> None:
    world = World()
    relay(world, BOB, FRANK, START, 0.06)
    talk(world, BOB, FRANK, START + 0.06, 2.0)
    captures = world.captures(tmp_path)
    verdict = held(captures, claim(0, 0.06, RELAYED), claim(0.06, 2.06, PUNCHED))
    assert verdict.agrees, verdict.reasons
    verdict = held(captures, claim(0, 0.06, ("relayed", "tcp", "relay-1")), claim(0.06, 2.06, PUNCHED))
    assert not verdict.stretches[0].agrees
    assert verdict.stretches[1].agrees
    assert verdict.stretches[0].reason == (
        "claimed relayed/tcp via relay-1 for 60 ms, and the packets show relayed/udp via relay-1, punched/udp"
    )


def test_a_short_stretch_without_any_media_disagrees(punched: Captures) -> None:
    verdict = held(punched, claim(-0.9, -0.8, RELAYED), claim(0, 3, PUNCHED))
    assert not verdict.stretches[0].agrees
    assert verdict.stretches[0].reason.endswith("and the packets show no media")


@pytest.mark.parametrize(("seconds", "agrees"), [(0.009, True), (0.019, True), (0.021, False), (0.1, False)])
def test_in_a_stretch_that_is_shorter_than_a_frame_there_need_be_no_media(
    punched: Captures, seconds: float, agrees: bool
) -> None:
    middle = (claim(0, 1.5, PUNCHED), claim(1.5, 1.5 + seconds, RELAYED), claim(1.5 + seconds, 3, PUNCHED))
    assert held(punched, *middle).agrees is agrees


@pytest.mark.parametrize(
    ("talks", "claimed", "agrees"),
    [
        ([(0.0, 1.35), (1.75, 3.0)], (1.4, 1.7), True),
        ([(0.0, 3.0)], (1.5, 1.6), False),
        ([(0.0, 1.35), (5.05, 6.5)], (1.4, 5.0), False),
    ],
    ids=["in a short silence", "in mid-voice", "in a long silence"],
)
def test_a_path_that_was_dead_when_it_was_chosen_needs_no_media_in_a_short_silence(
    tmp_path: Path, talks: list[tuple[float, float]], claimed: tuple[float, float], agrees: bool
) -> None:
    """Both lose all they had; one is chosen for want of a better, and left as soon as another works again."""
    world, (begin, end) = World(), claimed
    for first, last in talks:
        talk(world, BOB, FRANK, START + first, last - first)
    history = claim(0, begin, PUNCHED), claim(begin, end, RELAYED), claim(end, talks[-1][1], PUNCHED)
    verdict = held(world.captures(tmp_path), *history)
    assert [one.agrees for one in verdict.stretches] == [True, agrees, True], verdict.reasons


@pytest.mark.parametrize(
    ("sent", "at", "agrees"), [((0,), RELAY, True), ((), RELAY, False), ((1,), RELAY, False), ((0,), ELSEWHERE, False)]
)
def test_a_path_that_was_tried_for_a_moment_and_led_nowhere_is_held_to_what_its_own_end_sent_that_way(
    tmp_path: Path, sent: tuple[int, ...], at: Address, agrees: bool
) -> None:
    """The other end's line drops what comes by the relay, and its voice has stayed where it was."""
    world = World()
    talk(world, BOB, FRANK, START, 1.4)
    talk(world, BOB, FRANK, START + 1.4, 0.1, there=False)
    relay(world, BOB, FRANK, START + 1.4, 0.1, senders=sent, deliver=False, at=at)
    talk(world, BOB, FRANK, START + 1.5, 1.5)
    history = claim(0, 1.4, PUNCHED), claim(1.4, 1.5, RELAYED), claim(1.5, 3, PUNCHED)
    verdict = held(world.captures(tmp_path), *history)
    assert [one.agrees for one in verdict.stretches] == [True, agrees, True], verdict.reasons


@pytest.mark.parametrize(("tells", "agrees"), [(True, True), (False, False)])
def test_what_the_callee_has_sent_to_a_relay_in_vain_is_a_matter_of_its_own_claim(
    tmp_path: Path, tells: bool, agrees: bool
) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 1.0)
    talk(world, BOB, FRANK, START + 1.0, 0.3, back=False)
    relay(world, BOB, FRANK, START + 1.0, 0.3, senders=(1,), deliver=False)
    talk(world, BOB, FRANK, START + 1.3, 1.7)
    told = [claim(0, 1, PUNCHED), claim(1, 1.3, RELAYED), claim(1.3, 3, PUNCHED)] if tells else [claim(0, 3, PUNCHED)]
    captures, window = world.captures(tmp_path), (START - 1, START + 6)
    verdict = hold(TOPOLOGY, captures, "bob", "frank", [claim(0, 3, PUNCHED)], *window, told)
    assert verdict.agrees is agrees, verdict.reasons


def test_a_move_between_transports_that_is_not_claimed_disagrees(tmp_path: Path) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 1.5, "tcp")
    talk(world, BOB, FRANK, START + 1.5, 1.5)
    captures = world.captures(tmp_path)
    verdict = held(captures, claim(0, 3, PUNCHED))
    assert not verdict.stretches[0].agrees
    assert verdict.observed.transport == "udp"
    verdict = held(captures, claim(0, 1.5, ("punched", "tcp", None)), claim(1.5, 3, PUNCHED))
    assert verdict.agrees, verdict.reasons


@pytest.mark.parametrize(("late", "agrees"), [(-0.2, True), (0.2, True), (-0.5, False), (0.5, False)])
def test_grace_is_a_quarter_of_a_second_on_either_side(tmp_path: Path, late: float, agrees: bool) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 1.5, "tcp")
    talk(world, BOB, FRANK, START + 1.5, 1.5)
    history = claim(0, 1.5 + late, ("punched", "tcp", None)), claim(1.5 + late, 3, PUNCHED)
    assert held(world.captures(tmp_path), *history).agrees is agrees


def test_the_calls_path_is_that_of_its_last_second(tmp_path: Path) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 3.0, back=False)
    talk(world, BOB, FRANK, START + 3.0, 2.0)
    verdict = held(world.captures(tmp_path), claim(0, 5, PUNCHED))
    assert (verdict.observed.kind, verdict.observed.finding) == ("punched", "path")
    assert verdict.observed.packets == 350


def test_media_where_nothing_is_claimed_disagrees(tmp_path: Path) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 5.0)
    captures = world.captures(tmp_path)
    assert not held(captures, claim(0, 3, PUNCHED)).agrees
    assert not held(captures).agrees
    assert held(captures, claim(0, 4.9, PUNCHED)).agrees


def test_a_claim_without_media_disagrees(tmp_path: Path) -> None:
    world = World()
    checks(world, BOB, FRANK, START, 3.0)
    verdict = held(world.captures(tmp_path), claim(0, 3, PUNCHED))
    assert not verdict.agrees
    assert verdict.observed.kind is None
    assert (verdict.first, verdict.last) == (None, None)


def test_a_move_in_the_last_second_is_followed_to_its_end(tmp_path: Path) -> None:
    world = World()
    talk(world, BOB, FRANK, START, 2.5)
    relay(world, BOB, FRANK, START + 2.5, 0.7)
    verdict = held(world.captures(tmp_path), claim(0, 2.5, PUNCHED), claim(2.5, 3.2, RELAYED))
    assert verdict.agrees, verdict.reasons
    assert verdict.observed.kind == "relayed"


@pytest.mark.parametrize(("died", "left", "agrees"), [(1.2, 3.8, True), (0.5, 3.0, True), (1.2, 5.0, False)])
def test_a_path_that_dies_is_held_to_carry_both_ways_until_then(
    tmp_path: Path, died: float, left: float, agrees: bool
) -> None:
    """One end's router is gone: the other sends on through the relay, into what leads nowhere, until it knows."""
    world = World()
    relay(world, BOB, FRANK, START, died)
    relay(world, BOB, FRANK, START + died, left - died, senders=(1,))
    talk(world, BOB, FRANK, START + left + 0.5, 2.0)
    verdict = held(world.captures(tmp_path), claim(0, left, RELAYED), claim(left + 0.5, left + 2.5, PUNCHED), end=10)
    assert verdict.agrees is agrees, verdict.reasons
    assert agrees or "media on relayed/udp via relay-1 from frank to bob only" in verdict.reasons[0]


def test_an_end_whose_router_is_down_is_not_seen_to_send_and_the_other_sends_on(tmp_path: Path) -> None:
    """Bob's router is started again: for 1.5 s it sees nothing, and then what bob goes on sending."""
    world = World()
    talk(world, BOB, FRANK, START, 1.0)
    for number in range(95):
        world.send(
            START + 1.0 + number * 0.02,
            "udp",
            *FRANK,
            world.outer("bob", "udp", 4000, ("", 0)),
            world.voice(number),
            lost="core",
        )
    talk(world, BOB, FRANK, START + 2.5, 0.4, back=False)
    talk(world, BOB, FRANK, START + 3.5, 2.0, "tcp")
    history = claim(0, 2.9, PUNCHED), claim(3.5, 5.5, ("punched", "tcp", None))
    verdict = held(world.captures(tmp_path), *history, end=10)
    assert verdict.agrees, verdict.reasons


def test_a_path_that_is_never_left_carries_both_ways_to_its_end(tmp_path: Path) -> None:
    world = World()
    relay(world, BOB, FRANK, START, 1.2)
    relay(world, BOB, FRANK, START + 1.2, 2.6, senders=(1,))
    verdict = held(world.captures(tmp_path), claim(0, 3.8, RELAYED), end=4)
    assert "media on relayed/udp via relay-1 from frank to bob only" in verdict.reasons[0]


def test_a_claim_is_read_from_a_history() -> None:
    stretch = {"from": 1.0, "to": 2.0, "kind": "relayed", "transport": "udp", "via": "relay-1"}
    assert Claim.parse(stretch) == Claim(1.0, 2.0, "relayed", "udp", "relay-1")


@pytest.mark.parametrize(
    "stretch",
    [
        {},
        {"from": "x", "to": 2, "kind": "direct", "transport": "udp"},
        {"from": 3, "to": 2, "kind": "direct", "transport": "udp"},
        {"from": 1, "to": 2, "kind": 7, "transport": "udp"},
        {"from": 1, "to": None, "kind": "direct", "transport": "udp"},
    ],
)
def test_a_claim_that_says_nothing_is_refused(stretch: dict[str, object]) -> None:
    with pytest.raises(EvidenceError, match="a claimed stretch"):
        Claim.parse(stretch)


@pytest.mark.parametrize("start", [10**400, float("nan"), "soon", None])
def test_a_claim_of_no_time_is_refused(start: object) -> None:
    with pytest.raises(EvidenceError, match="a claimed stretch"):
        Claim.parse({"from": start, "to": 2.0, "kind": "punched", "transport": "udp"})
