"""A node's counters in the text format that Prometheus reads (its "text-based format", version 0.0.4).

Asked for over the control socket: no port is open for it. Three lines a figure need no library. Belongs here: names,
help and the format. Never: counting.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lab.overlay.actions import Machine
from lab.overlay.client import Client
from lab.overlay.relay import Relay
from lab.overlay.supernode import Supernode


@dataclass(frozen=True)
class Figure:
    """One metric: `values` by label value, or by "" where it has no label."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    values: Mapping[str, float]
    label: str = ""


@dataclass
class Exposition:
    """Figures of one node; `text` is what Prometheus reads, each line with the node's name."""

    node: str
    figures: list[Figure] = field(default_factory=list)

    def gauge(self, name: str, help: str, value: float) -> None:
        self.figures.append(Figure(f"lab_{name}", "gauge", help, {"": value}))

    def counter(self, name: str, help: str, value: float | Mapping[str, float], label: str = "") -> None:
        values = value if isinstance(value, Mapping) else {"": value}
        self.figures.append(Figure(f"lab_{name}_total", "counter", help, values, label))

    def text(self) -> str:
        lines: list[str] = []
        for figure in self.figures:
            lines += [f"# HELP {figure.name} {figure.help}", f"# TYPE {figure.name} {figure.kind}"]
            for value, count in sorted(figure.values.items()):
                labels = [("node", self.node), *([(figure.label, value)] if figure.label else [])]
                shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
                lines.append(f"{figure.name}{{{shown}}} {count if count % 1 else int(count)}")
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def events(exposition: Exposition, counts: Mapping[str, int]) -> None:
    """What the node has logged, by kind: calls, sign-ins, refusals."""
    exposition.counter("events", "Lines of the node's log by what happened.", counts, "event")


def of_client(exposition: Exposition, client: Client) -> None:
    hub = client.hub
    exposition.gauge("signed_in", "Whether the client sits at a supernode.", float(hub.hub is not None))
    exposition.gauge("waiting_at", "Supernodes at which it waits to be let in.", len(hub.waits_at))
    exposition.gauge("known_supernodes", "Supernodes that it knows.", len(client.hubs.machines()))
    exposition.gauge("calls", "Calls that it takes part in.", len(client.calls))
    exposition.counter(
        "dropped", "What others sent that was refused, for the reason in its log.", client.dropped, "what"
    )
    if hub.rtt is not None:
        exposition.gauge("signalling_rtt_seconds", "Round trip to its supernode.", round(hub.rtt, 6))


def of_supernode(exposition: Exposition, supernode: Supernode) -> None:
    exposition.gauge("clients", "Clients that sit at this supernode.", len(supernode.clients))
    if supernode.admission.capacity is not None:
        exposition.gauge("capacity", "Clients that it has room for in all.", supernode.admission.capacity)
    exposition.gauge("waiting", "Clients that wait to be let in.", len(supernode.admission.line))
    exposition.gauge("login_rate_limit", "Clients that it lets in a second, at the most.", supernode.admission.rate)
    exposition.gauge("supernodes", "Supernodes that are linked with this one.", len(supernode.peers))
    exposition.gauge("relays", "Relays that it knows.", len(supernode.roster.all()))
    exposition.gauge("names_kept", "Clients whose location it keeps for others.", len(supernode.directory.kept))
    found = {str(hops): count for hops, count in supernode.directory.hops.items()}
    exposition.counter(
        "lookups_found", "Names found, by how many other supernodes had to be asked in turn.", found, "hops"
    )
    exposition.gauge("strangers", "Links that have not signed in.", len(supernode.door.strangers))


def of_relay(exposition: Exposition, relay: Relay) -> None:
    exposition.gauge("sessions", "Calls that the relay carries.", len(relay.sessions))
    exposition.gauge("unbound", "Connections that have not bound.", len(relay.unbound))
    exposition.gauge("sessions_in_kernel", "Those that the kernel forwards.", len(relay.offloading.placed))
    exposition.counter("packets", "Packets forwarded.", relay.packets)
    exposition.counter("bytes", "Bytes forwarded.", relay.bytes)


def refusals(exposition: Exposition, machines: Iterable[Machine]) -> None:
    """Whom the node has turned away, or cut off, and why."""
    counted = sum((machine.actions.refusals.counted for machine in machines), Counter[str]())
    exposition.counter("turned_away", "Links and words refused, by reason.", counted, "reason")


def exposed(node: str, machines: Sequence[Machine], counts: Mapping[str, int]) -> str:
    """All figures of a node that runs these machines."""
    exposition = Exposition(node)
    for machine in machines:
        match machine:
            case Client():
                of_client(exposition, machine)
            case Supernode():
                of_supernode(exposition, machine)
            case Relay():
                of_relay(exposition, machine)
    refusals(exposition, machines)
    events(exposition, counts)
    return exposition.text()
