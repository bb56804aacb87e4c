"""Certified: the reference lab's networks as they are, under loss and delay, and routers that are not what they claim.

Every test of a lie puts wrong rules into a router's own kernel; the router is told to load its own again afterwards.
The zoo as a whole is certified in tests/zoo.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from reach import Node, Nodes

from lab.certify.behaviour import Link
from lab.certify.certificate import Certification, SiteCertificate
from lab.harness import Lab
from lab.harness.changing import SiteChange
from lab.harness.probing import stand

ROOT = Path(__file__).parents[2]
SHORT = {  # a site's settings, but for a timer that is quickly waited for
    "home": "udp-timeout-one-way=10 udp-timeout=10 tcp-transitory-timeout=10 tcp-timeout=15",
    "flat": "udp-timeout-one-way=10 udp-timeout=10 tcp-transitory-timeout=10",
    "office": "udp-timeout=10 tcp-transitory-timeout=10 tcp-timeout=15",
    "hotel": "udp-timeout=10 tcp-transitory-timeout=10",
    "bank": "udp-timeout=10 tcp-transitory-timeout=10",
}
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """The lab that runs, its timers shortened until these tests are over."""
    lab = Lab(ROOT)
    for site, axes in SHORT.items():
        lab.set(site, SiteChange(axes=axes))
    yield lab
    for site in SHORT:
        lab.set(site, SiteChange(axes=""))


@pytest.fixture(scope="module")
def sample(lab: Lab) -> Certification:
    """Every site of the reference lab."""
    return lab.certify(["park", *SHORT])


@pytest.mark.parametrize("name", ["park", *SHORT])
def test_a_site_of_the_reference_lab_is_what_it_claims(sample: Certification, name: str) -> None:
    (found,) = [site for site in sample.sites if site.site == name]
    assert found.disagreements() == ()
    assert found.ipv4 and any(one.met for one in found.ipv4.requirements)


def test_a_certification_leaves_nothing_behind(sample: Certification, lab: Lab) -> None:
    world = lab.running_world()
    left = lab.engine.containers.list(all=True, filters={"label": "lab.probe"})
    assert (left, {node.name for node in world.topology.nodes}) == ([], set(world.containers))


@contextmanager
def set_to(lab: Lab, site: str, change: SiteChange, back: SiteChange) -> Iterator[None]:
    lab.set(site, change)
    try:
        yield
    finally:
        lab.set(site, back)


def test_losses_and_delay_hide_nothing_and_feign_nothing(lab: Lab) -> None:
    change = SiteChange(link={"delay": "50ms", "loss": "10%"})
    with set_to(lab, "office", change, SiteChange(link={"delay": "10ms", "loss": "0%"})):
        site = only(lab.certify(["office"]))
    assert site.disagreements() == ()
    assert site.ipv4 and site.ipv4.measured.link.delay_ms == pytest.approx(50, abs=3.5)
    assert site.ipv4.measured.link.loss == pytest.approx(0.1, abs=0.04)


APART = "udp-ports=40000-49999 tcp-ports=20000-29999 tcp-ports-per-host=256"


def test_udp_and_tcp_have_outer_ports_of_their_own(lab: Lab) -> None:
    """Of UDP every host has the whole range, of TCP each has a block: one that asks for more gets no more."""
    with set_to(lab, "office", SiteChange(axes=f"{SHORT['office']} {APART}"), SiteChange(axes=SHORT["office"])):
        site = only(lab.certify(["office"]))
    assert site.disagreements() == ()
    assert site.ipv4
    claimed, measured = site.ipv4.claimed, site.ipv4.measured
    assert (claimed.ports, claimed.ports_per_host) == ((40000, 49999), None)
    assert (claimed.tcp.ports, claimed.tcp.ports_per_host) == ((20000, 29999), 256)
    assert measured.ports and measured.tcp.ports
    assert 40000 <= measured.ports[0] < measured.ports[1] <= 49999
    assert 20000 <= measured.tcp.ports[0] < measured.tcp.ports[1] <= 29999
    assert measured.ports_per_host is None
    assert measured.tcp.ports_per_host and 230 <= measured.tcp.ports_per_host <= 256


IMPAIRED = {  # every kind of link that `lab set` makes, one a site, so that one certification measures all
    "park": {"mtu": "1492", "blackhole": "yes"},
    "home": {"jitter": "5ms"},
    "flat": {"rate": "48kbit"},
    "office": {"burst": "2%,30%"},
    "hotel": {"mtu": "1492"},
}


CLEAN = {"mtu": "1500", "blackhole": "no", "jitter": "0ms", "rate": "none", "burst": "none"}


@pytest.fixture(scope="module")
def impaired(lab: Lab) -> Iterator[Certification]:
    """The sites whose links do what IMPAIRED says; afterwards as the file has them."""
    for site, link in IMPAIRED.items():
        lab.set(site, SiteChange(link=link))
    lab.set("hotel", SiteChange(link={"mtu": "1400"}, direction="down"))
    yield lab.certify(list(IMPAIRED))
    for site, link in IMPAIRED.items():
        lab.set(site, SiteChange(link={axis: CLEAN[axis] for axis in link}))


def links_of(found: Certification, site: str) -> tuple[Link, Link]:
    """What is claimed of a site's link, and measured."""
    (ipv4,) = [one.ipv4 for one in found.sites if one.site == site]
    assert ipv4
    return ipv4.claimed.link, ipv4.measured.link


@pytest.mark.parametrize("site", IMPAIRED)
def test_a_site_behind_any_link_is_what_it_claims(impaired: Certification, site: str) -> None:
    (found,) = [one for one in impaired.sites if one.site == site]
    assert found.disagreements() == ()


def test_an_mtu_is_measured_and_whether_longer_packets_vanish(impaired: Certification) -> None:
    for site, ways in (("park", [(1492, True), (1492, True)]), ("hotel", [(1492, False), (1400, False)])):
        _, link = links_of(impaired, site)
        assert [(way.mtu, way.blackhole) for way in (link.up, link.down)] == ways, site


def test_bursts_are_measured_as_the_loss_that_they_make(impaired: Certification) -> None:
    claimed, link = links_of(impaired, "office")
    assert claimed.loss == pytest.approx(0.0625)
    assert link.loss == pytest.approx(0.0625, abs=0.04)


def test_a_narrow_link_loses_next_to_nothing_and_takes_its_time_a_packet(impaired: Certification) -> None:
    claimed, link = links_of(impaired, "flat")
    # 100 ms of 48 kbit/s are 600 bytes: a word of the site's client may fill the queue that a probe comes to.
    assert max(link.up.loss or 0, link.down.loss or 0) < 0.005
    assert claimed.delay_ms and claimed.delay_ms > 15, "10 ms, and nine more for a probe of 56 bytes"


def test_jitter_leaves_the_median_at_the_delay(impaired: Certification) -> None:
    _, link = links_of(impaired, "home")
    assert link.delay_ms == pytest.approx(10, abs=1.5)


def test_timers_of_tcp_are_measured_where_they_are_short(sample: Certification) -> None:
    for site in ("home", "office"):
        (ipv4,) = [one.ipv4 for one in sample.sites if one.site == site]
        assert ipv4
        assert ipv4.measured.tcp.timeout_s == pytest.approx(15, abs=1.25)
        assert ipv4.measured.tcp.transitory_timeout_s == pytest.approx(10, abs=1.0)
        (timers,) = [one for one in ipv4.requirements if one.id == "RFC5382-REQ-5"]
        assert timers.met is False


def only(found: Certification) -> SiteCertificate:
    (site,) = found.sites
    return site


def differing(site: SiteCertificate) -> set[str]:
    assert site.ipv4
    return {difference.axis for difference in site.ipv4.differences}


@contextmanager
def broken(router: Node, lab: Lab, *rules: str) -> Iterator[None]:
    """Wrong rules in a router's kernel; loading its own puts every table back."""
    for rule in rules:
        assert router.run(*rule.split()) == "", rule
    try:
        yield
    finally:
        lab.forget("home")


def wan(router: Node) -> str:
    """The name of its interface on the internet."""
    for line in router.run("ip", "-4", "-o", "addr").splitlines():
        if " 203.0.113." in line:
            return line.split()[1]
    raise AssertionError(f"{router.name} has no address on the internet")


FULL_CONE = SiteChange(profile="full-cone", axes=SHORT["home"])
LINUX = SiteChange(profile="linux", axes=SHORT["home"])
NO_TRANSLATION = "nft flush table ip lab"


def test_a_router_whose_input_accepts_is_found_out(lab: Lab, nodes: Nodes) -> None:
    """It answers what nobody inside has asked for: RFC 5382, REQ-4."""
    with broken(nodes["home-router"], lab, "iptables -P INPUT ACCEPT"):
        site = only(lab.certify(["home"]))
    assert {"unsolicited", "tcp.unsolicited"} <= differing(site)
    assert site.ipv4
    (silence,) = [one for one in site.ipv4.requirements if one.id == "RFC5382-REQ-4"]
    assert silence.met is False
    assert only(lab.certify(["home"])).agrees, "its own rules were not put back"


def test_masquerade_that_is_called_a_full_cone_is_found_out(lab: Lab, nodes: Nodes) -> None:
    router = nodes["home-router"]
    masquerade = f"iptables -t nat -A POSTROUTING -o {wan(router)} -j MASQUERADE"
    with set_to(lab, "home", FULL_CONE, LINUX), broken(router, lab, NO_TRANSLATION, masquerade):
        site = only(lab.certify(["home"]))
    assert {"filtering", "hairpinning", "tcp.filtering"} <= differing(site)
    assert site.ipv4 and site.ipv4.measured.filtering == "address-and-port-dependent"


def test_all_ports_that_are_called_a_range_of_tcp_s_are_found_out(lab: Lab, nodes: Nodes) -> None:
    router = nodes["home-router"]
    masquerade = f"iptables -t nat -A POSTROUTING -o {wan(router)} -j MASQUERADE --random-fully"
    narrow = SiteChange(profile="symmetric", axes=f"{SHORT['home']} tcp-ports=20000-20999")
    with set_to(lab, "home", narrow, LINUX), broken(router, lab, NO_TRANSLATION, masquerade):
        site = only(lab.certify(["home"]))
    assert "tcp.ports" in differing(site)
    assert "ports" not in differing(site), "UDP has all of them, as claimed"


def test_a_router_that_keeps_icmp_errors_to_itself_is_found_out(lab: Lab, nodes: Nodes) -> None:
    with broken(nodes["home-router"], lab, "iptables -I FORWARD -p icmp --icmp-type destination-unreachable -j DROP"):
        site = only(lab.certify(["home"]))
    assert {"icmp_errors", "tcp.icmp_errors"} == differing(site)
    assert site.ipv4 and str(site.ipv4.measured.icmp_errors).startswith("not delivered: host unreachable")


def test_a_router_that_drops_fragments_is_found_out(lab: Lab, nodes: Nodes) -> None:
    """Before connection tracking puts them together."""
    router = nodes["home-router"]
    rules = (
        "nft add table ip broken",
        "nft add chain ip broken early { type filter hook prerouting priority -450 ; }",
        "nft add rule ip broken early ip frag-off & 0x1fff != 0 drop",
    )
    try:
        with broken(router, lab, *rules):
            site = only(lab.certify(["home"]))
    finally:
        router.run("nft", "delete", "table", "ip", "broken")
    assert {"fragments"} == differing(site)


@pytest.mark.parametrize("to", ["the client", "the probe"])
def test_a_dmz_that_is_called_a_full_cone_is_found_out(lab: Lab, nodes: Nodes, to: str) -> None:
    """It accepts before anything went out; who it is for makes no difference to that."""
    router, world = nodes["home-router"], lab.running_world()
    target = nodes["bob"].address
    if to == "the probe":
        target = stand(lab.engine, world, world.topology.lan_of("home"), 1).addresses[0]
    outside = wan(router)
    rules = (
        NO_TRANSLATION,
        f"iptables -t nat -A POSTROUTING -o {outside} -j MASQUERADE",
        f"iptables -t nat -A PREROUTING -i {outside} -p udp -j DNAT --to-destination {target}",
        f"iptables -A FORWARD -i {outside} -d {target} -j ACCEPT",
    )
    with set_to(lab, "home", FULL_CONE, LINUX), broken(router, lab, *rules):
        site = only(lab.certify(["home"]))
    assert "unsolicited" in differing(site)
    assert site.ipv4 and site.ipv4.measured.unsolicited == ("admitted" if to == "the probe" else "rejected")
