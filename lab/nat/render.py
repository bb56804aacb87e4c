"""Axes to the whole rule set of a router, as text for nft, iptables-restore and ip6tables-restore.

Pure; the same axes always give the same text. Belongs here: which tool expresses what. Never: names of presets,
loading.
"""

from dataclasses import replace

from lab.errors import ConfigError
from lab.nat import filters, maps
from lab.nat.axes import (
    Allocation,
    Behaviour,
    Filtering,
    FirewallPolicy,
    Mapping,
    NatProfile,
    Pooling,
    Timers,
    Translation,
)
from lab.nat.fitting import source_range
from lab.nat.wiring import RuleSet, Wiring


def render(profile: NatProfile, firewall: FirewallPolicy, wiring: Wiring) -> RuleSet:
    """The rule set of a router with these axes between these two networks.

    Raises ConfigError for what no rule can express. Whether they make sense there is asked before (fitting.py).
    """
    if profile.prefix_translation and (wiring.lan6 is None or wiring.outer6 is None):
        raise ConfigError("nptv6 exchanges two IPv6 prefixes, one inside and one outside, and this router has not both")
    target = _target(profile.translation, wiring) if wiring.inside else None
    iptables = [
        filters.table("raw", ["PREROUTING ACCEPT"], filters.raw(profile, wiring)),
        filters.table("nat", ["POSTROUTING ACCEPT"], [f"POSTROUTING -o {wiring.wan} -j {target}"] if target else []),
    ]
    if wiring.lan_address:
        side = filters.Side(4, wiring.wan, wiring.lan, wiring.lan_address)
        iptables.append(filters.filters(profile, firewall, wiring, side))
    else:
        iptables.append(filters.closed())
    if wiring.lan6:
        ip6tables = filters.filters(profile, firewall, wiring, filters.Side(6, wiring.wan, wiring.lan, wiring.lan6))
    else:
        ip6tables = filters.closed()
    nftables = maps.REPLACE + "add table ip6 lab\ndelete table ip6 lab\n"
    if profile.translation and wiring.inside and target is None:
        nftables = maps.translation(profile.translation, firewall, wiring) + "add table ip6 lab\ndelete table ip6 lab\n"
    if profile.prefix_translation:
        nftables += maps.prefixes(wiring)
    return RuleSet(nftables + _timers(profile), "".join(iptables), ip6tables)


def before_tracking(profile: NatProfile, wiring: Wiring) -> tuple[str, ...]:
    """The rules of IPv4 that such a router has in PREROUTING of table raw, for whoever puts more behind them."""
    return tuple(rule.removeprefix("PREROUTING ") for rule in filters.raw(profile, wiring))


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
    return RuleSet(f"flush ruleset\ntable inet untracked {{\n{chains}}}\n", "")


# What iptables has a target for, every one for UDP and TCP alike, on one outer address and all ports. MASQUERADE reuses
# a host's outer port for every destination while no other host's flow stands in the way, and connection tracking admits
# only who was written to; --random-fully draws a port for each flow (seen: 1024-65535).
_TARGETS = {
    (Behaviour(Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT, Allocation.PRESERVING), False): (
        "MASQUERADE"
    ),
    (Behaviour(Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT, Allocation.RANDOM), True): (
        "MASQUERADE --random-fully"
    ),
}


def _target(axes: Translation | None, wiring: Wiring) -> str | None:
    """The classic target that gives these axes, or None where it takes maps."""
    if axes is None:
        return None
    # one address leaves nothing to choose, and stock SNAT pairs
    udp, tcp = (replace(one, pooling=Pooling.PAIRED) for one in (axes.udp, axes.tcp))
    target = _TARGETS.get((udp, axes.clash_free)) if udp == tcp else None
    if target is None or not wiring.outer:
        return target
    if axes.clash_free:
        return None
    first, last = source_range(wiring.outer_addresses)
    return f"SNAT --to-source {first}-{last} --persistent"


def _timers(profile: NatProfile) -> str:
    """Timers as conntrack timeout objects: /proc/sys is read-only in an unprivileged container, nft is not."""
    of_ipv4 = profile.translation.timers if profile.translation else profile.timers
    return _timers_of("ip", of_ipv4) + _timers_of("ip6", profile.timers)


def _timers_of(family: str, timers: Timers) -> str:
    udp = f"unreplied : {timers.udp_timeout_one_way}, replied : {timers.udp_timeout}"
    opening = timers.tcp_transitory_timeout
    tcp = f"syn_sent : {opening}, syn_recv : {opening}, established : {timers.tcp_timeout}"
    policies = "".join(
        f"  ct timeout {name}-timers {{\n    protocol {name}\n    l3proto {family}\n    policy = {{ {policy} }}\n  }}\n"
        for name, policy in (("udp", udp), ("tcp", tcp))
    )
    rules = "".join(f'    meta l4proto {name} ct timeout set "{name}-timers"\n' for name in ("udp", "tcp"))
    return (
        f"add table {family} timers\ndelete table {family} timers\ntable {family} timers {{\n{policies}"
        f"  chain forward {{\n    type filter hook forward priority filter\n{rules}  }}\n{_COUNTING}}}\n"
    )


_COUNTING = "  chain counting {\n    ct packets 0\n  }\n"
"""On no hook, and so never asked: connection tracking counts a flow's packets from when any rule wants to know of them.
The setting for that is below /proc/sys as well (nf_conntrack_acct)."""
