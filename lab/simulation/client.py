"""A client as far as it concerns its supernode: the very client, without sockets for media and without a user; and one
with both, that talks.

Belongs here: what is left away of lab/overlay/client.py. Never: anything that changes when, where or how it signs in;
a test holds its trace against that of the whole client.
"""

from lab.overlay.actions import earliest
from lab.overlay.client import Client
from lab.overlay.ladder import Route
from lab.overlay.member import Membership
from lab.wire.messages import Withdrawn

MEDIA_PORTS = (7000, 443)
"""TCP ports on which a client that talks would listen for media; its model network lets nobody in to them."""


class AskingClient(Client):
    """One that looks others up."""

    def look_up(self, name: str, word: str) -> None:
        """Has a word carried to another client, who knows no such call and says nothing: names resolve if it comes."""
        self.post(self.membership.identity.say(name, word, Withdrawn(1)))


class SignallingClient(AskingClient):
    """Nothing prepares for a call, and nothing finds out the network: both cost sockets, and no supernode a login."""

    def __init__(self, membership: Membership) -> None:
        super().__init__(membership, ())

    def _prepare(self, now: float) -> None:
        """No socket for a next call."""

    def _learn_network(self, route: Route, now: float) -> None:
        """It stays unknown."""

    def deadline(self) -> float | None:
        """Of the parts that ever have one here, after each of some hundred thousand inputs."""
        return earliest(self.hub.deadline(), self.candidacy.deadline())

    def poll(self, now: float) -> None:
        self.hub.poll(now)
        self.candidacy.poll(now)


class TalkingClient(AskingClient):
    """The whole client."""

    def __init__(self, membership: Membership) -> None:
        super().__init__(membership, MEDIA_PORTS)
