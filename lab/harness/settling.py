"""Waiting until every client that runs sits at a supernode that runs: after a start, and after a fault.

Belongs here: when the calling system as a whole is ready. Never: one node's own readiness; it says that itself.
"""

import queue
import threading
import time

from lab.errors import RuntimeUnavailable
from lab.harness.status import LabStatus, ask
from lab.runtime.connection import Engine
from lab.runtime.readiness import events
from lab.runtime.world import World
from lab.topology.model import Role, Topology

SETTLE_SECONDS = 60.0


def settle(client: Engine, world: World, seconds: float = SETTLE_SECONDS) -> None:
    """Return when all clients that run are signed in; raises RuntimeUnavailable naming those that are not in time.

    Every line that a client logs is a reason to ask again: the logs are followed from before the first question.
    """
    clients = tuple(node for node in world.topology.clients() if world.containers[node.name].running)
    part = World(world.name, Topology(clients, world.topology.networks), world.containers, world.file)
    changed: queue.Queue[None] = queue.Queue()
    since = time.time()

    def follow(container: str) -> None:
        for _ in events(client, container, since, follow=True):
            changed.put(None)

    for node in clients:
        name = world.containers[node.name].id
        threading.Thread(target=follow, args=(name,), name=f"settle {node.name}", daemon=True).start()
    deadline = time.monotonic() + seconds
    while away := _away(ask(client, part), world):
        try:
            changed.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise RuntimeUnavailable(
                f"{', '.join(away)} did not sign in within {seconds:g} s; `lab logs {away[0]}` may say why"
            ) from None
        while not changed.empty():
            changed.get_nowait()


def _away(found: LabStatus, world: World) -> list[str]:
    hubs = {node.name for node in world.topology.by_role(Role.SUPERNODE) if world.containers[node.name].running}
    return [node.name for node in found.nodes if node.state != "ready" or node.supernode not in hubs]
