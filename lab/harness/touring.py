"""What the tour asks of a lab: the reference lab's six sites, as their file has them.

Belongs here: whether its texts would be true. Never: the texts.
"""

from collections.abc import Mapping
from typing import Any

from lab.errors import ConfigError
from lab.harness import standing
from lab.runtime.connection import Engine
from lab.runtime.world import World
from lab.topology.model import Topology

SITES = {
    "park": ("alice", "open", "none"),
    "home": ("bob", "linux", "none"),
    "flat": ("frank", "linux", "none"),
    "office": ("carol", "symmetric", "none"),
    "hotel": ("dave", "symmetric", "udp-blocked"),
    "bank": ("erin", "symmetric", "tcp-443"),
}
"""Client, profile and firewall of each, as compose/reference.yml says."""


def ready(engine: Engine, world: World) -> Topology:
    """The topology of a lab that a tour can be given of. Raises ConfigError saying what to do where it is another."""
    for site in SITES:
        if site not in world.topology.sites():
            raise ConfigError(
                f"the tour is of the reference lab, and the one that runs has no site {site}: "
                "`lab up compose/reference.yml` takes its place"
            )
    check(world.topology, standing.routers(engine, world, SITES))
    for client, *_ in SITES.values():
        world.running(client)
    return world.topology


def check(topology: Topology, said: Mapping[str, Mapping[str, Any]]) -> None:
    """Whether everybody is where the file has them, and their routers are what it says."""
    for site, (client, profile, firewall) in SITES.items():
        now = said.get(site)
        if now is None:
            raise ConfigError(f"the router of {site} is stopped; `lab up` puts the lab back as its file says")
        if now["changed"] or (now["profile"], now["firewall"]) != (profile, firewall):
            raise ConfigError(f"{site} is not as compose/reference.yml has it; `lab up` puts it back, then try again")
        if topology.node(client).site != site:
            raise ConfigError(f"{client} is not at {site}; `lab up` puts the lab back as its file says")
