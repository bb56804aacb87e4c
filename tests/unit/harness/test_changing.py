"""What is refused of a site before or by whoever knows: it names the option, or the site."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast

import pytest

from lab.errors import ConfigError, NotNow
from lab.harness import changing, standing
from lab.harness.changing import SiteChange
from lab.runtime.control import Refused
from lab.runtime.world import Container, World
from lab.topology import Topology, parse

COMPOSE = Path(__file__).parents[3] / "compose"
TOPOLOGY, ZOO = parse(COMPOSE / "reference.yml", {}), parse(COMPOSE / "zoo.yml", {})
FAMILIES = parse(COMPOSE / "families.yml", {})
Orders = list[tuple[Any, ...]]


def world(topology: Topology = TOPOLOGY, *killed: str) -> World:
    states = {node.name: "exited" if node.name in killed else "running" for node in topology.nodes}
    return World("lab", topology, {name: Container(name, name, state) for name, state in states.items()}, None)


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> Orders:
    """What is asked of whom, in order; nobody refuses, and who is stopped does not answer."""
    given: Orders = []

    def order(engine: Any, world: World, node: str, order: str, **fields: Any) -> Any:
        world.running(node)
        given.append((node, order, fields))
        if order == "link":
            size = fields.get("changes", {}).get("mtu") if fields.get("direction") != "down" else None
            return {"ways": {"up": f"mtu={size}" if size else "", "down": ""}}
        site = world.topology.node(node)
        told = {"profile": site.profile, "firewall": site.firewall, "axes": site.axes, "profile6": site.profile6}
        outer = [str(one.address.ip) for one in site.attachments if one.network == "internet"]
        return {**told, "portmap": "off", "outer": [*outer, *map(str, site.outer)]}

    monkeypatch.setattr(standing, "order", order)
    monkeypatch.setattr(changing, "addresses_in_use", lambda *words: set())
    return given


def changes(orders: Orders) -> Orders:
    """Those that change something."""
    return [one for one in orders if one[1] != "status" and not one[2].get("dry")]


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
        changing.set_site(cast(Any, None), world(), "home", SiteChange(link={"queue": "10ms"}))


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
        changing.forget(cast(Any, None), world(), "park")
    else:
        with pytest.raises(ConfigError, match="park translates nothing"):
            changing.forget(cast(Any, None), world(), "park")
    assert ("forget" in orders) == forgets


@pytest.mark.parametrize(
    ("topology", "site", "change", "reason"),
    [
        (TOPOLOGY, "home", SiteChange(profile="open"), "192.168.32.0/24 is private"),
        (TOPOLOGY, "park", SiteChange(profile="linux"), "198.51.100.16/28 is public"),
        (
            TOPOLOGY,
            "home",
            SiteChange(firewall="proxy-only"),
            "there is no node of role proxy: the site would be cut off",
        ),
        (ZOO, "nptv6-1", SiteChange(profile6="open"), "it would leave untranslated"),
        (ZOO, "ipv6-1", SiteChange(profile="symmetric"), "needs IPv4 inside, and there is none"),
        (ZOO, "dual-1", SiteChange(profile6="nptv6"), "needs a unique local prefix inside"),
        (ZOO, "carrier-1", SiteChange(portmap="on"), "portmap is for a site's router"),
    ],
)
def test_what_the_file_could_not_say_of_a_site_is_refused_at_run_time_too(
    topology: Topology, site: str, change: SiteChange, reason: str, orders: Orders
) -> None:
    with pytest.raises(ConfigError) as refused:
        changing.set_site(cast(Any, None), world(topology), site, change)
    assert str(refused.value).startswith(f"site {site}: ") and reason in str(refused.value)
    assert changes(orders) == []


def test_outer_addresses_that_stock_snat_has_no_range_for_are_refused(orders: Orders) -> None:
    """carrier-grade draws from any, stock SNAT from neighbours alone."""
    apart = tuple(
        replace(node, outer=(IPv4Address("203.0.113.90"),)) if node.name == "carrier-1-router" else node
        for node in ZOO.nodes
    )
    with pytest.raises(ConfigError, match=r"without gaps, got 203\.0\.113\.63, 203\.0\.113\.90"):
        changing.set_site(cast(Any, None), world(replace(ZOO, nodes=apart)), "carrier-1", SiteChange(profile="linux"))
    assert changes(orders) == []


def test_a_profile_is_its_own_axes_and_no_others_but_for_the_timers_of_before(orders: Orders) -> None:
    router = ZOO.router_of("port-restricted-1")
    more = replace(router, axes=f"hairpinning=yes {router.axes}")
    nodes = [more if one is router else one for one in ZOO.nodes]
    engine, there = cast(Any, None), world(replace(ZOO, nodes=tuple(nodes)))
    changing.set_site(engine, there, "port-restricted-1", SiteChange(profile="symmetric"))
    changing.set_site(engine, there, "port-restricted-1", SiteChange(profile="symmetric", axes="hairpinning=yes"))
    changing.set_site(engine, there, "port-restricted-1", SiteChange(firewall="udp-blocked"))
    assert ZOO.router_of("port-restricted-1").axes, "which would otherwise stay over the preset"
    assert [fields for _, _, fields in changes(orders)] == [
        {"profile": "symmetric", "axes": str(ZOO.router_of("port-restricted-1").axes)},
        {"profile": "symmetric", "axes": "hairpinning=yes"},
        {"firewall": "udp-blocked"},
    ]
    assert SiteChange(profile="symmetric").told() == {"profile": "symmetric"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            SiteChange(profile="linux", direction="up"),
            "--up, --down and --toward say which way a figure of home's link",
        ),
        (SiteChange(profile="linux", direction="both"), "and none is given; add one, like --delay 50ms"),
        (SiteChange(firewall="none", toward="park"), "or leave them away"),
        (SiteChange(link={"mtu": "1400"}, toward="park"), "--mtu is of a line, whoever its packets go to; give it in"),
        (SiteChange(link={"blackhole": "yes", "loss": "1%"}, toward="park"), "--blackhole is of a line"),
        (SiteChange(link={"loss": "1%"}, toward="park", direction="down"), "`lab set park --toward home` is of what"),
        (SiteChange(link={"loss": "1%"}, toward="park", direction="both"), "so --down does not go with it"),
        (SiteChange(link={"loss": "1%"}, toward="home"), "--toward names another site than home itself"),
        (SiteChange(link={"loss": "1%"}, toward="nowhere"), "no site is called 'nowhere'"),
    ],
)
def test_a_way_that_nothing_goes_is_refused(change: SiteChange, reason: str, orders: Orders) -> None:
    with pytest.raises(ConfigError) as refused:
        changing.set_site(cast(Any, None), world(), "home", change)
    assert reason in str(refused.value)
    assert changes(orders) == []


def test_nothing_goes_toward_a_site_whose_address_is_its_carrier_s(orders: Orders) -> None:
    change = SiteChange(link={"loss": "1%"}, toward="mobile-1")
    with pytest.raises(
        ConfigError, match=r"mobile-1 sits behind carrier-1, whose address .* take --toward carrier-1, or"
    ):
        changing.set_site(cast(Any, None), world(ZOO), "linux-1", change)
    assert changes(orders) == []


def test_the_seeds_with_which_lines_begin_are_told_by_router(orders: Orders, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = standing.order

    def order(engine: Any, world: World, node: str, order: str, **fields: Any) -> Any:
        said = asked(engine, world, node, order, **fields)
        return {**said, "seed": 8} if (node, order) == ("mobile-1-router", "link") and not fields["dry"] else said

    monkeypatch.setattr(standing, "order", lambda *words, **fields: order(*words, **{"dry": False, **fields}))
    said = changing.set_site(cast(Any, None), world(ZOO), "mobile-1", SiteChange(link={"loss": "1%"}))
    assert said["line_seeds"] == {"mobile-1-router": 8}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (SiteChange(link={"loss": "1%"}), ["carrier-1-router", "mobile-1-router"]),
        (SiteChange(link={"mtu": "1400"}), ["carrier-1-router", "mobile-1-router"]),
        (SiteChange(link={"loss": "1%"}, toward="linux-1"), ["carrier-1-router"]),
    ],
)
def test_a_link_behind_a_carrier_ends_at_both_routers(change: SiteChange, told: list[str], orders: Orders) -> None:
    changing.set_site(cast(Any, None), world(ZOO), "mobile-1", change)
    given = [(node, fields) for node, order, fields in orders if order == "link"]
    assert [node for node, fields in given if fields.get("dry")] == told
    assert [node for node, fields in given if not fields.get("dry")] == told
    assert given[0][1]["addresses"]["mobile-1"] == ["100.64.63.11"]
    mtus = [node for node, order, _ in orders if order == "mtu"]
    assert mtus == (["mobile-1-router"] if "mtu" in change.link else [])


@pytest.mark.parametrize(
    ("killed", "change"),
    [
        ("home-router", SiteChange(link={"mtu": "1400"})),
        ("home-router", SiteChange(profile="symmetric", link={"delay": "50ms"})),
        ("core", SiteChange(profile="symmetric", link={"delay": "50ms"})),
        ("park-router", SiteChange(link={"delay": "50ms"}, toward="park")),
    ],
)
def test_where_a_node_that_it_concerns_is_stopped_nothing_is_changed(
    killed: str, change: SiteChange, orders: Orders
) -> None:
    with pytest.raises(NotNow, match=f"{killed} is stopped; `lab start {killed}` starts it"):
        changing.set_site(cast(Any, None), world(TOPOLOGY, killed), "home", change)
    assert changes(orders) == []


@pytest.mark.parametrize("killed", ["core", "home-router"])
def test_an_address_is_renewed_by_router_and_core_or_by_neither(killed: str, orders: Orders) -> None:
    with pytest.raises(NotNow, match=f"{killed} is stopped"):
        changing.renew(cast(Any, None), world(TOPOLOGY, killed), "home", None)
    assert changes(orders) == []
    changing.renew(cast(Any, None), world(), "home", None)
    assert [(node, order) for node, order, _ in changes(orders)] == [("home-router", "renew"), ("core", "address")]


def test_core_is_told_by_which_addresses_it_knows_the_sites(orders: Orders) -> None:
    """One that the file gives no link gets one so."""
    changing.set_site(cast(Any, None), world(FAMILIES), "dual", SiteChange(link={"delay": "50ms"}, toward="four"))
    asked = [fields for node, order, fields in orders if (node, order) == ("core", "link")]
    assert [fields["addresses"] for fields in asked] == [
        {"dual": ["203.0.113.37", "2001:db8:0:1::37"], "four": ["203.0.113.40", "2001:db8:0:1::40"]}
    ] * 2
    assert [bool(fields.get("dry")) for fields in asked] == [True, False], "asked before anything changes"


def test_its_router_has_the_mtu_of_a_link_as_well(orders: Orders) -> None:
    changing.set_site(cast(Any, None), world(), "home", SiteChange(link={"mtu": "1400"}))
    assert changes(orders)[-1] == ("home-router", "mtu", {"mtu": 1400})
    changing.set_site(cast(Any, None), world(), "home", SiteChange(link={"mtu": "1400"}, direction="down"))
    assert changes(orders)[-1] == ("home-router", "mtu", {"mtu": 1500}), "that way's is core's affair"


def test_what_goes_up_toward_a_site_is_what_goes_toward_it(orders: Orders) -> None:
    for direction in (None, "up"):
        change = SiteChange(link={"loss": "1%"}, toward="park", direction=cast(Any, direction))
        changing.set_site(cast(Any, None), world(), "home", change)
    (first, second) = (fields for _, order, fields in changes(orders) if order == "link")
    assert first == second and first["direction"] == "toward"


@pytest.mark.parametrize(
    ("outer", "free", "renewed"),
    [
        (("203.0.113.64", "203.0.113.65"), (), "203.0.113.63"),
        (("203.0.113.64", "203.0.113.65"), ("203.0.113.63",), "203.0.113.66"),
        (("203.0.113.64", "203.0.113.66"), (), "203.0.113.65"),
    ],
)
def test_stock_snat_gets_an_address_beside_its_others(
    outer: tuple[str, ...], free: tuple[str, ...], renewed: str, orders: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changing, "addresses_in_use", lambda *words: set(free))
    several = tuple(
        replace(node, outer=tuple(map(IPv4Address, outer))) if node.name == "home-router" else node
        for node in TOPOLOGY.nodes
    )
    there = world(replace(TOPOLOGY, nodes=several))
    assert changing.renew(cast(Any, None), there, "home", None) == ("203.0.113.32", renewed)
    monkeypatch.setattr(changing, "addresses_in_use", lambda *words: {f"203.0.113.{last}" for last in (63, 65, 66)})
    with pytest.raises(ConfigError, match=r"home translates by stock SNAT, .* no address beside 203\.0\.113\.64"):
        changing.renew(cast(Any, None), there, "home", None)


def test_who_has_an_address_that_is_taken_is_named(orders: Orders) -> None:
    with pytest.raises(
        ConfigError, match=r"203\.0\.113\.33 is taken, by flat-router; name another of 203\.0\.113\.0/24"
    ):
        changing.renew(cast(Any, None), world(), "home", "203.0.113.33")
