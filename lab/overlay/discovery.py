"""What a client finds out about the network that it stands in, between two supernodes (RFC 5780).

Results only: who acts on them is the checklist. Nothing here waits for a call, and no call waits for it.
"""

from lab.wire.messages import Network


class Discovery:
    """One client's knowledge of its own network; forgotten when its address changes."""

    def __init__(self) -> None:
        self.network = Network()

    def forget(self) -> None:
        """The client stands elsewhere: nothing is known."""
        self.network = Network()
