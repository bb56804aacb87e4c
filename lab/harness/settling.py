"""Waiting until every client that runs sits at a supernode that runs: after a start, and after a fault; and until the
clients know their networks.

Belongs here: when the calling system as a whole is ready. Never: one node's own readiness; it says that itself.
"""

import time
from collections.abc import Sequence

from lab.errors import RuntimeUnavailable
from lab.harness.status import LabStatus, ask
from lab.runtime.connection import Engine
from lab.runtime.logs import Logs
from lab.runtime.world import World
from lab.topology.model import Role

SETTLE_SECONDS = 60.0
FIND_OUT_SECONDS = 20.0
"""A client without a call is through in eight; one that calls looks again behind its calls."""
HEARTBEAT = 0.5
"""Seconds between two questions while nobody logs anything: clients hear their supernode every second."""


def settle(engine: Engine, world: World, seconds: float = SETTLE_SECONDS) -> None:
    """Return when all clients that run are signed in, each having heard its supernode after this began.

    A client whose link has just been cut believes for seconds that it is signed in. Raises RuntimeUnavailable naming
    those that are not in time. A line that a client logs is a reason to ask again, and so is a heartbeat's time.
    """
    clients = [node.name for node in world.topology.clients() if world.containers[node.name].running]
    part = world.only(clients)
    begun, deadline = time.time(), time.monotonic() + seconds
    with Logs(engine, [world.containers[name] for name in clients], lambda container: begun) as logs:
        while away := _away(ask(engine, part), world, begun):
            if time.monotonic() > deadline:
                raise RuntimeUnavailable(
                    f"{', '.join(away)} did not sign in within {seconds:g} s; `lab logs {away[0]}` may say why"
                )
            logs.next(min(deadline, time.monotonic() + HEARTBEAT))
            while logs.next(0.0):
                pass  # what has been said before the next question


def find_out(engine: Engine, world: World, clients: Sequence[str], seconds: float = FIND_OUT_SECONDS) -> None:
    """Return when none of these clients is about to know more of its network, or after so many seconds.

    A client looks in the background and no call waits for it: what it does not know yet it cannot make use of.
    """
    deadline = time.monotonic() + seconds
    part = world.only(clients)
    with Logs(engine, [world.containers[name] for name in clients], lambda container: time.time()) as logs:
        while any(node.finding_out for node in ask(engine, part).nodes) and time.monotonic() < deadline:
            logs.next(min(deadline, time.monotonic() + HEARTBEAT))


def _away(found: LabStatus, world: World, begun: float) -> list[str]:
    hubs = {node.name for node in world.topology.by_role(Role.SUPERNODE) if world.containers[node.name].running}
    hubs |= {node.name for node in found.nodes if node.promoted == "supernode"}
    return [
        node.name
        for node in found.nodes
        if node.state != "ready" or node.supernode not in hubs or (node.heard_at or 0.0) < begun
    ]
