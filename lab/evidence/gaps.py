"""What captures have missed: one that ends in mid-packet all that came later, one of which the kernel dropped packets
any of them. That such a place has not seen a packet says nothing of the packet.

Belongs here: which places, from when on. Never: what became of a packet (drops.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from lab.evidence.cutting import OUT_OF_ORDER
from lab.evidence.flows import Captures


@dataclass(frozen=True)
class Gaps:
    """By place: how many packets the kernel dropped, and the epoch second of the last packet of a capture that was cut
    short; -inf where that has none."""

    lossy: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, captures: Captures) -> "Gaps":
        """Those that these captures know of themselves."""
        return cls(captures.dropped, {place: captures.last(place) for place in captures.truncated})

    def over(self, place: str, at: float) -> bool:
        """Whether a capture had ended before a packet of this time would have been seen there for certain."""
        return at >= self.ends.get(place, inf) - OUT_OF_ORDER

    def unsure(self, place: str, at: float) -> bool:
        """Whether a packet of this time may have been there and is not in the capture."""
        return place in self.lossy or self.over(place, at)

    def sentences(self, dialled: float) -> tuple[str, ...]:
        """One a place: why what it has not seen may have been there. `dialled`: what times begin with."""
        said = []
        for place in dict.fromkeys((*self.ends, *self.lossy)):
            why = []
            if (end := self.ends.get(place)) is not None:
                when = f", {(end - dialled) * 1000:,.0f} ms after dialling" if end > -inf else " before its first one"
                why.append(f"ends in mid-packet{when}")
            if lost := self.lossy.get(place):
                why.append(f"lacks {lost:,} packet{'s' if lost != 1 else ''} that the kernel dropped")
            said.append(f"the capture of {place} {' and '.join(why)}: what it does not show may have been there")
        return tuple(said)
