"""Certifying sites: claims asked, probes placed, measurements taken in parallel, verdicts given.

Belongs here: who runs where, and how many at once. Never: how a question is asked, or what follows from it.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from lab.certify.asking import Patience
from lab.certify.bench import ALTERNATE, PRIMARY, Bench
from lab.certify.certificate import Certification, SiteCertificate, Verdict
from lab.certify.claimed import claimed
from lab.certify.comparing import differences
from lab.certify.deducing import deduce
from lab.certify.ends import End
from lab.certify.measuring import link
from lab.certify.measuring.site import Asked, measure
from lab.certify.requirements import requirements
from lab.errors import RuntimeUnavailable
from lab.harness.checkout import Checkout
from lab.harness.claiming import SiteClaim, claims
from lab.runtime import images, probes
from lab.runtime.connection import Engine
from lab.runtime.probes import Place, Probe
from lab.runtime.world import World
from lab.topology.model import Network, Role

Say = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """How far it is: sites that are done, all of them, those under way, and the one that was just done."""

    done: int
    total: int
    under_way: tuple[str, ...]
    ended: str | None


Follow = Callable[[Progress], None]

AT_ONCE = 16
"""Sites under way at the same time: most of them wait for a timer; each has a probe of 25 MB."""
QUIET_AT_ONCE = 4
"""Sites whose links are measured at the same time: 800 packets a second in all, a tenth of what core can delay."""
INNER = 2
"""Hosts inside, all in one probe: two of them use one port, and write to each other."""


def certify(
    engine: Engine, checkout: Checkout, world: World, sites: Sequence[str], say: Say, follow: Follow
) -> Certification:
    """Certify the sites that are named, or all, in the order of the topology.

    Raises ConfigError for an unknown site, RuntimeUnavailable where the lab does not answer; a site that is not what
    it claims is no error.
    """
    began = time.monotonic()
    names = _in_order(world, sites)
    with _alone(checkout):
        images.ensure_images(engine, say, only=images.PROBE)
        probes.remove_all(engine, world.name)
        asked = claims(engine, world, names)
        try:
            with _Open(engine, world) as outside:
                certificates = _all(engine, world, outside, asked, follow)
        finally:
            probes.remove_all(engine, world.name)
    return Certification(tuple(certificates), time.monotonic() - began)


def _in_order(world: World, sites: Sequence[str]) -> tuple[str, ...]:
    every = tuple(str(node.site) for node in world.topology.by_role(Role.ROUTER))
    for site in sites:
        world.topology.router_of(site)
    return tuple(site for site in every if site in sites or not sites)


@contextmanager
def _alone(checkout: Checkout) -> Iterator[None]:
    checkout.state.mkdir(exist_ok=True)
    with (checkout.state / "certify.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeUnavailable(
                f"another `lab certify` is at work in {checkout.root}; wait for it to end"
            ) from None
        yield


class _Open:
    """The probe on the internet: RFC 5780's two addresses and two ports, and a third where its kernel's TCP listens."""

    LISTENER = 443

    def __init__(self, engine: Engine, world: World) -> None:
        network = next(one for one in world.topology.networks if one.kind == "internet")
        (core,) = world.topology.by_role(Role.CORE)
        addresses = _free(engine, world, network, 3)
        self.addresses, self.listener = addresses[:2], (addresses[2], self.LISTENER)
        settings = {
            "role": "supernode",
            "own": addresses[0],
            "hold": [f"{one}/{network.subnet.prefixlen}" for one in addresses[1:]],
            "stun": {"addresses": list(self.addresses), "ports": [PRIMARY, ALTERNATE]},
            "listen": list(self.listener),
        }
        place = Place(network.name, addresses[0])
        self.end = End(self._order)
        environment = probes.environment([str(one.address.ip) for one in core.attachments])
        self._probe = Probe(engine, world.name, "probe", place, environment, settings, self.end.hear)

    def _order(self, order: str, **fields: object) -> dict[str, object]:
        return self._probe.order(order, **fields)

    def __enter__(self) -> "_Open":
        return self

    def __exit__(self, *error: object) -> None:
        self._probe.__exit__(None, None, None)


def _all(
    engine: Engine, world: World, outside: _Open, asked: Sequence[SiteClaim], follow: Follow
) -> Sequence[SiteCertificate]:
    """All sites, those first whose timers take longest."""
    stop, quiet, board = threading.Event(), threading.BoundedSemaphore(QUIET_AT_ONCE), _Board(len(asked), follow)

    def one(claim: SiteClaim) -> SiteCertificate:
        with board.at_work(claim.site):
            return _site(engine, world, outside, claim, stop, quiet)

    first = sorted(asked, key=lambda claim: -(_timeout(claim) or 0.0))
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="certify") as pool:
        jobs = {claim.site: pool.submit(one, claim) for claim in first}
        try:
            return [jobs[claim.site].result() for claim in asked]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Board:
    """Who is at work, for the eye."""

    def __init__(self, total: int, say: Follow) -> None:
        self._lock, self._busy, self._done, self._total, self._say = threading.Lock(), dict[str, None](), 0, total, say

    @contextmanager
    def at_work(self, site: str) -> Iterator[None]:
        with self._lock:
            self._busy[site] = None
            self._say(Progress(self._done, self._total, tuple(self._busy), None))
        yield
        with self._lock:
            del self._busy[site]
            self._done += 1
            self._say(Progress(self._done, self._total, tuple(self._busy), site))


def _site(
    engine: Engine,
    world: World,
    outside: _Open,
    claim: SiteClaim,
    stop: threading.Event,
    quiet: threading.BoundedSemaphore,
) -> SiteCertificate:
    began = time.monotonic()
    network = next(one for one in world.topology.networks if one.site == claim.site)
    inner = _free(engine, world, network, INNER)
    settings = {
        "role": "client",
        "own": inner[0],
        "hold": [f"{one}/{network.subnet.prefixlen}" for one in inner[1:]],
    }

    def order(order: str, **fields: object) -> dict[str, object]:
        return probe.order(order, **fields)

    end = End(order)
    with Probe(
        engine, world.name, f"probe-{claim.site}", Place(network.name, inner[0]), {}, settings, end.hear
    ) as probe:
        patience = _patience(claim)
        bench = Bench(end, outside.end, inner, (outside.addresses[0], outside.addresses[1]), patience, stop, quiet)
        verdict = _verdict(bench, outside, claim)
    return SiteCertificate(
        claim.site, claim.profile, claim.firewall, claim.behind, verdict, None, time.monotonic() - began
    )


def _verdict(bench: Bench, outside: _Open, claim: SiteClaim) -> Verdict:
    says = claimed(claim.routers, claim.link, family=bench.family)
    found = measure(bench, Asked(says.udp_timeout_s, None, outside.listener), lambda text: None)
    does = deduce(found, claim.routers[-1].outer)
    return Verdict(says, does, differences(says, does, link.PROBES), requirements(found, does, bench.family))


def _patience(claim: SiteClaim) -> Patience:
    up, down = claim.link.up, claim.link.down
    return Patience(max(up.delay_ms or 0, down.delay_ms or 0) / 1000, max(up.loss or 0, down.loss or 0))


def _timeout(claim: SiteClaim) -> float | None:
    return claimed(claim.routers, claim.link).udp_timeout_s


def _free(engine: Engine, world: World, network: Network, count: int) -> tuple[str, ...]:
    taken = probes.addresses_in_use(engine, world.name, network.name) | {
        attachment.address.ip
        for node in world.topology.nodes
        for attachment in node.attachments
        if attachment.network == network.name
    }
    return probes.free_addresses(network.subnet, taken, count)
