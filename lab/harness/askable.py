"""What a site's network has to bear for the questions to say anything; one that does not is not judged.

Belongs here: limits, each with its reason, and the sentence that says so. Never: who is measured when, or how.
"""

import math
from collections.abc import Iterator

from lab.certify.asking import MOST_LOSS, Patience
from lab.certify.claimed import claimed, timers
from lab.certify.measuring import timing
from lab.certify.measuring.site import slowed
from lab.errors import EvidenceError
from lab.harness.claiming import SiteClaim
from lab.links.units import print_rate, print_share

LEAST_RATE = 32_000
"""bit/s: on a narrower link a longest packet takes seconds, and what is asked would be most of what it carries."""
LEAST_OUTER = 256
"""Outer ports of a host, for each transport: the questions take some seventy, all of which a router may remember until
the last is asked, and the site's own clients have theirs; of ports that are drawn most have to be free."""


def check(claim: SiteClaim, patience: Patience) -> None:
    """Raises EvidenceError where a site's claim is beyond what can be asked, whatever it does."""
    for words in (*_narrow(claim), *_lossy(claim), *_few_ports(claim), *_forgetful(claim, patience)):
        raise EvidenceError(words)


def _narrow(claim: SiteClaim) -> Iterator[str]:
    if claim.link.rate is not None and claim.link.rate < LEAST_RATE:
        yield (
            f"the link of {claim.site} carries {print_rate(claim.link.rate)} a second, too little for what is asked; "
            f"give it {print_rate(LEAST_RATE)} or more"
        )


def _lossy(claim: SiteClaim) -> Iterator[str]:
    for way, words in ((claim.link.up, "up"), (claim.link.down, "down")):
        if (loss := way.loss or 0.0) > MOST_LOSS:
            yield (
                f"the link of {claim.site} loses {print_share(loss)} of its packets on the way {words}, too many for "
                f"a silence to say anything; give it {print_share(MOST_LOSS)} or less"
            )


def _few_ports(claim: SiteClaim) -> Iterator[str]:
    """A router on the way has so few outer ports that the questions would use them up."""
    says = claimed(claim.routers, claim.link)
    asked = {"UDP": says.ports, "TCP": says.tcp.ports} if 4 in claim.families else {}
    for router in claim.routers:
        if (axes := router.profile.translation) is None:
            continue
        for name, one in (("UDP", axes.udp), ("TCP", axes.tcp)):
            ports = min(one.ports.size, one.ports_per_host or one.ports.size)
            if asked.get(name) and ports < LEAST_OUTER:
                yield (
                    f"{router.name} has {ports} {name} ports for a host of {claim.site}, too few for what is asked; "
                    f"give it {LEAST_OUTER} or more"
                )


def _forgetful(claim: SiteClaim, patience: Patience) -> Iterator[str]:
    """A router on the way forgets sooner than the questions about its timers are asked."""
    for family in claim.families:
        says = claimed(claim.routers, claim.link, family=family)
        udp = timing.least_s(slowed(patience) if says.outbound.udp_kbit_s is not None else patience)
        least = {
            "udp_timeout": (says.udp_timeout_s, udp),
            "udp_timeout_one_way": (says.udp_timeout_s, udp),  # until traffic has gone both ways for a while
            "tcp_timeout": (says.tcp.timeout_s, timing.least_s(patience)),
            "tcp_transitory_timeout": (says.tcp.transitory_timeout_s, timing.least_half_open_s(patience)),
        }
        for router in claim.routers:
            if (kept := timers(router, family)) is None:
                continue
            for name, (asked, shortest) in least.items():
                seconds = getattr(kept, name)
                if asked is not None and seconds < shortest:
                    yield (
                        f"{router.name} has {name.replace('_', '-')}={seconds}, too short for what is asked of "
                        f"{claim.site}; give it {math.ceil(shortest)} or more"
                    )
