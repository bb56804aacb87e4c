"""Measurements that share something narrow take turns: a link that has a rate, or a router that throttles.

Belongs here: what is narrow on a way, and waiting for it. Never: what is measured.
A train fills most of what such a thing carries, and questions are paced to it: of two at a time each would find in the
other's packets a loss, a delay or a throttle that is none of the network's. What shares nothing narrow goes on beside.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from lab.errors import RuntimeUnavailable
from lab.harness.claiming import SiteClaim

LOOK_S = 0.2
"""How often one who waits for a turn looks whether the certification was broken off."""


def narrow(claim: SiteClaim, family: int) -> frozenset[str]:
    """What is narrow on a site's way out, by names that are the same for every site that shares it.

    A throttle has a bucket for each family (lab.nat.filters), a link one rate for both.
    """
    links = {f"the link of {site}" for site in claim.rated}
    throttles = {router.name for router in claim.routers if router.firewall.udp_rate is not None}
    return frozenset(links | {f"the throttle of {name} for IPv{family}" for name in throttles})


class Turns:
    """Those of one certification. `stop` breaks it off."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self._of: dict[str, threading.Lock] = defaultdict(threading.Lock)

    @contextmanager
    def alone(self, things: Iterable[str]) -> Iterator[None]:
        """Nobody else has any of these while this lasts. Raises RuntimeUnavailable where it is broken off meanwhile."""
        with ExitStack() as held:
            for name in sorted(things):  # all in one order, or two could wait for each other
                with self._lock:
                    thing = self._of[name]
                while not thing.acquire(timeout=LOOK_S):
                    self._go_on()
                held.callback(thing.release)
            self._go_on()
            yield

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise RuntimeUnavailable("the certification was broken off")
