"""One site in one family: every question, in an order that lets none disturb another.

Belongs here: the order. Never: how a question is asked, or what follows from the answers.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from lab.certify.asking import Severed
from lab.certify.bench import ALTERNATE, PRIMARY, Bench
from lab.certify.findings import Findings, Reach, Transport
from lab.certify.measuring import errors, link, mapping, opening, timing
from lab.certify.measuring.reach import HTTP, HTTPS, reach

T = TypeVar("T")
THROTTLED_PACE_S = 0.05
"""Between two packets where UDP is throttled: 60 bytes twenty times a second are 10 kbit/s."""


@dataclass(frozen=True)
class Asked:
    """What the procedure has to know beforehand. Around the timeouts each timer is looked for, None: nowhere.

    `tcp_timeout_s`: of a connection that stands, `transitory_s`: of one half open.
    """

    timeout_s: float | None
    tcp_timeout_s: float | None
    transitory_s: float | None
    ports_per_host: int | None
    proxy: tuple[str, int] | None
    listener: tuple[str, int]


def measure(bench: Bench, asked: Asked, say: Callable[[str], None]) -> Findings:
    """Everything that can be seen from inside. Raises LabError where a probe does not answer."""
    say("what gets out")
    out = reach(bench)
    found = Findings(reach=out)
    if asked.proxy:
        through, up, down = link.proxied(bench, asked.proxy, asked.listener)
        found = replace(found, reach=replace(out, proxy=through), up=up, down=down)
    ports = tcp_ports(out)
    udp, tcp = out.udp, bool(ports) and out.tls_443 is not False
    rate = link.throttle(bench) if udp else None
    throttled = rate is not None
    paced = bench.patient(replace(bench.patience, pace_s=THROTTLED_PACE_S)) if throttled else bench
    found = replace(found, reach=replace(found.reach, udp_kbit_s=rate))
    with ThreadPoolExecutor(max_workers=6, thread_name_prefix="certify") as pool:
        jobs: dict[str, Future[object]] = {}
        if udp and asked.timeout_s is not None:
            jobs["timed"] = pool.submit(timing.timed, paced, False, PRIMARY, asked.timeout_s)
        if tcp and asked.tcp_timeout_s is not None:
            jobs["tcp_timed"] = pool.submit(timing.timed, bench, True, ports[0], asked.tcp_timeout_s)
        if tcp and asked.transitory_s is not None:
            jobs["half_open"] = pool.submit(timing.half_open, bench, ports[0], asked.transitory_s)
        if udp:
            jobs["udp"] = pool.submit(_transport, paced, False, (PRIMARY, ALTERNATE))
        if tcp:
            jobs["tcp"] = pool.submit(_transport, bench, True, ports)
        if udp and not throttled:
            jobs["link"] = pool.submit(_link, bench, False, (PRIMARY, ALTERNATE))
        elif tcp:
            jobs["link"] = pool.submit(_link, bench, True, ports)
        say(", ".join(jobs) or "nothing passes")
        done = {name: proven(job.result) for name, job in jobs.items()}
    timers = {name: done[name] for name in ("timed", "tcp_timed", "half_open") if name in done}
    found = replace(found, tcp_ports=ports, **timers)  # type: ignore[arg-type]
    if done.get("udp"):
        found = replace(found, udp=done["udp"])  # type: ignore[arg-type]
        if not throttled:
            found = replace(found, fragmented=proven(lambda: errors.fragmented(bench)))
        if asked.ports_per_host:
            say("ports per host")
            found = replace(found, ports_of_one_host=mapping.exhausted(bench, asked.ports_per_host))
    if done.get("tcp"):
        found = replace(found, tcp=done["tcp"])  # type: ignore[arg-type]
        say("simultaneous open")
        found = replace(found, simultaneous_open=proven(lambda: opening.simultaneous_open(bench, ports)))
    if done.get("link"):
        found = replace(found, **done["link"])  # type: ignore[arg-type]
    return found


def proven(ask: Callable[[], T]) -> T | None:
    """What was found; None, which no claim agrees with, where the way was cut before anything was proven."""
    try:
        return ask()
    except Severed:
        return None


def tcp_ports(out: Reach) -> tuple[int, ...]:
    """Remote ports that TCP gets out to, two if there are."""
    if out.tcp_other:
        return PRIMARY, ALTERNATE
    return tuple(port for port, passes in ((HTTPS, out.tcp_443), (HTTP, out.tcp_80)) if passes)


def _transport(bench: Bench, tcp: bool, ports: tuple[int, ...]) -> Transport:
    mapped, allocated = mapping.mapped(bench, tcp, ports)
    unsolicited = (opening.unsolicited_tcp if tcp else opening.unsolicited_udp)(bench, ports)
    return Transport(
        mapped=mapped,
        allocated=allocated,
        filtered=mapping.filtered(bench, tcp, ports, (PRIMARY, ALTERNATE)),
        shared=mapping.shared(bench, tcp, ports),
        hairpinned=opening.hairpinned(bench, tcp, ports[0]),
        reported=errors.reported(bench, tcp, ports[0]),
        unsolicited=unsolicited,
    )


def _link(bench: Bench, tcp: bool, ports: tuple[int, ...]) -> dict[str, object]:
    up, down = link.ways(bench, tcp, ports)
    longest = {f"mtu_{name}": link.mtu(bench, tcp, ports, name == "up") for name in ("up", "down")}
    return {"up": up, "down": down, **longest}
