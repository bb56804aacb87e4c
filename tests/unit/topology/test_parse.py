"""The reference lab as data, and one broken rule at a time in a small lab of its own."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import ConfigError
from lab.nat import FIREWALLS, TRANSLATIONS
from lab.topology import Role, Topology, conflicts, parse

COMPOSE = Path(__file__).parents[3] / "compose"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def reference() -> Topology:
    return parse(COMPOSE / "reference.yml", {})


def test_the_reference_lab_has_six_sites(reference: Topology) -> None:
    sites = {client.site: (client.name, client.profile, client.firewall) for client in reference.clients()}
    assert sites == {
        "park": ("alice", "open", "none"),
        "home": ("bob", "linux", "none"),
        "flat": ("frank", "linux", "none"),
        "office": ("carol", "symmetric", "none"),
        "hotel": ("dave", "symmetric", "udp-blocked"),
        "bank": ("erin", "symmetric", "tcp-443"),
    }


def test_the_reference_lab_has_an_internet(reference: Topology) -> None:
    assert [node.name for node in reference.by_role(Role.SUPERNODE)] == ["supernode-1", "supernode-2"]
    assert reference.node("relay-1").role is Role.RELAY
    assert reference.router_of("home").name == "home-router"
    owner = reference.owner_of(IPv4Address("203.0.113.1"))
    assert owner is not None
    assert owner.name == "core"
    assert reference.owner_of(IPv4Address("203.0.113.99")) is None


def test_unknown_names_are_refused_with_the_known_ones(reference: Topology) -> None:
    with pytest.raises(ConfigError, match="no node is called 'nobody'; the lab has alice, authority"):
        reference.node("nobody")
    with pytest.raises(ConfigError, match="no site is called 'moon'; the lab has bank, flat"):
        reference.router_of("moon")


def test_subnets_that_the_host_uses_are_named(reference: Topology) -> None:
    assert conflicts(reference, [IPv4Network("172.17.0.0/16")]) == []
    assert conflicts(reference, [IPv4Network("172.17.0.0/16"), IPv4Network("192.168.32.0/23")]) == [
        "network home needs 192.168.32.0/24, but the host already uses 192.168.32.0/23",
        "network flat needs 192.168.33.0/24, but the host already uses 192.168.32.0/23",
    ]


def network(subnet: str, gateway: str, **labels: str) -> Document:
    return {
        "labels": {f"lab.{key}": value for key, value in labels.items()},
        "ipam": {"config": [{"subnet": subnet, "gateway": gateway}]},
        "driver_opts": {
            "com.docker.network.bridge.enable_ip_masquerade": "false",
            "com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected",
        },
    }


def service(name: str, role: str, networks: dict[str, str], environment: Document, **labels: str) -> Document:
    return {
        "hostname": name,
        "labels": {"lab.node": name, "lab.role": role, **{f"lab.{key}": value for key, value in labels.items()}},
        "environment": environment,
        "networks": {key: {"ipv4_address": address} for key, address in networks.items()},
    }


def router(name: str, site: str, wan: str, lan: str, profile: str) -> Document:
    told = {"site": site, "profile": profile, "firewall": "none"}
    environment = {"LAB_CORE": "203.0.113.1", **{f"lab.{key}": value for key, value in told.items()}}
    return service(name, "router", {"internet": wan, site: lan}, environment, **told)


def world() -> Document:
    """A translated site and an open one, and nothing wrong with either."""
    return {
        "networks": {
            "internet": network("203.0.113.0/24", "203.0.113.254", network="internet"),
            "home": network("192.168.32.0/24", "192.168.32.254", network="site", site="home"),
            "park": network("198.51.100.16/28", "198.51.100.30", network="site", site="park"),
        },
        "services": {
            "core": service(
                "core", "core", {"internet": "203.0.113.1"}, {"LAB_ROUTES": "198.51.100.16/28 via 203.0.113.31"}
            ),
            "relay": service("relay", "relay", {"internet": "203.0.113.21"}, {}),
            "home-router": router("home-router", "home", "203.0.113.32", "192.168.32.1", "linux"),
            "park-router": router("park-router", "park", "203.0.113.31", "198.51.100.17", "open"),
            "bob": service("bob", "client", {"home": "192.168.32.10"}, {}, site="home"),
            "alice": service("alice", "client", {"park": "198.51.100.18"}, {}, site="park"),
        },
    }


def parsed(document: Document, folder: Path) -> Topology:
    file = folder / "lab.yml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return parse(file, {})


def test_the_small_lab_is_right(tmp_path: Path) -> None:
    topology = parsed(world(), tmp_path)
    assert [client.profile for client in topology.clients()] == ["linux", "open"]


def put(*path: str | int, value: Any) -> Callable[[Document], None]:
    """A change of one place of the document; None takes it away."""

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        if value is None:
            del document[path[-1]]
        else:
            document[path[-1]] = value

    return change


def on(node: str, *path: str, value: Any) -> Callable[[Document], None]:
    return put("services", node, *path, value=value)


def subnet(name: str, subnet: str, gateway: str) -> Callable[[Document], None]:
    return put("networks", name, "ipam", "config", 0, value={"subnet": subnet, "gateway": gateway})


def told(node: str, label: str, value: str) -> Callable[[Document], None]:
    """What a router is told twice, in its labels and in its environment."""

    def change(document: Document) -> None:
        for section in ("labels", "environment"):
            document["services"][node][section][label] = value

    return change


def profile(node: str, value: str) -> Callable[[Document], None]:
    return told(node, "lab.profile", value)


BROKEN: dict[str, tuple[Callable[[Document], None], str]] = {
    "a label of a node that means nothing": (
        on("bob", "labels", "lab.sit", value="home"),
        "node bob: unknown label lab.sit, the nearest is lab.site; known: lab.node, lab.role, lab.site, lab.profile, "
        "lab.firewall, lab.axes, lab.profile6, lab.portmap, lab.outer, lab.outer6",
    ),
    "a label that a router is told and that means nothing": (
        on("home-router", "environment", "lab.axis", value="udp-timeout=20"),
        "node home-router: unknown label lab.axis, the nearest is lab.axes; known: lab.node, lab.role, lab.site, "
        "lab.profile, lab.firewall, lab.axes, lab.profile6, lab.portmap, lab.outer, lab.outer6",
    ),
    "a label of a network that means nothing": (
        put("networks", "home", "labels", "lab.famliy", value="ipv6"),
        "network home: unknown label lab.famliy, the nearest is lab.family; known: lab.network, lab.site, lab.family",
    ),
    "unknown profile": (
        profile("home-router", "cone"),
        f"node home-router: unknown profile 'cone'; allowed: {', '.join(TRANSLATIONS)}",
    ),
    "unknown firewall": (
        lambda document: [
            document["services"]["home-router"][section].update({"lab.firewall": "wall"})
            for section in ("labels", "environment")
        ],
        f"node home-router: unknown firewall 'wall'; allowed: {', '.join(FIREWALLS)}",
    ),
    "a program told another profile": (
        on("home-router", "environment", "lab.profile", value="symmetric"),
        "node home-router: expected lab.profile linux in its environment as in its labels, got symmetric",
    ),
    "two sites with one subnet": (
        subnet("park", "192.168.32.0/24", "192.168.32.254"),
        "networks home and park: expected a subnet each, got 192.168.32.0/24 for both",
    ),
    "overlapping networks": (
        put("networks", "spare", value=network("192.168.32.128/25", "192.168.32.254", network="site", site="spare")),
        "networks home and spare: expected subnets apart, got 192.168.32.0/24 and 192.168.32.128/25",
    ),
    "two networks of one site": (
        put("networks", "spare", value=network("192.168.40.0/24", "192.168.40.254", network="site", site="home")),
        "site home: expected one network, got home and spare",
    ),
    "address outside its subnet": (
        on("bob", "networks", "home", "ipv4_address", value="192.168.99.10"),
        "node bob: expected an address in network home (192.168.32.0/24), got 192.168.99.10",
    ),
    "no address": (
        on("bob", "networks", "home", value={}),
        "node bob: expected an ipv4_address in network home (192.168.32.0/24), got none",
    ),
    "one address for two": (
        on("relay", "networks", "internet", "ipv4_address", value="203.0.113.32"),
        "node home-router: expected an address of its own in network internet, got 203.0.113.32, which is relay's",
    ),
    "the engine's address": (
        on("bob", "networks", "home", "ipv4_address", value="192.168.32.254"),
        "node bob: expected an address of its own in network home, got 192.168.32.254, "
        "which is the engine's gateway of network home",
    ),
    "router elsewhere on its LAN": (
        on("home-router", "networks", "home", "ipv4_address", value="192.168.32.2"),
        "node home-router: expected 192.168.32.1, the first address of network home, got 192.168.32.2",
    ),
    "site without a router": (
        put("services", "home-router", value=None),
        "site home: expected one router, got none",
    ),
    "site with two routers": (
        put("services", "other", value=router("other", "home", "203.0.113.40", "192.168.32.2", "linux")),
        "site home: expected one router, got home-router, other",
    ),
    "router of no site": (
        on("home-router", "labels", "lab.site", value="moon"),
        "node home-router: expected the label lab.site to name a site (home, park), got moon",
    ),
    "router without the internet": (
        on("home-router", "networks", value={"home": {"ipv4_address": "192.168.32.1"}}),
        "node home-router: expected networks internet and home, got home",
    ),
    "router told another core": (
        on("home-router", "environment", "LAB_CORE", value="203.0.113.2"),
        "node home-router: expected LAB_CORE 203.0.113.1, got 203.0.113.2",
    ),
    "open site without a route": (
        on("core", "environment", value={}),
        "site park: expected the route '198.51.100.16/28 via 203.0.113.31' in core's LAB_ROUTES with profile open, "
        "got none",
    ),
    "open site with another's route": (
        on("core", "environment", "LAB_ROUTES", value="198.51.100.16/28 via 203.0.113.32"),
        "site park: expected the route '198.51.100.16/28 via 203.0.113.31' in core's LAB_ROUTES with profile open, "
        "got via 203.0.113.32",
    ),
    "open site on a private LAN": (
        profile("home-router", "open"),
        "site home: a router that translates nothing needs a public subnet inside, and 192.168.32.0/24 is private: "
        "nobody on the internet could answer; take a profile that translates",
    ),
    "translated site on a public LAN": (
        profile("park-router", "linux"),
        "site park: a router that translates needs a private subnet inside, and 198.51.100.16/28 is public: the "
        "internet routes it to the router by itself; take a profile that translates nothing",
    ),
    "a firewall for a proxy that is not there": (
        told("home-router", "lab.firewall", "proxy-only"),
        "site home: firewall proxy-only lets nobody out but the site's proxy, and there is no node of role proxy: the "
        "site would be cut off; take another firewall, or add a proxy to the file",
    ),
    "a seed that is no number": (
        on("core", "environment", "LAB_SEED", value="luck"),
        "node core: expected a whole number in LAB_SEED, got 'luck'; leave it empty to have one drawn",
    ),
    "outer addresses that the router itself knows nothing of": (
        on("home-router", "labels", "lab.outer", value="203.0.113.33, 203.0.113.34"),
        "node home-router: expected lab.outer 203.0.113.33, 203.0.113.34 in its environment as in its labels, got none",
    ),
    "outer addresses that stock SNAT has no range for": (
        told("home-router", "lab.outer", "203.0.113.60"),
        "site home: stock SNAT takes a range of outer addresses without gaps, got 203.0.113.32, 203.0.113.60; take "
        "neighbours in lab.outer, or clash-free=yes",
    ),
    "an outer address that is no host's": (
        told("home-router", "lab.outer", "203.0.113.255"),
        "node home-router: expected a host's address of 203.0.113.0/24 in lab.outer, got 203.0.113.255, which stands "
        "for all of it",
    ),
    "outer addresses of a router that translates nothing": (
        told("park-router", "lab.outer", "203.0.113.60"),
        "site park: a router that translates nothing has no use for further outer addresses, got lab.outer "
        "203.0.113.60; take a profile that translates, or leave lab.outer away",
    ),
    "a route to a translated site": (
        on(
            "core",
            "environment",
            "LAB_ROUTES",
            value="198.51.100.16/28 via 203.0.113.31, 192.168.32.0/24 via 203.0.113.32",
        ),
        "site home: expected no route to 192.168.32.0/24 in core's LAB_ROUTES with profile linux, got one",
    ),
    "a route that is none": (
        on("core", "environment", "LAB_ROUTES", value="everything"),
        "node core: expected LAB_ROUTES like '198.51.100.16/28 via 203.0.113.31', got 'everything'",
    ),
    "client without a site": (
        on("bob", "labels", "lab.site", value=None),
        "node bob: expected the label lab.site to name a site (home, park), got none",
    ),
    "client abroad": (
        on("bob", "networks", value={"internet": {"ipv4_address": "203.0.113.99"}}),
        "node bob: expected network home of its site alone, got internet",
    ),
    "client that knows better": (
        on("bob", "labels", "lab.profile", value="open"),
        "node bob: expected lab.profile linux as home-router has, got open",
    ),
    "relay in a site": (
        on("relay", "networks", value={"home": {"ipv4_address": "192.168.32.20"}}),
        "node relay: expected network internet alone, got home",
    ),
    "node without a name": (
        on("bob", "labels", "lab.node", value=None),
        "node bob: expected the label lab.node, got none",
    ),
    "node without a role": (
        on("bob", "labels", "lab.role", value=None),
        "node bob: expected the label lab.role, got none",
    ),
    "unknown role": (
        on("bob", "labels", "lab.role", value="king"),
        "node bob: expected lab.role to be one of core, router, client, supernode, relay, authority, proxy, got king",
    ),
    "two names": (
        on("bob", "hostname", value="robert"),
        "node bob: expected hostname bob, as its label lab.node says, got robert",
    ),
    "one name twice": (
        put("services", "twin", value=service("bob", "client", {"home": "192.168.32.11"}, {}, site="home")),
        "node bob: expected one node of that name, got two",
    ),
    "published ports": (
        on("bob", "ports", value=["80:80"]),
        "node bob: expected no published ports: nothing reaches a node except through its router, got ['80:80']",
    ),
    "no core": (put("services", "core", value=None), "expected one node with lab.role core, got none"),
    "core elsewhere": (
        on("core", "networks", "internet", "ipv4_address", value="203.0.113.9"),
        "node core: expected 203.0.113.1, the first address of the internet, got 203.0.113.9",
    ),
    "network without a kind": (
        put("networks", "home", "labels", value={}),
        "network home: expected the label lab.network, got none",
    ),
    "unknown kind": (
        put("networks", "home", "labels", "lab.network", value="moon"),
        "network home: expected lab.network to be one of internet, site, carrier, got moon",
    ),
    "LAN without a site": (
        put("networks", "home", "labels", "lab.site", value=None),
        "network home: expected the label lab.site, got none",
    ),
    "no internet": (
        put("networks", "internet", "labels", value={"lab.network": "site", "lab.site": "spare"}),
        "expected one network with lab.network internet, got none",
    ),
    "network without a subnet": (
        put("networks", "home", "ipam", value=None),
        "network home: expected ipam with one subnet and its gateway, and perhaps one of IPv6 after it, got none",
    ),
    "subnet that is none": (
        subnet("home", "192.168.32.1/24", "192.168.32.254"),
        "network home: expected an IPv4 subnet, got '192.168.32.1/24' (192.168.32.1/24 has host bits set)",
    ),
    "the engine in the router's place": (
        subnet("home", "192.168.32.0/24", "192.168.32.1"),
        "network home: expected gateway 192.168.32.254, the last address of 192.168.32.0/24, for the engine, "
        "got 192.168.32.1",
    ),
    "a bridge that routes by itself": (
        put("networks", "home", "driver_opts", value={}),
        "network home: expected driver_opts com.docker.network.bridge.enable_ip_masquerade: false, got none",
    ),
    "a network of nowhere": (
        on("bob", "networks", value={"moon": {"ipv4_address": "192.168.32.10"}}),
        "node bob: expected a network of this file (internet, home, park), got moon",
    ),
    "no network": (on("bob", "networks", value=None), "node bob: expected network home of its site alone, got none"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_lab_that_would_not_work_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    change, message = BROKEN[case]
    document = world()
    change(document)
    with pytest.raises(ConfigError) as refusal:
        parsed(document, tmp_path)
    assert str(refusal.value) == f"{tmp_path / 'lab.yml'}: {message}"


def test_clients_may_repeat_the_outer_addresses_of_their_site(tmp_path: Path) -> None:
    document = world()
    told("home-router", "lab.outer", "203.0.113.33")(document)
    on("bob", "labels", "lab.outer", value="203.0.113.33")(document)
    topology = parsed(document, tmp_path)
    assert topology.router_of("home").outer == (IPv4Address("203.0.113.33"),)
    assert topology.node("bob").outer == ()


def portmap(document: Document, name: str, value: str) -> None:
    for told in ("labels", "environment"):
        document["services"][name][told]["lab.portmap"] = value


def test_a_router_gives_ports_where_its_labels_say_so(tmp_path: Path) -> None:
    document = world()
    portmap(document, "home-router", "on")
    topology = parsed(document, tmp_path)
    assert {node.name: node.portmap for node in topology.nodes if node.site} == {
        "home-router": "on",
        "park-router": None,
        "bob": "on",
        "alice": None,
    }


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        (
            "home-router",
            "yes",
            'expected lab.portmap to be one of "off", "on", "upnp", "natpmp", in quotes (YAML takes a '
            "bare on for true), got yes",
        ),
        ("park-router", "on", "portmap needs a router that translates: with profile open there is no outer port"),
        ("relay", "on", "node relay: expected lab.portmap on a router alone, not on a relay, got on"),
        ("bob", "on", "node bob: expected lab.portmap None as home-router has, got on"),
    ],
)
def test_ports_that_make_no_sense_are_refused(name: str, value: str, sentence: str, tmp_path: Path) -> None:
    document = world()
    portmap(document, name, value)
    with pytest.raises(ConfigError) as refusal:
        parsed(document, tmp_path)
    assert sentence in str(refusal.value)


def test_ports_through_a_firewall_without_udp_are_refused(tmp_path: Path) -> None:
    document = world()
    portmap(document, "home-router", "on")
    for told in ("labels", "environment"):
        document["services"]["home-router"][told]["lab.firewall"] = "udp-blocked"
    with pytest.raises(ConfigError, match="site home: portmap needs a firewall that lets UDP out"):
        parsed(document, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("site", "file", "sentence"),
    [
        (
            "carrier-1",
            "zoo.yml",
            "site carrier-1: portmap is for a site's router: clients ask the router of ",
        ),
        ("ipv6-1", "zoo.yml", "site ipv6-1: portmap needs "),
    ],
)
def test_ports_where_nobody_would_ask_for_them_are_refused(site: str, file: str, sentence: str, tmp_path: Path) -> None:
    document = yaml.safe_load((COMPOSE / file).read_text())
    router = document["services"][f"{site}-router"]
    for told in ("labels", "environment"):
        router[told] = {**router[told], "lab.portmap": "on"}
    for beside in ("base.yml", ".env"):
        (tmp_path / beside).write_text((COMPOSE / beside).read_text())
    with pytest.raises(ConfigError) as refusal:
        parsed(document, tmp_path)
    assert sentence in str(refusal.value)
