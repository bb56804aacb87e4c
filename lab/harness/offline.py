"""Whether a client can take part in a call now, and why not, as far as the lab knows: what stands in its way.

Belongs here: asking the client and what lies between it and its supernode. Never: mending it.
"""

from collections.abc import Iterable, Sequence

from lab.errors import NotNow
from lab.harness import standing
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel
from lab.runtime.world import World
from lab.topology.model import Node, Role


def signed_in(engine: Engine, world: World, channel: ControlChannel) -> None:
    """Raise NotNow, saying why, where this client sits at no supernode or has no network."""
    said = channel.order("status")
    if said.get("state") == "ready" and not said.get("unplugged"):
        return
    node = world.topology.node(channel.node)
    why = _cables(node) if said.get("unplugged") else _why(engine, world, node, said.get("waits_at") or ())
    raise NotNow(f"{node.name} is offline: {why}")


def engage(by: str, channels: Iterable[ControlChannel]) -> None:
    """Have these clients for `by`, a call or a matrix, until their channels are released or closed.

    Asked in the order of their names: of two who want the same clients at once, one gets them all. Raises NotNow where
    one is in a call; its client knows that, whichever program has placed it.
    """
    for channel in sorted(channels, key=lambda one: one.node):
        busy = channel.order("engage", by=by).get("busy")
        if busy:
            raise NotNow(f"{channel.node} is in {busy} already; try again when that is over")


def _why(engine: Engine, world: World, client: Node, waits_at: Sequence[str]) -> str:
    if waits_at:
        return (
            f"it waits to be let in at {', '.join(waits_at)}, for there is no room; `lab status` shows who sits where"
        )
    for router in world.topology.routers_outward(client):
        if not world.containers[router.name].running:
            return f"its router {router.name} is stopped; `lab start {router.name}` starts it"
        if standing.order(engine, world, router.name, "status").get("unplugged"):
            return _cables(router)
    for core in world.topology.by_role(Role.CORE):
        if not world.containers[core.name].running:
            return f"{core.name} is stopped, which all packets of the internet pass; `lab start {core.name}` starts it"
    hubs = [node.name for node in world.topology.by_role(Role.SUPERNODE)]
    if not any(world.containers[name].running for name in hubs):
        return f"no supernode runs; `lab start {hubs[0]}` starts one" if hubs else "the lab has no supernode"
    return f"it looks for a supernode and has none yet; `lab logs {client.name}` shows its attempts"


def _cables(node: Node) -> str:
    return f"the cables of {node.name} are out; `lab plug {node.name}` puts them in"
