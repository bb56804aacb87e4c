"""The sample of the zoo that `make test` takes: each kind of network that the reference lab has not, and each path."""

from itertools import permutations
from pathlib import Path

from lab.nat import FIREWALLS, TRANSLATIONS, profile
from lab.path_names import PATHS
from lab.topology import Topology, parse
from tests.theory import expected, side
from tests.zoo.sample import CALLED, CERTIFIED, SHORTENED

ROOT = Path(__file__).parents[2]
REFERENCE, ZOO = (parse(ROOT / "compose" / file, {}) for file in ("reference.yml", "zoo.yml"))


def kinds(topology: Topology, sites: tuple[str, ...]) -> set[str]:
    """The presets of a topology's sites: a router's profile shows where no firewall hides it."""
    routers = [topology.router_of(site) for site in sites]
    return {str(one.profile) for one in routers if one.firewall == "none"} | {str(one.firewall) for one in routers}


def test_every_profile_and_firewall_is_certified_in_the_reference_lab_or_in_the_sample() -> None:
    assert kinds(REFERENCE, REFERENCE.sites()) | kinds(ZOO, CERTIFIED) == set(TRANSLATIONS) | set(FIREWALLS)
    only = kinds(REFERENCE, REFERENCE.sites()) & kinds(ZOO, CERTIFIED)
    assert only == {"none", "linux"}, "linux stands behind a carrier, and has prefixes of IPv6"


def test_carriers_and_each_way_to_have_ipv6_are_certified() -> None:
    assert any(ZOO.behind(site) in CERTIFIED for site in CERTIFIED)
    lans = [ZOO.lan_of(site) for site in CERTIFIED if ZOO.lan_of(site).subnet6]
    assert {lan.ipv6_only for lan in lans} == {True, False}
    assert any(ZOO.router_of(site).profile6 == "nptv6" for site in CERTIFIED)


def test_timers_of_the_sample_are_waited_for_in_half_a_minute() -> None:
    for site in CERTIFIED:
        router = ZOO.router_of(site)
        does = profile(str(router.profile), SHORTENED.get(site, router.axes or ""))
        assert (does.translation or does).timers.udp_timeout <= 30, site


def test_the_pairs_take_every_kind_of_path_through_every_firewall_that_the_reference_lab_has_not() -> None:
    clients = {str(client.site): client for client in reversed(ZOO.clients())}
    sides = {site: side(ZOO, clients[site]) for site in CALLED}
    best = {expected(sides[one], sides[two]).best for one, two in permutations(CALLED, 2)}
    assert best == set(PATHS)
    assert {site.firewall for site in REFERENCE.clients()} | {clients[site].firewall for site in CALLED} == set(
        FIREWALLS
    )


def test_contributing_names_the_sample() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert "tests/zoo/sample.py" in text
    assert f"{len(CERTIFIED)} of its sites" in text and f"{len(CALLED) * (len(CALLED) - 1)} of its pairs" in text
