"""How a name becomes a node's own, and stays it: at the authority, over TLS whose key the node knows beforehand.

After it nobody needs the authority until the credential expires; about halfway to that a node asks for a fresh one, and
goes on asking, seldom, while the old one holds. The authority's side stands in authority.py.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, Event, LinkInfo, earliest
from lab.overlay.identity import CREDENTIAL_LIFETIME, Identity, check_credential
from lab.overlay.ladder import Route, rungs
from lab.overlay.wallclock import WallClock
from lab.overlay.whereabouts import Whereabouts
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import FRAME_LIMIT, Credential, Enrol, Enrolled, Refused, decode_authority, encode

STAGGER = 0.3
ATTEMPT_LIMIT = 5.0
"""Seconds, as on the ladder to a supernode."""
RETRY, RETRY_MOST, RETRY_GROWTH = 1.0, 60.0, 1.5
"""Seconds before the ladder is climbed again by who has no credential that holds: the first time, the most, and the
factor from one time to the next; jittered, for after a long outage of the authority many ask at once."""
REFUSED_RETRY = 10.0
"""Seconds before asking again after a refusal, which seldom changes by itself."""


RENEW_AT = (0.4, 0.6)
"""The share of what is left of a credential after which a node asks for a fresh one, drawn anew each time."""
RENEW_AGAIN = 6 * 3600.0
"""Seconds, give or take half, before it asks again where nobody has answered, while the old one holds for longer."""
LITTLE_LEFT, SOON = 0.4, 600.0
"""The share of its lifetime below which a credential that a node starts with is renewed soon, and seconds within which:
who runs for an hour a day never comes to half of what is left."""
HURRY_EVERY = 60.0
"""Seconds between two enrolments that a hub's word alone has caused: it may lie."""


@dataclass(frozen=True, slots=True)
class StrangeAuthority(Event):
    """What answers at the authority's address holds another key than the one that the node was started with."""

    address: str


class Enrolment:
    """Asks the authority, at any of its `hosts`, to bind the identity's name to its key; `done` gets the credential,
    each time that there is a new one. `renews`: it asks for a fresh one in time; else another part of this program does
    so."""

    def __init__(
        self,
        actions: Actions,
        identity: Identity,
        authority: bytes,
        hosts: Sequence[str],
        own: Whereabouts,
        ports: Sequence[int],
        wall: WallClock,
        done: Callable[[Credential, float], None],
        refused: Callable[[str], None],
        rng: random.Random,
        renews: bool = True,
    ) -> None:
        self.actions, self.identity, self.authority = actions, identity, authority
        self.hosts, self.own, self.ports, self.wall = tuple(hosts), own, tuple(ports), wall
        self.done, self.refused, self.rng, self.renews = done, refused, rng, renews
        self.links: dict[int, tuple[LengthPrefixed, float, str]] = {}
        """Each with when it is given up, and the host that it leads to."""
        self.rungs: list[Route] = []
        self.next_try: float | None = None
        self.failures = 0
        """Climbs in a row that led to no credential."""
        self.last_hurry = float("-inf")

    def start(self, now: float) -> None:
        """Asks now: there is no credential, or none that holds."""
        self._again(now)
        self.poll(now)

    def keep(self, now: float) -> None:
        """The credential at hand holds; it is renewed in time."""
        if not self.renews:
            return
        left = self.left(now)
        within = left * self.rng.uniform(*RENEW_AT)
        if left < LITTLE_LEFT * CREDENTIAL_LIFETIME:
            within = min(within, SOON * self.rng.random())
        self._again(now + within)

    def left(self, now: float) -> float:
        """Seconds for which the credential still holds; 0 where there is none, or none that does."""
        credential = self.identity.credential
        return 0.0 if credential is None else max(0.0, credential.expires - now - self.wall.offset)

    def hurry(self, now: float) -> None:
        """The credential does not hold, or a hub says so: asks now, unless that is under way, or has just been done at
        a hub's word."""
        if not self.renews or self.links or self.rungs or (self.failures and not self.left(now)):
            return
        if now >= self.last_hurry + HURRY_EVERY:
            self.last_hurry = now
            self._again(now)

    def relocated(self, now: float) -> None:
        """The node stands elsewhere: what was on its way is lost, and so is the reason to wait, but for the time when a
        credential that holds is due."""
        if self.links or self.rungs or self.failures or (self.next_try is not None and not self.left(now)):
            self._close_all()
            self.start(now)

    def deadline(self) -> float | None:
        return earliest(self.next_try, *(expires for _, expires, _ in self.links.values()))

    def poll(self, now: float) -> None:
        for link, (_, expires, _) in list(self.links.items()):
            if now >= expires:
                self.actions.close(link)
                self.link_down(link, "no answer", now)
        if self.next_try is None or now < self.next_try:
            return
        if not self.rungs:
            self.rungs = rungs(self.hosts, self.ports, self.own)
        if not self.rungs:
            self._failed(now)  # unplugged, or of another family than the authority
            return
        route = self.rungs.pop(0)
        link = self.actions.connect(self, route.address, route.secure, route.proxied)
        self.links[link] = (LengthPrefixed(4, FRAME_LIMIT), now + ATTEMPT_LIMIT, route.address[0])
        self.next_try = now + STAGGER if self.rungs else None

    def link_up(self, link: int, info: LinkInfo, now: float) -> None:
        if info.peer_key != self.authority:
            self.actions.emit(StrangeAuthority(info.peer[0]))
            self.actions.close(link)
            self.link_down(link, "it does not hold the authority's key", now)
            return
        name, key = self.identity.name, self.identity.public
        message = Enrol(name, key, self.identity.sign("lab enrol", name.encode(), key))
        self.actions.write(link, frame(encode(message), 4))

    def link_data(self, link: int, data: bytes, now: float) -> None:
        if link not in self.links:
            return
        deframer, _, host = self.links[link]
        try:
            for body in deframer.feed(data):
                message = decode_authority(body)
                if isinstance(message, Enrolled):
                    self._enrolled(message.credential, now)
                    return
                reason = message.reason if isinstance(message, Refused) else "an answer that makes no sense"
                self.refused(f"the authority refuses the name {self.identity.name}: {reason}")
                self._close_all()
                self._failed(now, REFUSED_RETRY)
                return
        except ProtocolError as error:
            self.actions.cut_off(link, host, error, now)
            self.link_down(link, str(error), now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if self.links.pop(link, None) is not None and not self.links and self.next_try is None:
            self._failed(now)

    def _failed(self, now: float, least: float = 0.0) -> None:
        """Nobody has signed: again after a while, a long one where the credential at hand still holds."""
        left = self.left(now)
        if left:
            pause = min(RENEW_AGAIN * self.rng.uniform(0.5, 1.5), left * self.rng.uniform(*RENEW_AT))
        else:
            pause = min(RETRY * RETRY_GROWTH ** min(self.failures, 20), RETRY_MOST) * self.rng.uniform(0.5, 1.0)
        self.failures += 1
        self._again(now + max(pause, least, RETRY / 2))

    def _again(self, at: float) -> None:
        self.rungs, self.next_try = [], at

    def _enrolled(self, credential: Credential, now: float) -> None:
        check_credential(credential, self.authority, now + self.wall.offset)
        if (credential.name, credential.key) != (self.identity.name, self.identity.public):
            raise ProtocolError("the authority signed another name or key than was asked for")
        self._close_all()
        self.rungs, self.next_try, self.failures = [], None, 0
        self.identity.credential = credential
        self.keep(now)
        self.done(credential, now)

    def _close_all(self) -> None:
        for link in self.links:
            self.actions.close(link)
        self.links.clear()
