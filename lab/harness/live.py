"""What flows between two sites now: captured for some seconds as a call is, and judged.

Belongs here: watching. Never: what the packets mean (lab.evidence.live).
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

from lab.errors import ConfigError
from lab.evidence import Captures
from lab.evidence.filed import Filed
from lab.evidence.live import between
from lab.harness import standing
from lab.harness.witnesses import Witnesses, places
from lab.runtime.connection import Engine
from lab.runtime.world import World
from lab.topology.model import Node, Role


def verdict(engine: Engine, world: World, sites: tuple[str, str], seconds: float) -> Filed:
    """The path of what flows between these sites in the next seconds.

    Raises ConfigError for a site that is none, or twice the same, RuntimeUnavailable where a router does not run,
    EvidenceError where what must have been seen was not.
    """
    if sites[0] == sites[1]:
        raise ConfigError(f"{sites[0]} twice: what stays on one LAN crosses no router; name two sites")
    hosts = [Node(site, Role.CLIENT, site, None, None, ()) for site in sites]
    routers = [router for host in hosts for router in world.topology.routers_outward(host)]
    concerned = {str(router.site) for router in routers}
    topology = standing.live(world.topology, standing.routers(engine, world, concerned))
    with tempfile.TemporaryDirectory(prefix="lab-live-") as folder:
        watching = Witnesses(engine, replace(world, topology=topology), places(topology, hosts), Path(folder))
        try:
            watching.barrier()
            start = time.time()
            time.sleep(seconds)
            end = time.time()
            watching.barrier()
        finally:
            captured = watching.close()
        files = {one.node: one.file for one in captured}
        captures = Captures.read(files, {one.node: one.dropped for one in captured})
        return between(topology, captures, sites, start, end)
