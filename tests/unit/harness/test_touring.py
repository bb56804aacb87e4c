"""A tour is given of the reference lab as its file says, and of no other."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import ConfigError
from lab.harness import touring
from lab.runtime.world import World
from lab.topology import parse
from lab.topology.model import Topology

COMPOSE = Path(__file__).parents[3] / "compose"
REFERENCE = parse(COMPOSE / "reference.yml", {})


def said(topology: Topology) -> dict[str, dict[str, Any]]:
    routers = {site: topology.router_of(site) for site in touring.SITES}
    return {
        site: {"profile": router.profile, "firewall": router.firewall, "changed": False}
        for site, router in routers.items()
    }


def test_the_reference_lab_is_what_the_texts_say() -> None:
    touring.check(REFERENCE, said(REFERENCE))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"home": {"profile": "symmetric", "firewall": "none", "changed": True}}, "home is not as compose/reference"),
        ({"home": {"profile": "linux", "firewall": "none", "changed": True}}, "home is not as compose/reference"),
        ({"flat": None}, "the router of flat is stopped"),
    ],
)
def test_a_router_that_is_another_now_is_put_back_first(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        touring.check(REFERENCE, {**said(REFERENCE), **changes})


def test_whoever_has_moved_is_fetched_first() -> None:
    nodes = tuple(replace(node, site="office") if node.name == "bob" else node for node in REFERENCE.nodes)
    with pytest.raises(ConfigError, match="bob is not at home"):
        touring.check(replace(REFERENCE, nodes=nodes), said(REFERENCE))


def test_another_topology_is_named_as_one() -> None:
    crowd = World("lab", parse(COMPOSE / "crowd.yml", {}), {}, None)
    with pytest.raises(ConfigError, match=r"no site park: `lab up compose/reference\.yml`"):
        touring.ready(cast(Any, None), crowd)
