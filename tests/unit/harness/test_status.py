"""What `lab status` says of each node, from what the nodes answer."""

from pathlib import Path
from typing import Any, cast

import pytest

from lab.harness import status
from lab.report import sites, tables
from lab.report.console import out
from lab.runtime.connection import Engine
from lab.runtime.control import Json
from lab.runtime.world import Container, World
from lab.topology import parse
from lab.topology.model import Node

ROOT = Path(__file__).parents[3]


def world(file: str) -> World:
    topology = parse(ROOT / "compose" / file, {})
    containers = {node.name: Container(node.name, node.name, "running") for node in topology.nodes}
    return World("lab", topology, containers, None)


def asked(world: World, monkeypatch: pytest.MonkeyPatch, **answers: Json) -> dict[str, status.NodeStatus]:
    def one(engine: Engine, world: World, node: Node) -> Json:
        return answers.get(node.name, {"state": "ready"})

    monkeypatch.setattr(status, "_one", one)
    return {node.name: node for node in status.ask(cast(Any, None), world).nodes}


def test_a_client_is_shown_with_what_its_router_says_now(monkeypatch: pytest.MonkeyPatch) -> None:
    changed = {"state": "ready", "profile": "full-cone", "firewall": "udp-blocked"}
    found = asked(world("reference.yml"), monkeypatch, **{"home-router": changed})
    assert (found["bob"].profile, found["bob"].firewall) == ("full-cone", "udp-blocked")
    assert (found["frank"].profile, found["frank"].firewall) == ("linux", "none")


@pytest.mark.parametrize(("said", "state"), [(True, "unplugged"), (False, "ready"), (None, "ready")])
def test_a_node_whose_cables_are_out_is_unplugged_whatever_it_is_besides(
    monkeypatch: pytest.MonkeyPatch, said: bool | None, state: str
) -> None:
    class Channel:
        def __init__(self, *words: object) -> None: ...
        def __enter__(self) -> "Channel":
            return self

        def __exit__(self, *error: object) -> None: ...
        def order(self, order: str, within: float) -> Json:
            return {"state": "ready", "unplugged": said}

    monkeypatch.setattr(status, "ControlChannel", Channel)
    found = status.ask(cast(Any, None), world("reference.yml").only(["bob", "home-router"]))
    assert [node.state for node in found.nodes] == [state, state]


def test_whoever_is_behind_a_carrier_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(world("zoo.yml"), monkeypatch)
    behind = {name: node.behind for name, node in found.items() if node.behind}
    assert behind == {
        f"mobile-{number}-{node}": carrier
        for number, carrier in ((1, "carrier-1"), (2, "carrier-1"), (3, "carrier-1"), (4, "carrier-2"))
        for node in ("router", "pc")
    }
    assert status.LabStatus(tuple(found.values())).to_json()["nodes"][0]["behind"] is None


def test_part_of_a_lab_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(world("zoo.yml").only(["mobile-1-pc", "core"]), monkeypatch)
    assert found["mobile-1-pc"].behind is None  # its router was not asked for


@pytest.mark.parametrize(("file", "shown"), [("zoo.yml", True), ("reference.yml", False)])
def test_the_table_has_a_column_of_carriers_where_there_are_any(
    file: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = asked(world(file), monkeypatch)
    console = out()
    with console.capture() as printed:
        console.print(tables.status(status.LabStatus(tuple(found.values()))), width=200)
    header, *rows = printed.get().splitlines()
    assert ("behind" in header) == shown
    assert any("carrier-2" in row.split() and "mobile-4-pc" in row.split() for row in rows) == shown


def test_the_tree_shows_addresses_that_are_in_use() -> None:
    console = out()
    with console.capture() as printed:
        console.print(sites.tree(world("families.yml").topology, "families"), width=200)
    shown = printed.get()
    assert "sid 2001:db8:0:38::10" in shown
    assert "dora 192.168.37.10 2001:db8:0:37::10" in shown
    assert "192.168.38" not in shown


def test_what_clients_have_found_out_stands_under_the_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    network = {"mapping": "endpoint-independent", "allocation": "random", "ports": [2048, 3071], "outer": None}
    bob = {"state": "ready", "network": network, "keepalive_s": 10.5}
    found = asked(world("reference.yml"), monkeypatch, bob=bob)
    assert found["bob"].network == network and found["alice"].network is None
    console = out()
    with console.capture() as capture:
        console.print(tables.status(status.LabStatus(tuple(found.values()))), width=160)
    (row,) = [line for line in capture.get().splitlines() if "endpoint-independent" in line]
    assert row.split() == ["bob", "?", "?", "endpoint-independent", "?", "random", "2048-3071", "?", "10.5", "s"]


LINK = {"up": "delay=10ms loss=5%", "down": "delay=10ms", "toward": {}}
NO_LINK = {"up": "", "down": "", "toward": {}}


def test_a_router_is_shown_with_its_site_s_link_and_core_with_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    core = {"state": "ready", "shaping": {"by": "nfqueue", "seed": 7, "links": {"linux-1": LINK}}}
    carrier = {"state": "ready", "shaping": {"by": "nfqueue", "seed": 8, "links": {"mobile-1": LINK}}}
    found = asked(world("zoo.yml"), monkeypatch, **{"core": core, "carrier-1-router": carrier})
    assert (found["linux-1-router"].link, found["linux-1-pc"].link, found["core"].link) == (LINK, None, None)
    assert found["linux-2-router"].link == NO_LINK, "the file gives it none: it does nothing"
    assert (found["mobile-1-router"].link, found["mobile-2-router"].link) == (LINK, NO_LINK)
    assert {name: node.seed for name, node in found.items() if node.seed is not None} == {
        "core": 7,
        "carrier-1-router": 8,
    }
    nodes = {node["name"]: node for node in status.LabStatus(tuple(found.values())).to_json()["nodes"]}
    assert (nodes["linux-1-router"]["link"], nodes["core"]["seed"]) == (LINK, 7)


def test_without_core_nobody_knows_the_links(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(world("reference.yml"), monkeypatch, core={"state": "stopped"})
    assert (found["home-router"].link, found["core"].seed) == (None, None)


def test_without_the_carrier_nobody_knows_its_sites_links(monkeypatch: pytest.MonkeyPatch) -> None:
    found = asked(world("zoo.yml"), monkeypatch, **{"carrier-1-router": {"state": "stopped"}})
    assert (found["mobile-1-router"].link, found["mobile-4-router"].link) == (None, NO_LINK)
