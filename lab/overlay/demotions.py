"""Which paths have just been ranked below every other, and why: for the log, so that a call can be explained.

Belongs here: noticing it, once each time. Never: ranking (choice.py), nor what counts as loss (loss.py).
"""

from collections.abc import Iterable

from lab.overlay.leg import RelayLeg
from lab.overlay.paths import Path, Transport, Why
from lab.overlay.reports import Demotion, Reports


def tell(paths: Iterable[Path], reports: Reports) -> None:
    """Tells of each path that was ranked down since it was last asked, and of each leg that has left UDP for loss."""
    for path in paths:
        if path.demoted is not None:
            why, lost, name = path.demoted
            path.demoted = None
            reports.demoted(Demotion(name, path.remote, why, lost))
        leg = path.carrier
        if path.turned and isinstance(leg, RelayLeg) and leg.drowning and path.carried is Transport.UDP:
            reports.demoted(Demotion(f"relayed/udp via {path.via}", path.remote, Why.NARROW, None))
