"""This end's legs at relays, all of one call: taken up as they are offered, asked in haste while voice is missing.

Belongs here: which relays, and when all of them are asked. Never: how one leg is bound (leg.py), what goes over it.
"""

from collections.abc import Callable, Sequence

from lab.overlay.actions import earliest
from lab.overlay.choice import Choice
from lab.overlay.leg import RelayLeg
from lab.overlay.reflexive import MediaSocket
from lab.overlay.surroundings import Surroundings
from lab.wire.addresses import Address
from lab.wire.messages import RelayOffer

MOST_LEGS = 4
"""Relay sessions that one call keeps: two that it begins with, and what a hub offers instead when they are gone; one of
a relay that has ended makes room for another."""
HURRY = 0.2
"""Seconds between binds at the relays while the peer's voice is missing."""
LATER = 0.5
"""The same once it has been missing for long: for as long as the call lives."""
RENEWAL, CALM_RENEWAL = 1.0, 5.0
"""Seconds between two questions for fresh tokens: while nothing of the peer comes, and while it comes another way."""


class Legs:
    """One call's. `choice` knows whether anything of the peer comes; `heard` gets what a relay brings from the peer;
    `renew` asks the hub for relay sessions anew, and says whether it could; `turned` is told of a relay that is about
    to end, `dropped` of a leg that is none any more."""

    def __init__(
        self,
        around: Surroundings,
        media: MediaSocket,
        choice: Choice,
        heard: Callable[[RelayLeg, bytes, float], None],
        renew: Callable[[], bool],
        turned: Callable[[RelayLeg, float], object],
        dropped: Callable[[RelayLeg], object],
    ) -> None:
        self.around, self.media, self.choice, self.heard, self.renew = around, media, choice, heard, renew
        self.turned, self.dropped = turned, dropped
        self.all: list[RelayLeg] = []
        self.hurry_at: float | None = None
        self.pressed_since: float | None = None
        self.renew_at = 0.0

    def offered(self, offers: Sequence[RelayOffer], now: float, taken: Callable[[RelayLeg, float], None]) -> None:
        """Relay sessions that the hub offers: fresh tokens for relays that are known, or others, which `taken` is told
        of. A relay that is this very client, beside, is none: who reaches it reaches this end."""
        known = {leg.offer.relay: leg for leg in self.all}
        for offer in offers:
            around = self.around
            if (before := known.get(offer.relay)) is not None:
                before.renewed(offer, now)
            elif offer.relay != around.identity.name and self._has_room(now):
                leg = RelayLeg(around.actions, offer, self.media, around.rng, self.heard, around.passage)
                leg.turned = self._turned
                self.all.append(leg)
                taken(leg, now)
                leg.start(now, around.take_waiting(offer.relay, now))

    def _has_room(self, now: float) -> bool:
        using = self.choice.selected
        ended = (leg for leg in self.all if leg.over(now) and (using is None or using.carrier is not leg))
        if len(self.all) == MOST_LEGS and (leg := next(ended, None)) is not None:
            leg.stop()
            self.all.remove(leg)
            self.dropped(leg)
        return len(self.all) < MOST_LEGS

    def datagram(self, data: bytes, source: Address, now: float) -> bool:
        """What came to the media socket; whether it came from a relay."""
        leg = next((leg for leg in self.all if source in leg.udp_addresses), None)
        if leg is not None:
            leg.datagram(data, source, now)
        return leg is not None

    # -- time ----------------------------------------------------------------------------------------------------

    def deadline(self) -> float | None:
        renewal = self.renew_at if self._lacking() else None
        return earliest(self.hurry_at, renewal, *(leg.deadline() for leg in self.all))

    def poll(self, now: float) -> None:
        for leg in self.all:
            leg.poll(now)
        if self.hurry_at is not None and now >= self.hurry_at:
            self._hurry(now)
        if self._lacking() and now >= self.renew_at:
            bound = all(leg.ready for leg in self.all)
            asked = self.renew()
            calm = (bound or self.pressed_since is None) and not self.choice.stranded
            self.renew_at = now + (CALM_RENEWAL if asked and calm else RENEWAL)

    def _hurry(self, now: float) -> None:
        if not self.choice.unheard(now):
            self.pressed_since = None
            self.hurry_at = now + LATER if self.choice.vigil.suspicious_since is not None else None
            return
        if self.pressed_since is None:
            self.pressed_since, self.renew_at = now, max(self.renew_at, now + RENEWAL)
        self.hurry_at = now + (HURRY if self.choice.vigil.storms(now) else LATER)
        for leg in self.all:
            leg.hurry(now)

    def _lacking(self) -> bool:
        """Whether the hub is to be asked: a relay that is there refuses a leg, all that there is leads nowhere, or will
        soon."""
        return self.pressed_since is not None or self.choice.stranded or any(leg.refused for leg in self.all)

    def _turned(self, leg: RelayLeg, now: float) -> None:
        """A relay is about to end: the call goes elsewhere while it still forwards, and asks at once where to."""
        self.turned(leg, now)
        if self.choice.stranded:
            self.renew_at = min(self.renew_at, now)

    # -- what happens to this end ----------------------------------------------------------------------------------

    def hurry(self, now: float) -> None:
        """The peer's voice has stopped: a relay may have gone, or know this end under another address."""
        self.hurry_at = now

    def rejoined(self, now: float) -> None:
        """There is a hub again: what is to be asked of it is asked at once."""
        self.renew_at = now

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
