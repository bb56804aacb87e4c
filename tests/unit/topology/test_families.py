"""IPv6 in a topology: the families' lab as data, and one broken rule at a time."""

from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.errors import ConfigError
from lab.topology import Topology, compose, parse

FAMILIES = Path(__file__).parents[3] / "compose" / "families.yml"
Document = dict[str, Any]


@pytest.fixture(scope="module")
def families() -> Topology:
    return parse(FAMILIES, {})


def test_a_node_has_an_address_of_each_family_of_its_networks(families: Topology) -> None:
    assert families.lan_of("dual").subnet6 == IPv6Network("2001:db8:0:37::/64")
    assert families.lan_of("four").subnet6 is None
    assert IPv6Address("2001:db8:0:37::10") in families.node("dora").addresses
    owner = families.owner_of(IPv6Address("2001:db8:0:1::21"))
    assert owner is not None
    assert owner.name == "relay-1"


def test_a_network_says_that_it_has_no_ipv4(families: Topology) -> None:
    assert [network.name for network in families.networks if network.ipv6_only] == ["six"]


def test_a_client_knows_what_is_done_to_its_sites_ipv6(families: Topology) -> None:
    assert families.node("nina").profile6 == "nptv6"
    assert families.node("fred").profile6 is None


def broken(change: Callable[[Document], object], folder: Path) -> str:
    document = compose.read(FAMILIES, {})
    change(document)
    file = folder / "lab.yml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    with pytest.raises(ConfigError) as refusal:
        parse(file, {})
    return str(refusal.value).removeprefix(f"{file}: ")


def config6(document: Document, network: str) -> Document:
    found: Document = document["networks"][network]["ipam"]["config"][1]
    return found


def at(document: Document, node: str, network: str) -> Document:
    found: Document = document["services"][node]["networks"][network]
    return found


ROUTE = "2001:db8:0:37::/64 via 2001:db8:0:1::37"
BROKEN: dict[str, tuple[Callable[[Document], object], str]] = {
    "IPv6 that is not enabled": (
        lambda d: d["networks"]["dual"].update(enable_ipv6=False),
        "network dual: expected enable_ipv6: true with 2001:db8:0:37::/64, got False",
    ),
    "a LAN that is no /64": (
        lambda d: config6(d, "dual").update(subnet="2001:db8:0:3700::/56"),
        "network dual: expected an IPv6 subnet of /64, as every LAN has (RFC 4291, 2.5.4), got 2001:db8:0:3700::/56",
    ),
    "a gateway where the router is": (
        lambda d: config6(d, "dual").update(gateway="2001:db8:0:37::1"),
        "network dual: expected gateway 2001:db8:0:37:ffff:ffff:ffff:fffe, the last address but one of "
        "2001:db8:0:37::/64, for the engine, got 2001:db8:0:37::1",
    ),
    "a node without an address of its network's": (
        lambda d: at(d, "dora", "dual").pop("ipv6_address"),
        "node dora: expected an ipv6_address in network dual (2001:db8:0:37::/64), got none",
    ),
    "an address of another network": (
        lambda d: at(d, "dora", "dual").update(ipv6_address="2001:db8:0:38::10"),
        "node dora: expected an IPv6 address in network dual (2001:db8:0:37::/64), got 2001:db8:0:38::10",
    ),
    "an address that is taken": (
        lambda d: at(d, "relay-1", "internet").update(ipv6_address="2001:db8:0:1::12"),
        "node relay-1: expected an IPv6 address of its own in network internet, got 2001:db8:0:1::12, "
        "which is supernode-2's",
    ),
    "a router that is not first": (
        lambda d: at(d, "dual-router", "dual").update(ipv6_address="2001:db8:0:37::2"),
        "node dual-router: expected 2001:db8:0:37::1, the first address of network dual, got 2001:db8:0:37::2",
    ),
    "a prefix that core does not know": (
        lambda d: d["services"]["core"]["environment"].update(LAB_ROUTES=""),
        f"site dual: expected the route '{ROUTE}' in core's LAB_ROUTES, got none",
    ),
    "a private prefix that nothing translates": (
        lambda d: [
            d["services"]["nptv6-router"][key].update({"lab.profile6": "open"}) for key in ("labels", "environment")
        ],
        "site nptv6: profile6 open needs a public IPv6 prefix inside, and fd00:0:0:39::/64 is private: it would leave "
        "untranslated and nobody on the internet could answer; take profile6 nptv6",
    ),
    "a bridge that the engine guards": (
        lambda d: d["networks"]["dual"]["driver_opts"].pop("com.docker.network.bridge.gateway_mode_ipv6"),
        "network dual: expected driver_opts com.docker.network.bridge.gateway_mode_ipv6: nat-unprotected, got none",
    ),
    "a family that is none": (
        lambda d: d["networks"]["dual"]["labels"].update({"lab.family": "ipv4"}),
        "network dual: expected lab.family: ipv6 on a site's network with an IPv6 subnet, or none, got ipv4",
    ),
    "a node that would keep its IPv4": (
        lambda d: d["services"]["sid"].pop("environment"),
        "node sid: expected LAB_FAMILY ipv6 in its environment, as the label lab.family of its network says, got none",
    ),
    "a node that would drop its IPv4": (
        lambda d: d["services"]["dora"].update(environment={"LAB_FAMILY": "ipv6"}),
        "node dora: expected LAB_FAMILY none in its environment, as the label lab.family of its network says, got ipv6",
    ),
    "a translation of what is not there": (
        lambda d: [
            told.update({"lab.profile": "linux"})
            for node in ("six-router", "sid")
            for told in (d["services"][node]["labels"], d["services"][node]["environment"])
        ],
        "site six: a router that translates needs IPv4 inside, and there is none: it would translate nothing; take "
        "profile open",
    ),
    "a translation to nowhere": (
        lambda d: d["services"]["nptv6-router"]["environment"].pop("lab.outer6"),
        "site nptv6: expected the route 'lab.outer6 via 2001:db8:0:1::39' in core's LAB_ROUTES, got none",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_ipv6_that_would_not_work_is_refused_in_one_sentence(case: str, tmp_path: Path) -> None:
    change, message = BROKEN[case]
    assert broken(change, tmp_path) == message
