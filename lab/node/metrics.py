"""The counters of a client, supernode, relay or authority, as Prometheus reads them.

Asked for over the control socket: no port is open for it. Belongs here: names and help. Never: counting, nor the format
(lab.prometheus).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from lab.overlay.actions import Machine
from lab.overlay.client import Client
from lab.overlay.relay import Relay
from lab.overlay.supernode import Supernode
from lab.prometheus import Exposition


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
