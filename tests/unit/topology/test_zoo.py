"""The zoo as data: two sites of each preset and firewall, four behind carriers, three with IPv6, short timeouts."""

from pathlib import Path

import pytest
import yaml

from lab.links import entries
from lab.nat import FIREWALLS, TRANSLATIONS, profile
from lab.topology import Topology, compose, parse
from lab.topology.model import Node, Role

ZOO = Path(__file__).parents[3] / "compose" / "zoo.yml"
CARRIER_ONLY = {"carrier-grade"}
"""Presets that stand in front of other routers."""


@pytest.fixture(scope="module")
def zoo() -> Topology:
    return parse(ZOO, {})


def routers(zoo: Topology) -> list[Node]:
    return [zoo.router_of(site) for site in zoo.sites()]


@pytest.mark.parametrize("preset", sorted(set(TRANSLATIONS) - CARRIER_ONLY))
def test_each_preset_has_two_sites_without_a_firewall(zoo: Topology, preset: str) -> None:
    found = [r for r in routers(zoo) if (r.profile, r.firewall) == (preset, "none") and not zoo.behind(str(r.site))]
    assert len([router for router in found if router.profile6 is None]) == 2


@pytest.mark.parametrize("policy", sorted(set(FIREWALLS) - {"none"}))
def test_each_firewall_has_two_sites(zoo: Topology, policy: str) -> None:
    assert len([r for r in routers(zoo) if r.firewall == policy and r.profile6 is None]) == 2


def test_four_sites_are_behind_carriers(zoo: Topology) -> None:
    behind = [(zoo.behind(site), zoo.router_of(site).profile) for site in zoo.sites() if zoo.behind(site)]
    assert behind == [
        ("carrier-1", "linux"),
        ("carrier-1", "linux"),
        ("carrier-1", "symmetric"),
        ("carrier-2", "linux"),
    ]
    for carrier in ("carrier-1", "carrier-2"):
        assert zoo.router_of(carrier).profile == "carrier-grade"
        assert len(zoo.router_of(carrier).outer) == 1  # beside its own


def test_three_sites_have_ipv6(zoo: Topology) -> None:
    assert [network.site for network in zoo.networks if network.subnet6 and network.site] == [
        "dual-1",
        "ipv6-1",
        "nptv6-1",
    ]
    assert zoo.lan_of("ipv6-1").ipv6_only
    assert (zoo.router_of("ipv6-1").profile, zoo.router_of("ipv6-1").firewall) == ("open", "inbound-blocked")
    assert profile("linux", "", str(zoo.router_of("nptv6-1").profile6)).prefix_translation


def test_the_servers_of_the_internet_are_dual_stack(zoo: Topology) -> None:
    servers = [node for role in (Role.CORE, Role.AUTHORITY, Role.SUPERNODE, Role.RELAY) for node in zoo.by_role(role)]
    assert [len(zoo.by_role(role)) for role in (Role.SUPERNODE, Role.RELAY)] == [2, 2]
    assert all(attachment.address6 for node in servers for attachment in node.attachments)


def test_timeouts_are_short(zoo: Topology) -> None:
    for router in routers(zoo):
        does = profile(str(router.profile), router.axes or "", router.profile6 or "open")
        if does.translation is None and router.firewall == "none":
            continue  # nothing is remembered
        timers = (does.translation or does).timers
        longest = 120 if router.profile == "rfc4787" else 30
        assert 10 <= timers.udp_timeout_one_way <= timers.udp_timeout <= longest, router.name
        assert 10 <= timers.tcp_transitory_timeout <= 30, router.name


def test_connections_that_stand_are_forgotten_soon_by_a_table_by_maps_and_by_a_firewall(zoo: Topology) -> None:
    short = {
        router.site
        for router in routers(zoo)
        if profile(str(router.profile), router.axes or "").timers.tcp_timeout <= 30
    }
    assert short == {"full-cone-2", "symmetric-2", "inbound-blocked-2"}


def test_every_access_link_takes_ten_milliseconds_each_way(zoo: Topology) -> None:
    services = compose.read(ZOO, {})["services"]
    ends = {None: "core", "carrier-1": "carrier-1-router", "carrier-2": "carrier-2-router"}
    for carrier, end in ends.items():
        links = entries(services[end]["environment"]["LAB_LINKS"])
        assert [link.site for link in links] == [site for site in zoo.sites() if zoo.behind(site) == carrier]
        assert {(link.link.up.delay, link.link.down.delay) for link in links} == {(0.01, 0.01)}


def test_every_site_has_a_client_and_one_has_two(zoo: Topology) -> None:
    carriers = {zoo.behind(site) for site in zoo.sites()}
    clients = {
        site: sum(client.site == site for client in zoo.clients()) for site in zoo.sites() if site not in carriers
    }
    assert sorted(set(clients.values())) == [1, 2]
    assert len(zoo.nodes) < 120


@pytest.mark.slow
@pytest.mark.parametrize("file", ["reference.yml", "zoo.yml", "families.yml"])
def test_a_second_lab_shares_no_address_with_the_first(file: str) -> None:
    other = {
        "LAB_INTERNET": "198.18.1",
        "LAB_PUBLIC": "198.19.1",
        "LAB_LANS": "10.1",
        "LAB_CARRIERS": "100.65",
        "LAB_IPV6": "2001:db8:1",
        "LAB_ULA": "fd00:0:1",
    }
    first, second = parse(ZOO.parent / file, {}), parse(ZOO.parent / file, other)
    taken = [network.subnet for network in first.networks]
    taken6 = [network.subnet6 for network in first.networks if network.subnet6]
    for network in second.networks:
        assert not any(network.subnet.overlaps(subnet) for subnet in taken), network
        assert network.subnet6 is None or not any(network.subnet6.overlaps(subnet) for subnet in taken6), network
    words = yaml.safe_dump(compose.read(ZOO.parent / file, other)["services"])
    assert "203.0.113." not in words
    assert "2001:db8:0:" not in words
