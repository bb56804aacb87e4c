"""What a site's router remembers of its hosts: asked of it, put together by mapping, and compared with a moment before.

Belongs here: the shapes, asking, comparing. Never: how a router knows (lab.boot), or how it looks.
"""

import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address, ip_network
from math import inf
from typing import Any, Literal

from lab import nat
from lab.errors import LabError
from lab.evidence.naming import Names
from lab.evidence.pcap import Endpoint
from lab.harness import standing
from lab.harness.blocking import Remembered
from lab.nat.axes import Timers
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World

Json = Mapping[str, Any]
WORTH_A_WORD = 2.0
"""Seconds that a timer must have run down before its refreshing is told: in a call it is refreshed by every packet."""


@dataclass(frozen=True)
class Flow:
    """One remote endpoint of a mapping. `opened`: from `inside` or `outside`; `state`: one-way or two-way, a TCP
    connection's by name; `packets`: those out and in, None where the kernel does not count."""

    remote: str
    remote_address: str
    opened: str
    state: str
    seconds_left: float
    packets: tuple[int, int] | None


@dataclass(frozen=True)
class Mapped:
    """One mapping: a host's own endpoint and the one that the world sees, both as [address]:port and the first by name.

    `remote`: whom it is for: None, anybody; else those addresses or endpoints alone. `kept`: by the router's own table,
    which outlives a flow; else by its flows alone. `seconds_left` until it is forgotten.
    """

    protocol: str
    inner: str
    inner_address: str
    outer: str
    remote: str | None
    kept: bool
    seconds_left: float
    flows: tuple[Flow, ...]

    @property
    def key(self) -> tuple[str, str, str, str | None]:
        """What makes it the same one a moment later."""
        return self.protocol, self.inner_address, self.outer, self.remote


@dataclass(frozen=True)
class SiteMappings:
    """All of a site's, in the order of protocol and host. `left_out`: rows that were too many."""

    site: str
    profile: str
    firewall: str
    translates: bool
    outer: tuple[str, ...]
    mappings: tuple[Mapped, ...]
    left_out: int = 0
    udp_timeout_one_way_s: int = Timers.udp_timeout_one_way
    udp_timeout_s: int = Timers.udp_timeout
    """How long an idle mapping of UDP is remembered, before an answer and once traffic went both ways."""

    def to_json(self) -> dict[str, Any]:
        """The document of `lab nat --json`."""
        return asdict(self)


EVERY = 1.0
"""Seconds between two looks of a watch: a mapping that lives shorter than that is no mapping of a real router's."""

Happened = Literal["appeared", "refreshed", "expired", "is two-way"]


@dataclass(frozen=True)
class Change:
    """What became of a mapping, or of one remote endpoint of it, since the moment before."""

    happened: Happened
    mapping: Mapped
    flow: Flow | None = None


def watch(engine: Engine, world: World, site: str) -> Generator[SiteMappings, None, None]:
    """How it stands, each time that the next is asked for. Raises ConfigError where no site is called that,
    RuntimeUnavailable where its router does not run or has stopped to answer."""
    router = world.topology.router_of(site)
    names = Names(standing.live(world.topology, standing.routers(engine, world)))
    with ControlChannel(engine, world.running(router.name).id, router.name) as channel:
        while True:
            yield arranged(site, {**channel.order("status"), **channel.order("mappings")}, names)


def remembering(engine: Engine, world: World) -> Callable[[Iterable[str]], dict[str, Remembered]]:
    """Asks routers, by name, for what they have in mind; of one that does not say, nothing is known."""

    def one(router: str) -> Remembered:
        try:
            said = standing.order(engine, world, router, "mappings")
            return recalled(said, time.time())
        except LabError:
            return Remembered(time.time(), whole=False)

    def told(routers: Iterable[str]) -> dict[str, Remembered]:
        names = list(routers)
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="mappings") as pool:
            return dict(zip(names, pool.map(one, names), strict=True))

    return told


def recalled(said: Json, at: float) -> Remembered:
    """What a router has said, for whoever wants to know why it drops a packet. A flow that was opened from outside and
    not answered is no asking."""
    found: list[tuple[str, Endpoint, Endpoint | None, float]] = []
    for row in (*said["kept"], *said["flows"]):
        asked = row.get("opened") == "inside" or row.get("state") not in (None, "one-way")
        remote = row["remote"] if asked and row["remote"] and row["remote"][1] is not None else None
        left = inf if row["seconds"] is None else float(row["seconds"])
        found.append((row["protocol"], Endpoint(*row["outer"]), Endpoint(*remote) if remote else None, left))
    return Remembered(at, tuple(found), whole=not said.get("left_out"))


def arranged(site: str, said: Json, names: Names) -> SiteMappings:
    """What a router has said, as mappings: those of its tables, and those that its flows tell of."""
    found: dict[tuple[str, str, str, str | None], Mapped] = {}
    for row in said["kept"]:
        mapping = _mapped(row, names, None if row["remote"] is None else names.endpoint(*row["remote"]), kept=True)
        found[mapping.key] = mapping
    inside = [ip_network(said[lan]) for lan in ("lan", "lan6") if said.get(lan)]
    for row in said["flows"]:
        if any(ip_address(row["remote"][0]) in network for network in inside):
            continue  # a host's words to the router itself: nothing is mapped
        flow = Flow(
            names.endpoint(*row["remote"]),
            _text(row["remote"]),
            row["opened"],
            row["state"],
            float(row["seconds"] or 0),
            None if row["packets"] is None else (row["packets"][0], row["packets"][1]),
        )
        mapping = _of_a_flow(row, flow, found, names)
        left = mapping.seconds_left if mapping.kept else max(mapping.seconds_left, flow.seconds_left)
        found[mapping.key] = replace(mapping, flows=(*mapping.flows, flow), seconds_left=left)
    profile = nat.profile(said["profile"], said.get("axes") or "")
    timers = profile.translation.timers if profile.translation else profile.timers
    ordered = sorted(found.values(), key=lambda one: (one.protocol != "udp", one.inner, one.outer, one.remote or ""))
    return SiteMappings(
        site=site,
        profile=said["profile"],
        firewall=said["firewall"],
        translates=profile.translation is not None,
        outer=tuple(said.get("outer") or ()),
        mappings=tuple(replace(one, flows=tuple(sorted(one.flows, key=lambda each: each.remote))) for one in ordered),
        left_out=int(said.get("left_out") or 0),
        udp_timeout_one_way_s=timers.udp_timeout_one_way,
        udp_timeout_s=timers.udp_timeout,
    )


def _of_a_flow(row: Json, flow: Flow, found: Mapping[Any, Mapped], names: Names) -> Mapped:
    """The mapping of a table that a flow goes by, else the one that it makes with others like it."""
    ends = (row["protocol"], _text(row["inner"]), _text(row["outer"]))
    whom = (None, names.host(row["remote"][0]), flow.remote)
    for remote in whom:
        mapping = found.get((*ends, remote))
        if mapping is not None:
            return mapping
    return _mapped({**row, "seconds": 0.0}, names, None, kept=False)


def _mapped(row: Json, names: Names, remote: str | None, *, kept: bool) -> Mapped:
    inner, outer = row["inner"], row["outer"]
    left = float(row["seconds"] or 0)
    return Mapped(row["protocol"], names.endpoint(*inner), _text(inner), _text(outer), remote, kept, left, ())


def _text(endpoint: Sequence[Any]) -> str:
    host, port = endpoint
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def news(before: SiteMappings | None, now: SiteMappings) -> list[Change]:
    """What has changed since the moment before (None: all is new). A mapping that its flows alone make has no words of
    its own: theirs say it."""
    found = _changes(() if before is None else before.mappings, now.mappings)
    return [change for change in found if change.flow or change.mapping.kept]


def _changes(before: Iterable[Mapped], now: Iterable[Mapped]) -> list[Change]:
    """What is new, refreshed, answered for the first time, and gone; of a mapping, and of each remote endpoint."""
    was, told = {one.key: one for one in before}, list[Change]()
    for one in now:
        former = was.pop(one.key, None)
        if former is None:
            told.append(Change("appeared", one))
            told += [Change("appeared", one, flow) for flow in one.flows]
            continue
        if one.kept and _refreshed(former.seconds_left, one.seconds_left):
            told.append(Change("refreshed", one))
        told += _of_flows(former, one)
    for gone in was.values():
        told += [Change("expired", gone, flow) for flow in gone.flows]
        told.append(Change("expired", gone))
    return told


def _of_flows(former: Mapped, now: Mapped) -> Iterable[Change]:
    was = {flow.remote_address: flow for flow in former.flows}
    for flow in now.flows:
        one = was.pop(flow.remote_address, None)
        if one is None:
            yield Change("appeared", now, flow)
        elif one.state == "one-way" and flow.state == "two-way":
            yield Change("is two-way", now, flow)
        elif _refreshed(one.seconds_left, flow.seconds_left):
            yield Change("refreshed", now, flow)
    for flow in was.values():
        yield Change("expired", now, flow)


def _refreshed(before: float, now: float) -> bool:
    return now - before >= WORTH_A_WORD
