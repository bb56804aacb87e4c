"""Tables for `lab status` and `lab doctor`.

Belongs here: layout. Never: looking anything up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lab.harness.doctor import Check, Diagnosis
from lab.harness.status import LabStatus, NodeStatus
from lab.report.words import DEPENDS

WIDE = 130
"""Columns that everything fits in as it is called."""
_SHORT = DEPENDS | {"address-and-port-dependent": "addr, port", "preserving": "kept", "sequential": "counted"}
_STATES = {
    "ready": "green",
    "stopped": "dim",
    "away": "yellow",
    "unplugged": "yellow",
    "starting": "yellow",
    "unresponsive": "bold red",
}


def status(found: LabStatus, width: int = WIDE) -> RenderableType:
    """One row a node: a client with the supernode that it sits at, a relay with where it forwards, a router with its
    site's link, core with the seed of them all; on a terminal of `width` columns.

    Carriers have a column where there are any. Under it stands what each client has found out about its own network.
    """
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    behind = any(node.behind for node in found.nodes)
    table.add_column("node", no_wrap=True)  # whose row it is stays whole on a narrow terminal
    for column in (
        "role",
        "site",
        *(("behind",) if behind else ()),
        "profile",
        "firewall",
        "state",
        "supernode or link",
    ):
        table.add_column(column, overflow="fold")
    for node in found.nodes:
        table.add_row(
            Text(node.name, "bold"),
            node.role + (f" + {node.promoted}" if node.promoted else ""),
            node.site or "",
            *((node.behind or "",) if behind else ()),
            node.profile or "",
            node.firewall or "",
            Text(node.state, _STATES.get(node.state, "")),
            _place(node) or _link(node),
        )
    parts: list[RenderableType] = [table]
    if because := [node for node in found.nodes if node.promoted_because]:
        parts.append(Text())
        parts += [
            Text.assemble((node.name, "bold"), f" is a {node.promoted}: {node.promoted_because}") for node in because
        ]
    if learnt := [node for node in found.nodes if node.network is not None]:
        parts += [Text(), _learnt(learnt, width < WIDE)]
    return Group(*parts)


def _place(node: NodeStatus) -> str:
    """Where a client sits or waits, or where a relay forwards."""
    if node.supernode is None and node.waits_at:
        return f"waits at {', '.join(node.waits_at)}"
    return node.supernode or (f"forwards in {node.forwarding}" if node.forwarding else "")


def _link(node: NodeStatus) -> str:
    """`delay=10ms`; `up delay=10ms loss=5%, down delay=10ms` where the two differ; "" for what has no link."""
    if node.role == "core" and node.seed is not None:
        return f"seed {node.seed}"
    if node.link is None:
        return ""
    ways = {"up": node.link["up"], "down": node.link["down"]}
    same = ways["up"] == ways["down"]
    words = [ways["up"]] if same else [f"{way} {text or 'unimpaired'}" for way, text in ways.items()]
    words += [f"toward {site} {text}" for site, text in node.link["toward"].items()]
    return ", ".join(word for word in words if word) or "unimpaired"


_TCP_AT_FIRST_S = 10.0  # what every client begins with, and is no news


def _kept_alive(client: NodeStatus) -> str:
    """How seldom: a mapping of UDP, and one of TCP where there is no UDP, or where it is no longer."""
    udp, tcp = client.keepalive_s, client.tcp_keepalive_s
    if tcp is not None and (client.lets_out or {}).get("udp") is False:
        return f"{tcp:g} s"
    if udp is None:
        return ""
    return f"{udp:g} s" if tcp is None or tcp >= _TCP_AT_FIRST_S else f"{udp:g} s, TCP {tcp:g} s"


def _learnt(clients: Sequence[NodeStatus], narrow: bool) -> RenderableType:
    """One row a client: what it has found out, `?` for what it does not know, in shorter words where it is narrow. Of
    one that sits at no supernode now it is `old`: what it found by the one before, and its network may be another.
    Ports that routers have given when they were asked have a column where there are any."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1 if narrow else 2, 0, 0))
    words = _SHORT if narrow else {}
    mapped = any(client.port_mapped for client in clients) and not narrow
    table.add_column("found by", no_wrap=True)
    columns = ("lets out", "outer address", "mapping", "filtering", "ports", "TCP mapping", "keepalive")
    if narrow:
        columns = ("lets out", "seen as", "mapping", "filter", "ports", "TCP", "alive")
    for column in (*columns, *(("port mapped",) if mapped else ())):
        table.add_column(column, overflow="fold")
    for client in clients:
        network = client.network or {}
        ports = network.get("allocation")
        if network.get("ports"):
            ports = "{} {}-{}".format(ports, *network["ports"])
        shown = (network.get("outer"), network.get("mapping"), network.get("filtering"))
        untranslated = "-" if network.get("mapping") == "none" else None
        values = (*shown, ports or untranslated, network.get("tcp_mapping"))
        table.add_row(
            Text.assemble((client.name, "bold"), "" if client.state == "ready" else " (old)"),
            _known(_lets_out(client.lets_out or {})),
            *(_known(words.get(value or "", value)) for value in values),
            _kept_alive(client),
            *((client.port_mapped or "",) if mapped else ()),
            style="" if client.state == "ready" else "dim",
        )
    if not narrow:
        return table
    given = [f"{client.name} has the port {client.port_mapped}" for client in clients if client.port_mapped]
    return Group(table, *given)


def _lets_out(found: Mapping[str, Any]) -> str | None:
    """In a few words what a network lets out; None while nothing is known."""
    if found.get("proxy"):
        return "by its proxy"
    ports = [str(port) for port in found.get("tcp", ())]
    if not ports:
        return None
    tcp = "TCP" if ports == ["any"] else ("TLS " if found.get("tls_only") else "TCP ") + ", ".join(sorted(ports))
    if not found.get("udp") and found.get("voice_by_udp") is not False:
        return tcp
    return f"{tcp}, UDP" + ("" if found.get("voice_by_udp") is not False else " slower than a voice")


def _known(value: str | None) -> Text:
    return Text("?", "dim") if value is None else Text(value)


def diagnosis(found: Diagnosis) -> RenderableType:
    """One row a check, and under the table how to mend what is wrong."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("check", overflow="fold", max_width=40)
    table.add_column("seen", overflow="fold")
    mends = []
    for check in found.checks:
        table.add_row(_mark(check), check.name, Text(check.seen, "dim" if check.ok else ""))
        if check.ok is not True and check.mend:
            mends.append(Text.assemble((f"{check.name}: ", "bold"), check.mend))
    end = "This machine can run the lab." if found.healthy else "Something that the lab needs is missing."
    parts: list[RenderableType] = [table, Text()]
    if mends:
        parts += [Text("How to mend:"), *mends, Text()]
    return Group(*parts, Text(end, "green" if found.healthy else "bold red"))


def _mark(check: Check) -> Text:
    if check.ok:
        return Text("ok", "green")
    if check.ok is None:
        return Text("?", "yellow")
    return Text("missing" if check.required else "without", "bold red" if check.required else "yellow")
