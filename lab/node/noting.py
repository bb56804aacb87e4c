"""Events of a call that are for its log alone, as lines: candidates, checks, guesses, and what ranked a path down.

Shapes alone. What a telephone acts on stands in phone.py.
"""

from typing import Any

from lab.overlay.actions import Event
from lab.overlay.call_events import Checked, Finished, Guesses, Met, Opens, RankedDown, RelayOffered, Told
from lab.wire.addresses import Address

Line = tuple[str, str, dict[str, Any]]
"""The call's name in the world, the event's in the log, its fields."""


def noted(event: Event) -> Line | None:
    """The line of an event that is for the log alone; None for one that is not."""
    match event:
        case Told(id, candidates):
            told = [(one.kind, one.transport, _shown(one.address)) for one in candidates]
            return id, "candidates", {"candidates": told}
        case RelayOffered(id, relay, addresses):
            return id, "relay-offered", {"relay": relay, "addresses": [_shown(each) for each in addresses]}
        case Met(id, remote):
            return id, "met", {"remote": _shown(remote)}
        case Checked(id, verdict):
            said = {"tried": verdict.path, "remote": _shown(verdict.remote), "state": str(verdict.state)}
            return id, "check", {**said, "rtt_ms": verdict.rtt_ms}
        case Opens(id, remote, state):
            return id, "connecting", {"remote": _shown(remote), "state": str(state)}
        case RankedDown(id, demotion):
            lost = None if demotion.lost is None else round(100 * demotion.lost)
            said = {"tried": demotion.path, "remote": _shown(demotion.remote), "why": str(demotion.why)}
            return id, "ranked-down", {**said, "lost_percent": lost}
        case Guesses(id, part, under_way, sent, sockets):
            return id, "guessing", {"part": part, "under_way": under_way, "sent": sent, "sockets": sockets}
        case Finished(id):
            return id, "checklist-finished", {}
    return None


def _shown(address: Address) -> str:
    return "{}:{}".format(*address)
