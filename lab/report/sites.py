"""The lab as a tree of its sites, after `lab up`.

Belongs here: layout. Never: looking anything up.
"""

from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from lab.topology.model import Network, Node, Role, Topology

TOURED = {"alice", "bob", "carol", "dave", "erin", "frank"}
"""The clients of the reference lab, where `lab tour` goes."""


def tree(topology: Topology, title: str) -> RenderableType:
    """The internet's nodes and every site with its router and clients."""
    root = Tree(Text(title, style="bold"))
    internet = next(network for network in topology.networks if network.kind == "internet")
    open_side = root.add(Text.assemble("internet ", (_subnets(internet), "dim")))
    for node in topology.nodes:
        if node.site is None:
            open_side.add(_node(node))
    for router in topology.by_role(Role.ROUTER):
        lan = next(network for network in topology.networks if network.site == router.site)
        blocked = f", firewall {router.firewall}" if router.firewall not in (None, "none") else ""
        ports = f", portmap {router.portmap}" if router.portmap not in (None, "off") else ""
        site = root.add(
            Text.assemble((str(router.site), "bold"), f" {router.profile}{blocked}{ports} ", (_subnets(lan), "dim"))
        )
        for node in topology.nodes:
            if node.site == router.site:
                site.add(_node(node, lan.name if lan.ipv6_only else None))
    return root


def _subnets(network: Network) -> str:
    subnets = [] if network.ipv6_only else [str(network.subnet)]
    return " ".join([*subnets, *([str(network.subnet6)] if network.subnet6 else [])])


def _node(node: Node, ipv6_only: str | None = None) -> Text:
    """`ipv6_only`: the network where its IPv4 address is not in use."""
    held = [str(one.address.ip) for one in node.attachments if one.network != ipv6_only]
    addresses = " ".join([*held, *(str(one.address6.ip) for one in node.attachments if one.address6)])
    return Text.assemble((node.name, "cyan" if node.role is Role.CLIENT else ""), (f" {addresses}", "dim"))


def next_steps(topology: Topology, lab: str) -> RenderableType:
    """What to type next, with names of this lab."""
    names = [client.name for client in topology.clients()]
    lines = []
    if len(names) > 1:
        lines.append((f"{lab} call {names[0]} {names[1]}", "place a call and see which path it takes"))
    if set(names) >= TOURED:
        lines.append((f"{lab} tour", "be shown around, in ten minutes"))
    if names:
        lines.append((f"{lab} shell {names[0]}", "look around inside a client"))
    lines += [(f"{lab} status", "what each node says of itself"), (f"{lab} down", "take everything away again")]
    width = max(len(command) for command, _ in lines)
    rows = [Text.assemble("  ", (f"{command:{width}}", "bold"), "   ", (what, "dim")) for command, what in lines]
    return Group(Text("Next:"), *rows)


def shown(file: Path) -> str:
    """A path as the user would type it from here."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
