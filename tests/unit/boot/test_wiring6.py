"""IPv6 routes of each role, from addresses alone; nothing at all where there is no IPv6."""

from ipaddress import IPv6Address, IPv6Interface, IPv6Network

import pytest

from lab.boot.wiring6 import EVERYWHERE6, Interface6, RoutePlan6, Wiring6, alone, wiring6
from lab.errors import ConfigError

WAN = Interface6(7, IPv6Interface("2001:db8:0:1::37/64"))
LAN = Interface6(9, IPv6Interface("2001:db8:37::1/64"))
CORE = IPv6Address("2001:db8:0:1::1")


def nowhere(*prefixes: str) -> tuple[RoutePlan6, ...]:
    return tuple(RoutePlan6(IPv6Network(prefix)) for prefix in prefixes)


MACHINE = nowhere("2001:db8:0:1:ffff:ffff:ffff:fffe")
THROUGH_CORE = (RoutePlan6(IPv6Network("2001:db8:0:1::1"), interface=7), RoutePlan6(EVERYWHERE6, via=CORE))


def test_a_client_leaves_by_the_first_address_of_its_network() -> None:
    client = Interface6(7, IPv6Interface("2001:db8:37::10/64"))
    out = RoutePlan6(EVERYWHERE6, via=IPv6Address("2001:db8:37::1"))
    assert wiring6("client", 7, None, [client], {}).routes == (out, *nowhere("2001:db8:37:0:ffff:ffff:ffff:fffe"))


def test_a_router_has_both_sides_and_reaches_its_neighbours_through_core() -> None:
    plan = wiring6("router", 7, 9, [LAN, WAN], {})
    assert (plan.wan, plan.lan) == (WAN.address, LAN.address)
    assert plan.remove == (IPv6Network("2001:db8:0:1::/64"),)
    assert plan.routes == (*THROUGH_CORE, *MACHINE, *nowhere("2001:db8:37:0:ffff:ffff:ffff:fffe"))


@pytest.mark.parametrize("role", ["supernode", "relay", "authority"])
def test_neighbours_on_the_internet_are_reached_through_core(role: str) -> None:
    plan = wiring6(role, 7, None, [WAN], {})
    assert (plan.remove, plan.routes) == ((IPv6Network("2001:db8:0:1::/64"),), (*THROUGH_CORE, *MACHINE))


def test_core_knows_the_sites_and_nobodys_private_prefixes() -> None:
    core = Interface6(7, IPv6Interface("2001:db8:0:1::1/64"))
    told = {"LAB_ROUTES": "198.51.100.16/28 via 203.0.113.31, 2001:db8:37::/64 via 2001:db8:0:1::37"}
    plan = wiring6("core", 7, None, [core], told)
    assert plan.remove == (EVERYWHERE6,)
    site = RoutePlan6(IPv6Network("2001:db8:37::/64"), via=IPv6Address("2001:db8:0:1::37"))
    assert plan.routes == (site, *nowhere("fc00::/7"), *MACHINE)


def test_without_ipv6_nothing_is_done() -> None:
    assert wiring6("router", 7, 9, [], {}) == Wiring6()


def test_a_router_with_ipv6_inside_alone_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected an IPv6 address on the router's outer side.*got none"):
        wiring6("router", 7, 9, [LAN], {})


def test_a_site_without_ipv4_says_so() -> None:
    assert alone({"LAB_FAMILY": "ipv6"})
    assert not alone({})
    with pytest.raises(ConfigError, match=r"LAB_FAMILY to be ipv6 or nothing, got ipv4"):
        alone({"LAB_FAMILY": "ipv4"})
