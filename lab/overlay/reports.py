"""What the checklist of a call reports, and to whom.

Belongs here: the list. Never: what follows from a report.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.overlay.paths import Key, State, Why
from lab.wire.addresses import Address
from lab.wire.messages import Candidate


@dataclass(frozen=True)
class Verdict:
    """What becomes of one path, for the log: told when it is first checked, and when its state changes."""

    path: str
    remote: Address
    state: State
    rtt_ms: float | None


@dataclass(frozen=True)
class Demotion:
    """A path that works and is ranked below every other: why, and where that is known how much of the voice it lost,
    0 to 1."""

    path: str
    remote: Address
    why: Why
    lost: float | None


@dataclass
class Reports:
    """Whom the checklist tells: data that came by a path and is no check, a change of the path in use, a change of a
    path's state, that the peer's voice has stopped, that a TCP connection is tried, or has not come about, that
    guessing has begun or ended, that the call has been put on hold or taken off it, where the peer was found that it
    had not named, and which path is ranked down; `tell` gets more candidates to the peer."""

    data: Callable[[Key, bytes, float], None]
    moved: Callable[[float], None]
    verdict: Callable[[Verdict, float], None]
    silent: Callable[[float], None]
    opens: Callable[[Address, State], None]
    guesses: Callable[[float], None]
    tell: Callable[[Sequence[Candidate], float], None]
    held: Callable[[bool], None]
    met: Callable[[Address], None]
    demoted: Callable[[Demotion], None]
