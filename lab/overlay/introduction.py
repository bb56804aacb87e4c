"""What one end of a call tells the other of itself: its candidates, each of them once, and its network.

Belongs here: what is said of this end. Never: what is known of the peer, nor how words get to it.
"""

import msgspec

from lab.overlay.call_events import Told
from lab.overlay.prospects import refined
from lab.overlay.reflexive import MediaSocket
from lab.overlay.surroundings import Surroundings
from lab.overlay.tcp_port import TcpPort
from lab.wire.messages import Candidate, Network


class Introduction:
    """One call's, from one side."""

    def __init__(self, call: str, around: Surroundings, media: MediaSocket) -> None:
        self.call, self.around, self.media = call, around, media
        self.port: TcpPort | None = None
        self.told: set[Candidate] = set()
        self.begun = False
        """Whether the peer has been told anything."""
        self.network = Network()

    def anew(self) -> None:
        """All is to be told again: this end stands elsewhere, and where it stood before, the peer may have forgotten;
        or the peer could not read it."""
        self.told.clear()

    def candidates(self) -> tuple[Candidate, ...]:
        """Host, server-reflexive and port-mapped for UDP, host for TCP (passive), those of the call's TCP port.

        Each is told once.
        """
        found: list[Candidate] = []
        found += [Candidate("host", "udp", address) for address in self.media.own_addresses]
        for host in self.around.own.addresses:
            found += [Candidate("host", "tcp", (host, tcp_port)) for tcp_port in self.around.tcp_ports]
        found += [Candidate("server-reflexive", "udp", address) for address in self.media.reflexive]
        found += [Candidate("port-mapped", "udp", address) for address in self.media.port_mapped]
        found += self.port.candidates() if self.port is not None else []
        fresh = tuple(candidate for candidate in found if candidate not in self.told)
        self.told.update(fresh)
        if fresh:
            self.around.actions.emit(Told(self.call, fresh))
        return fresh

    def introduce(self, now: float) -> Network:
        """What the peer is told of this end's network, in the first words."""
        self.begun = True
        self.network = self._found(now)
        return self.network

    def other_network(self, now: float) -> Network | None:
        """The network as fresh outer addresses show it, and as it lets UDP out by now, where the peer was told another
        thing."""
        told, found = self.network, self._found(now)
        shut = (told.udp is False) != (found.udp is False)
        if not self.media.settled:  # no more is known of it than before
            found = msgspec.structs.replace(told, udp=found.udp, narrow=found.narrow)
        if not shut and (told.mapping, told.allocation) == (found.mapping, found.allocation):
            return None
        self.network = found
        return found

    def _found(self, now: float) -> Network:
        """What is known of this end's network, as both sides go by in this call; whether it lets UDP out is known
        first, and lossy UDP is none."""
        network = refined(self.around.discovery.network, self.media)
        udp = self.around.passage.lets_udp_out(self.media, now)
        if udp is False or network.udp is None:
            network = msgspec.structs.replace(network, udp=udp, narrow=self.around.passage.throttled(now))
        return network
