"""What routers say of the lines that end at them, put together."""

from pathlib import Path
from typing import Any

import pytest

from lab.harness import Lab, standing
from lab.runtime.world import World
from lab.topology import parse

ZOO = parse(Path(__file__).parents[3] / "compose" / "zoo.yml", {})
AT_CARRIER, AT_OWN = ("carrier-1-router", "100.64.63.11"), ("mobile-1-router", "100.64.63.11")


def said(**line: Any) -> dict[str, Any]:
    return {"shaping": {"links": {"mobile-1": {"up": "delay=10ms", "down": "delay=10ms", "toward": {}, **line}}}}


@pytest.mark.parametrize(
    ("line", "ends"),
    [
        ({}, set()),
        ({"up": "loss=5%"}, {AT_CARRIER}),
        ({"down": "delay=10ms burst=1%,25%,100%,0%"}, {AT_OWN}),
        ({"up": "rate=1mbit", "down": "mtu=1400 blackhole=yes"}, {AT_CARRIER, AT_OWN}),
        ({"up": "mtu=1400", "down": "delay=10ms jitter=5ms mtu=1400"}, set()),
        ({"toward": {"open-1": "loss=100%"}}, {AT_CARRIER}),
    ],
)
def test_a_line_loses_each_way_at_the_router_that_holds_it_back(line: dict[str, Any], ends: set[Any]) -> None:
    answers = {"carrier-1": said(**line), "mobile-1": said(**line), "linux-1": {"shaping": None}}
    found = standing.losing(ZOO, answers)
    assert {one for one in found if one[1].startswith("100.64.")} == ends


def test_a_carrier_that_is_stopped_says_nothing_of_its_lines() -> None:
    assert standing.losing(ZOO, {"mobile-1": {"shaping": None}}) == frozenset()


def test_the_seed_of_each_line_is_known_by_the_router_at_which_it_ends() -> None:
    seeded = {"shaping": {"by": "nfqueue", "seed": 8, "links": {}}}
    answers = {"carrier-1": seeded, "mobile-1": {"shaping": {**seeded["shaping"], "seed": 9}}, "linux-1": {}}
    assert standing.line_seeds(ZOO, {**answers, "linux-2": {"shaping": None}}) == {
        "carrier-1-router": 8,
        "mobile-1-router": 9,
    }


def test_lines_end_at_carriers_and_at_those_behind_them() -> None:
    carriers, sites = {"carrier-1", "carrier-2"}, {f"mobile-{number}" for number in (1, 2, 3, 4)}
    assert standing.lined(ZOO) == carriers | sites


@pytest.mark.parametrize("node", ["core", "carrier-1-router", "proxy-only-1-proxy", "supernode-1"])
def test_every_node_is_asked_for_its_counters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, node: str) -> None:
    monkeypatch.setattr(Lab, "engine", None)
    monkeypatch.setattr(Lab, "running_world", lambda self: World("lab", ZOO, {}, None))
    monkeypatch.setattr(standing, "order", lambda engine, world, node, order: {"text": f"{order} of {node}\n"})
    assert Lab(tmp_path).metrics(node) == f"metrics of {node}\n"
