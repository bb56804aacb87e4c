"""Packets as they come, as a pcapng that somebody reads meanwhile: the same places and names as in the file of a call.

Pure: bytes out. Belongs here: what stands in such a stream. Never: who reads it.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from lab.evidence import pcapng
from lab.evidence.growing import Frame
from lab.evidence.pcap import LINUX_SLL2
from lab.evidence.whole import LOOPBACK, OUTGOING, PROGRAM, addresses, watched
from lab.topology.model import Network, Node, Role, Topology


class Piping:
    """Of these nodes. A router has two places; a frame whose address is of its LAN was seen at the inner one."""

    def __init__(self, topology: Topology, nodes: Sequence[Node], expression: str = "") -> None:
        """`expression`: the filter by which they are captured."""
        self._interfaces: dict[str, list[int]] = {}
        places: dict[str, str] = {}
        self._described: list[pcapng.Interface] = []
        self._lans: dict[str, Network] = {}
        self._inside: dict[tuple[str, bytes], bool] = {}
        for node in nodes:
            names = [node.name]
            if node.role is Role.ROUTER and node.site:
                names = [f"{node.site} lan", f"{node.site} wan"]
                self._lans[node.name] = topology.lan_of(node.site)
            first = len(self._described)
            self._interfaces[node.name] = list(range(first, first + len(names)))
            places |= dict.fromkeys(names, node.name)
            self._described += [pcapng.Interface(LINUX_SLL2, name, f"seen at {node.name}") for name in names]
        self._comments = watched(topology, places, expression=expression)
        self._names = {address.packed: node.name for node in topology.nodes for address in node.addresses}

    def head(self) -> bytes:
        """What it begins with."""
        blocks = [pcapng.section(self._comments, PROGRAM), *map(pcapng.interface, self._described)]
        return b"".join([*blocks, pcapng.names(self._names)])

    def packet(self, node: str, frame: Frame, comments: tuple[str, ...] = ()) -> bytes:
        """One packet that a node saw, with what is said of it; nothing for the lab's own markers."""
        source, destination = addresses(frame.data[:60])
        if source in LOOPBACK or destination in LOOPBACK:
            return b""
        out = frame.data[10:11] == bytes([OUTGOING])
        interface = self._interface(node, frame.data[4:8], destination if out else source)
        return pcapng.packet(pcapng.PacketRecord(interface, frame.ticks, frame.length, frame.data, comments, not out))

    def _interface(self, node: str, index: bytes, near: bytes) -> int:
        found, lan = self._interfaces[node], self._lans.get(node)
        if lan is None:
            return found[0]
        if near and not (address := ip_address(near)).is_link_local:
            subnet = lan.subnet if address.version == 4 else lan.subnet6
            self._inside[node, index] = subnet is not None and address in subnet
        return found[0 if self._inside.get((node, index)) else 1]
