"""Axes to the whole rule set of a router, as text for iptables-restore and nft.

Belongs here: pure rendering; the same axes always give the same text. Never: names of presets, loading.
"""

from dataclasses import dataclass
from ipaddress import IPv4Interface

from lab.errors import ConfigError
from lab.nat.axes import Allocation, Filtering, FirewallPolicy, Mapping, NatProfile, Permit, Translation


@dataclass(frozen=True)
class Wiring:
    """Where a router's two sides are: interface names of its kernel, and its addresses with their prefixes."""

    wan: str
    lan: str
    wan_address: IPv4Interface
    lan_address: IPv4Interface


@dataclass(frozen=True)
class RuleSet:
    """Each text replaces what its engine had, table by table: `iptables-restore` and `nft -f -` on stdin."""

    iptables: str
    nftables: str


# mapping, filtering, allocation, hairpinning, clash_free -> the target that gives them on Linux.
# MASQUERADE reuses a host's outer port for every destination while no other host's flow stands in the way, and
# connection tracking admits only who was written to; --random-fully draws a port for each flow (seen: 1024-65535).
_TARGETS = {
    (Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT, Allocation.PRESERVING, False, False): (
        "MASQUERADE"
    ),
    (Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT, Allocation.RANDOM, False, True): (
        "MASQUERADE --random-fully"
    ),
}


def render(profile: NatProfile, firewall: FirewallPolicy, wiring: Wiring) -> RuleSet:
    """The rule set of a router with these axes between these two networks.

    Raises ConfigError for a combination of axes that the rules cannot express.
    """
    tables = [
        _table("raw", ["PREROUTING ACCEPT"], _straight_at_the_lan(profile, wiring)),
        _table("nat", ["POSTROUTING ACCEPT"], _translation(profile, wiring)),
        _table(
            "filter",
            ["INPUT DROP", "FORWARD DROP", "OUTPUT ACCEPT"],
            [*_input(wiring), *_forward(profile, firewall, wiring)],
        ),
    ]
    return RuleSet(iptables="".join(tables), nftables=_timers(profile.translation))


def untracked() -> RuleSet:
    """The rules of every node that is no router: none, and no connection tracking.

    An engine gives each container nat rules for its resolver, and with them tracking: on core it would remember flows,
    put fragments together, and move a port where two flows clash. Without nft on the host they are out of reach here,
    so nothing is tracked, whoever asks.
    """
    chains = "".join(
        f"  chain {hook} {{\n    type filter hook {hook} priority raw\n    notrack\n  }}\n"
        for hook in ("prerouting", "output")
    )
    return RuleSet(iptables="", nftables=f"flush ruleset\ntable ip untracked {{\n{chains}}}\n")


def _table(name: str, policies: list[str], rules: list[str]) -> str:
    lines = [f"*{name}", *(f":{policy} [0:0]" for policy in policies), *(f"-A {rule}" for rule in rules), "COMMIT"]
    return "\n".join(lines) + "\n"


def _straight_at_the_lan(profile: NatProfile, wiring: Wiring) -> list[str]:
    """A neighbour on the WAN may route packets at inner addresses; translated sites know no such address outside."""
    if profile.translation is None:
        return []
    return [f"PREROUTING -i {wiring.wan} -d {wiring.lan_address.network} -j DROP"]


def _translation(profile: NatProfile, wiring: Wiring) -> list[str]:
    """Everything is translated, also what the firewall blocks later: no private source ever leaves."""
    axes = profile.translation
    if axes is None:
        return []
    key = (axes.mapping, axes.filtering, axes.allocation, axes.hairpinning, axes.clash_free)
    if key not in _TARGETS:
        raise ConfigError(
            f"no rules give {axes.mapping} mapping with {axes.filtering} filtering, {axes.allocation} ports, "
            f"{'hairpinning' if axes.hairpinning else 'no hairpinning'} and mappings that "
            f"{'withstand' if axes.clash_free else 'split on'} port clashes"
        )
    return [f"POSTROUTING -o {wiring.wan} -j {_TARGETS[key]}"]


def _input(wiring: Wiring) -> list[str]:
    """Silence to the WAN: an answer, or an accepted packet's entry, would move a client's mapping to another port."""
    return [
        "INPUT -i lo -j ACCEPT",
        "INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        f"INPUT -i {wiring.lan} -d {wiring.lan_address.ip} -m conntrack --ctstate NEW -j ACCEPT",
    ]


def _forward(profile: NatProfile, firewall: FirewallPolicy, wiring: Wiring) -> list[str]:
    """Invalid packets go first: connection tracking would pass them on untranslated."""
    lan = wiring.lan_address.network
    rules = [
        "FORWARD -m conntrack --ctstate INVALID -j DROP",
        "FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
        *(
            f"FORWARD -i {wiring.lan} -o {wiring.wan} -s {lan}{_match(permit)} -j ACCEPT"
            for permit in firewall.outbound
        ),
    ]
    if firewall.inbound and profile.translation is None:
        rules.append(f"FORWARD -i {wiring.wan} -o {wiring.lan} -d {lan} -j ACCEPT")
    return rules


def _match(permit: Permit) -> str:
    protocol = f" -p {permit.protocol}" if permit.protocol else ""
    port = f" --dport {permit.port}" if permit.port else ""
    return protocol + port


def _timers(translation: Translation | None) -> str:
    """UDP timers as a conntrack timeout object: /proc/sys is read-only in an unprivileged container, nft is not."""
    replace = "add table ip timers\ndelete table ip timers\n"
    if translation is None:
        return replace
    one_way, two_way = translation.udp_timeout_one_way, translation.udp_timeout
    return replace + (
        "table ip timers {\n"
        "  ct timeout udp-timers {\n"
        "    protocol udp\n"
        "    l3proto ip\n"
        f"    policy = {{ unreplied : {one_way}, replied : {two_way} }}\n"
        "  }\n"
        "  chain forward {\n"
        "    type filter hook forward priority filter\n"
        '    meta l4proto udp ct timeout set "udp-timers"\n'
        "  }\n"
        "}\n"
    )
