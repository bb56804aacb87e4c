"""Why a router let a packet through to nobody, in the words of its own profile and firewall.

Pure: from what the router says that it is and had in mind, and the mappings that were seen to be made. Where none of it
tells, nothing is said. Belongs here: the rule that fits. Never: whether a packet was dropped at all.
"""

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from math import inf

from lab import nat
from lab.evidence.pcap import SYN, Endpoint, Packet
from lab.nat import Filtering, FirewallPolicy, NatProfile
from lab.topology.model import Node, Topology

_ACK = 0x10


@dataclass(frozen=True)
class Remembered:
    """What a router had in mind `at` a moment, epoch s: each a protocol, an endpoint outside, who it was open to where
    somebody was asked, and the seconds that are left. `whole`: all of it; else there may be more."""

    at: float
    mappings: tuple[tuple[str, Endpoint, Endpoint | None, float], ...] = ()
    whole: bool = True


class Gate:
    """One router, with what it was seen to remember."""

    def __init__(self, topology: Topology, router: Node) -> None:
        self._topology, self._router = topology, router
        self._lan = topology.lan_of(str(router.site))
        self.own = {str(address) for address in router.addresses}
        self._proxy = topology.proxy_of(str(router.site))
        self._profile: NatProfile = nat.profile(
            router.profile or "open", router.axes or "", router.profile6 or "open", router.portmap or "off"
        )
        self._firewall: FirewallPolicy = nat.firewall(router.firewall or "none")
        self._asked: defaultdict[tuple[str, Endpoint], dict[Endpoint, float]] = defaultdict(dict)
        self._used: dict[tuple[str, Endpoint], float] = {}
        self._unsure_at = -inf

    def inside(self, address: str) -> bool:
        """Whether an address is of the router's LAN."""
        return self._within(ip_address(address.partition("%")[0]))

    def _within(self, address: IPv4Address | IPv6Address) -> bool:
        if address.version == 4:
            return address in self._lan.subnet
        return self._lan.subnet6 is not None and address in self._lan.subnet6

    def remember(self, out: Packet) -> None:
        """A packet has left for the outside: its source has a mapping, and is open to whom it is for."""
        self._used[out.protocol, out.source] = out.time
        self._asked[out.protocol, out.source][out.destination] = out.time

    def recall(self, what: Remembered) -> None:
        """What it had in mind when it was asked. What was not told, and may have been there, is no reason."""
        for protocol, outer, remote, left in what.mappings:
            used, key = what.at + left - self._lives(protocol), (protocol, outer)
            self._used[key] = max(used, self._used.get(key, -inf))
            if remote is not None:
                self._asked[key][remote] = max(used, self._asked[key].get(remote, -inf))
        if not what.whole:
            self._unsure_at = what.at

    def go_on(self, former: "Gate", since: float = -inf) -> None:
        """The same router as it stood before: what was seen of it since then holds."""
        self._unsure_at = max(self._unsure_at, former._unsure_at if since == -inf else -inf)
        for key, used in former._used.items():
            if used >= since:
                self._used[key] = max(used, self._used.get(key, -inf))
        for key, asked in former._asked.items():
            for remote, at in asked.items():
                if at >= since:
                    self._asked[key][remote] = max(at, self._asked[key].get(remote, -inf))

    def _lives(self, protocol: str) -> float:
        """Seconds for which an idle mapping is remembered."""
        timers = self._profile.translation.timers if self._profile.translation else self._profile.timers
        return timers.udp_timeout if protocol == "udp" else timers.tcp_timeout

    def why(self, packet: Packet, outward: bool) -> str | None:
        """The rule that a packet fell to, which came in from the LAN (`outward`) or outside; None: nobody knows."""
        return self._out(packet) if outward else self._in(packet)

    def _out(self, packet: Packet) -> str | None:
        name = f"firewall {self._router.firewall}"
        permits = [
            permit
            for permit in self._firewall.outbound
            if permit.protocol in (None, packet.protocol) and permit.port in (None, packet.destination.port)
        ]
        if not permits:
            return name
        proxy = {str(address) for address in self._proxy.addresses} if self._proxy else set()
        if all(permit.source == "proxy" for permit in permits) and packet.source.address not in proxy:
            return name
        if packet.protocol == "udp":
            return name if self._firewall.udp_rate is not None else None
        if packet.length and all(permit.tls for permit in permits) and packet.payload[:2] != b"\x16\x03":
            return f"{name}: no TLS"
        return None

    def _in(self, packet: Packet) -> str | None:
        name = f"firewall {self._router.firewall}"
        if self._firewall.udp_rate is not None and packet.protocol == "udp" and self._has(packet):
            return name
        translation = self._profile.translation if ":" not in packet.destination.address else None
        if translation is None:
            opens = packet.protocol == "udp" or packet.flags & (SYN | _ACK) == SYN
            return name if not self._firewall.inbound and opens else None
        if packet.destination.address not in self.own:
            return "no such address outside" if self.inside(packet.destination.address) else None
        used, lives = self._used.get((packet.protocol, packet.destination), -inf), self._lives(packet.protocol)
        unsure = packet.time - self._unsure_at <= lives
        if packet.time - used > lives:
            return None if unsure else "no mapping"
        behaviour = translation.udp if packet.protocol == "udp" else translation.tcp
        if self._firewall.inbound and behaviour.filtering is Filtering.ENDPOINT_INDEPENDENT:
            return None
        if self._has(packet, packet.time - lives, port=behaviour.filtering is not Filtering.ADDRESS_DEPENDENT):
            return None
        if unsure:
            return None
        whose = "not asked for"
        return whose if self._firewall.inbound else f"{whose}, {name}"

    def _has(self, packet: Packet, since: float = -inf, port: bool = False) -> bool:
        """Whether the inside has written to who sends this, `since` then; with `port` to that very port of his."""
        asked = self._asked.get((packet.protocol, packet.destination), {})
        if asked.get(packet.source, -inf) >= since:
            return True
        return not port and any(at >= since and one.address == packet.source.address for one, at in asked.items())
