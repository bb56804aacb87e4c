"""One site in one family: every question, in an order that lets none disturb another.

Belongs here: the order. Never: how a question is asked, or what follows from the answers.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from lab.certify.bench import ALTERNATE, PRIMARY, Bench
from lab.certify.conversation import Conversation, Udp
from lab.certify.findings import Findings, Reach, Transport
from lab.certify.measuring import errors, link, mapping, opening, timing
from lab.certify.measuring.reach import HTTP, HTTPS, reach

T = TypeVar("T")
THROTTLED_PACE_S = 0.05
"""Between two packets where UDP is throttled: 60 bytes twenty times a second are 10 kbit/s."""


@dataclass(frozen=True)
class Asked:
    """What the procedure has to know beforehand. `timeout_s`: around it the timeout is looked for, None: nowhere."""

    timeout_s: float | None
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
    tcp = mapping.lifeline(bench, True, ports) if ports and out.tls_443 is not False else None
    udp = mapping.lifeline(bench, False, (PRIMARY, ALTERNATE)) if out.udp else None
    paced = bench
    if isinstance(udp, Udp):
        rate = link.throttle(bench, udp)
        found = replace(found, reach=replace(found.reach, udp_kbit_s=rate))
        if rate is not None:
            paced = bench.patient(replace(bench.patience, pace_s=THROTTLED_PACE_S))
    throttled = found.reach.udp_kbit_s is not None
    way = tcp if throttled or udp is None else udp
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="certify") as pool:
        jobs: dict[str, Future[object]] = {}
        if udp is not None and asked.timeout_s is not None:
            jobs["timed"] = pool.submit(timing.timed, paced, asked.timeout_s)
        if udp is not None:
            jobs["udp"] = pool.submit(_transport, paced, False, (PRIMARY, ALTERNATE), udp)
        if tcp is not None:
            jobs["tcp"] = pool.submit(_transport, bench, True, ports, tcp)
        if way is not None:
            jobs["link"] = pool.submit(_link, bench, way)
        say(", ".join(jobs) or "nothing passes")
        done = {name: job.result() for name, job in jobs.items()}
    found = replace(found, tcp_ports=ports, timed=done.get("timed"))  # type: ignore[arg-type]
    if "udp" in done and udp is not None:
        found = replace(found, udp=done["udp"])  # type: ignore[arg-type]
        if not throttled:
            found = replace(found, fragmented=errors.fragmented(bench, udp))
        if asked.ports_per_host:
            say("ports per host")
            found = replace(found, ports_of_one_host=mapping.exhausted(bench, asked.ports_per_host))
    if "tcp" in done and tcp is not None:
        found = replace(found, tcp=done["tcp"])  # type: ignore[arg-type]
        say("simultaneous open")
        found = replace(found, simultaneous_open=opening.simultaneous_open(bench, ports[0], tcp))
    if "link" in done:
        found = replace(found, **done["link"])  # type: ignore[arg-type]
    return found


def tcp_ports(out: Reach) -> tuple[int, ...]:
    """Remote ports that TCP gets out to, two if there are."""
    if out.tcp_other:
        return PRIMARY, ALTERNATE
    return tuple(port for port, passes in ((HTTPS, out.tcp_443), (HTTP, out.tcp_80)) if passes)


def _transport(bench: Bench, tcp: bool, ports: tuple[int, ...], lifeline: Conversation) -> Transport:
    mapped, allocated = mapping.mapped(bench, tcp, ports)
    outer = lifeline.outer
    unsolicited = (
        opening.unsolicited_tcp(bench, outer, lifeline)
        if tcp
        else opening.unsolicited_udp(bench, outer.address, lifeline)
    )
    return Transport(
        mapped=mapped,
        allocated=allocated,
        filtered=mapping.filtered(bench, tcp, ports, (PRIMARY, ALTERNATE)),
        shared=mapping.shared(bench, tcp, ports),
        hairpinned=opening.hairpinned(bench, tcp, ports[0]),
        reported=errors.reported(bench, tcp, ports[0]),
        unsolicited=unsolicited,
    )


def _link(bench: Bench, way: Conversation) -> dict[str, object]:
    up, down = link.ways(bench, way)
    return {"up": up, "down": down, "mtu_up": link.mtu(bench, way, True), "mtu_down": link.mtu(bench, way, False)}
