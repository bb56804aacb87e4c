"""What a router does, as data on the axes of RFC 4787, and the rule text that makes a kernel do it.

Pure: names to axes, axes to text. Loading the text is the start-up program's (lab.boot), never done here.
"""

from lab.nat.axes import Allocation, Filtering, FirewallPolicy, Mapping, NatProfile, Permit, Translation
from lab.nat.presets import FIREWALLS, PROFILES, firewall, profile
from lab.nat.render import RuleSet, Wiring, render, untracked

__all__ = [
    "FIREWALLS",
    "PROFILES",
    "Allocation",
    "Filtering",
    "FirewallPolicy",
    "Mapping",
    "NatProfile",
    "Permit",
    "RuleSet",
    "Translation",
    "Wiring",
    "firewall",
    "profile",
    "render",
    "untracked",
]
