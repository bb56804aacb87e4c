"""Which flow each router on a path is asked for, in its own words: behind carriers, proxies, turned back, in IPv6."""

from pathlib import Path

import pytest
from packet_world import START
from wide_world import FAY, FAY6, NORA, OLGA6, SAM, TOPOLOGY, Line, WideWorld, through_proxy

from lab.evidence import Captures
from lab.evidence.counters import Tracked, on_routers, tracked
from lab.evidence.paths import survey

SECONDS = 2.0
BEN = through_proxy("ben", "bank")


def flows(captures: Captures, caller: str, callee: str) -> list[Tracked]:
    scene = survey(TOPOLOGY, captures, caller, callee, START, START + SECONDS)
    return on_routers(TOPOLOGY, scene.paths, held=False)


def told(found: list[Tracked]) -> dict[str, list[tuple[str, str, int]]]:
    """By router: inside, far side, packets of voice both ways."""
    by_router: dict[str, list[tuple[str, str, int]]] = {}
    for one in found:
        by_router.setdefault(one.router, []).append((str(one.inner), str(one.remote), one.out + one.back))
    return by_router


def test_a_carrier_is_asked_for_what_its_subscriber_s_router_made_of_it(tmp_path: Path) -> None:
    world = WideWorld()
    world.talk(NORA, FAY, 0, SECONDS)
    assert told(flows(world.captures(tmp_path), "nora", "fay")) == {
        "north-router": [("192.168.36.10:4000", "203.0.113.32:4000", 200)],
        "carrier-router": [("100.64.0.2:4000", "203.0.113.32:4000", 200)],
        "farm-router": [("192.168.32.10:4000", "203.0.113.60:2048", 200)],
    }


@pytest.mark.parametrize("how", ["udp", "tcp"])
def test_one_that_turns_a_call_back_is_asked_for_both_its_ends(tmp_path: Path, how: str) -> None:
    world = WideWorld()
    world.talk(NORA, SAM, 0, SECONDS, how, turn="carrier-router")
    captures = world.captures(tmp_path)
    found = flows(captures, "nora", "sam")
    assert told(found)["carrier-router"] == [
        ("100.64.0.2:4000", "203.0.113.60:3072", 200),
        ("100.64.0.3:5000", "203.0.113.60:2048", 200),
    ]
    window = START, START + SECONDS
    for flow in found:
        good = tracked(TOPOLOGY, captures, flow, {"packets": [110, 110], "bytes": [20_000, 20_000]}, window)
        none = tracked(TOPOLOGY, captures, flow, {"packets": [0, 0], "bytes": [0, 0]}, window)
        assert good is not None and good.agrees and none is not None and not none.agrees


def test_behind_a_proxy_it_is_the_proxy_s_own_connection(tmp_path: Path) -> None:
    world = WideWorld(delay=0.02)
    world.talk(BEN, FAY, 0, SECONDS, "tcp")
    (flow,) = told(flows(world.captures(tmp_path), "ben", "fay"))["bank-router"]
    assert flow[:2] == ("192.168.34.5:34000", "203.0.113.32:4000")


@pytest.mark.parametrize(
    ("one", "router", "flow"),
    [
        (FAY6, "farm-router", ("[fd00:32::a]:4000", "[2001:db8:10::12]:4000")),
        (OLGA6, "open-router", ("[2001:db8:10::12]:4000", "[2001:db8:32::a]:4000")),
    ],
)
def test_in_ipv6_it_is_the_inner_prefix(tmp_path: Path, one: Line, router: str, flow: tuple[str, str]) -> None:
    world = WideWorld()
    world.talk(FAY6, OLGA6, 0, SECONDS)
    (found,) = told(flows(world.captures(tmp_path), "fay", "olga"))[router]
    assert found[:2] == flow
