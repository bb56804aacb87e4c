"""Which router a site can have: one reason a rule, whoever asks."""

from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from lab.errors import ConfigError
from lab.nat import Site, firewall, fits, profile
from lab.nat.axes import NatProfile

HOME, PARK = IPv4Network("192.168.32.0/24"), IPv4Network("198.51.100.16/28")
LOCAL, GLOBAL = IPv6Network("fd00:0:0:39::/64"), IPv6Network("2001:db8:0:39::/64")
OUTER = tuple(IPv4Address(f"203.0.113.{last}") for last in (32, 33, 60))


@pytest.mark.parametrize(
    ("does", "policy", "site", "reason"),
    [
        (profile("open"), "none", Site(HOME), "needs a public subnet inside, and 192.168.32.0/24 is private"),
        (profile("linux"), "none", Site(PARK), "needs a private subnet inside, and 198.51.100.16/28 is public"),
        (profile("symmetric"), "none", Site(None, GLOBAL), "needs IPv4 inside, and there is none"),
        (profile("linux"), "none", Site(HOME, LOCAL), "needs a public IPv6 prefix inside, and fd00:0:0:39::/64 is pri"),
        (profile("linux", profile6="nptv6"), "none", Site(HOME, GLOBAL), "and 2001:db8:0:39::/64 is public"),
        (profile("linux", profile6="nptv6"), "none", Site(HOME), "there is no IPv6 inside"),
        (
            profile("open"),
            "none",
            Site(PARK, behind=True),
            "which has no route to 198.51.100.16/28: no answer would co",
        ),
        (profile("linux"), "proxy-only", Site(HOME), "there is no node of role proxy: the site would be cut off"),
        (
            profile("linux"),
            "none",
            Site(HOME, outer=OUTER),
            "without gaps, got 203.0.113.32, 203.0.113.33, 203.0.113.60",
        ),
        (
            profile("open"),
            "none",
            Site(PARK, outer=OUTER),
            "no use for further outer addresses, got lab.outer 203.0.113.33",
        ),
        (profile("full-cone", "udp-pooling=arbitrary"), "none", Site(HOME, outer=OUTER[:1]), "and the router has one;"),
        (profile("open"), "proxy-only", Site(None, GLOBAL, proxy=True), "proxy-only needs IPv4 inside"),
        (profile("linux", portmap="on"), "none", Site(HOME, carrier=True), "portmap is for a site's router"),
        (profile("open", portmap="on"), "none", Site(PARK), "portmap needs a router that translates"),
        (profile("open", portmap="on"), "none", Site(None, GLOBAL), "portmap needs a router that translates"),
    ],
)
def test_a_router_that_its_site_does_not_allow_is_refused_with_the_reason(
    does: NatProfile, policy: str, site: Site, reason: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        fits(does, firewall(policy), site)
    assert reason in str(refused.value)


@pytest.mark.parametrize("policy", ["udp-blocked", "tcp-443", "web-only", "tls-only", "proxy-only"])
def test_no_ports_are_given_through_a_firewall_that_lets_no_udp_out(policy: str) -> None:
    with pytest.raises(ConfigError, match="portmap needs a firewall that lets UDP out"):
        fits(profile("linux", portmap="on"), firewall(policy), Site(HOME, proxy=True))


@pytest.mark.parametrize(
    ("does", "policy", "site"),
    [
        (profile("open"), "inbound-blocked", Site(PARK)),
        (profile("open"), "none", Site(None, GLOBAL)),
        (profile("linux"), "none", Site(HOME, GLOBAL)),
        (profile("linux"), "none", Site(HOME, behind=True)),
        (profile("linux", profile6="nptv6"), "none", Site(HOME, LOCAL)),
        (profile("linux"), "proxy-only", Site(HOME, proxy=True)),
        (profile("linux"), "none", Site(HOME, outer=OUTER[1::-1])),
        (profile("linux", "clash-free=yes"), "none", Site(HOME, outer=OUTER)),
        (profile("carrier-grade"), "none", Site(HOME, outer=OUTER, carrier=True)),
        (profile("symmetric", portmap="on"), "udp-throttled", Site(HOME)),
        (profile("full-cone", "pooling=arbitrary"), "none", Site(HOME, outer=OUTER)),
    ],
)
def test_what_a_site_allows_fits(does: NatProfile, policy: str, site: Site) -> None:
    fits(does, firewall(policy), site)
