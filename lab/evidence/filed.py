"""The verdict on a call from one capture file, with no lab, no engine and no checkout beside it.

Belongs here: what kind of file it is, and what can be said of it. Never: parsing (pcapng.py, whole.py, foreign.py).
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from lab.errors import ConfigError, EvidenceError
from lab.evidence import foreign, pcapng, whole
from lab.evidence.claims import conclude
from lab.evidence.cutting import ORDERS
from lab.evidence.flows import Captures
from lab.evidence.scene import Scene
from lab.evidence.verdict import Observed
from lab.topology.model import Topology

Address = IPv4Address | IPv6Address
Named = tuple[Address, Address, Address | None]
"""The caller, the callee, and a relay, where somebody names them."""
Ends = tuple[str | None, str, str]
"""The call, its caller, its callee."""
ONE_PLACE = "one place alone does not show whether a router has translated an end"


@dataclass(frozen=True)
class Filed:
    """What a file's packets say: of the call's last second, and of all of it. `call`: None where no lab placed it."""

    call: str | None
    caller: str
    callee: str
    observed: Observed
    scene: Scene
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The document of `lab verdict --json`."""
        seen = self.observed
        begun = min((path.first for path in self.scene.paths), default=0.0)
        return {
            "kind": seen.kind,
            "transport": seen.transport,
            "via": seen.via,
            "packets": seen.packets,
            "why": seen.reason,
            "finding": str(seen.finding),
            "call": self.call,
            "caller": self.caller,
            "callee": self.callee,
            "paths": [
                {
                    "kind": path.kind,
                    "transport": path.transport,
                    "via": path.via,
                    "packets": path.packets,
                    "from_ms": round((path.first - begun) * 1000),
                    "to_ms": round((path.last - begun) * 1000),
                }
                for path in self.scene.paths
            ],
            "dropped_by_captures": dict(seen.dropped),
            "note": self.note,
        }


def verdict(file: Path, named: Named | None = None) -> Filed:
    """The verdict on the call that a file holds; `named` are its ends where the file says nothing of a lab.

    Raises ConfigError where there is nothing to read, or not the whole of a call, EvidenceError where packets are there
    and name no path.
    """
    data = _content(file)
    try:
        if data[:4] == pcapng.MAGIC and (found := whole.read(data)) is not None:
            if named:
                raise ConfigError("it says itself who called whom; leave the addresses out")
            setting = found.setting
            if not found.packets:
                raise ConfigError("it ends before its first packet" if found.incomplete else "it holds no packet")
            ends: Ends = setting.call, setting.caller, setting.callee
            cut = found.torn or f"it holds {found.packets} of {found.expected} packets" if found.incomplete else None
            return _judged(setting.topology, found.captures, ends, (setting.start, setting.end), cut, None)
        if named is None:
            raise ConfigError(
                "it says nothing of a call of a lab (`lab call --capture` writes that); name the addresses that its "
                "two ends have in it: --caller ADDRESS --callee ADDRESS, and --relay ADDRESS where there was one"
            )
        others = foreign.read(data)
        if not others.seen:
            raise ConfigError(others.torn or "it holds no packet of UDP or TCP")
        topology, captures = foreign.staged(others, *named)
        window = others.seen[0][1].time, others.seen[-1][1].time
        ends = None, foreign.CALLER, foreign.CALLEE
        return _judged(topology, captures, ends, window, others.torn, None if named[2] else ONE_PLACE)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from None
    except EvidenceError as error:
        raise EvidenceError(f"{file}: {error}") from None


def _judged(
    topology: Topology,
    captures: Captures,
    ends: Ends,
    window: tuple[float, float],
    cut: str | None,
    note: str | None,
) -> Filed:
    try:
        observed, scene = conclude(topology, captures, *ends[1:], *window)
    except EvidenceError as error:
        raise EvidenceError(f"{cut}, and {error}" if cut else str(error)) from None
    if cut and observed.kind is None:
        raise EvidenceError(f"{cut}, and shows {observed.reason}")
    if cut:
        shown = f"{observed.kind}/{observed.transport}" + (f" via {observed.via}" if observed.via else "")
        raise ConfigError(f"{cut}: what is there shows {shown}, which need not be how the call ended")
    return Filed(*ends, observed, scene, note if observed.kind in ("direct", "punched") else None)


def _content(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}") from None
    if not data:
        raise ConfigError(f"{file} is empty")
    if data[:4] != pcapng.MAGIC and data[:4] not in ORDERS:
        raise ConfigError(f"{file} is no capture: expected a pcapng or pcap file, which begins otherwise")
    return data
