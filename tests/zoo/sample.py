"""What `make test` takes of the zoo: the one place where it stands. `make test-zoo` takes all of it.

Belongs here: which sites, and why these. Never: what is expected of them.
"""

CERTIFIED = (
    # profiles
    "full-cone-1",
    "restricted-1",
    "port-restricted-1",
    "address-dependent-1",
    "sequential-1",
    "rfc4787-1",
    # firewalls
    "inbound-blocked-1",
    "web-only-1",
    "tls-only-1",
    "proxy-only-1",
    "udp-throttled-1",
    # a carrier, and a site behind it
    "carrier-1",
    "mobile-1",
    # IPv6: both families, alone inside, prefixes translated
    "dual-1",
    "ipv6-1",
    "nptv6-1",
)
"""One site of each kind that the reference lab has not; it has open, linux and symmetric, udp-blocked and tcp-443."""

SHORTENED = {"rfc4787-1": "udp-timeout=15 tcp-transitory-timeout=10"}
"""Axes of sites whose timers would take longer than the others' to wait for."""

CALLED = (
    "inbound-blocked-1",
    "web-only-1",
    "tls-only-1",
    "proxy-only-1",
    "udp-throttled-1",
    "mobile-1",
    "ipv6-1",
    "nptv6-1",
)
"""Sites of which every two call each other, both ways: 56 cells. Each firewall that the reference lab has not is among
them, and each kind of path is the best one of some pair."""
