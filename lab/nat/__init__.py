"""What a router does, as data on the axes of RFC 4787, and the rule text that makes a kernel do it.

Pure: names to axes, axes to text. Loading the text is the start-up program's (lab.boot), never done here.
"""

from lab.nat.axes import (
    Allocation,
    Behaviour,
    Filtering,
    FirewallPolicy,
    Mapping,
    NatProfile,
    Permit,
    Pooling,
    PortRange,
    Timers,
    Translation,
)
from lab.nat.fitting import Site, fits
from lab.nat.notation import TIMERS
from lab.nat.presets import FIREWALLS, PORT_MAPPINGS, PREFIX_TRANSLATIONS, TRANSLATIONS, firewall, profile
from lab.nat.render import before_tracking, render, untracked
from lab.nat.wiring import RuleSet, Wiring

__all__ = [
    "FIREWALLS",
    "PORT_MAPPINGS",
    "PREFIX_TRANSLATIONS",
    "TIMERS",
    "TRANSLATIONS",
    "Allocation",
    "Behaviour",
    "Filtering",
    "FirewallPolicy",
    "Mapping",
    "NatProfile",
    "Permit",
    "Pooling",
    "PortRange",
    "RuleSet",
    "Site",
    "Timers",
    "Translation",
    "Wiring",
    "before_tracking",
    "firewall",
    "fits",
    "profile",
    "render",
    "untracked",
]
