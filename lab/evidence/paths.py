"""The paths that media took between two nodes: their flows joined by what they carried, each way with its times.

Belongs here: finding and describing paths in a window. Never: deciding which one counts, or what anybody claims.
"""

from collections.abc import Iterator
from dataclasses import replace

from lab.errors import EvidenceError
from lab.evidence.content import ENOUGH, carried, flight, tells
from lab.evidence.flows import Captures, Flow, Stream, Table
from lab.evidence.legs import Passing, RelayLegs
from lab.evidence.media import Bout, bouts, voice
from lab.evidence.pcap import Direction, Endpoint
from lab.evidence.scene import End, Kind, MediaPath, Scene, Stray, Trail, Transport, Way, merged
from lab.evidence.sealed import media_since, sealed, spoken
from lab.evidence.translation import (
    addresses_of,
    core_of,
    network_of,
    owner_of,
    routers_before,
    stations,
    trails,
    translated,
    views,
)
from lab.topology.model import Node, Role, Topology

AROUND = 3.0
"""Seconds before and after a window in which the legs of a relay are compared: what two TLS connections carry for each
other there they carry in the window, which may be too short to tell."""


def survey(
    topology: Topology, captures: Captures, caller: str, callee: str, start: float, end: float, trace: bool = False
) -> Scene:
    """Every path of media between two nodes in a window of epoch seconds, in the order of their beginnings.

    With `trace`, a path needs no rhythm: single packets of a voice's size that one end sent and the other received are
    enough, for windows that are too short for a rhythm. Raises EvidenceError where a place that must have seen the
    call was not captured, saw nothing, or contradicts another.
    """
    return _Survey(topology, captures, (topology.node(caller), topology.node(callee)), start, end, trace).scene()


class _Survey:
    def __init__(
        self, topology: Topology, captures: Captures, nodes: tuple[Node, Node], start: float, end: float, trace: bool
    ) -> None:
        self.topology, self.captures, self.nodes = topology, captures, nodes
        self.start, self.end, self.trace = start, end, trace
        self.enough = 1 if trace else ENOUGH
        self._spans: dict[int, tuple[Bout, ...]] = {}
        self._trails: dict[int, tuple[Trail, ...]] = {}
        self._legs: dict[str, RelayLegs] = {}
        self._neighbours = bool(_sites(topology, nodes[0]) & _sites(topology, nodes[1]))
        for place in (node.name for node in nodes) if self._neighbours else (core_of(topology).name,):
            captures.need(place)  # frames between neighbours never reach their router

    def scene(self) -> Scene:
        flows = self._flows(self.nodes[0]), self._flows(self.nodes[1])
        paths: list[MediaPath] = []
        joined: set[int] = set()
        torn: str | None = None
        for one, two, to_callee, to_caller in self._joined(*flows):
            found = self._path((one, two), to_callee, to_caller)
            if found is None:
                torn = torn or self._torn((one, two))
                continue
            paths.append(found)
            joined |= {id(one), id(two)}
        if torn and not paths:
            raise EvidenceError(torn)
        strays: list[Stray] = []
        for side, own in enumerate(flows):
            strays += [stray for flow in own if id(flow) not in joined and (stray := self._stray(side, flow))]
        of_path = tuple(sorted(merged(paths), key=lambda path: path.first))
        return Scene(of_path, (), tuple(strays)) if self.trace else Scene(of_path, tuple(strays))

    # --- flows of one end, and what joins two of them

    def _flows(self, node: Node) -> list[Flow]:
        """Flows of a node with enough packets of a voice's size in the window to be looked at."""
        flows = _flows_of(self.topology, self.captures, node)
        return [flow for flow in flows if max(self._count(flow.forward), self._count(flow.backward)) >= self.enough]

    def _count(self, stream: Stream | None) -> int:
        return len(voice(stream, self.start, self.end)) if stream is not None else 0

    def spans(self, stream: Stream | None) -> tuple[Bout, ...]:
        """The stretches of media of a stream; with `trace`, of anything of a voice's size."""
        if stream is None:
            return ()
        if id(stream) not in self._spans:
            if self.trace:
                packets = voice(stream, self.start, self.end)
                found = [Bout(packets[0].time, packets[-1].time, len(packets))] if packets else []
            else:
                found = bouts(stream, self.start, self.end)
                if sealed(stream):
                    since = media_since(stream)
                    found = [replace(bout, start=max(bout.start, since)) for bout in found if bout.end > since]
                    found = [cut for bout in found if (cut := spoken(stream, bout)) is not None]
            self._spans[id(stream)] = tuple(found)
        return self._spans[id(stream)]

    def _joined(self, ones: list[Flow], twos: list[Flow]) -> Iterator[tuple[Flow, Flow, Way | None, Way | None]]:
        for one in ones:
            for two in twos:
                to_callee, to_caller = self._way(0, one, two), self._way(1, two, one)
                if (
                    not to_callee
                    and not to_caller
                    and any(sealed(stream) for stream in (one.forward, one.backward, two.forward, two.backward))
                ):
                    to_callee, to_caller = self._sealed_ways(one, two)
                if to_callee or to_caller:
                    yield one, two, to_callee, to_caller

    def _way(self, side: int, sender: Flow, receiver: Flow) -> Way | None:
        sent, received = sender.forward, receiver.backward
        spans = self.spans(sent)
        if not spans:
            return None
        if not carried(sent, received, self.start, self.end, self.enough) and not self._as_one(side, sender, receiver):
            return None
        return self._measured(spans, received, flight(sent, received, self.start, self.end))

    def _as_one(self, side: int, sender: Flow, receiver: Flow) -> bool:
        """Whether two flows whose packets are all alike are the two ends of one, which no content can tell."""
        sent, received = sender.forward, receiver.backward
        if sent is None or received is None or sender.protocol != receiver.protocol or not self._count(received):
            return False
        if tells(sent, self.start, self.end, self.enough):
            return False
        return any(_meet(one, two) for one in self._trail(side, sender) for two in self._trail(1 - side, receiver))

    def _measured(self, spans: tuple[Bout, ...], received: Stream | None, took: float) -> Way:
        return Way(spans, sum(span.packets for span in spans), self._count(received), took)

    # --- legs of a relay inside TLS

    def _sealed_ways(self, one: Flow, two: Flow) -> tuple[Way | None, Way | None]:
        """Both ways of media over two legs of one relay, perhaps a client, whose content cannot be compared: as the
        relay saw it pass."""
        relay = self._between(0, one)
        if relay is None or relay.role not in (Role.RELAY, Role.CLIENT) or self._between(1, two) != relay:
            return None, None
        there, back = self._passed(relay, (0, one), (1, two)), self._passed(relay, (1, two), (0, one))
        told = {there.joined, back.joined}
        # Sizes that are the same all the time tell nothing: then the legs count only where there are no others.
        if True not in told and (False in told or not self._sole(relay, one, two)):
            return None, None
        return self._sealed_way(there, one.forward, two.backward), self._sealed_way(back, two.forward, one.backward)

    def _sealed_way(self, passing: Passing, sent: Stream | None, received: Stream | None) -> Way | None:
        spans = self.spans(sent)
        return self._measured(spans, received, passing.delay) if spans and passing.joined is not False else None

    def _passed(self, relay: Node, one: tuple[int, Flow], two: tuple[int, Flow]) -> Passing:
        """Whether what one end sent into a relay is what left it for the other end; `delay` is from end to end."""
        sent, received = one[1].forward, two[1].backward
        if not self.spans(sent) or received is None:
            return Passing(False, 0.0)
        table, inbound, outbound = self._at_relay(relay)
        legs = self._relay_legs(relay)
        for hop in (trail[-1] for trail in self._trail(*one)):
            brought = table.stream(one[1].protocol, hop.local, hop.remote, inbound)
            if not brought or not carried(sent, brought, self.start, self.end, self.enough):
                continue
            for far in (trail[-1] for trail in self._trail(*two)):
                left = table.stream(two[1].protocol, far.remote, far.local, outbound)
                if not left or not carried(left, received, self.start, self.end, self.enough):
                    continue
                passing = legs.passing(brought, left)
                if self.trace and not passing.joined:
                    passing = Passing(legs.passed_at_once(brought, left), 0.0)
                if passing.joined is not False:
                    took = flight(sent, brought, self.start, self.end) + flight(left, received, self.start, self.end)
                    return Passing(passing.joined, took + passing.delay)
        return Passing(False, 0.0)

    def _relay_legs(self, relay: Node) -> RelayLegs:
        """All media into and out of a relay, as the relay saw it, else core."""
        if relay.name not in self._legs:
            table, inbound, outbound = self._at_relay(relay)
            into = [s for address in addresses_of(relay) for s in table.reaching(address, inbound) if self.spans(s)]
            out = [s for address in addresses_of(relay) for s in table.leaving(address, outbound) if self.spans(s)]
            self._legs[relay.name] = RelayLegs(into, out, self.start - AROUND, self.end + AROUND)
        return self._legs[relay.name]

    def _sole(self, relay: Node, one: Flow, two: Flow) -> bool:
        """Whether two legs, with media both ways, are the only ones that a relay carried."""
        if self.trace or not all(self.spans(s) for s in (one.forward, one.backward, two.forward, two.backward)):
            return False
        ends = [(flow, trail[-1].local) for side, flow in enumerate((one, two)) for trail in self._trail(side, flow)]
        return self._relay_legs(relay).far_ends == {(flow.protocol, outer) for flow, outer in ends}

    def _at_relay(self, relay: Node) -> tuple[Table, Direction, Direction]:
        """Where a relay's packets are seen, and which way those for it and those from it go there."""
        if relay.name in self.captures:
            return self.captures.need(relay.name), Direction.IN, Direction.OUT
        return self.captures.need(core_of(self.topology).name), Direction.IN, Direction.IN

    def _between(self, side: int, flow: Flow) -> Node | None:
        """The node that a flow leads to beyond all routers and proxies: neither of the two ends, nor one of those."""
        return self._relay_of(self._trail(side, flow)[0][-1].remote)

    def _relay_of(self, remote: Endpoint) -> Node | None:
        owner = owner_of(self.topology, remote.address)
        return None if owner is None or owner.role in (Role.ROUTER, Role.PROXY) or owner in self.nodes else owner

    # --- paths

    def _trail(self, side: int, flow: Flow) -> tuple[Trail, ...]:
        if id(flow) not in self._trails:
            self._trails[id(flow)] = trails(
                self.topology, self.captures, self.nodes[side], flow, self.start, self.end, self.enough
            )
        return self._trails[id(flow)]

    def _path(self, flows: tuple[Flow, Flow], to_callee: Way | None, to_caller: Way | None) -> MediaPath | None:
        found = self._trail(0, flows[0]), self._trail(1, flows[1])
        relays = [self._relay_of(ways[0][-1].remote) for ways in found]
        via: str | None = None
        kind: Kind
        if relays[0] is not None or relays[1] is not None:
            if relays[0] != relays[1] or relays[0] is None or self._cut_off(flows, found):
                return None
            via, kind, meeting = relays[0].name, "relayed", (found[0][0], found[1][0])
        else:
            met = [(one, two) for one in found[0] for two in found[1] if _meet(one, two)]
            if not met:
                return None
            meeting = met[0]
            found = tuple(one for one, _ in met), tuple(two for _, two in met)
            kind = "punched" if all(translated(trail) for trail in meeting) else "direct"
        ends = [
            End(node.name, flow.protocol, trail[0].local, trail[-1].local, trail[0].remote, translated(trail), trail)
            for node, flow, trail in zip(self.nodes, flows, meeting, strict=True)
        ]
        transport: Transport = flows[0].protocol if flows[0].protocol == flows[1].protocol else "mixed"
        packets = self._crossing(flows, found, relays[0])
        in_tls = any(sealed(stream) for flow in flows for stream in (flow.forward, flow.backward))
        return MediaPath(kind, transport, via, ends[0], ends[1], to_callee, to_caller, packets, in_tls)

    def _cut_off(self, flows: tuple[Flow, Flow], found: tuple[tuple[Trail, ...], tuple[Trail, ...]]) -> bool:
        return any(
            len(ways[0]) != 1 + len(stations(self.topology, node, flow))
            for node, flow, ways in zip(self.nodes, flows, found, strict=True)
        )

    def _torn(self, flows: tuple[Flow, Flow]) -> str | None:
        """Why flows that carried the same are no path: a witness is missing, or None: they are halves of two."""
        for side, (node, flow) in enumerate(zip(self.nodes, flows, strict=True)):
            trail = self._trail(side, flow)[0]
            passed = stations(self.topology, node, flow)
            if len(trail) <= len(passed) and not any(trail[0].remote == hop.local for hop in trail):
                place = passed[len(trail) - 1].name
                return (
                    f"{place} shows {flow.protocol.upper()} media between {flow.local} of {node.name} and "
                    f"{flow.remote} on one side only: the other side of its capture is missing"
                )
        return None

    def _crossing(
        self, flows: tuple[Flow, Flow], found: tuple[tuple[Trail, ...], tuple[Trail, ...]], relay: Node | None
    ) -> int:
        """Media packets of a path at core. Raises EvidenceError where core must have seen it and did not."""
        if relay is None and (self._neighbours or self._turned_back(flows)):
            return self._count(flows[0].forward) + self._count(flows[1].forward)
        legs = list(zip(flows, found, strict=True))
        if relay is not None and relay.name in self.captures:
            for flow, ways in legs:
                self._seen(self._at_relay(relay), flow, ways)
        core = self.captures.need(core_of(self.topology).name), Direction.IN, Direction.IN
        if relay is None:  # both ends are of one flow
            return self._seen(core, flows[0], found[0])
        return sum(self._seen(core, flow, ways) for flow, ways in legs)

    def _turned_back(self, flows: tuple[Flow, Flow]) -> bool:
        """Whether both ends are behind one outermost router, a carrier's: media between them never crosses core."""
        outermost = [
            routers_before(self.topology, node, flow.local.address)[-1:]
            for node, flow in zip(self.nodes, flows, strict=True)
        ]
        return outermost[0] != () and outermost[0] == outermost[1]

    def _seen(self, at: tuple[Table, Direction, Direction], flow: Flow, ways: tuple[Trail, ...]) -> int:
        """Media packets of a flow at a place that must have seen it. Raises EvidenceError where it saw none."""
        table, towards, back = at
        packets = 0
        for hop in dict.fromkeys(trail[-1] for trail in ways):
            packets += self._count(table.stream(flow.protocol, hop.local, hop.remote, towards))
            packets += self._count(table.stream(flow.protocol, hop.remote, hop.local, back))
        if not packets:
            hop = ways[0][-1]
            raise EvidenceError(
                f"{table.capture.place} saw none of the {flow.protocol.upper()} media between {hop.local} and "
                f"{hop.remote}, and {hop.place} did"
            )
        return packets

    # --- media that is no path

    def _stray(self, side: int, flow: Flow) -> Stray | None:
        """Media of one end that never reached the other, unless somebody else had it: then it is another call. With
        `trace`, what it sent alone."""
        streams = (flow.forward,) if self.trace else (flow.forward, flow.backward)
        spans = tuple(sorted((span for each in streams for span in self.spans(each)), key=lambda span: span.start))
        if not spans or (not self.trace and self._had_by_another(flow)):
            return None
        remote = self._trail(side, flow)[0][-1].remote
        relay = self._relay_of(remote)
        if relay is not None and relay.role is not Role.RELAY:
            return None
        packets = sum(span.packets for span in spans)
        name = relay.name if relay else None
        return Stray(self.nodes[side].name, flow.protocol, remote, name, spans, packets)

    def _had_by_another(self, flow: Flow) -> bool:
        for node in self.topology.clients():
            if node in self.nodes:
                continue
            places = (
                node.name,
                *(r.name for a in addresses_of(node) for r in routers_before(self.topology, node, a)[:1]),
            )
            if not self.captures.saw_anything(next((place for place in places if place in self.captures), "")):
                continue
            for other in _flows_of(self.topology, self.captures, node):
                if carried(flow.forward, other.backward, self.start, self.end) or carried(
                    other.forward, flow.backward, self.start, self.end
                ):
                    return True
        return False


def _flows_of(topology: Topology, captures: Captures, node: Node) -> list[Flow]:
    """Every flow of a node's addresses, as they are seen where it sends them."""
    return [
        flow
        for address in addresses_of(node)
        for view in views(topology, captures, node, address)
        for flow in view.table.flows(address, view.forward, view.backward)
    ]


def _sites(topology: Topology, node: Node) -> set[str]:
    """The names of the site networks in which a node has an address."""
    networks = (network_of(topology, node, address) for address in addresses_of(node))
    return {network.name for network in networks if network is not None and network.site is not None}


def _meet(one: Trail, two: Trail) -> bool:
    """Whether two flows are the two ends of one: somewhere on their ways both are written with the same endpoints."""
    return any(a.local == b.remote and a.remote == b.local for a in one for b in two)
