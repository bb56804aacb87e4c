"""The judge: packets to flows to a verdict. It shares no code with the judged, and takes nothing they say as true.

`Captures.read` reads one pcap per place; `judge` names the path of a window; `hold` holds a client's claims against it,
`conclude` asks no client. `whole` makes one file of all places; `journeys`, `moments` and `passages` are for who looks
at packets.
"""

from lab.evidence.claims import Claim, Held, Verdict, conclude, hold
from lab.evidence.cutting import Recording
from lab.evidence.flows import Captures
from lab.evidence.pcap import Capture, Endpoint, Packet, dissect, read
from lab.evidence.scene import End, MediaPath, Stray, Way
from lab.evidence.verdict import Finding, Observed, judge

__all__ = [
    "Capture",
    "Captures",
    "Claim",
    "End",
    "Endpoint",
    "Finding",
    "Held",
    "MediaPath",
    "Observed",
    "Packet",
    "Recording",
    "Stray",
    "Verdict",
    "Way",
    "conclude",
    "dissect",
    "hold",
    "judge",
    "read",
]
