"""What a call needs of the client that it belongs to.

Belongs here: the list. Never: what a call does with it.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from lab.overlay.actions import Actions
from lab.overlay.contacts import Contacts
from lab.overlay.courtesy import Courtesy
from lab.overlay.discovery import Discovery
from lab.overlay.identity import Identity
from lab.overlay.passage import Passage
from lab.overlay.sealing import SealingKeys
from lab.overlay.standby import Waiting
from lab.overlay.tcp_port import TcpPort
from lab.overlay.wallclock import WallClock
from lab.overlay.whereabouts import Whereabouts
from lab.wire.messages import Envelope


@dataclass(frozen=True)
class Surroundings:
    """What a call needs of its client; `post` sends an envelope through the hub, now or as soon as there is
    one, and says whether it is an invite that wants relays; `renew` sends one that wants relays anew, and says whether
    there is a hub to send it by; `take_waiting` gives away a connection that waits at a relay, where there is one;
    `open_port` opens a TCP port for the call; `sealing` has the keys that a caller's first words are sealed under."""

    actions: Actions
    identity: Identity
    authority: bytes
    rng: random.Random
    wall: WallClock
    own: Whereabouts
    tcp_ports: tuple[int, ...]
    passage: Passage
    discovery: Discovery
    courtesy: Courtesy
    post: Callable[[Envelope, bool], None]
    renew: Callable[[Envelope], bool]
    take_waiting: Callable[[str, float], Waiting | None]
    contacts: Contacts
    open_port: Callable[[float], TcpPort]
    sealing: SealingKeys
