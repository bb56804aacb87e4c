"""A path as a little picture: the hops from the caller to the callee in one line.

Belongs here: which hops a path of a kind has, from the topology. Never: what the packets showed; that is the verdict.
"""

from lab.harness.call_report import MediaPath
from lab.topology.model import Role, Topology

LINES = {"udp": "───", "tcp": "═══", "mixed": "─═─"}


def hops(topology: Topology, caller: str, callee: str, path: MediaPath) -> list[str]:
    """The nodes that media passes, caller first; on one LAN without its router, behind one router through it alone."""
    ends = [topology.node(caller), topology.node(callee)]
    if ends[0].site == ends[1].site and path.via is None and path.kind == "direct":
        return [caller, callee]
    near, far = ([router.name for router in topology.routers_outward(end)] for end in ends)
    shared = next((name for name in near if name in far), None)
    if shared is not None and path.via is None:
        near, far, middle = near[: near.index(shared)], far[: far.index(shared)], [shared]
    else:
        core = topology.by_role(Role.CORE)[0].name
        middle = [core, path.via, core] if path.via else [core]
    return [caller, *near, *middle, *reversed(far), callee]


def picture(topology: Topology, caller: str, callee: str, path: MediaPath) -> str:
    """The hops joined by lines: single for UDP, double for TCP; rich markup."""
    line = f"[{path.kind}] {LINES.get(path.transport, '───')} [/]"
    return line.join(f"[name]{hop}[/]" for hop in hops(topology, caller, callee, path))
