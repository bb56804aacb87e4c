"""A path as a little picture: the hops from the caller to the callee in one line.

Belongs here: which hops a path of a kind has, from the topology. Never: what the packets showed; that is the verdict.
"""

from lab.harness.call_report import MediaPath
from lab.topology.model import Role, Topology

LINES = {"udp": "───", "tcp": "═══", "mixed": "─═─"}


def hops(topology: Topology, caller: str, callee: str, path: MediaPath) -> list[str]:
    """The nodes that media passes, caller first; on one LAN without its router, hairpinned through it alone."""
    ends = [topology.node(caller), topology.node(callee)]
    sites = [str(end.site) for end in ends]
    if sites[0] == sites[1] and path.via is None:
        return [caller, callee] if path.kind == "direct" else [caller, topology.router_of(sites[0]).name, callee]
    core = topology.by_role(Role.CORE)[0].name
    middle = [core, path.via, core] if path.via else [core]
    return [caller, topology.router_of(sites[0]).name, *middle, topology.router_of(sites[1]).name, callee]


def picture(topology: Topology, caller: str, callee: str, path: MediaPath) -> str:
    """The hops joined by lines: single for UDP, double for TCP; rich markup."""
    line = f"[{path.kind}] {LINES.get(path.transport, '───')} [/]"
    return line.join(f"[name]{hop}[/]" for hop in hops(topology, caller, callee, path))
