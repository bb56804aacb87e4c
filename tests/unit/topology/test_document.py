"""A topology as JSON: the same again, and the part of it that a call concerns."""

import json
from pathlib import Path

import pytest

from lab.errors import ConfigError
from lab.topology import parse
from lab.topology.document import from_json, part_of, to_json

COMPOSE = Path(__file__).parents[3] / "compose"


@pytest.mark.parametrize("name", ["reference", "zoo", "crowd", "families"])
def test_every_topology_is_the_same_again(name: str) -> None:
    topology = parse(COMPOSE / f"{name}.yml")
    assert from_json(json.loads(json.dumps(to_json(topology)))) == topology


def test_a_part_has_both_sites_the_carrier_and_all_that_is_on_the_internet() -> None:
    zoo = parse(COMPOSE / "zoo.yml")
    part = part_of(zoo, ["mobile-1-pc", "linux-1-pc"])
    assert {node.site for node in part.nodes} == {None, "mobile-1", "carrier-1", "linux-1"}
    assert [node for node in part.nodes if node.site is None] == [node for node in zoo.nodes if node.site is None]
    client = part.node("mobile-1-pc")
    assert part.routers_outward(client) == zoo.routers_outward(client) and len(part.routers_outward(client)) == 2
    assert {network.site for network in part.networks} == {None, "mobile-1", "carrier-1", "linux-1"}


def test_a_part_is_small_enough_for_a_comment() -> None:
    zoo = parse(COMPOSE / "zoo.yml")
    assert len(json.dumps(to_json(part_of(zoo, ["mobile-1-pc", "linux-1-pc"])))) < 8_000


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"nodes": [], "networks": [{"name": "x", "kind": "moon", "subnet": "10.0.0.0/8"}]},
     {"nodes": [{"name": "bob", "role": "king"}], "networks": []},
     {"nodes": [{"name": "bob", "role": "client", "attachments": [{"network": "x", "address": "here"}]}],
      "networks": []}],
)  # fmt: skip
def test_what_is_no_topology_is_refused(document: object) -> None:
    with pytest.raises(ConfigError, match="expected a topology"):
        from_json(document)
