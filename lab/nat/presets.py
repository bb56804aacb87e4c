"""The names that a compose file may use, and the axes that each stands for.

Belongs here: names and nothing but their axes. Never: rules; no other file asks for a preset's name.
"""

from collections.abc import Mapping as Table
from dataclasses import replace
from types import MappingProxyType
from typing import TypeVar

from lab.errors import ConfigError
from lab.nat.axes import (
    Allocation,
    Behaviour,
    Filtering,
    FirewallPolicy,
    Mapping,
    NatProfile,
    Permit,
    PortProtocol,
    PortRange,
    Translation,
)
from lab.nat.notation import overridden, timers
from lab.nat.sense import in_order, sensible

_EI, _AD, _APD = Mapping.ENDPOINT_INDEPENDENT, Mapping.ADDRESS_DEPENDENT, Mapping.ADDRESS_AND_PORT_DEPENDENT
_ANYONE, _ADDRESS, _ENDPOINT = (
    Filtering.ENDPOINT_INDEPENDENT,
    Filtering.ADDRESS_DEPENDENT,
    Filtering.ADDRESS_AND_PORT_DEPENDENT,
)


def _translation(
    mapping: Mapping, filtering: Filtering, allocation: Allocation, *, hairpinning: bool = False, timeout: int
) -> Translation:
    """UDP and TCP alike; one timeout whether an answer was seen or not."""
    behaviour = Behaviour(mapping, filtering, allocation, hairpinning)
    return Translation(behaviour, behaviour, True, timeout, timeout)


_LINUX = Behaviour(_EI, _ENDPOINT, Allocation.PRESERVING)
_CARRIER = Behaviour(_EI, _ADDRESS, Allocation.RANDOM, hairpinning=True, ports_per_host=1024)
# The range is what one table of ports in order can hold; it comes round after so many mappings.
_SEQUENTIAL = Behaviour(_APD, _ENDPOINT, Allocation.SEQUENTIAL, ports=PortRange(40000, 44095))

TRANSLATIONS: Table[str, Translation | None] = MappingProxyType(
    {
        "open": None,
        "full-cone": _translation(_EI, _ANYONE, Allocation.PRESERVING, hairpinning=True, timeout=120),
        "restricted-cone": _translation(_EI, _ADDRESS, Allocation.PRESERVING, timeout=120),
        "port-restricted-cone": _translation(_EI, _ENDPOINT, Allocation.PRESERVING, timeout=120),
        "address-dependent": _translation(_AD, _ADDRESS, Allocation.RANDOM, timeout=120),
        "symmetric": _translation(_APD, _ENDPOINT, Allocation.RANDOM, timeout=60),
        "symmetric-sequential": Translation(_SEQUENTIAL, _SEQUENTIAL, True, 60, 60),
        # What stock MASQUERADE does, with the kernel's timers as Timers has them.
        "linux": Translation(_LINUX, _LINUX, False, 30, 120, tcp_transitory_timeout=120, tcp_timeout=432_000),
        "rfc4787": _translation(_EI, _ADDRESS, Allocation.PRESERVING, hairpinning=True, timeout=300),
        "carrier-grade": Translation(_CARRIER, _CARRIER, True, 300, 300),
    }
)

PORT_MAPPINGS: Table[str, frozenset[PortProtocol]] = MappingProxyType(
    {
        "off": frozenset(),
        "on": frozenset({"upnp", "natpmp"}),
        "upnp": frozenset({"upnp"}),
        "natpmp": frozenset({"natpmp"}),
    }
)
"""The protocols in which hosts may ask their router for ports; NAT-PMP comes with PCP, its successor on its port."""
PREFIX_TRANSLATIONS: Table[str, bool] = MappingProxyType({"open": False, "nptv6": True})

_EVERYTHING = Permit()
_PROXY = Permit("tcp", 443, source="proxy")

FIREWALLS: Table[str, FirewallPolicy] = MappingProxyType(
    {
        "none": FirewallPolicy(outbound=(_EVERYTHING,), inbound=True),
        "inbound-blocked": FirewallPolicy(outbound=(_EVERYTHING,), inbound=False),
        "udp-blocked": FirewallPolicy(outbound=(Permit("tcp"),), inbound=False),
        "tcp-443": FirewallPolicy(outbound=(Permit("tcp", 443),), inbound=False),
        "web-only": FirewallPolicy(outbound=(Permit("tcp", 443), Permit("tcp", 80)), inbound=False),
        "tls-only": FirewallPolicy(outbound=(Permit("tcp", 443, tls=True),), inbound=False),
        "proxy-only": FirewallPolicy(outbound=(_PROXY,), inbound=False),
        "udp-throttled": FirewallPolicy(outbound=(_EVERYTHING,), inbound=False, udp_rate=16_000),
    }
)


def profile(name: str, axes: str = "", profile6: str = "open", portmap: str = "off") -> NatProfile:
    """The axes of a preset, some of them replaced by `axes` ("udp-timeout=20 hairpinning=yes"); timers for IPv6 too.

    `profile6` names what is done to IPv6 prefixes, `portmap` one of PORT_MAPPINGS. Raises ConfigError naming the value
    and the ones allowed, or why a combination makes no sense.
    """
    translation = overridden(_named("profile", name, TRANSLATIONS), axes)
    if translation is not None:
        sensible(translation)
    forwarded = timers(axes)
    if translation is None:
        in_order(forwarded)
    else:  # what is named was held against the preset's; the kernel's own, which IPv6 has else, gives way
        forwarded = replace(
            forwarded,
            udp_timeout=max(forwarded.udp_timeout, forwarded.udp_timeout_one_way),
            tcp_timeout=max(forwarded.tcp_timeout, forwarded.tcp_transitory_timeout),
        )
    prefixes = _named("IPv6 profile", profile6, PREFIX_TRANSLATIONS)
    return NatProfile(translation, prefixes, _named("portmap", portmap, PORT_MAPPINGS), forwarded)


def firewall(name: str) -> FirewallPolicy:
    """The policy of that name. Raises ConfigError naming the value and the ones allowed."""
    return _named("firewall", name, FIREWALLS)


Preset = TypeVar("Preset")


def _named(what: str, name: str, table: Table[str, Preset]) -> Preset:
    if name not in table:
        raise ConfigError(f"unknown {what} {name!r}; allowed: {', '.join(table)}")
    return table[name]
