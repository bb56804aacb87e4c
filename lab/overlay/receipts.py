"""How a supernode comes to vouch for a host: who receives there what it sends is, to it, at that host.

Its STUN answers carry a receipt for the host that asked; a client shows it with what it says to its peers. A sender
that forges its source gets none. Belongs here: making and checking them; nothing is kept. Never: who shows one to whom.
"""

import hashlib
import hmac
from collections.abc import Iterable

from lab.wire.messages import Receipt

SIZE = 8
"""Bytes of a receipt: one guess at it is one message to the supernode, which counts those (doorkeeper.py)."""


class Receipts:
    """One supernode's; with another `key`, as after a restart, those from before are worth nothing."""

    def __init__(self, key: bytes) -> None:
        self.key = key

    def give(self, host: str) -> bytes:
        return hmac.digest(self.key, host.encode(), hashlib.sha256)[:SIZE]

    def proven(self, receipts: Iterable[Receipt]) -> list[str]:
        """The hosts of those that were given here."""
        return [host for host, receipt in receipts if hmac.compare_digest(receipt, self.give(host))]
