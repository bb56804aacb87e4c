"""Priorities of candidates and of pairs, by RFC 8445's formulas: in which order what has never been checked is checked.

Belongs here: the two formulas and their figures. Never: which path that works is the better one (paths.py ranks those).
"""

from lab.wire.addresses import family

TYPE_PREFERENCE = {
    "host": 126,
    "peer-reflexive": 110,
    "port-mapped": 105,
    "server-reflexive": 100,
    "predicted": 90,
    "relayed": 0,
}
"""RFC 8445, 5.1.2.2; kinds that it does not know stand where they are as likely to work."""
LOCAL_PREFERENCE = {6: 65_535, 4: 65_534}
"""By family: IPv6 first (RFC 8421, 4)."""
COMPONENT = 1
"""There is one (RFC 8445, 5.1.2.1): RTP and RTCP share it."""


def candidate(kind: str, host: str) -> int:
    """Of one candidate, 32 bits; `host` is its address, IPv4 or IPv6."""
    return (TYPE_PREFERENCE[kind] << 24) + (LOCAL_PREFERENCE[family(host)] << 8) + 256 - COMPONENT


def pair(controlling: int, controlled: int) -> int:
    """Of a pair of candidates, 64 bits (RFC 8445, 6.1.2.3); both ends reckon the same."""
    low, high = sorted((controlling, controlled))
    return (low << 32) + 2 * high + (controlling > controlled)
