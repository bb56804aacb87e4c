"""What a site behind a carrier cannot have, for the carrier's router has no routes to its hosts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.errors import ConfigError
from lab.harness.changing import SiteChange, check
from lab.topology import compose, parse

ZOO = Path(__file__).parents[3] / "compose" / "zoo.yml"
Document = dict[str, Any]
pytestmark = pytest.mark.slow  # each reads a zoo of its own


def refusal(change: Callable[[Document], None], folder: Path) -> str:
    """What is said of the zoo with one thing changed."""
    document = compose.read(ZOO, {})
    change(document)
    file = folder / "lab.yml"
    file.write_text(json.dumps(document))  # which is YAML too
    with pytest.raises(ConfigError) as refused:
        parse(file, {})
    return str(refused.value).removeprefix(f"{file}: ")


def untranslated(document: Document) -> None:
    """Mobile-1 has public addresses inside, which core routes to its router, as it does for a site on the internet."""
    subnet = {"subnet": "198.51.100.192/28", "gateway": "198.51.100.206"}
    document["networks"]["mobile-1"]["ipam"]["config"] = [subnet]
    services = document["services"]
    services["mobile-1-router"]["networks"]["mobile-1"]["ipv4_address"] = "198.51.100.193"
    services["mobile-1-pc"]["networks"]["mobile-1"]["ipv4_address"] = "198.51.100.194"
    services["core"]["environment"]["LAB_ROUTES"] += ", 198.51.100.192/28 via 100.64.63.11"
    for node in ("mobile-1-router", "mobile-1-pc"):
        services[node]["labels"]["lab.profile"] = "open"
    services["mobile-1-router"]["environment"]["lab.profile"] = "open"


def with_ipv6(document: Document, name: str, number: int, **nodes: str) -> None:
    network, subnet = document["networks"][name], f"2001:db8:0:{number}::"
    network["enable_ipv6"] = True
    config = {"subnet": f"{subnet}/64", "gateway": f"{subnet[:-1]}ffff:ffff:ffff:fffe"}
    network["ipam"]["config"] = [*network["ipam"]["config"], config]
    network["driver_opts"]["com.docker.network.bridge.gateway_mode_ipv6"] = "nat-unprotected"
    for node, end in nodes.items():
        document["services"][node.replace("_", "-")]["networks"][name]["ipv6_address"] = f"{subnet}{end}"


def test_it_translates(tmp_path: Path) -> None:
    assert refusal(untranslated, tmp_path) == (
        "site mobile-1: a router that translates nothing has no place behind a carrier's, which has no route to "
        "198.51.100.192/28: no answer would come back; take a profile that translates, or put the site on the internet"
    )


def test_it_has_no_ipv6_inside(tmp_path: Path) -> None:
    def change(document: Document) -> None:
        with_ipv6(document, "mobile-1", 67, mobile_1_router="1", mobile_1_pc="10")

    assert refusal(change, tmp_path) == (
        "site mobile-1: expected no IPv6 inside behind the carrier carrier-1, whose router has routes of IPv6 to no "
        "site behind it, got 2001:db8:0:67::/64; leave it away, or put the site on the internet"
    )


def test_a_carriers_network_has_no_ipv6(tmp_path: Path) -> None:
    assert refusal(lambda document: with_ipv6(document, "carrier-1", 63), tmp_path) == (
        "network carrier-1: expected no IPv6 subnet on a carrier's network, whose router has routes of IPv6 to no site "
        "behind it, got 2001:db8:0:63::/64; leave it away, or put those sites on the internet"
    )


def test_it_is_told_so_at_run_time_as_well() -> None:
    with pytest.raises(ConfigError, match="site mobile-1: a router that translates nothing has no place behind a car"):
        check(parse(ZOO, {}), "mobile-1", SiteChange(profile="open"))
