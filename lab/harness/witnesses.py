"""Where a call is watched from: which nodes capture, all of them started, proven and ended together.

Belongs here: the set of captures. Never: what a single one does (runtime), or what they show (evidence).
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from lab.runtime.capture import Capture, Captured
from lab.runtime.connection import Engine
from lab.runtime.world import World
from lab.topology.model import Node, Role, Topology


class Closable(Protocol):
    """What `open_all` opens."""

    def close(self) -> object: ...


T = TypeVar("T", bound=Closable)


def open_all(openers: Iterable[Callable[[], T]]) -> list[T]:
    """Open several things at once; where one fails or the user interrupts, the others are closed and it is raised."""
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="open") as pool:
        futures = [pool.submit(opener) for opener in openers]
        opened: list[T] = []
        failure: BaseException | None = None
        for future in futures:
            try:
                opened.append(future.result())
            except BaseException as error:
                failure = failure or error
        if failure:
            list(pool.map(lambda one: one.close(), opened))
            raise failure
    return opened


def moved(topology: Topology, name: str, site: str) -> Topology:
    """The topology with one client at another site; what it hangs at is left as it is."""
    nodes = (replace(node, site=site) if node.name == name else node for node in topology.nodes)
    return replace(topology, nodes=tuple(nodes))


def places(topology: Topology, ends: Iterable[Node]) -> list[Node]:
    """Where the media between these clients can pass: core, the routers before them, their carriers' too, the proxies
    of their sites, the relays; on one LAN, they themselves."""
    clients = list(ends)
    sites = list(dict.fromkeys(client.site for client in clients if client.site))
    routers = [router for client in clients for router in topology.routers_outward(client)]
    proxies = [proxy for site in sites if (proxy := topology.proxy_of(site))]
    watched = [*topology.by_role(Role.CORE), *dict.fromkeys(routers), *proxies]
    if len(sites) < len(clients):
        watched += clients
    return [*watched, *topology.by_role(Role.RELAY)]


class Witnesses:
    """Captures at several nodes, one file each in a folder. They serve one call, or a session of many."""

    def __init__(self, engine: Engine, world: World, nodes: Iterable[Node], folder: Path) -> None:
        """Raises RuntimeUnavailable where a capture does not start. Stopped relays and proxies are left out."""

        self._engine, self._world, self._folder = engine, world, folder
        self._captures: list[Capture] = []
        self._closed: list[Captured] | None = None
        self.add(nodes)

    def add(self, nodes: Iterable[Node]) -> None:
        """Watch from these nodes too, as far as that is not done yet; raises RuntimeUnavailable."""
        between = (Role.RELAY, Role.PROXY)
        known = {capture.node for capture in self._captures}
        seeing = [node for node in nodes if node.role not in between or self._world.containers[node.name].running]
        self._captures += open_all([self._opener(node) for node in seeing if node.name not in known])

    def _opener(self, node: Node) -> Callable[[], Capture]:
        container, file = self._world.running(node.name).id, self._folder / f"{node.name}.pcap"
        return lambda: Capture(self._engine, container, node.name, file, incoming=node.role is Role.CORE)

    def barrier(self) -> None:
        """Return when every capture has seen and written a marker sent now; raises EvidenceError."""
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="barrier") as pool:
            list(pool.map(lambda capture: capture.barrier(), self._captures))

    def close(self) -> list[Captured]:
        """End all captures and return what each says of itself; a second time, the same again."""
        if self._closed is None:
            with ThreadPoolExecutor(max_workers=16, thread_name_prefix="close") as pool:
                self._closed = list(pool.map(lambda capture: capture.close(), self._captures))
        return self._closed
