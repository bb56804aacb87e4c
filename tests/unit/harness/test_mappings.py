"""What a router says it remembers, as mappings with names, and what becomes of them from one moment to the next."""

import itertools
from math import inf
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import ConfigError, RuntimeUnavailable
from lab.evidence.naming import Names
from lab.evidence.pcap import Endpoint
from lab.harness import mappings
from lab.harness.mappings import SiteMappings, arranged, news, recalled
from lab.runtime.world import Container, World
from lab.topology import parse

TOPOLOGY = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})
NAMES = Names(TOPOLOGY)
BOB, HOME, FLAT = ["192.168.32.10", 40000], ["203.0.113.32", 40000], ["203.0.113.33", 50000]
SUPERNODE = ["203.0.113.11", 33033]


def flow(remote: list[Any], seconds: float = 30, state: str = "two-way", **more: Any) -> dict[str, Any]:
    plain = {"protocol": "udp", "inner": BOB, "outer": HOME, "opened": "inside", "packets": None}
    return {**plain, "remote": remote, "seconds": seconds, "state": state, **more}


def kept(seconds: float | None = 100, remote: list[Any] | None = None) -> dict[str, Any]:
    return {"protocol": "udp", "inner": BOB, "outer": HOME, "remote": remote, "seconds": seconds}


def standing(*flows: dict[str, Any], tables: tuple[dict[str, Any], ...] = (), profile: str = "linux") -> SiteMappings:
    said = {"profile": profile, "firewall": "none", "axes": "", "outer": ["203.0.113.32"]}
    return arranged("home", {**said, "flows": list(flows), "kept": list(tables)}, NAMES)


def told(before: SiteMappings | None, now: SiteMappings) -> list[tuple[str, str | None]]:
    return [(one.happened, one.flow.remote if one.flow else None) for one in news(before, now)]


def test_flows_of_one_endpoint_are_one_mapping_with_names() -> None:
    (one,) = standing(flow(SUPERNODE), flow(FLAT, 12, "one-way", packets=[3, 0])).mappings
    assert (one.inner, one.outer, one.kept, one.seconds_left) == ("bob:40000", "203.0.113.32:40000", False, 30)
    assert [(each.remote, each.state, each.packets) for each in one.flows] == [
        ("flat wan:50000", "one-way", (3, 0)),
        ("supernode-1:33033", "two-way", None),
    ]


def test_what_a_host_says_to_the_router_itself_is_no_mapping() -> None:
    asked = flow(["192.168.32.1", 5351], 16, "one-way", outer=BOB)
    said = {"profile": "linux", "firewall": "none", "outer": ["203.0.113.32"], "lan": "192.168.32.0/24", "kept": []}
    (one,) = arranged("home", {**said, "flows": [asked, flow(SUPERNODE)]}, NAMES).mappings
    assert [each.remote for each in one.flows] == ["supernode-1:33033"]


def test_what_a_router_has_in_mind_is_told_to_those_who_ask_why_it_drops() -> None:
    opened = flow(["203.0.113.9", 9], 12, "one-way", opened="outside")
    said = {"flows": [flow(SUPERNODE), opened], "kept": [kept(remote=["203.0.113.9", None]), kept(None)], "left_out": 0}
    found, home = recalled(said, 7.0), Endpoint("203.0.113.32", 40000)
    assert (
        found.at == 7.0
        and found.whole
        and found.mappings
        == (
            ("udp", home, None, 100.0),
            ("udp", home, None, inf),
            ("udp", home, Endpoint("203.0.113.11", 33033), 30.0),
            ("udp", home, None, 12.0),
        )
    )
    assert not recalled({**said, "left_out": 3}, 7.0).whole


def test_a_router_that_does_not_say_what_it_has_in_mind_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(engine: Any, world: Any, router: str, what: str) -> dict[str, Any]:
        if router == "flat-router":
            raise RuntimeUnavailable("flat-router is stopped")
        return {"flows": [flow(SUPERNODE)], "kept": []}

    monkeypatch.setattr("lab.harness.standing.order", order)
    found = mappings.remembering(cast(Any, None), cast(Any, None))(["home-router", "flat-router"])
    assert found["home-router"].whole and len(found["home-router"].mappings) == 1
    assert not found["flat-router"].whole and not found["flat-router"].mappings


def test_a_port_of_its_own_for_each_destination_is_a_mapping_each() -> None:
    other = flow(FLAT, outer=["203.0.113.32", 41000])
    assert [one.outer for one in standing(flow(SUPERNODE), other, profile="symmetric").mappings] == [
        "203.0.113.32:40000",
        "203.0.113.32:41000",
    ]


def test_a_table_s_mapping_outlives_its_flows_and_has_its_own_time_left() -> None:
    (one,) = standing(flow(FLAT, 20), tables=(kept(100),), profile="rfc4787").mappings
    assert (one.kept, one.remote, one.seconds_left, len(one.flows)) == (True, None, 100, 1)
    (alone,) = standing(tables=(kept(40),), profile="rfc4787").mappings
    assert (alone.kept, alone.flows) == (True, ())


def test_a_mapping_for_one_address_takes_the_flows_to_that_address() -> None:
    found = standing(flow(FLAT), flow(SUPERNODE), tables=(kept(remote=["203.0.113.33", None]),)).mappings
    assert [(one.remote, [each.remote for each in one.flows]) for one in found] == [
        (None, ["supernode-1:33033"]),
        ("flat wan", ["flat wan:50000"]),
    ]


def test_what_appears_is_answered_refreshed_and_expires_is_told_once() -> None:
    moments = [
        standing(),
        standing(flow(FLAT, 30, "one-way")),
        standing(flow(FLAT, 29, "one-way")),
        standing(flow(FLAT, 120, "two-way")),
        standing(flow(FLAT, 112)),
        standing(flow(FLAT, 120)),
        standing(flow(FLAT, 119.5)),
        standing(),
    ]
    happened = [told(before, now) for before, now in itertools.pairwise(moments)]
    flat = "flat wan:50000"
    assert happened == [
        [("appeared", flat)],
        [],
        [("is two-way", flat)],
        [],
        [("refreshed", flat)],
        [],
        [("expired", flat)],
    ]


def test_at_first_everything_is_new() -> None:
    assert told(None, standing(flow(FLAT), tables=(kept(),))) == [("appeared", None), ("appeared", "flat wan:50000")]


def test_a_table_s_mapping_is_told_of_by_itself() -> None:
    before, now = standing(flow(FLAT, 2), tables=(kept(50),)), standing(tables=(kept(99),))
    assert told(before, now) == [("refreshed", None), ("expired", "flat wan:50000")]
    assert told(now, standing()) == [("expired", None)]


@pytest.mark.parametrize(("profile", "seconds"), [("linux", (30, 120)), ("rfc4787", (300, 300)), ("open", (30, 120))])
def test_how_long_udp_is_remembered_is_the_profile_s(profile: str, seconds: tuple[int, int]) -> None:
    found = standing(profile=profile)
    assert (found.udp_timeout_one_way_s, found.udp_timeout_s) == seconds


def test_a_site_that_translates_nothing_says_so() -> None:
    alice = ["198.51.100.18", 5000]
    found = standing(flow(FLAT, inner=alice, outer=alice), profile="open")
    assert not found.translates and found.mappings[0].inner == "alice:5000"


def test_names_of_endpoints() -> None:
    texts = ("203.0.113.32:40000", "192.168.32.1:53", "8.8.8.8:53", "[2001:db8:0:1::11]:443", "[2001:db8::9]:1", "any")
    assert [NAMES.text(one) for one in texts] == [
        "home wan:40000",
        "home lan:53",
        "8.8.8.8:53",
        "supernode-1:443",
        "[2001:db8::9]:1",
        "any",
    ]


def test_a_router_is_asked_over_one_channel_that_is_closed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Channel:
        def __init__(self, engine: Any, container: str, node: str) -> None:
            asked.append(f"open {node}")

        def __enter__(self) -> "Channel":
            return self

        def __exit__(self, *error: object) -> None:
            asked.append("close")

        def order(self, order: str) -> dict[str, Any]:
            asked.append(order)
            plain = {"profile": "linux", "firewall": "none", "outer": ["203.0.113.32"]}
            return plain if order == "status" else {"flows": [flow(FLAT)], "kept": [], "left_out": 3}

    monkeypatch.setattr(mappings, "ControlChannel", Channel)
    monkeypatch.setattr(mappings.standing, "routers", lambda engine, world: {})
    containers = {node.name: Container(node.name, node.name, "running") for node in TOPOLOGY.nodes}
    watched = mappings.watch(cast(Any, None), World("lab", TOPOLOGY, containers, None), "home")
    assert [next(watched).left_out, next(watched).mappings[0].inner] == [3, "bob:40000"]
    watched.close()
    assert asked == ["open home-router", "status", "mappings", "status", "mappings", "close"]
    with pytest.raises(ConfigError, match="'nowhere'"):
        next(mappings.watch(cast(Any, None), World("lab", TOPOLOGY, containers, None), "nowhere"))
