"""Asking a network again and again without letting it off: copies against loss, a control packet against haste.

Belongs here: when a silence is one. Never: what the questions are.
A packet that shows up once has passed, whatever became of its copies: asking again can find a leak, never hide one. A
packet that does not pass is believed only when every copy of it failed, and after each copy a control packet, on a way
known to be open, came through: then it was the network's choice, and neither its slowness nor its losses.
"""

import itertools
import math
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from lab.certify import ends
from lab.certify.ends import End, Sighting, Spec
from lab.errors import LabError

DOUBT = 1e-6
"""Probability at which losses alone may make a silence."""
SLACK_S = 0.5
"""What a packet may take beyond its link's delay while the machine is busy."""
SEVERED = 12
"""Control packets lost in a row: the way is no way any more. At 30 % of loss it happens once in two million."""
FEWEST, MOST = 4, 60
"""Copies of a packet. 60 are enough while four in five of the packets behind a lost one are lost as well."""
WORSE = 1.3
"""How much more than it says a link may lose."""
MOST_LOSS = 0.6
"""The share that a link may lose: of more, all the copies that there are against it would be lost too often."""
LONGEST_S = 2.0
"""What has not come by then was lost: a control packet, or the last copy where there is none."""


class Severed(LabError):
    """A way that was open is not any more, so a silence on it says nothing."""

    exit_code = 1


_names = itertools.count()
_run = secrets.token_hex(3)


def new_token() -> str:
    """A text that no other packet has."""
    return f"{_run}.{next(_names)}"


def new_seq() -> int:
    """A TCP sequence number that no other SYN of this run has, far from where it would wrap."""
    return (next(_names) << 12 | secrets.randbelow(1 << 12)) & 0x7FFFFFFF


@dataclass(frozen=True)
class Shot:
    """A packet of one end, and the key by which the other one knows it."""

    sender: End
    packet: Spec
    receiver: End
    key: str


@dataclass(frozen=True)
class Patience:
    """What a link is said to do, and so how long and how often one asks.

    `delay_s`: one way, with its jitter and a packet's time at its rate. `pace_s`: between two packets. `rate`: bit/s of
    the narrower direction, None without a limit. `again`: the share that is lost right behind a lost packet, which is
    more than `loss` where losses come in bursts.
    """

    delay_s: float = 0.0
    loss: float = 0.0
    pace_s: float = 0.0
    rate: int | None = None
    again: float = 0.0

    @property
    def tries(self) -> int:
        """Copies of a packet until a silence is no accident; a link may be a little worse than it says."""
        first = max(0.05, min(MOST_LOSS, self.loss * WORSE))
        next_ = max(first, min(0.8, self.again))
        return max(FEWEST, min(MOST, 1 + math.ceil(math.log(DOUBT / first) / math.log(next_))))

    @property
    def wait_s(self) -> float:
        """How long a packet may take."""
        return self.delay_s + SLACK_S


Control = Callable[[], Shot]


def ask(
    shots: Iterable[Shot], patience: Patience, control: Control | None = None, tries: int | None = None
) -> dict[str, tuple[Sighting, ...]]:
    """Send each packet until it was seen or there were copies enough; what was seen, by key (nothing: ()).

    `control` makes a packet that is known to pass; without one a silence is timed. Raises Severed where the control
    packets stay away as well.
    """
    pending = list(shots)
    asked = list(pending)
    left = tries or patience.tries
    lost_in_a_row = 0
    while pending and left > 0:
        guard = control() if control else None
        _send(pending + ([guard] if guard else []), patience.pace_s)
        if guard is None:
            left -= 1
            _await(pending, time.monotonic() + patience.wait_s + (0 if left else LONGEST_S))
        elif _await_guarded(pending, guard, patience):
            left -= 1
            lost_in_a_row = 0
        else:
            lost_in_a_row += 1
            if lost_in_a_row >= SEVERED:
                raise Severed(f"{SEVERED} control packets in a row were lost on a way that was open; nothing is proven")
        pending = [shot for shot in pending if not shot.receiver.seen(shot.key)]
    return {shot.key: shot.receiver.seen(shot.key) for shot in asked}


def passes(guard: Shot, patience: Patience) -> bool:
    """Send a control packet once; whether it came."""
    guard.sender.send([guard.packet])
    return guard.receiver.wait([guard.key], time.monotonic() + patience.wait_s)


def _send(shots: Sequence[Shot], pace_s: float) -> None:
    for sender, group in _by(shots, lambda shot: shot.sender):
        if not pace_s:
            sender.send(shot.packet for shot in group)
            continue
        for shot in group:
            sender.send([shot.packet])
            time.sleep(pace_s)  # a network that throttles: what comes too fast is dropped, whatever it is


def _await(shots: Sequence[Shot], deadline: float) -> None:
    for receiver, group in _by(shots, lambda shot: shot.receiver):
        receiver.wait([shot.key for shot in group], deadline)
    for receiver, _ in _by(shots, lambda shot: shot.receiver):
        receiver.barrier()


def _await_guarded(shots: Sequence[Shot], guard: Shot, patience: Patience) -> bool:
    """Whether the control packet came; what had been sent before it has had its time then."""
    if not guard.receiver.wait([guard.key], time.monotonic() + patience.delay_s + LONGEST_S):
        return False
    _await(shots, time.monotonic() + 0.05 + patience.delay_s / 2)  # jitter may let the later packet pass the earlier
    return True


def _by(shots: Iterable[Shot], end: Callable[[Shot], End]) -> list[tuple[End, list[Shot]]]:
    groups: dict[int, tuple[End, list[Shot]]] = defaultdict(lambda: (None, []))  # type: ignore[arg-type, return-value]
    for shot in shots:
        found = end(shot)
        groups[id(found)] = (found, [*groups[id(found)][1], shot])
    return list(groups.values())


def udp(sender: End, source: ends.Endpoint, receiver: End, to: ends.Endpoint, **more: object) -> Shot:
    """A UDP packet with a new token."""
    text = new_token()
    packet = {"proto": "udp", **between(source, to), "token": text, **more}
    return Shot(sender, packet, receiver, ends.token(text))


def syn(sender: End, source: ends.Endpoint, receiver: End, to: ends.Endpoint) -> Shot:
    """A SYN with a new sequence number."""
    seq = new_seq()
    return Shot(sender, {"proto": "tcp", **between(source, to), "flags": "S", "seq": seq}, receiver, ends.syn(seq))


def between(source: ends.Endpoint, to: ends.Endpoint) -> Spec:
    """A packet's ends."""
    return {"src": source.address, "sport": source.port, "dst": to.address, "dport": to.port}
