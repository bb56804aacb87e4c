"""One site in one family: every question, in an order that lets none disturb another.

Belongs here: the order. Never: how a question is asked, or what follows from the answers.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from lab.certify.asking import Patience, Severed
from lab.certify.bench import ALTERNATE, PRIMARY, Bench
from lab.certify.findings import Findings, Reach, Transport
from lab.certify.measuring import errors, link, mapping, opening, timing
from lab.certify.measuring.reach import HTTP, HTTPS, proxied_elsewhere, reach

T = TypeVar("T")
THROTTLED_PACE_S = 0.05
"""Between two packets where UDP is throttled: 60 bytes twenty times a second are 10 kbit/s."""


@dataclass(frozen=True)
class Asked:
    """What the procedure has to know beforehand. Around the timeouts each timer is looked for, None: nowhere.

    `listener`: what the proxy is for; at its address somebody listens at ELSEWHERE as well.
    `tcp_timeout_s`: of a connection that stands, `transitory_s`: of one half open. `fragments`: whether the link takes
    two at once. `ports_per_host`, `tcp_ports_per_host`: the limits that are looked for, None: none.
    """

    timeout_s: float | None
    tcp_timeout_s: float | None
    transitory_s: float | None
    ports_per_host: int | None
    proxy: tuple[str, int] | None
    listener: tuple[str, int]
    fragments: bool = True
    tcp_ports_per_host: int | None = None


def measure(bench: Bench, asked: Asked, say: Callable[[str], None]) -> Findings:
    """Everything that can be seen from inside. Raises LabError where a probe does not answer."""
    say("what gets out")
    out = bench.undisturbed("what gets out", lambda: reach(bench))
    found = Findings(reach=out)
    if asked.proxy:
        through, up, down = link.proxied(bench, asked.proxy, asked.listener)
        elsewhere = proxied_elsewhere(bench, asked.proxy, asked.listener[0]) if through else None
        found = replace(found, reach=replace(out, proxy=through, proxy_elsewhere=elsewhere), up=up, down=down)
    ports = tcp_ports(out)
    udp, tcp = out.udp, bool(ports) and out.tls_443 is not False
    rate = bench.undisturbed("throttle", lambda: link.throttle(bench)) if udp else None
    throttled = rate is not None
    paced = bench.patient(slowed(bench.patience)) if throttled else bench
    found = replace(found, reach=replace(found.reach, udp_kbit_s=rate))
    over_tcp = bench.over_tcp()
    jobs = _jobs(over_tcp, paced, asked, udp, tcp, ports)
    if udp and not throttled:
        jobs["link"] = partial(_link, bench, False, (PRIMARY, ALTERNATE))
    elif tcp:
        jobs["link"] = partial(_link, over_tcp, True, ports)
    say(", ".join(jobs) or "nothing passes")
    # A link with a rate is measured alone: what else is asked would wait in its queue, or be dropped there.
    first = ["link"] if bench.patience.rate and "link" in jobs else []
    done = {name: proven(bench, name, jobs.pop(name)) for name in first}
    with ThreadPoolExecutor(max_workers=6, thread_name_prefix="certify") as pool:
        under_way = {name: pool.submit(proven, bench, name, job) for name, job in jobs.items()}
        done |= {name: job.result() for name, job in under_way.items()}
    timers = {name: done[name] for name in ("timed", "tcp_timed", "half_open") if name in done}
    found = replace(found, tcp_ports=ports, **timers)  # type: ignore[arg-type]
    if done.get("udp"):
        found = replace(found, udp=done["udp"])  # type: ignore[arg-type]
        if not throttled and asked.fragments:
            found = replace(found, fragmented=proven(bench, "fragments", partial(errors.fragmented, bench)))
        found = replace(found, ports_of_one_host=_most(bench, False, PRIMARY, asked.ports_per_host, say))
    if done.get("tcp"):
        found = replace(found, tcp=done["tcp"])  # type: ignore[arg-type]
        say("simultaneous open")
        opened = proven(bench, "simultaneous open", partial(opening.simultaneous_open, over_tcp, ports))
        most = _most(over_tcp, True, ports[0], asked.tcp_ports_per_host, say)
        found = replace(found, simultaneous_open=opened, tcp_ports_of_one_host=most)
    if done.get("link"):
        found = replace(found, **done["link"])  # type: ignore[arg-type]
    return found


def slowed(patience: Patience) -> Patience:
    """The same where UDP is throttled."""
    return replace(patience, pace_s=max(THROTTLED_PACE_S, patience.pace_s))


def _most(bench: Bench, tcp: bool, port: int, limit: int | None, say: Callable[[str], None]) -> int | None:
    """The outer ports of one host, where a limit is claimed."""
    if limit is None:
        return None
    what = "TCP ports per host" if tcp else "ports per host"
    say(what)
    return bench.undisturbed(what, lambda: mapping.exhausted(bench, tcp, port, limit))


def _jobs(
    over_tcp: Bench, paced: Bench, asked: Asked, udp: bool, tcp: bool, ports: tuple[int, ...]
) -> dict[str, Callable[[], object]]:
    """What is asked at the same time, by name: none of it disturbs another."""
    jobs: dict[str, Callable[[], object]] = {}
    if udp and asked.timeout_s is not None:
        jobs["timed"] = partial(timing.timed, paced, False, PRIMARY, asked.timeout_s)
    if tcp and asked.tcp_timeout_s is not None:
        jobs["tcp_timed"] = partial(timing.timed, over_tcp, True, ports[0], asked.tcp_timeout_s)
    if tcp and asked.transitory_s is not None:
        jobs["half_open"] = partial(timing.half_open, over_tcp, ports[0], asked.transitory_s)
    if udp:
        jobs["udp"] = partial(_transport, paced, False, (PRIMARY, ALTERNATE))
    if tcp:
        jobs["tcp"] = partial(_transport, over_tcp, True, ports)
    return jobs


def proven(bench: Bench, what: str, ask: Callable[[], T]) -> T | None:
    """What was found; None, which no claim agrees with, where the way was cut before anything was proven."""
    try:
        return bench.undisturbed(what, ask)
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
