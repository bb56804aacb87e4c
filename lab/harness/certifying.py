"""Certifying sites: claims asked, probes placed, measurements taken in parallel, verdicts given.

Belongs here: who runs where, and how many at once. Never: how a question is asked, or what follows from it.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from lab import nat
from lab.certify.asking import Patience
from lab.certify.behaviour import Behaviour
from lab.certify.bench import PORTS, Bench, Ports
from lab.certify.certificate import Certification, SiteCertificate, Verdict
from lab.certify.claimed import MTU, claimed, drawn_from
from lab.certify.comparing import Draw, differences
from lab.certify.deducing import deduce, mappings
from lab.certify.ends import End
from lab.certify.findings import LONGER_BYTES, Findings
from lab.certify.measuring import link
from lab.certify.measuring.site import Asked, measure
from lab.certify.requirements import requirements
from lab.certify.steadiness import Watch
from lab.errors import LabError, RuntimeUnavailable
from lab.harness import askable
from lab.harness.checkout import Checkout
from lab.harness.claiming import SiteClaim, claims
from lab.harness.probing import OpenSide, stand
from lab.harness.settling import find_out
from lab.harness.turns import Turns, narrow
from lab.runtime import images, probes
from lab.runtime.connection import Engine, still_there
from lab.runtime.probes import Probe
from lab.runtime.world import World
from lab.topology.model import Role

Say = Callable[[str], None]


@dataclass(frozen=True)
class Progress:
    """How far it is: sites that are done, all of them, those under way, and the one that was just done."""

    done: int
    total: int
    under_way: tuple[str, ...]
    ended: str | None


Follow = Callable[[Progress], None]

AT_ONCE = 12
"""Sites under way at the same time: most of them wait for a timer; each has a probe of 25 MB."""
QUIET_AT_ONCE = 3
"""Sites whose links are measured at the same time: 600 packets a second in all, far below what core can delay."""
LEAST_PACE_S = 0.001
"""A pace that is no shorter than what a timer can keep; a link that would bear a quicker one bears all at once."""
SHARERS, ASKED_BYTES = 8, 100
"""Questions to one site that are asked at the same time, with room, and the bytes of a packet of theirs."""
INNER = 3
"""Hosts inside, all in one probe: two of them use one port, and write to each other; one asks for too many ports."""
PROXY_PORT = 3128
LEAST_PORTS = 2000
"""Inner ports that the questions to one site may need, and to spare."""


def certify(
    engine: Engine, checkout: Checkout, world: World, sites: Sequence[str], say: Say, follow: Follow
) -> Certification:
    """Certify the sites that are named, or all, in the order of the topology.

    Raises ConfigError for an unknown site, RuntimeUnavailable where the lab does not answer; a site that is not what
    it claims is no error.
    """
    began = time.monotonic()
    names = _in_order(world, sites)
    with _alone(checkout, world.name):
        images.ensure_images(engine, say, only=images.PROBE)
        probes.remove_all(engine, world.name)
        asked = claims(engine, world, names)
        _let_clients_look(engine, world, asked, say)
        try:
            with OpenSide(engine, world) as outside:
                certificates = _all(engine, world, outside, asked, follow)
        finally:
            probes.remove_all(engine, world.name)
    seeds = {router: seed for claim in asked for router, seed in claim.line_seeds.items()}
    seed = next((claim.seed for claim in asked), None)
    return Certification(tuple(certificates), time.monotonic() - began, seed, seeds)


def _in_order(world: World, sites: Sequence[str]) -> tuple[str, ...]:
    every = tuple(str(node.site) for node in world.topology.by_role(Role.ROUTER))
    for site in sites:
        world.topology.router_of(site)
    return tuple(site for site in every if site in sites or not sites)


@contextmanager
def _alone(checkout: Checkout, lab: str) -> Iterator[None]:
    checkout.state.mkdir(exist_ok=True)
    with (checkout.state / f"certify-{lab}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeUnavailable(f"another `lab certify` is at work on {lab}; wait for it to end") from None
        yield


def _let_clients_look(engine: Engine, world: World, asked: Sequence[SiteClaim], say: Say) -> None:
    """Where something narrow is asked about, clients find out first what they can of their networks: of the little that
    passes their own questions take most, for seconds after a change."""
    if any(narrow(claim, family) for claim in asked for family in claim.families):
        clients = [node.name for node in world.topology.clients() if world.containers[node.name].running]
        say("waiting until clients know their networks: what is narrow is measured without their questions")
        find_out(engine, world, clients)


def _all(
    engine: Engine, world: World, outside: OpenSide, asked: Sequence[SiteClaim], follow: Follow
) -> Sequence[SiteCertificate]:
    """All sites, those first whose timers take longest."""
    stop, board = threading.Event(), _Board(len(asked), follow)
    quiet, turns = threading.BoundedSemaphore(QUIET_AT_ONCE), Turns(stop)

    def one(claim: SiteClaim) -> SiteCertificate:
        with board.at_work(claim.site):
            return _or_why_not(
                engine, claim, stop, lambda: _site(engine, world, outside, claim, stop, quiet, turns, watch)
            )

    first = sorted(asked, key=lambda claim: -_longest_s(claim))
    with Watch() as watch, ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="certify") as pool:
        jobs = {claim.site: pool.submit(one, claim) for claim in first}
        try:
            return [jobs[claim.site].result() for claim in asked]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _or_why_not(
    engine: Engine, claim: SiteClaim, stop: threading.Event, certify: Callable[[], SiteCertificate]
) -> SiteCertificate:
    """A site's certificate, or one that says why it could not be measured: no reason to lose the others'.

    Raises LabError where the whole certification is broken off, or where the engine does not answer any more.
    """
    began = time.monotonic()
    try:
        return certify()
    except LabError as error:
        if stop.is_set():
            raise
        if isinstance(error, RuntimeUnavailable):
            still_there(engine, f"certify {claim.site}")
        took = time.monotonic() - began
        return SiteCertificate(
            claim.site, claim.profile, claim.firewall, claim.behind, None, None, took, failure=str(error),
            claims=tuple(_says(claim, family) for family in claim.families), notes=_notes(claim),
        )  # fmt: skip


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
    outside: OpenSide,
    claim: SiteClaim,
    stop: threading.Event,
    quiet: threading.BoundedSemaphore,
    turns: Turns,
    watch: Watch,
) -> SiteCertificate:
    began = time.monotonic()
    askable.check(claim, _patience(claim))
    place = stand(engine, world, world.topology.lan_of(claim.site), INNER)
    proxy = world.topology.proxy_of(claim.site)
    at = (str(proxy.attachments[0].address.ip), PROXY_PORT) if proxy else None
    settings = {**place.settings("client", claim.families), "kernel_ports": [PROXY_PORT] if proxy else []}

    def order(order: str, **fields: object) -> dict[str, object]:
        return probe.order(order, **fields)

    end = End(order)
    environment = probes.environment(world.topology.router_of(claim.site))
    with (
        Probe(engine, world.name, f"probe-{claim.site}", place.place, environment, settings, end.hear) as probe,
        ThreadPoolExecutor(max_workers=2, thread_name_prefix=claim.site) as pool,
    ):
        jobs = {
            family: pool.submit(
                _verdict,
                Bench(
                    end, outside.end, place.addresses if family == 4 else place.addresses6, outside.of(family),
                    _patience(claim), stop, quiet, *_inner_ports(claim), watch,
                ),
                claim,
                turns,
                at if family == 4 else None,
                outside.listener,
            )
            for family in claim.families
        }  # fmt: skip
        verdicts = {family: job.result() for family, job in jobs.items()}
    return SiteCertificate(
        claim.site, claim.profile, claim.firewall, claim.behind, verdicts.get(4), verdicts.get(6),
        time.monotonic() - began, notes=_notes(claim),
    )  # fmt: skip


def _notes(claim: SiteClaim) -> tuple[str, ...]:
    """What no packet to the probe on the internet can show, which is no site."""
    return tuple(
        f"not measured: what the link of {one} does to packets for {other} alone ({words})"
        for one, other, words in claim.toward
    )


def _verdict(
    bench: Bench, claim: SiteClaim, turns: Turns, proxy: tuple[str, int] | None, listener: tuple[str, int]
) -> Verdict:
    repeated: list[str] = []
    bench = replace(bench, say=repeated.append)
    says = _says(claim, bench.family)
    timers = says.udp_timeout_s, says.tcp.timeout_s, says.tcp.transitory_timeout_s
    fragments = claim.link.takes(LONGER_BYTES)
    asked = Asked(*timers, says.ports_per_host, proxy, listener, fragments, says.tcp.ports_per_host)
    with turns.alone(narrow(claim, bench.family)):
        found = measure(bench, asked, lambda text: None)
    does = deduce(found, claim.routers[-1].outer if bench.family == 4 else 1)
    says = _says(claim, bench.family, found.up.size if found.up else 0)
    probes = (found.up.sent if found.up else None) or link.PROBES
    _, gap_s = link.train_on(claim.link.rate)
    wrong = differences(says, does, probes, claim.link.clumps(gap_s), _draws(claim, bench.family, found))
    return Verdict(says, does, wrong, requirements(found, does, bench.family), tuple(repeated))


def _draws(claim: SiteClaim, family: int, found: Findings) -> dict[str, Draw]:
    """How a host's outer ports were drawn, by the axis of their range, where it was by chance."""
    among = zip(("ports", "tcp.ports"), drawn_from(claim.routers, family), (found.udp, found.tcp), strict=True)
    return {axis: Draw(ports, len(mappings(seen))) for axis, ports, seen in among if ports and seen}


def _says(claim: SiteClaim, family: int, probe_bytes: int = 0) -> Behaviour:
    """A proxy is asked over IPv4 alone."""
    proxy = claim.proxy and family == 4
    return claimed(claim.routers, claim.link, proxy=proxy, family=family, probe_bytes=probe_bytes)


def _patience(claim: SiteClaim) -> Patience:
    up, down = claim.link.up, claim.link.down
    delay = max(up.delay_ms or 0, down.delay_ms or 0) / 1000 + claim.link.jitter_s
    loss, rate = max(up.loss or 0, down.loss or 0), claim.link.rate
    again = claim.link.loss_after_loss
    if rate is None:
        return Patience(delay, loss, again=again)
    pace = SHARERS * ASKED_BYTES * 8 / rate
    return Patience(delay + MTU * 8 / rate, loss, pace if pace >= LEAST_PACE_S else 0.0, rate, again)


def _inner_ports(claim: SiteClaim) -> tuple[Ports, Ports]:
    """For UDP and TCP, inner ports that a router which preserves them can preserve, and others once these are used up:
    one pool where they are alike."""
    translations = [one.profile.translation for one in claim.routers if one.profile.translation]
    of_udp, of_tcp = _preserved([one.udp for one in translations]), _preserved([one.tcp for one in translations])
    udp = _with_spare(of_udp)
    return udp, udp if of_udp == of_tcp else _with_spare(of_tcp)


def _with_spare(ports: Sequence[int]) -> Ports:
    return Ports(ports, sorted(set(PORTS) - set(ports)))


def _preserved(axes: Sequence[nat.Behaviour]) -> Sequence[int]:
    """All that the questions are asked with, as far as they are in every range; else all that are in every range.

    Where a router on the way gives out others anyway, or none is in every range, all that they are asked with.
    """
    if any(one.allocation is not nat.Allocation.PRESERVING for one in axes):
        return [*PORTS]
    within = [port for port in PORTS if all(one.ports.first <= port <= one.ports.last for one in axes)]
    if len(within) >= LEAST_PORTS or not axes:
        return within
    return [*range(max(one.ports.first for one in axes), min(one.ports.last for one in axes) + 1)] or [*PORTS]


def _longest_s(claim: SiteClaim) -> float:
    """The longest timer that has to be waited for."""
    says = [claimed(claim.routers, claim.link, family=family) for family in claim.families]
    timers = [t for one in says for t in (one.udp_timeout_s, one.tcp.timeout_s, one.tcp.transitory_timeout_s)]
    return max((seconds for seconds in timers if seconds is not None), default=0.0)
