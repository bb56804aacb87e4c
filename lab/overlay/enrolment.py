"""How a name becomes a node's own: once, at the authority, over TLS whose key the node knows beforehand.

After it nobody needs the authority until the credential expires. The authority's side stands in authority.py.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.errors import ProtocolError
from lab.overlay.actions import Actions, Event, LinkInfo, earliest
from lab.overlay.identity import Identity, check_credential
from lab.overlay.ladder import Route, rungs
from lab.overlay.whereabouts import Whereabouts
from lab.wire.framing import LengthPrefixed, frame
from lab.wire.messages import FRAME_LIMIT, Credential, Enrol, Enrolled, Refused, decode_authority, encode

STAGGER = 0.3
ATTEMPT_LIMIT = 5.0
"""Seconds, as on the ladder to a supernode."""
RETRY = 1.0
"""Seconds before the ladder is climbed again."""
REFUSED_RETRY = 10.0
"""Seconds before asking again after a refusal, which seldom changes by itself."""


@dataclass(frozen=True, slots=True)
class StrangeAuthority(Event):
    """What answers at the authority's address holds another key than the one that the node was started with."""

    address: str


class Enrolment:
    """Asks the authority, at any of its `hosts`, to bind the identity's name to its key; `done` gets the credential."""

    def __init__(
        self,
        actions: Actions,
        identity: Identity,
        authority: bytes,
        hosts: Sequence[str],
        own: Whereabouts,
        ports: Sequence[int],
        wall_offset: float,
        done: Callable[[Credential, float], None],
        refused: Callable[[str], None],
    ) -> None:
        self.actions, self.identity, self.authority = actions, identity, authority
        self.hosts, self.own, self.ports, self.wall_offset = tuple(hosts), own, tuple(ports), wall_offset
        self.done, self.refused = done, refused
        self.links: dict[int, tuple[LengthPrefixed, float]] = {}
        self.rungs: list[Route] = []
        self.next_try: float | None = None

    def start(self, now: float) -> None:
        self._again(now)
        self.poll(now)

    def relocated(self, now: float) -> None:
        """The node stands elsewhere: what was on its way is lost, and so is the reason to wait."""
        if self.links or self.next_try is not None:
            self._close_all()
            self.start(now)

    def deadline(self) -> float | None:
        return earliest(self.next_try, *(expires for _, expires in self.links.values()))

    def poll(self, now: float) -> None:
        for link, (_, expires) in list(self.links.items()):
            if now >= expires:
                self.actions.close(link)
                self.link_down(link, "no answer", now)
        if self.next_try is None or now < self.next_try:
            return
        if not self.rungs:
            self.rungs = rungs(self.hosts, self.ports, self.own)
        if not self.rungs:
            self.next_try = now + RETRY  # unplugged, or of another family than the authority
            return
        route = self.rungs.pop(0)
        link = self.actions.connect(self, route.address, route.secure, route.proxied)
        self.links[link] = (LengthPrefixed(4, FRAME_LIMIT), now + ATTEMPT_LIMIT)
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
        try:
            for body in self.links[link][0].feed(data):
                message = decode_authority(body)
                if isinstance(message, Enrolled):
                    self._enrolled(message.credential, now)
                    return
                reason = message.reason if isinstance(message, Refused) else "an answer that makes no sense"
                self.refused(f"the authority refuses the name {self.identity.name}: {reason}")
                self._close_all()
                self._again(now + REFUSED_RETRY)
                return
        except ProtocolError as error:
            self.actions.close(link)
            self.link_down(link, str(error), now)

    def link_down(self, link: int, reason: str, now: float) -> None:
        if self.links.pop(link, None) is not None and not self.links and self.next_try is None:
            self._again(now + RETRY)

    def _again(self, at: float) -> None:
        self.rungs, self.next_try = [], at

    def _enrolled(self, credential: Credential, now: float) -> None:
        check_credential(credential, self.authority, now + self.wall_offset)
        if (credential.name, credential.key) != (self.identity.name, self.identity.public):
            raise ProtocolError("the authority signed another name or key than was asked for")
        self._close_all()
        self.next_try = None
        self.identity.credential = credential
        self.done(credential, now)

    def _close_all(self) -> None:
        for link in self.links:
            self.actions.close(link)
        self.links.clear()
