"""What should be seen from inside: one router, two in a row, what a firewall hides, what a link does."""

import pytest

from lab import nat
from lab.certify.behaviour import OneWay
from lab.certify.claimed import LinkClaim, Router, claimed, drawn_from, in_series, link_claim
from lab.links import Burst, Impairment, Link

EI, AD, APD = "endpoint-independent", "address-dependent", "address-and-port-dependent"


def router(profile: str, firewall: str = "none", axes: str = "", profile6: str = "open", outer: int = 1) -> Router:
    return Router(profile, nat.profile(profile, axes, profile6), nat.firewall(firewall), outer)


@pytest.mark.parametrize(
    ("profile", "mapping", "filtering", "allocation", "hairpinning", "same_port"),
    [
        ("open", None, None, None, None, None),
        ("full-cone", EI, EI, "preserving", True, "kept"),
        ("linux", EI, APD, "preserving", False, "split"),
        ("address-dependent", AD, AD, "random", False, "kept"),
        ("symmetric", APD, APD, "random", False, "kept"),
        ("symmetric-sequential", APD, APD, "sequential", False, "kept"),
    ],
)
def test_a_router_claims_its_axes_of_udp_and_of_tcp(
    profile: str, mapping: str, filtering: str, allocation: str, hairpinning: bool, same_port: str
) -> None:
    found = claimed([router(profile)], LinkClaim())
    expected = (mapping, filtering, allocation, hairpinning, same_port)
    assert (found.mapping, found.filtering, found.allocation, found.hairpinning, found.same_port) == expected
    tcp = found.tcp
    assert (tcp.mapping, tcp.filtering, tcp.allocation, tcp.hairpinning, tcp.same_port) == expected


def test_two_translations_in_a_row_depend_on_what_either_depends_on() -> None:
    carrier = router("carrier-grade", outer=2)
    found = claimed([router("linux"), carrier], LinkClaim())
    assert (found.mapping, found.filtering, found.allocation) == (EI, APD, "random")
    assert (found.hairpinning, found.same_port, found.pooling) == (True, "split", "paired")
    assert found.udp_timeout_s == 120  # the shorter of 120 and 300
    found = claimed([router("symmetric"), carrier], LinkClaim())
    assert (found.mapping, found.filtering, found.allocation, found.hairpinning) == (APD, APD, "random", False)


def test_a_limit_of_ports_is_looked_for_by_its_own_subscribers_alone() -> None:
    carrier = router("carrier-grade", outer=2)
    assert claimed([carrier], LinkClaim()).ports_per_host == 1024
    assert claimed([carrier], LinkClaim()).tcp.ports_per_host == 1024
    behind = claimed([router("linux"), carrier], LinkClaim())
    assert (behind.ports_per_host, behind.tcp.ports_per_host) == (None, None)
    forwarded = claimed([carrier], LinkClaim(), family=6)
    assert (forwarded.ports_per_host, forwarded.tcp.ports_per_host) == (None, None), "IPv6 is not translated"


def test_ports_and_addresses_are_claimed_of_each_transport() -> None:
    axes = "udp-ports=40000-49999 tcp-ports=20000-29999 tcp-ports-per-host=64 udp-pooling=arbitrary"
    carrier = router("carrier-grade", axes=axes, outer=2)
    found = claimed([carrier], LinkClaim())
    assert (found.ports, found.ports_per_host, found.pooling) == ((40000, 49999), 1024, "arbitrary")
    assert (found.tcp.ports, found.tcp.ports_per_host, found.tcp.pooling) == ((20000, 29999), 64, "paired")
    document = found.to_json()
    assert (document["ports"], document["tcp"]["ports"]) == ((40000, 49999), (20000, 29999))
    behind = claimed([router("linux"), carrier], LinkClaim())
    assert (behind.ports, behind.tcp.ports, behind.pooling, behind.tcp.pooling) == (
        (40000, 49999),
        (20000, 29999),
        "arbitrary",
        "paired",
    ), "the outermost one's are what one sees"


def test_what_a_host_s_ports_are_drawn_from_is_the_outermost_translation_s() -> None:
    carrier, preserving = router("carrier-grade", outer=2), router("full-cone")
    assert drawn_from([router("symmetric")], 4) == (64_512, 64_512)
    assert drawn_from([router("symmetric", axes="tcp-ports=40000-49999")], 4) == (64_512, 10_000)
    assert drawn_from([carrier], 4) == drawn_from([router("linux"), carrier], 4) == (1024, 1024)
    assert drawn_from([router("symmetric"), preserving], 4) == (None, None), "what it preserves was drawn elsewhere"
    assert drawn_from([router("symmetric-sequential")], 4) == drawn_from([preserving], 4) == (None, None)
    assert drawn_from([router("open")], 4) == drawn_from([router("symmetric")], 6) == (None, None)


@pytest.mark.parametrize(
    ("firewall", "udp", "tcp"),
    [("udp-blocked", False, True), ("tls-only", False, True), ("proxy-only", False, False), ("none", True, True)],
)
def test_ports_and_addresses_are_claimed_of_what_gets_out(firewall: str, udp: bool, tcp: bool) -> None:
    found = claimed([router("carrier-grade", firewall, outer=2)], LinkClaim(), proxy=firewall == "proxy-only")
    one, other = found, found.tcp
    assert {value is not None for value in (one.ports, one.ports_per_host, one.pooling)} == {udp}
    assert {value is not None for value in (other.ports, other.ports_per_host, other.pooling)} == {tcp}
    found = claimed([router("open", firewall)], LinkClaim(), proxy=firewall == "proxy-only")
    assert (found.ports, found.pooling, found.tcp.ports, found.tcp.pooling) == (None,) * 4


@pytest.mark.parametrize("firewall", ["udp-blocked", "tcp-443", "web-only", "tls-only", "proxy-only"])
def test_what_a_firewall_hides_is_not_claimed(firewall: str) -> None:
    found = claimed([router("symmetric", firewall)], LinkClaim(), proxy=firewall == "proxy-only")
    hidden = (found.mapping, found.filtering, found.allocation, found.hairpinning, found.udp_timeout_s)
    assert hidden == (None,) * 5
    assert (found.refreshed_by, found.icmp_errors, found.outlives_icmp, found.fragments) == (None,) * 4
    assert (found.tcp.icmp_errors is None) == (firewall == "proxy-only")
    assert found.outbound.udp is False
    assert (found.tcp.mapping is None) == (firewall in ("tcp-443", "tls-only", "proxy-only"))
    assert (found.tcp.filtering is None) == (firewall == "proxy-only")


def test_firewalls_claim_what_they_let_out() -> None:
    def out(firewall: str) -> tuple[object, ...]:
        found = claimed([router("linux", firewall)], LinkClaim(), proxy=firewall == "proxy-only").outbound
        return found.tcp_443, found.tcp_80, found.tcp_other, found.icmp, found.proxy, found.udp_kbit_s

    assert out("none") == ("anything", True, True, True, None, None)
    assert out("tcp-443") == ("anything", False, False, False, None, None)
    assert out("web-only") == ("anything", True, False, False, None, None)
    assert out("tls-only") == ("tls", False, False, False, None, None)
    assert out("proxy-only") == (None, False, False, False, True, None)
    assert out("udp-throttled") == ("anything", True, True, True, None, 16.0)


def test_a_stateful_firewall_admits_whom_one_wrote_to_whatever_the_translation_would() -> None:
    assert claimed([router("full-cone", "inbound-blocked")], LinkClaim()).filtering == APD
    found = claimed([router("open", "inbound-blocked")], LinkClaim())
    assert (found.mapping, found.filtering, found.unsolicited, found.tcp.unsolicited) == (
        None,
        APD,
        "dropped",
        "dropped",
    )
    assert claimed([router("open")], LinkClaim()).unsolicited == "admitted"


def test_a_stateful_firewall_remembers_as_long_as_its_timers_say_where_nothing_is_translated() -> None:
    timers = "udp-timeout=20 tcp-timeout=40 tcp-transitory-timeout=10"
    for one, family in (("open", 4), ("open", 6), ("linux", 6)):
        found = claimed([router(one, "inbound-blocked", timers)], LinkClaim(), family=family)
        assert (found.udp_timeout_s, found.tcp.timeout_s, found.tcp.transitory_timeout_s) == (20, 40, 10)
        assert claimed([router(one, "inbound-blocked")], LinkClaim(), family=family).udp_timeout_s == 120
        nothing = claimed([router(one, "none", timers)], LinkClaim(), family=6)
        assert (nothing.udp_timeout_s, nothing.tcp.timeout_s) == (None, None)


def test_the_shortest_timer_on_the_way_out_is_the_one_that_shows() -> None:
    carrier = router("carrier-grade", axes="tcp-transitory-timeout=30", outer=2)
    found = claimed([router("linux", axes="tcp-timeout=60"), carrier], LinkClaim())
    assert (found.udp_timeout_s, found.tcp.timeout_s, found.tcp.transitory_timeout_s) == (120, 60, 30)


def test_timers_of_tcp_that_take_hours_are_not_waited_for() -> None:
    found = claimed([router("symmetric")], LinkClaim())
    assert (found.tcp.timeout_s, found.tcp.transitory_timeout_s) == (None, None)  # 7,440 and 240 s
    assert claimed([router("linux")], LinkClaim()).tcp.transitory_timeout_s == 120
    assert claimed([router("linux", "proxy-only", "tcp-timeout=20")], LinkClaim(), proxy=True).tcp.timeout_s is None


def test_ipv6_is_not_translated_but_for_its_prefix() -> None:
    found = claimed([router("symmetric", "inbound-blocked")], LinkClaim(), family=6)
    assert (found.mapping, found.filtering, found.prefix_translation) == (None, APD, False)
    found = claimed([router("linux", profile6="nptv6")], LinkClaim(), family=6)
    assert (found.mapping, found.filtering, found.prefix_translation) == (EI, None, True)


def test_axes_that_were_set_are_what_is_claimed() -> None:
    found = claimed([router("port-restricted-cone", axes="udp-timeout=15 ports=40000-49999")], LinkClaim())
    assert (found.udp_timeout_s, found.ports) == (15, (40000, 49999))


def test_a_link_claims_each_direction_and_their_mean() -> None:
    link = link_claim(Link(Impairment(delay=0.05, loss=0.1, mtu=1492, blackhole=True), Impairment(delay=0.01)))
    found = claimed([router("linux")], link).link
    assert (found.delay_ms, found.loss) == (30.0, 0.05)
    assert found.up == OneWay(50.0, 0.1, 1492, True)
    assert found.down == OneWay(10.0, 0.0, 1500, False)


def test_a_packet_takes_its_time_at_the_link_s_rate() -> None:
    link = link_claim(Link(Impairment(delay=0.01, rate=64_000)))
    assert claimed([router("linux")], link, probe_bytes=80).link.up.delay_ms == 20.0


def test_bursts_claim_their_share_in_the_long_run_and_widen_its_variance() -> None:
    link = link_claim(Link(Impairment(burst=Burst(p=0.05, r=0.45))))
    assert link.up.loss == pytest.approx(0.1)
    assert link.clumping == pytest.approx(3.0)


@pytest.mark.parametrize(("rate", "gap_s", "clumps"), [(48_000, 0.033, 3.0), (10_000_000, 0.01, 1.0)])
def test_a_word_of_the_site_s_own_clients_may_keep_probes_out_of_a_narrow_link_s_queue(
    rate: int, gap_s: float, clumps: float
) -> None:
    assert link_claim(Link(Impairment(rate=rate))).clumps(gap_s) == pytest.approx(clumps, rel=0.02)


def test_two_links_in_a_row_are_seen_as_one() -> None:
    near = link_claim(Link(Impairment(delay=0.03, loss=0.1, mtu=1400, blackhole=True), Impairment(rate=64_000)))
    far = link_claim(Link(Impairment(delay=0.01, loss=0.2, mtu=1492), Impairment(delay=0.01, jitter=0.01, rate=64_000)))
    found = in_series(near, far)
    assert found.up == OneWay(40.0, 0.28, 1400, True)
    assert (found.down.delay_ms, found.down_rate, found.up_rate) == (10.0, 32_000, None)
    assert claimed([router("linux")], found, probe_bytes=80).link.down.delay_ms == 30.0
    assert (found.queue_bytes, found.jitter_s) == (800.0, 0.01)
    assert in_series(LinkClaim(), far) == far


def test_of_two_links_that_take_as_much_the_first_on_the_way_says_what_becomes_of_longer_packets() -> None:
    near, far = (link_claim(Link(*[Impairment(mtu=1400, blackhole=hole)] * 2)) for hole in (False, True))
    found = in_series(near, far)
    assert (found.up.blackhole, found.down.blackhole) == (False, True)


def test_through_a_proxy_there_is_nothing_but_the_delay() -> None:
    link = link_claim(Link(Impairment(delay=0.01, loss=0.1)))
    found = claimed([router("linux", "proxy-only")], link, proxy=True).link
    assert (found.up.delay_ms, found.up.loss, found.up.mtu) == (10.0, None, None)
    assert claimed([router("linux", "proxy-only")], link).link.delay_ms is None


def test_fragments_pass_but_where_they_find_no_room_or_vanish_themselves() -> None:
    assert claimed([router("linux")], LinkClaim()).fragments is True
    narrow = LinkClaim(up_rate=64_000, queue_bytes=1500)
    assert claimed([router("linux")], narrow).fragments is None
    for mtu, pass_ in ((1492, True), (1028, True), (1000, False)):
        hole = LinkClaim(up=OneWay(0.0, 0.0, mtu, True))
        assert claimed([router("linux")], hole).fragments is pass_
    assert claimed([router("linux", "udp-throttled")], LinkClaim()).fragments is None


def test_what_answers_alone_come_through_is_kept_by_packets_either_way() -> None:
    assert claimed([router("linux")], LinkClaim()).refreshed_by == "both"
    assert claimed([router("open")], LinkClaim()).refreshed_by is None
