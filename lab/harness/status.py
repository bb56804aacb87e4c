"""What each node says of itself now, asked of all at once.

Belongs here: asking, and the shape of the answer. Never: changing anything.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from lab.errors import LabError
from lab.harness import standing
from lab.links import Link
from lab.links.notation import told
from lab.runtime.connection import Engine
from lab.runtime.control import ControlChannel, Json, NotListening
from lab.runtime.world import World
from lab.topology.model import Node

ANSWER_SECONDS = 3.0
"""A node that has not answered by then is unresponsive."""


@dataclass(frozen=True)
class NodeStatus:
    """One node. `state`: its own word (ready, away), or unplugged, stopped, starting, unresponsive. `supernode`: where
    it sits.

    `promoted`: what a client is beside, `supernode` or `relay`, and `promoted_because` why; `waits_at`: the
    supernodes that have told it to wait, for they have no room yet. `forwarding`: where a relay forwards, `kernel`,
    or `user space` and why. `link`: of a router, its site's access link as lab.links writes it, None where the
    hop at which it ends (core, or the carrier's router) is not there to say; `seed`: of such a hop, what all that its
    links leave to chance begins with. `behind`: the carrier that its site sits behind. `network`: what a client has
    found out about its own on the axes of RFC 4787, None where it does not know, and `lets_out`, what that lets out:
    `udp`, `voice_by_udp` (as much as a voice is), `tcp` ports, `tls_only`, `proxy`; `finding_out`: whether more will be
    known soon; `keepalive_s`: seconds after which it therefore refreshes a mapping, of UDP, and
    `tcp_keepalive_s` one of TCP; `port_mapped`: the outer address
    that its router has given it for the next call, because it asked. `heard_at`: when a client last heard its
    supernode, epoch seconds. What clients have found out by themselves changes while nobody touches the lab, and
    makes no difference between two statuses.
    """

    name: str
    role: str
    site: str | None
    profile: str | None
    firewall: str | None
    state: str
    supernode: str | None
    promoted: str | None
    promoted_because: str | None = None
    waits_at: tuple[str, ...] = ()
    behind: str | None = None
    heard_at: float | None = field(default=None, compare=False)
    forwarding: str | None = None
    link: dict[str, Any] | None = None
    seed: int | None = None
    network: dict[str, Any] | None = field(default=None, compare=False)
    lets_out: dict[str, Any] | None = field(default=None, compare=False)
    finding_out: bool | None = field(default=None, compare=False)
    keepalive_s: float | None = field(default=None, compare=False)
    tcp_keepalive_s: float | None = field(default=None, compare=False)
    port_mapped: str | None = None


@dataclass(frozen=True)
class LabStatus:
    """Every node of the lab, in the order of the topology."""

    nodes: tuple[NodeStatus, ...]

    def to_json(self) -> dict[str, Any]:
        """The document of `lab status --json`."""
        return {
            "nodes": [{key: value for key, value in asdict(node).items() if key != "heard_at"} for node in self.nodes]
        }


def ask(engine: Engine, world: World) -> LabStatus:
    """Ask every node that runs. A client is shown with what its site's router says of profile and firewall now."""
    nodes = world.topology.nodes
    with ThreadPoolExecutor(max_workers=16, thread_name_prefix="status") as pool:
        said = pool.map(lambda node: _one(engine, world, node), nodes)
        answers = {node.name: answer for node, answer in zip(nodes, said, strict=True)}
    routers = {node.site: answers[node.name] for node in nodes if node.role == "router"}
    core = next((answers[node.name] for node in nodes if node.role == "core"), {})
    links = standing.ended_at(world.topology, core, {str(site): said for site, said in routers.items()})

    def status(node: Node) -> NodeStatus:
        said = answers[node.name]
        site = routers.get(node.site, {})
        behind = world.topology.behind(node.site) if node.site and node.site in routers else None
        return NodeStatus(
            name=node.name,
            role=str(node.role),
            site=node.site,
            profile=site.get("profile", node.profile),
            firewall=site.get("firewall", node.firewall),
            state=str(said["state"]),
            supernode=said.get("supernode"),
            promoted=said.get("promoted"),
            promoted_because=said.get("promoted_because"),
            waits_at=tuple(said.get("waits_at") or ()),
            forwarding=said.get("forwarding"),
            network=said.get("network"),
            lets_out=said.get("lets_out"),
            finding_out=said.get("finding_out"),
            keepalive_s=said.get("keepalive_s"),
            tcp_keepalive_s=said.get("tcp_keepalive_s"),
            port_mapped=said.get("port_mapped"),
            heard_at=said.get("heard_at"),
            link=_link(node, links, routers.get(behind, {}) if behind else core),
            seed=(said.get("shaping") or {}).get("seed"),
            behind=behind,
        )

    return LabStatus(tuple(status(node) for node in nodes))


def _link(node: Node, links: dict[str, Json], end: Json) -> Json | None:
    """A router's link by what the hop says where it ends, if that says anything; one that nobody gave does nothing."""
    if node.role != "router" or end.get("state") not in ("ready", "unplugged"):
        return None
    found: Json = links.get(str(node.site), told(Link()))
    return found


def _one(engine: Engine, world: World, node: Node) -> Json:
    container = world.containers[node.name]
    if not container.running:
        return {"state": "stopped"}
    try:
        with ControlChannel(engine, container.id, node.name) as channel:
            said = channel.order("status", within=ANSWER_SECONDS)
            return {**said, "state": "unplugged" if said.get("unplugged") else said.get("state", "unresponsive")}
    except NotListening:
        return {"state": "starting"}
    except LabError:
        return {"state": "unresponsive"}
