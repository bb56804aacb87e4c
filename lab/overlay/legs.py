"""This end's legs at relays, all of one call: taken up as they are offered, asked in haste while voice is missing.

Belongs here: which relays, and when all of them are asked. Never: how one leg is bound (leg.py), what goes over it.
"""

from collections.abc import Callable, Sequence

from lab.overlay.actions import earliest
from lab.overlay.leg import RelayLeg
from lab.overlay.reflexive import MediaSocket
from lab.overlay.surroundings import Surroundings
from lab.overlay.vigil import Vigil
from lab.wire.addresses import Address
from lab.wire.messages import RelayOffer

MOST_LEGS = 2
"""Relay sessions that one call keeps."""
HURRY = 0.2
"""Seconds between binds at the relays while the peer's voice is missing."""


class Legs:
    """One call's. `vigil` says for how long to hurry; `heard` gets what a relay brings from the peer."""

    def __init__(
        self, around: Surroundings, media: MediaSocket, vigil: Vigil, heard: Callable[[RelayLeg, bytes, float], None]
    ) -> None:
        self.around, self.media, self.vigil, self.heard = around, media, vigil, heard
        self.all: list[RelayLeg] = []
        self.hurry_at: float | None = None

    def offered(self, offers: Sequence[RelayOffer], now: float, taken: Callable[[RelayLeg, float], None]) -> None:
        """Relay sessions that the hub offers; one it offered before stays as it is. `taken` is told of each new one."""
        known = {leg.offer.relay for leg in self.all}
        fresh = [offer for offer in offers if offer.relay not in known]
        for offer in fresh[: MOST_LEGS - len(self.all)]:
            around = self.around
            leg = RelayLeg(around.actions, offer, self.media, around.rng, self.heard, around.passage)
            self.all.append(leg)
            taken(leg, now)
            leg.start(now, around.take_waiting(offer.relay, now))

    def datagram(self, data: bytes, source: Address, now: float) -> bool:
        """What came to the media socket; whether it came from a relay."""
        leg = next((leg for leg in self.all if source in leg.udp_addresses), None)
        if leg is not None:
            leg.datagram(data, source, now)
        return leg is not None

    def deadline(self) -> float | None:
        return earliest(self.hurry_at, *(leg.deadline() for leg in self.all))

    def poll(self, now: float) -> None:
        for leg in self.all:
            leg.poll(now)
        if self.hurry_at is not None and now >= self.hurry_at:
            storms = self.vigil.storms(now)
            self.hurry_at = now + HURRY if storms else None
            for leg in self.all if storms else ():
                leg.hurry(now)

    def hurry(self, now: float) -> None:
        """The peer's voice has stopped: a relay may have gone, or know this end under another address."""
        self.hurry_at = now

    def relocated(self, now: float) -> None:
        """This end stands elsewhere."""
        for leg in self.all:
            leg.relocated(now)

    def rerouted(self, now: float) -> None:
        """The way out is perhaps another."""
        for leg in self.all:
            leg.rerouted(now)

    def stop(self) -> None:
        for leg in self.all:
            leg.stop()
