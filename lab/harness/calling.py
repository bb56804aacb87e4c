"""A call from the request to the report: check, place, keep what was seen, judge.

Belongs here: the order of these. Never: how each is done.
"""

import time

from docker import DockerClient

from lab.errors import ConfigError
from lab.harness import record, verdict
from lab.harness.call_report import CallReport
from lab.harness.checkout import Checkout
from lab.harness.placing import Follow, Placed, Request, place
from lab.runtime.world import World
from lab.topology.model import Role


def request(caller: str, callee: str, seconds: float, ring_ms: int) -> Request:
    """A request that makes sense by itself; raises ConfigError."""
    if caller == callee:
        raise ConfigError(f"{caller} cannot call itself; name two clients")
    if seconds < 1:
        raise ConfigError(f"a call lasts at least 1 s, got {seconds:g}: a shorter one shows no path")
    if ring_ms < 0:
        raise ConfigError(f"a phone rings for 0 ms or longer, got {ring_ms}")
    return Request(caller, callee, seconds, ring_ms)


def call(client: DockerClient, checkout: Checkout, world: World, wanted: Request, follow: Follow) -> CallReport:
    """Place a call and judge it. Raises ConfigError or RuntimeUnavailable where it cannot be placed.

    Whatever happens from the first capture on, also an interrupt, leaves its evidence in the call's folder.
    """
    for name in (wanted.caller, wanted.callee):
        if world.topology.node(name).role is not Role.CLIENT:
            clients = ", ".join(node.name for node in world.topology.clients())
            raise ConfigError(
                f"{name} is a {world.topology.node(name).role} and makes no calls; the clients are {clients}"
            )
        world.running(name)
    number, folder = checkout.new_call()
    placed = Placed(number, wanted, started=time.time())
    try:
        place(client, world, wanted, number, folder, follow, placed)
    finally:
        if placed.events:
            lines = record.logs(client, world, placed, folder)
            record.timeline(placed, lines, folder)
        else:
            record.discard(folder)
    report = verdict.report(world.topology, placed)
    record.document(report, folder)
    return report
