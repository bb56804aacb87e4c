"""What is refused of a site before or by whoever knows: it names the option, or the site."""

from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import ConfigError
from lab.harness import changing, standing
from lab.harness.changing import SiteChange
from lab.runtime.control import Refused
from lab.runtime.world import World
from lab.topology import parse

TOPOLOGY = parse(Path(__file__).parents[3] / "compose" / "reference.yml", {})
WORLD = World("lab", TOPOLOGY, {}, None)


@pytest.mark.parametrize(
    ("link", "told"),
    [
        ({"delay": "fast"}, "--delay: expected a time like 50ms or 1.5s, got 'fast'"),
        ({"loss": "5"}, "--loss: expected a share like 5%, got '5'"),
        ({"delay": "5ms", "mtu": "big"}, "--mtu: expected an mtu in bytes like 1492, got 'big'"),
        ({"burst": "1%"}, "--burst: expected burst=p,r"),
    ],
)
def test_a_figure_that_is_none_is_refused_by_the_name_of_its_option(link: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        changing.check(TOPOLOGY, "home", SiteChange(link=link))
    assert str(refused.value).startswith(told)


def test_what_core_refuses_is_said_of_the_site_and_not_of_an_order(monkeypatch: pytest.MonkeyPatch) -> None:
    def order(engine: Any, world: Any, node: str, order: str, **fields: Any) -> Any:
        raise Refused(node, order, "a queue without a rate")

    monkeypatch.setattr(standing, "order", order)
    monkeypatch.setattr(standing, "routers", lambda *words: {})
    with pytest.raises(ConfigError, match=r"^home: a queue without a rate$"):
        changing.set_site(cast(Any, None), WORLD, "home", SiteChange(link={"queue": "10ms"}))


@pytest.mark.parametrize(
    ("profile", "firewall", "forgets"),
    [("open", "none", False), ("open", "inbound-blocked", True), ("linux", "none", True)],
)
def test_a_router_that_keeps_nothing_has_nothing_to_forget(
    monkeypatch: pytest.MonkeyPatch, profile: str, firewall: str, forgets: bool
) -> None:
    orders: list[str] = []

    def order(engine: Any, world: Any, node: str, order: str, **fields: Any) -> Any:
        orders.append(order)
        return {"profile": profile, "firewall": firewall}

    monkeypatch.setattr(standing, "order", order)
    if forgets:
        changing.forget(cast(Any, None), WORLD, "park")
    else:
        with pytest.raises(ConfigError, match="park translates nothing"):
            changing.forget(cast(Any, None), WORLD, "park")
    assert ("forget" in orders) == forgets
