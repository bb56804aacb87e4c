"""Calls on hold held against packets: silence is no disagreement, and media where silence was claimed is one."""

from pathlib import Path

import pytest
from packet_world import START, TOPOLOGY, World, checks, relay, talk
from test_claims_held import BOB, FRANK, PUNCHED, RELAYED, claim

from lab.evidence import Captures, Claim, Verdict, hold

HOLD = (START + 2.0, START + 9.0)


def held(captures: Captures, path: tuple[str, str, str | None], *silences: tuple[float, float]) -> Verdict:
    history: list[Claim] = [claim(0, 2, path), claim(9, 11, path)]
    sides = silences, silences
    return hold(TOPOLOGY, captures, "bob", "frank", history, START - 1, START + 13, history, sides)


def world(over: str, *spoken: tuple[float, float], senders: tuple[int, ...] = (0, 1)) -> World:
    """Two seconds of talk, seven on hold with checks, two of talk; in between what is `spoken`."""
    made = World()
    for start, seconds in ((0.0, 2.0), (9.0, 2.0)):
        if over == "relay":
            relay(made, BOB, FRANK, START + start, seconds)
        else:
            talk(made, BOB, FRANK, START + start, seconds)
    checks(made, BOB, FRANK, START + 2.0, 7.0)
    for start, seconds in spoken:
        if over == "relay":
            relay(made, BOB, FRANK, START + start, seconds, senders=senders)
        else:
            talk(made, BOB, FRANK, START + start, seconds, there=0 in senders, back=1 in senders)
    return made


@pytest.mark.parametrize(("over", "path"), [("pair", PUNCHED), ("relay", RELAYED)])
def test_a_call_that_was_silent_on_hold_agrees_and_its_path_is_of_the_last_second(
    tmp_path: Path, over: str, path: tuple[str, str, str | None]
) -> None:
    verdict = held(world(over).captures(tmp_path), path, HOLD)
    assert verdict.agrees, verdict.reasons
    assert verdict.silent == (True,)
    assert (verdict.observed.kind, verdict.observed.transport, verdict.observed.via) == path
    assert verdict.observed.start > START + 9


@pytest.mark.parametrize(("sender", "name"), [(0, "bob"), (1, "frank")])
@pytest.mark.parametrize(("over", "path"), [("pair", PUNCHED), ("relay", RELAYED)])
def test_media_of_either_end_in_a_hold_is_a_disagreement(
    tmp_path: Path, over: str, path: tuple[str, str, str | None], sender: int, name: str
) -> None:
    verdict = held(world(over, (5.0, 0.7), senders=(sender,)).captures(tmp_path), path, HOLD)
    assert not verdict.agrees
    assert verdict.silent == (name != "bob",)
    assert any(f"{name} was on hold for 7.0 s, and sent media" in reason for reason in verdict.reasons), verdict.reasons


def test_the_grace_of_a_hold_is_that_of_a_move(tmp_path: Path) -> None:
    verdict = held(world("pair", (2.0, 0.3)).captures(tmp_path), PUNCHED, HOLD)
    assert verdict.agrees, verdict.reasons


def test_a_call_that_ends_on_hold_has_the_path_of_its_last_media(tmp_path: Path) -> None:
    made = World()
    talk(made, BOB, FRANK, START, 2.0)
    history = [claim(0, 2, PUNCHED)]
    sides = [(START + 2.0, START + 8.0)]
    captures = made.captures(tmp_path)
    verdict = hold(TOPOLOGY, captures, "bob", "frank", history, START - 1, START + 9, history, (sides, sides))
    assert verdict.agrees, verdict.reasons
    assert verdict.observed.kind == "punched" and verdict.observed.end < START + 2.1
