"""A client as far as it concerns its supernode: the very client, without sockets for media and without a user.

Belongs here: what is left away of lab/overlay/client.py. Never: anything that changes when, where or how it signs in;
a test holds its trace against that of the whole client.
"""

from lab.overlay.client import Client
from lab.overlay.ladder import Route
from lab.overlay.member import Membership
from lab.wire.messages import Withdrawn


class SignallingClient(Client):
    """Nothing prepares for a call, and nothing finds out the network: both cost sockets, and no supernode a login."""

    def __init__(self, membership: Membership) -> None:
        super().__init__(membership, ())

    def _prepare(self, now: float) -> None:
        """No socket for a next call."""

    def _learn_network(self, route: Route, now: float) -> None:
        """It stays unknown."""

    def look_up(self, name: str, word: str) -> None:
        """Has a word carried to another client, who knows no such call and says nothing: names resolve if it comes."""
        self.post(self.membership.identity.say(name, word, Withdrawn(1)))
