"""The keys of those whom a client has had to do with: whoever shows another one later is pointed out.

The authority gives a name to one key for good, so a change means a new authority, or one that does not do its duty; a
supernode cannot bring one about. Belongs here: remembering. Never: what a user makes of it.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from lab.overlay.actions import Actions, Event

MOST = 10_000
"""Contacts that are remembered; whom nothing was heard of for longest makes room."""


@dataclass(frozen=True, slots=True)
class KeyPinned(Event):
    """A contact is seen for the first time, or with another key than ever before; the node keeps it."""

    name: str
    key: bytes


@dataclass(frozen=True, slots=True)
class KeyChanged(Event):
    """A contact in this call has another key than before: it may be somebody else. Both are told in hex."""

    call: str
    name: str
    before: str
    now: str


class Contacts:
    """One client's; `pins` are the keys that it knew when it last ran."""

    def __init__(self, actions: Actions, pins: Mapping[str, bytes]) -> None:
        self.actions = actions
        self.pins: OrderedDict[str, bytes] = OrderedDict(pins)

    def meets(self, call: str, name: str, key: bytes) -> None:
        """Somebody has proved in a call to hold a key that the authority has given this name to."""
        before = self.pins.pop(name, None)
        self.pins[name] = key
        if len(self.pins) > MOST:
            self.pins.popitem(last=False)
        if before != key:
            self.actions.emit(KeyPinned(name, key))
        if before not in (None, key):
            self.actions.emit(KeyChanged(call, name, (before or b"").hex(), key.hex()))
