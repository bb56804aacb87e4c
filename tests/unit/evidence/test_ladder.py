"""A call as a ladder: its columns, and rows in which equal packets are folded."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab_calls import files, moved, punched, setting, stun
from packet_world import START, TOPOLOGY, World, relay, talk

from lab.evidence import Captures, conclude
from lab.evidence.drops import Cause, Counts, causes
from lab.evidence.journeys import follow
from lab.evidence.ladder import Ladder, Row, ladder
from lab.evidence.moments import moments

Call = tuple[World, list[dict[str, Any]]]


def drawn(
    call: Call, folder: Path, more: Callable[[World], None] = lambda world: None, counts: Counts | None = None
) -> Ladder:
    world, lines = call
    more(world)
    one, captures = setting(), Captures.read(files(world, folder))
    journeys = follow(TOPOLOGY, captures)
    _, scene = conclude(TOPOLOGY, captures, "bob", "frank", one.start, one.end)
    found = moments(TOPOLOGY, ("bob", "frank"), journeys, scene, lines)
    why = {} if counts is None else causes(TOPOLOGY, journeys, counts)
    return ladder(TOPOLOGY, "c1", ("bob", "frank"), "punched/udp", journeys, found, START, why)


def named(found: Ladder, row: Row) -> tuple[str, str, str]:
    return row.label, found.columns[row.sender].name, found.columns[row.receiver].name


def rows(found: Ladder) -> list[tuple[str, str, str]]:
    return [named(found, row) for row in found.rows]


def test_columns_are_the_nodes_from_the_caller_to_the_callee(tmp_path: Path) -> None:
    names = [column.name for column in drawn(punched(), tmp_path).columns]
    assert names == ["bob", "home-router", "supernode-1", "flat-router", "frank"]
    assert "relay-1" in [column.name for column in drawn(moved(), tmp_path).columns]


def test_rows_tell_the_call_and_fold_its_voice(tmp_path: Path) -> None:
    found = drawn(punched(), tmp_path)
    told = rows(found)
    assert told[:4] == [
        ("invite supernode-1", "bob", "supernode-1"),
        ("invite supernode-1", "supernode-1", "frank"),
        ("ringing supernode-1", "frank", "supernode-1"),
        ("first check", "frank", "home-router"),
    ]
    assert ("first check, first through + 2 more ✓", "bob", "frank") in told
    assert ("nominated + 1 more ✓", "bob", "frank") in told
    assert {("first voice + 149 more", "bob", "frank"), ("first voice + 149 more", "frank", "bob")} <= set(told)
    assert not any(label.startswith("answer to") for label, _, _ in told)


def test_what_a_router_dropped_ends_there(tmp_path: Path) -> None:
    (row,) = [row for row in drawn(punched(), tmp_path).rows if row.dropped]
    assert (row.dropped, row.answered, row.count) == ("home-router", False, 1)


def test_a_row_says_which_rule_counted_what_was_dropped_or_that_the_line_lost_it(tmp_path: Path) -> None:
    def more(world: World) -> None:
        frank = world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
        for number, lost in enumerate(("core", "flat-router", "core")):
            world.send(START + 0.2 + number / 50, "udp", "bob", 4000, frank, stun(50 + number), lost=lost)

    counts = {"home-router": {"INPUT's policy": 1}, "flat-router": {"INPUT's policy": 1, "FORWARD's policy": 8}}
    found = drawn(punched(), tmp_path, more, counts)
    assert [(row.dropped, row.count, row.why) for row in found.rows if row.dropped] == [
        ("home-router", 1, "INPUT's policy"),
        ("core", 2, "lost on the line"),
        ("flat-router", 1, "INPUT's policy"),
    ]
    labels = [row.label for row in found.rows if row.dropped]
    assert labels[0] == "first check ✗ INPUT's policy" and labels[1].endswith("+ 1 more ✗ lost on the line")
    told = [row for row in found.to_json()["rows"] if row["dropped"] == "core"]
    assert [row["why"] for row in told] == ["lost on the line"]
    assert all(row.why is None for row in drawn(punched(), tmp_path, more).rows), "nobody has read a counter"


def test_what_was_dropped_for_different_reasons_is_not_folded_into_one(tmp_path: Path) -> None:
    world = World()
    frank = world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
    for number in range(4):
        world.send(START + number / 50, "udp", "bob", 4000, frank, stun(number), lost="flat-router")
    talk(world, ("bob", 4000), ("frank", 5000), START + 1, 1.0)
    journeys = follow(TOPOLOGY, Captures.read(files(world, tmp_path)))
    kinds = Cause("unknown"), Cause("counted", ("INPUT's policy",))
    why = {id(one): kinds[number % 2] for number, one in enumerate(one for one in journeys if one.dropped)}
    found = ladder(TOPOLOGY, "c1", ("bob", "frank"), None, journeys, (), START, why)
    told = [(row.why, row.count) for row in found.rows if row.dropped]
    assert told == [("no rule counted it", 2), ("INPUT's policy", 2)]


def test_checks_that_were_dropped_and_that_came_through_are_not_folded_into_one(tmp_path: Path) -> None:
    def more(world: World) -> None:
        frank = world.outer("frank", "udp", 5000, ("0.0.0.0", 0))
        for number in range(6):
            lost = "flat-router" if number % 2 else None
            world.send(START + 0.2 + number / 50, "udp", "bob", 4000, frank, stun(50 + number), lost=lost)

    found = drawn(punched(), tmp_path, more)
    lost = [row for row in found.rows if row.dropped == "flat-router"]
    assert [(row.count, row.until_ms - row.at_ms) for row in lost] == [(3, 80.0)]


def test_voice_after_a_hold_has_a_row_of_its_own(tmp_path: Path) -> None:
    def more(world: World) -> None:
        talk(world, ("bob", 4000), ("frank", 5000), START + 6.5, 0.5)

    voices = [row for row in drawn(punched(), tmp_path, more).rows if "voice" in row.what and row.sender == 0]
    assert [(row.label, round(row.at_ms, -2)) for row in voices] == [
        ("first voice + 149 more", 600), ("voice + 24 more", 6500)
    ]  # fmt: skip


def test_another_call_at_the_same_relay_is_left_out(tmp_path: Path) -> None:
    def more(world: World) -> None:
        relay(world, ("carol", 4000), ("dave", 5000), START + 0.5, 2.0)

    alone = drawn(moved(), tmp_path)
    assert rows(drawn(moved(), tmp_path, more)) == rows(alone)


def test_a_move_stands_in_its_row(tmp_path: Path) -> None:
    told = rows(drawn(moved(), tmp_path))
    assert ("moved to punched/udp + 99 more", "bob", "frank") in told
    assert ("bind relay-1", "bob", "relay-1") in told and ("voice relay-1 + 74 more", "relay-1", "frank") in told


def test_the_first_packet_of_voice_is_its_first_row_however_soon_it_moves(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("frank", 5000), START + 0.1, 0.08)
    talk(world, ("bob", 4000), ("frank", 5000), START + 0.18, 2.0)
    told = rows(drawn((world, []), tmp_path))
    assert [label for label, sender, _ in told if sender == "bob"] == [
        "first voice relay-1 + 3 more", "moved to punched/udp + 99 more"
    ]  # fmt: skip


def test_neighbours_have_their_router_between_them_once(tmp_path: Path) -> None:
    world, captured = World(), ("bob", "bella")
    talk(world, ("bob", 4000), ("bella", 5000), START, 1.0)
    journeys = follow(TOPOLOGY, Captures.read(files(world, tmp_path, captured)))
    found = ladder(TOPOLOGY, "c1", ("bob", "bella"), None, journeys, (), START)
    assert [column.name for column in found.columns] == ["bob", "home-router", "bella"]
    assert rows(found) == [("voice + 49 more", "bob", "bella"), ("voice + 49 more", "bella", "bob")]


def test_the_document_has_every_row_and_column(tmp_path: Path) -> None:
    found = drawn(punched(), tmp_path)
    document = found.to_json()
    assert [row["at_ms"] for row in document["rows"]] == [row.at_ms for row in found.rows]
    assert document["columns"][0] == {"name": "bob", "nodes": ("bob",)} and document["path"] == "punched/udp"
    assert replace(found, path=None).to_json()["path"] is None
