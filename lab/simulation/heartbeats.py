"""Leaves out the pings of links that live, and puts in what they would have done as soon as a link may break.

A client pings once a second (lab/overlay/hub.py): nearly all that happens in a day, and all of it alike. Belongs here:
the sums of what is left out. Never: anything that a test could not tell to be the same with and without.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from lab.overlay.hub import HEARTBEAT, HubLink
from lab.overlay.seat import Seat
from lab.overlay.supernode import Supernode
from lab.simulation.hosts import End
from lab.simulation.network import NEVER, Network, Quieter
from lab.simulation.traffic import WRAPPING
from lab.wire.framing import frame
from lab.wire.messages import Ping, Pong, encode

PONG = frame(encode(Pong()), 4)


@dataclass(slots=True, eq=False)
class _Quiet:
    """A link of which pings are left out: those at `first`, and so on `every` so many seconds, and their answers.

    `heard` and `known` are when the hub's words and the node's were last heard, of those that were not left out.
    """

    hub: HubLink
    session: Seat
    near: End
    far: End
    first: float
    every: float
    heard: float
    known: float
    counted: int = 0
    """Pings that stand in the sums already."""


class Heartbeats(Quieter):
    """A link is quiet from the moment that a hub lets a node in, or answers its ping, until either program ends.

    While it is, both sides' clocks of silence stand: the machines ask for no alarm because of it.
    """

    def __init__(self) -> None:
        self.network: Network | None = None
        self.left_out = 0
        """Pings so far."""
        self._quiet: dict[End, _Quiet] = {}

    def heard(self, end: End) -> None:
        quiet = self._quiet.get(end)
        if quiet is None:
            self._begin(end)
        elif end is quiet.near:
            quiet.heard, quiet.hub.last_heard = quiet.hub.last_heard, NEVER
        else:
            quiet.known, quiet.session.last_heard = quiet.session.last_heard, NEVER

    def _begin(self, near: End) -> None:
        """Where this end is a node's, signed in, with no ping on its way."""
        hub = near.program.machine.actions.links.get(near.link)
        if not isinstance(hub, HubLink) or hub.link != near.link or near.other is None:
            return
        if hub.pinged_at is not None or hub.probe_by is not None:
            return
        machine = near.other.program.machine
        session = machine.sessions.get(near.other.link) if isinstance(machine, Supernode) else None
        if session is None or not near.other.program.running:
            return
        quiet = _Quiet(hub, session, near, near.other, hub.next_ping, hub.heartbeat, hub.last_heard, session.last_heard)
        self._quiet[near] = self._quiet[near.other] = quiet
        hub.next_ping = hub.last_heard = session.last_heard = NEVER

    def closed(self, end: End) -> None:
        if (quiet := self._forget(end)) is not None and self.network is not None:
            self._sum_up(quiet, self.network.now)

    def breaks(self, end: End) -> None:
        """Sets both sides' clocks to what they would be now, and sends what would be on its way."""
        network = self.network
        if network is None or (quiet := self._forget(end)) is None:
            return
        now, delay, hub, session = network.now, quiet.near.delay, quiet.hub, quiet.session
        pings, pongs = self._sum_up(quiet, now)
        hub.next_ping = quiet.first + pings * quiet.every
        hub.last_heard, session.last_heard = quiet.heard, quiet.known
        if pongs:
            hub.last_heard = max(hub.last_heard, quiet.first + (pongs - 1) * quiet.every + 2 * delay)
            hub.rtt = 2 * delay
        if pongs < pings:
            hub.pinged_at = quiet.first + (pings - 1) * quiet.every
        last = math.ceil(2 * delay / quiet.every) + 2
        for number in range(max(0, pings - last), pings):  # those before have come, and been answered
            sent = quiet.first + number * quiet.every
            if sent + delay <= now:
                session.last_heard = max(session.last_heard, sent + delay)
                if session.role == "supernode":
                    session.heartbeat = quiet.every
            else:
                network.arrives(quiet.near, _ping(hub), sent + delay)
            if sent + delay <= now < sent + 2 * delay:
                network.arrives(quiet.far, PONG, sent + 2 * delay)
        near, far = quiet.near.program.machine, quiet.far.program.machine
        assert isinstance(far, Supernode)
        far.listens_for(quiet.far.link)
        if isinstance(near, Supernode):
            near.mesh.touched(hub)
        for side in (quiet.near, quiet.far):
            if side is not end:
                network.settle(side.program)

    def sum_up(self, now: float) -> None:
        """Counts what has been left out until now, of all links."""
        for end, quiet in self._quiet.items():
            if end is quiet.near:
                self._sum_up(quiet, now)

    def _forget(self, end: End) -> _Quiet | None:
        quiet = self._quiet.pop(end, None)
        if quiet is not None:
            self._quiet.pop(quiet.far if end is quiet.near else quiet.near, None)
        return quiet

    def _sum_up(self, quiet: _Quiet, now: float) -> tuple[int, int]:
        """Pings that would have been sent before now, and pongs that would have come; both are traffic."""
        pings = max(0, math.ceil((now - quiet.first) / quiet.every))
        back = now - quiet.first - 2 * quiet.near.delay
        pongs = 0 if back < 0 else min(pings, math.floor(back / quiet.every) + 1)
        more, quiet.counted = pings - quiet.counted, pings
        self.left_out += more
        hub = quiet.hub
        size = _size(hub.load, hub.heartbeat, hub.heartbeat is HEARTBEAT) + len(PONG) + 2 * WRAPPING
        quiet.near.program.bytes += more * size
        quiet.far.program.bytes += more * size
        return pings, pongs


def _ping(hub: HubLink) -> bytes:
    return frame(encode(Ping(hub.load, hub.heartbeat)), 4)


@lru_cache(maxsize=1024)
def _size(load: int, heartbeat: float, default: bool) -> int:
    """Bytes of a ping; `default`: the heartbeat is the very HEARTBEAT, which is left out of it."""
    return len(frame(encode(Ping(load, HEARTBEAT if default else heartbeat)), 4))
