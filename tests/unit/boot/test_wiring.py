"""Routes of each role, from addresses alone; interfaces come in any order."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from lab.boot.wiring import EVERYWHERE, Interface, RoutePlan, wiring
from lab.errors import ConfigError

CORE = IPv4Address("203.0.113.1")
INTERNET = {"LAB_CORE": str(CORE)}
WAN = Interface(7, "eth0", IPv4Interface("203.0.113.32/24"))
LAN = Interface(9, "eth1", IPv4Interface("192.168.32.1/24"))


def nowhere(*addresses: str) -> tuple[RoutePlan, ...]:
    return tuple(RoutePlan(IPv4Network(address)) for address in addresses)


def test_a_client_leaves_by_the_first_address_of_its_network() -> None:
    client = Interface(7, "eth0", IPv4Interface("198.51.100.18/28"))
    out = RoutePlan(EVERYWHERE, via=IPv4Address("198.51.100.17"))
    assert wiring("client", [client], {}).routes == (out, *nowhere("198.51.100.30"))


@pytest.mark.parametrize("interfaces", [(WAN, LAN), (LAN, WAN)])
def test_a_router_knows_its_sides_by_address(interfaces: tuple[Interface, ...]) -> None:
    plan = wiring("router", interfaces, INTERNET)
    assert (plan.wan, plan.lan) == (WAN, LAN)
    assert set(nowhere("203.0.113.254", "192.168.32.254")) <= set(plan.routes), "the machine itself is no neighbour"


@pytest.mark.parametrize("role", ["supernode", "relay", "authority"])
def test_neighbours_on_the_internet_are_reached_through_core(role: str) -> None:
    plan = wiring(role, [WAN], INTERNET)
    assert plan.remove == (IPv4Network("203.0.113.0/24"),)
    through_core = (RoutePlan(IPv4Network("203.0.113.1/32"), interface=7), RoutePlan(EVERYWHERE, via=CORE))
    assert plan.routes == (*through_core, *nowhere("203.0.113.254"))


def test_core_knows_public_sites_and_nothing_private_and_no_way_out() -> None:
    core = Interface(3, "eth0", IPv4Interface("203.0.113.1/24"))
    plan = wiring("core", [core], {**INTERNET, "LAB_ROUTES": "198.51.100.16/28 via 203.0.113.31"})
    assert plan.remove == (EVERYWHERE,)
    assert plan.routes[0] == RoutePlan(IPv4Network("198.51.100.16/28"), via=IPv4Address("203.0.113.31"))
    assert {str(route.prefix) for route in plan.routes[1:]} == {
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "203.0.113.254/32",
    }
    assert all(route.via is None and route.interface is None for route in plan.routes[1:])


@pytest.mark.parametrize(
    ("role", "interfaces", "environ", "message"),
    [
        ("client", [WAN, LAN], {}, "expected one address for the client, got 203.0.113.32/24, 192.168.32.1/24"),
        ("client", [], {}, "expected one address for the client, got none"),
        ("relay", [WAN], {}, "expected core's address in LAB_CORE, got none"),
        ("relay", [WAN], {"LAB_CORE": "core"}, "expected core's address in LAB_CORE, got core"),
        (
            "relay",
            [LAN],
            INTERNET,
            "expected relay to have an address beside 203.0.113.1, its way out, got 192.168.32.1/24",
        ),
        ("relay", [WAN, LAN], INTERNET, "expected relay on the internet alone, got 203.0.113.32/24, 192.168.32.1/24"),
        ("router", [WAN], INTERNET, "expected one address for the router's LAN side, got none"),
    ],
)
def test_interfaces_that_do_not_fit_the_role_are_named(
    role: str, interfaces: list[Interface], environ: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as refusal:
        wiring(role, interfaces, environ)
    assert str(refusal.value) == message
