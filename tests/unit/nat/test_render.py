"""Rule texts: two read in full, the rest by what must hold for every combination of axes."""

import itertools
from dataclasses import replace
from ipaddress import IPv4Interface

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import ConfigError
from lab.nat import (
    FIREWALLS,
    PROFILES,
    Allocation,
    Filtering,
    FirewallPolicy,
    Mapping,
    NatProfile,
    Translation,
    Wiring,
    firewall,
    profile,
    render,
    untracked,
)

SIDES = Wiring("wan0", "lan0", IPv4Interface("203.0.113.32/24"), IPv4Interface("192.168.32.1/24"))

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
-A INPUT -i lan0 -d 192.168.32.1 -m conntrack --ctstate NEW -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -i lan0 -o wan0 -s 192.168.32.0/24 -j ACCEPT
-A FORWARD -i wan0 -o lan0 -d 192.168.32.0/24 -j ACCEPT
COMMIT
"""

every_combination = pytest.mark.parametrize(
    ("nat", "policy"), list(itertools.product(PROFILES, FIREWALLS)), ids="/".join
)
translations = st.builds(
    Translation,
    mapping=st.sampled_from(Mapping),
    filtering=st.sampled_from(Filtering),
    allocation=st.sampled_from(Allocation),
    hairpinning=st.booleans(),
    clash_free=st.booleans(),
    udp_timeout_one_way=st.integers(1, 3600),
    udp_timeout=st.integers(1, 3600),
)


def test_a_hotel_router_reads_like_this() -> None:
    assert render(profile("symmetric"), firewall("udp-blocked"), SIDES).iptables == HOTEL


def test_an_open_router_reads_like_this() -> None:
    assert render(profile("open"), firewall("none"), SIDES).iptables == PARK


@every_combination
def test_nothing_new_from_the_wan_reaches_the_router_itself(nat: str, policy: str) -> None:
    rules = render(profile(nat), firewall(policy), SIDES).iptables
    assert ":INPUT DROP" in rules
    assert not [line for line in rules.splitlines() if line.startswith("-A INPUT -i wan0")]


@every_combination
def test_every_table_is_replaced_whole(nat: str, policy: str) -> None:
    rules = render(profile(nat), firewall(policy), SIDES).iptables
    assert [line for line in rules.splitlines() if line.startswith("*")] == ["*raw", "*nat", "*filter"]
    assert rules.count("COMMIT\n") == 3


@every_combination
def test_nobody_is_refused_aloud(nat: str, policy: str) -> None:
    assert "REJECT" not in render(profile(nat), firewall(policy), SIDES).iptables


@every_combination
def test_new_inbound_passes_only_untranslated_and_unblocked(nat: str, policy: str) -> None:
    rules = render(profile(nat), firewall(policy), SIDES).iptables
    assert ("-A FORWARD -i wan0" in rules) == ((nat, policy) == ("open", "none"))


@every_combination
def test_translation_is_of_everything_whatever_the_firewall(nat: str, policy: str) -> None:
    rules = render(profile(nat), firewall(policy), SIDES).iptables
    translating = [line for line in rules.splitlines() if line.startswith("-A POSTROUTING")]
    assert all(line.startswith("-A POSTROUTING -o wan0 -j ") for line in translating)
    assert len(translating) == (0 if nat == "open" else 1)


@pytest.mark.parametrize(
    ("nat", "policy"), [("linux", "unreplied : 30, replied : 120"), ("symmetric", "unreplied : 60, replied : 60")]
)
def test_udp_timers_are_the_profile_s(nat: str, policy: str) -> None:
    assert policy in render(profile(nat), firewall("none"), SIDES).nftables


def test_timers_of_a_former_profile_are_taken_away() -> None:
    assert render(profile("open"), firewall("none"), SIDES).nftables.endswith("delete table ip timers\n")


@given(translations, st.sampled_from(list(FIREWALLS.values())))
def test_any_axes_render_or_are_refused(translation: Translation, policy: FirewallPolicy) -> None:
    try:
        rules = render(NatProfile(translation), policy, SIDES)
    except ConfigError as error:
        assert translation.mapping in str(error)
        return
    assert "-A POSTROUTING" in rules.iptables
    assert f"replied : {translation.udp_timeout} " in rules.nftables


def test_whoever_is_no_router_tracks_nothing() -> None:
    rules = untracked()
    assert rules.iptables == ""
    assert rules.nftables.startswith("flush ruleset\n")
    assert rules.nftables.count("notrack") == 2


def test_rules_come_from_axes_and_not_from_names() -> None:
    linux = PROFILES["linux"].translation
    assert linux is not None
    slower = NatProfile(replace(linux, udp_timeout=300))
    assert (
        render(slower, firewall("none"), SIDES).iptables == render(profile("linux"), firewall("none"), SIDES).iptables
    )


@pytest.mark.parametrize(
    ("look_up", "message"),
    [
        (profile, "unknown profile 'cone'; allowed: open, linux, symmetric"),
        (firewall, "unknown firewall 'cone'; allowed: none, udp-blocked, tcp-443"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(look_up: object, message: str) -> None:
    assert callable(look_up)
    with pytest.raises(ConfigError) as refusal:
        look_up("cone")
    assert str(refusal.value) == message
