"""Rule texts: two read in full, the rest by what must hold for every combination of axes."""

import itertools
import re
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface, IPv6Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import ConfigError
from lab.nat import (
    FIREWALLS,
    TRANSLATIONS,
    Allocation,
    Behaviour,
    Filtering,
    FirewallPolicy,
    Mapping,
    NatProfile,
    Pooling,
    PortRange,
    Translation,
    Wiring,
    firewall,
    profile,
    render,
    untracked,
)
from lab.nat.sense import sensible

PRIVATE_SIDES = Wiring("wan0", "lan0", IPv4Interface("203.0.113.32/24"), IPv4Interface("192.168.32.1/24"))
PUBLIC_SIDES = Wiring("wan0", "lan0", IPv4Interface("203.0.113.31/24"), IPv4Interface("198.51.100.17/28"))
DUAL_SIDES = replace(
    PRIVATE_SIDES,
    wan6=IPv6Interface("2001:db8:0:1::32/64"),
    lan6=IPv6Interface("fd00:0:0:32::1/64"),
    outer6=IPv6Network("2001:db8:32::/64"),
)


def sides(nat: str) -> Wiring:
    return PUBLIC_SIDES if TRANSLATIONS[nat] is None else PRIVATE_SIDES


HOTEL = """\
*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i wan0 -d 192.168.32.0/24 -j DROP
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -o wan0 -j MASQUERADE --random-fully
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -i lan0 -d 192.168.32.1 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -i lan0 -o wan0 -s 192.168.32.0/24 -p tcp -j ACCEPT
COMMIT
"""

PARK = """\
*raw
:PREROUTING ACCEPT [0:0]
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A INPUT -i lan0 -d 198.51.100.17 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -i lan0 -o wan0 -s 198.51.100.16/28 -j ACCEPT
-A FORWARD -i wan0 -o lan0 -d 198.51.100.16/28 -j ACCEPT
COMMIT
"""

every_combination = pytest.mark.parametrize(
    ("nat", "policy"), list(itertools.product(TRANSLATIONS, FIREWALLS)), ids="/".join
)
behaviours = st.builds(
    Behaviour,
    mapping=st.sampled_from(Mapping),
    filtering=st.sampled_from(Filtering),
    allocation=st.sampled_from(Allocation),
    hairpinning=st.booleans(),
    ports=st.sampled_from([PortRange(1024, 65535), PortRange(40000, 41023)]),
    ports_per_host=st.sampled_from([None, 256]),
    pooling=st.sampled_from(Pooling),
)
translations = st.builds(
    Translation,
    udp=behaviours,
    tcp=behaviours,
    clash_free=st.booleans(),
    udp_timeout_one_way=st.integers(1, 30),
    udp_timeout=st.integers(30, 3600),
)


def text(nat: str, policy: str) -> str:
    return render(profile(nat), firewall(policy), sides(nat)).iptables


def test_a_hotel_router_reads_like_this() -> None:
    assert text("symmetric", "udp-blocked") == HOTEL


def test_an_open_router_reads_like_this() -> None:
    assert text("open", "none") == PARK


@every_combination
def test_nothing_new_from_the_wan_reaches_the_router_itself(nat: str, policy: str) -> None:
    rules = text(nat, policy)
    assert ":INPUT DROP" in rules
    assert not [line for line in rules.splitlines() if line.startswith("-A INPUT -i wan0")]


@every_combination
def test_every_table_is_replaced_whole(nat: str, policy: str) -> None:
    rules = text(nat, policy)
    assert [line for line in rules.splitlines() if line.startswith("*")] == ["*raw", "*nat", "*filter"]
    assert rules.count("COMMIT\n") == 3


@every_combination
def test_nobody_outside_is_refused_aloud(nat: str, policy: str) -> None:
    refusals = [line for line in text(nat, policy).splitlines() if "REJECT" in line]
    assert all("-i lan0 -o wan0" in line for line in refusals)
    assert bool(refusals) == (policy == "tls-only")


@every_combination
def test_new_inbound_passes_only_where_nothing_blocks_it(nat: str, policy: str) -> None:
    accepted = [
        line for line in text(nat, policy).splitlines() if line.startswith("-A FORWARD -i wan0") and "ACCEPT" in line
    ]
    assert len(accepted) == (1 if policy == "none" else 0)
    assert all("DNAT" in line for line in accepted if nat != "open")


@every_combination
def test_everything_is_translated_whatever_the_firewall(nat: str, policy: str) -> None:
    rules = render(profile(nat), firewall(policy), sides(nat))
    classic = [line for line in rules.iptables.splitlines() if line.startswith("-A POSTROUTING")]
    assert all(line.startswith("-A POSTROUTING -o wan0 -j ") for line in classic)
    mapped = [line for line in rules.nftables.splitlines() if 'oifname "wan0" jump translate' in line]
    assert len(classic) + len(mapped) == (0 if nat == "open" else 1)
    if mapped:
        assert "    snat to 203.0.113.32\n" in rules.nftables, "what has no ports is translated too"


@pytest.mark.parametrize("nat", ["linux", "symmetric"])
def test_what_iptables_can_express_is_iptables(nat: str) -> None:
    assert "table ip lab {" not in render(profile(nat), firewall("none"), PRIVATE_SIDES).nftables


@pytest.mark.parametrize(
    ("nat", "axes", "policy"),
    [
        ("linux", "", "unreplied : 30, replied : 120"),
        ("symmetric", "", "unreplied : 60, replied : 60"),
        ("full-cone", "udp-timeout=15", "unreplied : 15, replied : 15"),
        ("full-cone", "tcp-timeout=77", "established : 77"),
        ("full-cone", "tcp-transitory-timeout=7", "syn_sent : 7, syn_recv : 7"),
    ],
)
def test_timers_are_the_profile_s(nat: str, axes: str, policy: str) -> None:
    assert policy in render(profile(nat, axes), firewall("none"), PRIVATE_SIDES).nftables


@pytest.mark.parametrize("nat", ["open", "symmetric"])
def test_timers_of_either_family_take_the_place_of_a_former_profile_s(nat: str) -> None:
    text = render(profile(nat, "udp-timeout=20"), firewall("inbound-blocked"), sides(nat)).nftables
    for family in ("ip", "ip6"):
        (table,) = re.findall(
            rf"add table {family} timers\ndelete table {family} timers\ntable {family} timers {{\n(.*?)\n}}\n",
            text,
            re.S,
        )
        assert f"l3proto {family}\n    policy = {{ unreplied : 20, replied : 20 }}" in table


@pytest.mark.parametrize("nat", ["open", "linux", "rfc4787"])
def test_a_router_s_flows_are_counted_and_no_packet_is_asked(nat: str) -> None:
    text = render(profile(nat), firewall("none"), sides(nat)).nftables
    assert text.count("  chain counting {\n    ct packets 0\n  }\n") == 2


def test_ipv6_is_forgotten_as_the_kernel_does_whatever_the_translation_of_ipv4() -> None:
    text = render(profile("rfc4787"), firewall("none"), PRIVATE_SIDES).nftables
    ipv4, _, ipv6 = text.partition("add table ip6 timers")
    assert "replied : 300" in ipv4 and "unreplied : 30, replied : 120" in ipv6


def test_maps_of_a_former_profile_are_taken_away() -> None:
    for nat in ("open", "linux", "full-cone"):
        nftables = render(profile(nat), firewall("none"), sides(nat)).nftables
        assert "delete table ip lab\n" in nftables and "delete table ip6 lab\n" in nftables


@pytest.mark.slow
@settings(deadline=None)
@given(translations, st.sampled_from(list(FIREWALLS.values())), st.sampled_from([(), (IPv4Address("203.0.113.33"),)]))
def test_any_axes_render_or_are_refused(
    translation: Translation, policy: FirewallPolicy, outer: tuple[IPv4Address, ...]
) -> None:
    try:
        sensible(translation)
    except ConfigError as error:
        assert str(error).strip()
        return
    rules = render(NatProfile(translation), policy, replace(PRIVATE_SIDES, outer=outer))
    assert ("-A POSTROUTING" in rules.iptables) != ("table ip lab {" in rules.nftables)
    assert f"replied : {translation.udp_timeout} " in rules.nftables


def maps(axes: str, nat: str = "port-restricted-cone", policy: str = "none", wiring: Wiring = PRIVATE_SIDES) -> str:
    return render(profile(nat, axes), firewall(policy), wiring).nftables


@pytest.mark.parametrize(
    ("axes", "key"),
    [
        ("mapping=endpoint-independent", "snat ip to ip saddr . udp sport map @out_udp"),
        ("mapping=address-dependent allocation=random", "snat ip to ip saddr . udp sport . ip daddr map @out_udp"),
        (
            "tcp-mapping=address-dependent tcp-allocation=random",
            "snat ip to ip saddr . tcp sport . ip daddr map @out_tcp",
        ),
    ],
)
def test_the_mapping_is_the_key_of_a_map(axes: str, key: str) -> None:
    assert key in maps(axes)


@pytest.mark.parametrize(
    ("filtering", "admitted"),
    [
        ("endpoint-independent", "meta l4proto udp dnat ip to ip daddr . udp dport map @in_udp"),
        ("address-dependent", "meta l4proto udp ip daddr . udp dport . ip saddr @peers_udp dnat"),
        ("address-and-port-dependent", None),
    ],
)
def test_the_filtering_is_who_is_let_in_to_a_mapping(filtering: str, admitted: str | None) -> None:
    rules = [
        line for line in maps(f"filtering={filtering}").splitlines() if 'iifname "wan0" meta' in line and "dnat" in line
    ]
    assert len(rules) == (0 if admitted is None else 2)
    assert admitted is None or any(admitted in rule for rule in rules)


def test_a_firewall_that_blocks_inbound_lets_nobody_in_to_a_mapping() -> None:
    assert "dnat" in maps("", "full-cone").replace("dstnat", "")
    assert 'iifname "wan0" meta l4proto udp dnat' not in maps("", "full-cone", "inbound-blocked")


BY_FLOW = "mapping=address-and-port-dependent filtering=address-and-port-dependent hairpinning=no"


@pytest.mark.parametrize(
    ("axes", "statement"),
    [
        (f"{BY_FLOW} allocation=random ports=40000-40999", "snat to 203.0.113.32:40000-40999 fully-random"),
        ("allocation=random", "meta mark != @taken_udp_0 snat ip to meta mark map @ports_0"),
        ("allocation=random ports=40000-40999", "meta mark set numgen random mod 1000 offset 40000"),
        ("allocation=preserving", "udp sport 1024-65535 udp sport != @taken_udp_0 snat to 203.0.113.32"),
        ("allocation=preserving ports=40000-40999", "udp sport 40000-40999 meta mark set udp sport map @numbers"),
        (
            "allocation=preserving ports=40000-40999",
            "udp sport 40000-40999 meta mark != @taken_udp_0 snat to 203.0.113.32",
        ),
        ("allocation=preserving ports=40000-40999", "meta mark set numgen random mod 1000 offset 40000"),
        ("allocation=sequential ports=40000-40002", "meta mark set numgen inc mod 3 offset 40000"),
        ("allocation=sequential ports=40000-40002", "meta mark != @taken_udp_0 snat ip to meta mark map @ports_0"),
        (
            f"{BY_FLOW} allocation=sequential ports=40000-40002",
            "numgen inc mod 3 map { 0 : 203.0.113.32 . 40000, 1 : 203.0.113.32 . 40001, 2 : 203.0.113.32 . 40002 }",
        ),
        (f"{BY_FLOW} allocation=random ports-per-host=256", "192.168.32.2 : 203.0.113.32 . 1280-1535"),
        ("allocation=random ports-per-host=256", "192.168.32.2 : goto block-1280"),
    ],
)
def test_the_allocation_is_one_statement(axes: str, statement: str) -> None:
    assert statement in maps(axes)


@pytest.mark.parametrize(
    ("pooling", "choice"), [("paired", "jhash ip saddr mod 2 vmap"), ("arbitrary", "numgen random mod 2 vmap")]
)
def test_several_outer_addresses_are_paired_or_not(pooling: str, choice: str) -> None:
    rules = maps(f"pooling={pooling}", wiring=replace(PRIVATE_SIDES, outer=(IPv4Address("203.0.113.60"),)))
    assert choice in rules
    assert "snat to 203.0.113.60\n" in rules


@pytest.mark.parametrize(("arbitrary", "paired"), [("udp", "tcp"), ("tcp", "udp")])
def test_one_transport_s_addresses_are_paired_and_the_other_s_are_not(arbitrary: str, paired: str) -> None:
    wiring = replace(PRIVATE_SIDES, outer=(IPv4Address("203.0.113.60"),))
    rules = maps(f"{arbitrary}-pooling=arbitrary", wiring=wiring)
    ways = "mod 2 vmap { 0 : goto address-0, 1 : goto address-1 }"
    by_chance, by_host = f"    meta l4proto {arbitrary} numgen random {ways}\n", f"    jhash ip saddr {ways}\n"
    assert by_chance + by_host in rules, "in this order, and what has no ports by host too"
    assert f"l4proto {paired} numgen" not in rules


@pytest.mark.parametrize(
    ("axes", "statements"),
    [
        (
            f"{BY_FLOW} allocation=random udp-ports=40000-40999 tcp-ports=20000-20999",
            ("udp snat to 203.0.113.32:40000-40999 fully-random", "tcp snat to 203.0.113.32:20000-20999 fully-random"),
        ),
        (
            "udp-ports=40000-40999 tcp-ports=20000-20999",
            ("udp sport 40000-40999 meta mark != @taken_udp_0", "tcp sport 20000-20999 meta mark != @taken_tcp_0"),
        ),
        (
            f"{BY_FLOW} allocation=sequential udp-ports=40000-40001 tcp-ports=20000-20000",
            (
                "udp snat ip to numgen inc mod 2 map { 0 : 203.0.113.32 . 40000, 1 : 203.0.113.32 . 40001 }",
                "tcp snat ip to numgen inc mod 1 map { 0 : 203.0.113.32 . 20000 }",
            ),
        ),
        (
            f"{BY_FLOW} allocation=random udp-ports-per-host=256 tcp-ports-per-host=64",
            ("192.168.32.2 : 203.0.113.32 . 1280-1535", "192.168.32.2 : 203.0.113.32 . 1088-1151"),
        ),
        (
            f"{BY_FLOW} allocation=random tcp-ports-per-host=64",
            ("udp snat to 203.0.113.32:1024-65535 fully-random", "192.168.32.2 : 203.0.113.32 . 1088-1151"),
        ),
    ],
)
def test_each_transport_has_its_own_ports(axes: str, statements: tuple[str, str]) -> None:
    rules = maps(axes)
    assert all(rules.count(statement) == 1 for statement in statements)


def chain(rules: str, name: str) -> list[str]:
    """The rules of one chain."""
    (found,) = re.findall(rf"^  chain {re.escape(name)} {{\n(.*?)^  }}\n", rules, re.S | re.M)
    return [line.strip() for line in found.splitlines()]


def test_each_transport_draws_among_its_own_ports() -> None:
    rules = maps("allocation=random udp-ports=40000-40003 tcp-ports=20000-20001")
    assert chain(rules, "draw-udp") == ["meta mark set numgen random mod 4 offset 40000"]
    assert chain(rules, "draw-tcp") == ["meta mark set numgen random mod 2 offset 20000"]
    assert "chain draw {" not in rules
    for name in ("udp", "tcp"):
        assert chain(rules, "address-0").count(f"meta l4proto {name} jump draw-{name}") == 12
    numbers = "20000 : 20000, 20001 : 20001, 40000 : 40000, 40001 : 40001, 40002 : 40002, 40003 : 40003"
    assert rules.count(f"elements = {{ {numbers} }}") == 1
    assert rules.count("20001 : 203.0.113.32 . 20001, 40000 : 203.0.113.32 . 40000") == 1


def test_each_transport_draws_in_the_host_s_block_of_its_own() -> None:
    rules = maps("allocation=random udp-ports-per-host=256 tcp-ports-per-host=64")
    assert "192.168.32.2 : goto block-udp-1280" in chain(rules, "draw-udp")[0]
    assert "192.168.32.2 : goto block-tcp-1088" in chain(rules, "draw-tcp")[0]
    assert chain(rules, "block-udp-1280") == ["meta mark set numgen random mod 256 offset 1280"]
    assert chain(rules, "block-tcp-1280") == ["meta mark set numgen random mod 64 offset 1280"]


SYMMETRIC_TCP = " ".join(f"tcp-{axis}" for axis in f"{BY_FLOW} allocation=random".split())


def test_chains_are_apart_only_where_both_draw_and_among_different_ports() -> None:
    for axes in (
        "allocation=random",
        f"{SYMMETRIC_TCP} udp-allocation=random tcp-ports=40000-40999",
        "tcp-allocation=random",
    ):
        assert "chain draw {" in maps(axes)
        assert "chain draw-" not in maps(axes)
    assert "numgen random mod 1000 offset 40000" in maps("tcp-allocation=random tcp-ports=40000-40999")
    both = maps("udp-allocation=sequential udp-ports=40000-40003 tcp-ports=40000-40003")
    assert chain(both, "order-udp-0") == ["meta mark set numgen inc mod 4 offset 40000"]
    assert chain(both, "draw") == ["meta mark set numgen random mod 4 offset 40000"], "of TCP, for its clashes"


def test_what_iptables_has_a_target_for_is_alike_for_both_transports() -> None:
    for axes in ("tcp-ports=40000-49999", "udp-ports-per-host=64", "tcp-mapping=endpoint-independent"):
        assert "table ip lab {" in maps(axes, "symmetric")
    assert "table ip lab {" not in maps("tcp-pooling=arbitrary", "symmetric"), "there is but one address"
    assert "table ip lab {" in maps(
        "tcp-pooling=arbitrary", "symmetric", wiring=replace(PRIVATE_SIDES, outer=(IPv4Address("203.0.113.33"),))
    )


def test_hairpinning_is_for_neighbours_alone_and_rewrites_their_source() -> None:
    rules = maps("hairpinning=yes")
    assert 'iifname "lan0" ip daddr { 203.0.113.32 } meta l4proto udp dnat' in rules
    assert 'oifname "lan0" ct status dnat ip saddr 192.168.32.0/24 jump translate' in rules
    assert 'iifname "lan0"' not in maps("hairpinning=no")


def test_hairpinning_is_of_one_transport_or_of_both() -> None:
    rules = maps("udp-hairpinning=yes tcp-hairpinning=no")
    turned = [line for line in rules.splitlines() if 'iifname "lan0"' in line]
    assert len(turned) == 1 and "l4proto udp dnat" in turned[0]
    remembered = [line for line in rules.splitlines() if 'oifname "lan0" ct status dnat meta' in line]
    assert len(remembered) == 1 and "l4proto udp jump" in remembered[0]
    found = render(profile("full-cone", "tcp-hairpinning=no"), firewall("none"), PRIVATE_SIDES).iptables
    assert "FORWARD -i lan0 -o lan0 -p udp -m conntrack --ctstate DNAT -j ACCEPT" in found
    both = render(profile("full-cone"), firewall("none"), PRIVATE_SIDES).iptables
    assert "FORWARD -i lan0 -o lan0 -m conntrack --ctstate DNAT -j ACCEPT" in both


def test_stock_snat_on_several_addresses() -> None:
    wiring = replace(PRIVATE_SIDES, outer=(IPv4Address("203.0.113.33"),))
    rules = render(profile("linux"), firewall("none"), wiring).iptables
    assert "SNAT --to-source 203.0.113.32-203.0.113.33 --persistent" in rules
    with pytest.raises(ConfigError, match="without gaps"):
        render(profile("linux"), firewall("none"), replace(PRIVATE_SIDES, outer=(IPv4Address("203.0.113.60"),)))


def test_prefixes_that_a_router_has_not_both_of_are_not_exchanged() -> None:
    with pytest.raises(ConfigError, match="nptv6 exchanges two IPv6 prefixes"):
        render(profile("linux", profile6="nptv6"), firewall("none"), PRIVATE_SIDES)


def test_ipv6_is_closed_where_a_site_has_none_and_filtered_by_the_same_policy_where_it_has() -> None:
    assert "-A FORWARD" not in render(profile("linux"), firewall("none"), PRIVATE_SIDES).ip6tables
    rules = render(profile("linux"), firewall("udp-blocked"), DUAL_SIDES).ip6tables
    assert "-A FORWARD -i lan0 -o wan0 -s fd00:0:0:32::/64 -p tcp -j ACCEPT" in rules
    assert "-A INPUT -p icmpv6 --icmpv6-type 135 -j ACCEPT" in rules
    assert "-A FORWARD -i wan0 -o lan0 -d" not in rules
    assert (
        "-A FORWARD -i wan0 -o lan0 -d fd00:0:0:32::/64 -j ACCEPT"
        in render(profile("linux"), firewall("none"), DUAL_SIDES).ip6tables
    )


def test_prefixes_are_exchanged_both_ways() -> None:
    rules = render(profile("linux", profile6="nptv6"), firewall("none"), DUAL_SIDES).nftables
    assert "snat ip6 prefix to ip6 saddr map { fd00:0:0:32::/64 : 2001:db8:32::/64 }" in rules
    assert "dnat ip6 prefix to ip6 daddr map { 2001:db8:32::/64 : fd00:0:0:32::/64 }" in rules


def test_only_the_proxy_leaves_a_site_that_has_one() -> None:
    wiring = replace(PRIVATE_SIDES, proxy=IPv4Address("192.168.32.5"))
    out = [
        line
        for line in render(profile("linux"), firewall("proxy-only"), wiring).iptables.splitlines()
        if "-o wan0 -s" in line
    ]
    assert out == ["-A FORWARD -i lan0 -o wan0 -s 192.168.32.5 -p tcp --dport 443 -j ACCEPT"]
    assert "-o wan0 -s" not in text("linux", "proxy-only")


def test_a_throttle_drops_before_anything_is_let_through() -> None:
    rules = text("linux", "udp-throttled").splitlines()
    throttles = [number for number, line in enumerate(rules) if "--hashlimit-above 2000b/s" in line]
    assert len(throttles) == 2
    assert max(throttles) < next(
        number for number, line in enumerate(rules) if "ESTABLISHED" in line and "FORWARD" in line
    )


def test_a_router_that_gives_ports_is_found_on_the_lan_and_lets_them_in_through_any_firewall() -> None:
    giving = profile("symmetric", portmap="on")
    rules = render(giving, firewall("inbound-blocked"), PRIVATE_SIDES).iptables
    assert "-A INPUT -i lan0 -s 192.168.32.0/24 -d 239.255.255.250 -p udp --dport 1900 -j ACCEPT" in rules
    assert "-A FORWARD -i wan0 -o lan0 -m conntrack --ctstate DNAT -j ACCEPT" in rules
    without = render(profile("symmetric"), firewall("inbound-blocked"), PRIVATE_SIDES).iptables
    assert "1900" not in without
    assert "DNAT" not in without


def test_whoever_is_no_router_tracks_nothing() -> None:
    rules = untracked()
    assert rules.iptables == ""
    assert rules.nftables.startswith("flush ruleset\n")
    assert rules.nftables.count("notrack") == 2


def test_rules_come_from_axes_and_not_from_names() -> None:
    linux = TRANSLATIONS["linux"]
    assert linux is not None
    slower = NatProfile(replace(linux, udp_timeout=300))
    assert render(slower, firewall("none"), PRIVATE_SIDES).iptables == text("linux", "none")


@pytest.mark.parametrize(("look_up", "known"), [(profile, TRANSLATIONS), (firewall, FIREWALLS)])
def test_unknown_names_are_refused_with_the_known_ones(look_up: object, known: dict[str, object]) -> None:
    assert callable(look_up)
    with pytest.raises(ConfigError) as refusal:
        look_up("cone")
    assert str(refusal.value).endswith(f"'cone'; allowed: {', '.join(known)}")
