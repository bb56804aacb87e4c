"""Who may come to a supernode, and how much each may ask of it; whoever goes beyond is turned away and counted.

Who is signed in is limited by name, and all names of one address together by more than honest ones of a carrier need;
who is not, by address. Pure. Belongs here: limits by address and by name. Never: sessions, messages.
"""

from lab.overlay.limits import Limiter, Rate
from lab.overlay.lobby import Displaced, Lobby, holder
from lab.wire.messages import Demoted, Dial, Message, Near, Relays, Room, Supernodes

GREETING_LIMIT = 5.0
"""Seconds in which a new link has to sign in."""
STRANGERS_EACH, STRANGERS = 64, 1_024
"""Links that have not signed in, of one address and of all: a carrier's address may stand for a thousand people who
come at once after an outage, and each is a stranger for two round trips."""
KNOCKS = Rate(50, 250)
"""New links of one address; a client that signs in does not count."""
SIGN_INS = Rate(1, 20)
"""Sign-ins of one name: who moves, or finds its supernode gone, comes back once."""
FRAMES = Rate(100, 400)
"""Messages of one node: a call's setup has a dozen, and a client in a call pings once a second."""
MESH_FRAMES = Rate(5_000, 20_000)
"""Messages of another supernode: it carries for all of its clients, and all of what a machine stood still in comes at
once."""
ADDRESS_FRAMES = Rate(2_000, 8_000)
"""Messages of all clients of one address: a thousand people who ping and some who call. Beyond it the QUIET go on."""
QUIET = 50.0
"""Messages within FRAMES that one has said lately who is not the reason for its address's many."""
INVITATIONS, ADDRESS_INVITATIONS = Rate(2, 20), Rate(40, 400)
"""Calls that one client begins, and all of one address."""
LOOKUPS, ADDRESS_LOOKUPS = Rate(5, 40), Rate(100, 800)
"""Names that this supernode has to ask others for, for one client and for all of one address: a call is one, and one
more for each ten seconds of it in which its two ends have something to tell one another."""
MESH_LOOKUPS = Rate(50, 400)
"""The same for another supernode, which brings an envelope for somebody who has just moved."""
RENEWALS = Rate(0.2, 10)
"""Fresh credentials of one node: each costs two signatures, and holds for hours."""
MESH_WORDS: dict[type[Message], Rate] = {
    Supernodes: Rate(5, 100),
    Room: Rate(5, 200),
    Relays: Rate(5, 200),
    Near: Rate(1, 20),
    Demoted: Rate(1, 20),
    Dial: Rate(1, 20),
}
"""Words of another supernode that it says once a second at the most, or when somebody is new, and each of which makes
much to do: who is known is looked through, or dialled, or clients are told where there is room."""
LOCATIONS = Rate(500, 25_000)
"""Clients that another supernode says where they sit; each costs two signatures. Whoever is linked anew tells of up to
all that sit there, 5,000 where the machine was measured, and some links break several times; after a death among a few
hundred supernodes of some hundred clients each tells each other of a handful, and clients that come are told of one by
one. What is beyond is left out, and the link is kept: a supernode that is larger than that has done nothing wrong."""
ENVELOPES = Rate(100, 400)
"""Envelopes for one client that another supernode brings: as many as one client of it may send."""


class Doorkeeper:
    """One supernode's. Each method counts what is asked and allowed; what is refused is its caller's to count."""

    def __init__(self) -> None:
        self.strangers: Lobby[int] = Lobby("links that have not signed in", STRANGERS, STRANGERS_EACH, GREETING_LIMIT)
        """Links that have not signed in."""
        self._knocks, self._sign_ins = Limiter(KNOCKS), Limiter(SIGN_INS)
        self._frames, self._mesh_frames = Limiter(FRAMES), Limiter(MESH_FRAMES)
        self._address_frames = Limiter(ADDRESS_FRAMES)
        self._invitations, self._address_invitations = Limiter(INVITATIONS), Limiter(ADDRESS_INVITATIONS)
        self._lookups, self._address_lookups = Limiter(LOOKUPS), Limiter(ADDRESS_LOOKUPS)
        self._renewals = Limiter(RENEWALS)
        self._mesh_words = {kind: Limiter(rate) for kind, rate in MESH_WORDS.items()}
        self._mesh_lookups, self._envelopes = Limiter(MESH_LOOKUPS), Limiter(ENVELOPES)
        self._locations = Limiter(LOCATIONS)

    def knocks(self, host: str, now: float) -> str | None:
        """Why a new link is not even greeted, or None."""
        return None if self._knocks.allows(holder(host), now) else "too many links in a short time"

    def greets(self, link: int, host: str, now: float) -> Displaced[int] | None:
        """A link is a stranger from now on, until it is `known` or `gone`; another may have to go for it."""
        return self.strangers.enter(link, host, now)

    def known(self, link: int, role: str, name: str, host: str, now: float) -> str | None:
        """A stranger has shown who it is; why it may not sign in all the same, or None."""
        if not self._sign_ins.allows((role, name), now):
            return "too many sign-ins in a short time; wait a little"
        self.gone(link)
        if role == "client":
            self._knocks.give_back(holder(host))
        return None

    def gone(self, link: int) -> None:
        """A link is no stranger any more."""
        self.strangers.leave(link)

    def frame(self, role: str, name: str, host: str, now: float) -> str | None:
        """Why a node that is signed in may not say one more thing, or None."""
        if role == "supernode":
            return None if self._mesh_frames.allows(name, now) else "too many messages in a short time"
        if not self._frames.allows((role, name), now):
            return "too many messages in a short time"
        if not self._address_frames.allows(holder(host), now) and self._frames.spent((role, name), now) > QUIET:
            return "too many messages of one address in a short time"
        return None

    def renewal(self, role: str, name: str, now: float) -> str | None:
        """Why a node that is signed in may not show one more credential, or None."""
        return None if self._renewals.allows((role, name), now) else "too many renewals in a short time"

    def mesh_word(self, supernode: str, message: Message, now: float) -> str | None:
        """Why another supernode may not say this as well, or None."""
        limiter = self._mesh_words.get(type(message))
        if limiter is None or limiter.allows(supernode, now):
            return None
        return f"too many {type(message).__name__} messages in a short time"

    def invitation(self, name: str, host: str, now: float) -> str | None:
        """Why a client may not begin one more call, or None."""
        return _both("invitations", self._invitations, name, self._address_invitations, host, now)

    def lookup(self, name: str, host: str, now: float) -> str | None:
        """Why nobody is asked for one more name for a client, or None."""
        return _both("lookups", self._lookups, name, self._address_lookups, host, now)

    def mesh_lookup(self, supernode: str, now: float) -> bool:
        """Whether others are asked for one more name for another supernode."""
        return self._mesh_lookups.allows(supernode, now)

    def locates(self, supernode: str, clients: int, now: float) -> bool:
        """Whether another supernode may say where so many clients more sit."""
        return self._locations.allows(supernode, now, clients)

    def brings(self, supernode: str, recipient: str, now: float) -> bool:
        """Whether another supernode may bring one more envelope for a client; for others it may nevertheless."""
        return self._envelopes.allows((supernode, recipient), now)


def _both(what: str, by_name: Limiter, name: str, by_address: Limiter, host: str, now: float) -> str | None:
    if not by_name.allows(name, now):
        return f"too many {what} in a short time"
    if not by_address.allows(holder(host), now):
        return f"too many {what} of one address in a short time"
    return None
