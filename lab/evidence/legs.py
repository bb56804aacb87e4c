"""The legs of a relay whose content cannot be compared, joined as the relay itself saw them: by sizes, or not at all.

Belongs here: which leg out of a relay carries what a leg into it brought. Never: the ends' own flows, verdicts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lab.evidence.flows import Stream
from lab.evidence.pcap import Endpoint
from lab.evidence.sealed import APART, EARLY, ENOUGH, LATE, Likeness, Unit, likeness, passed_at_once, units

NOTHING = Likeness()


@dataclass(frozen=True)
class Passing:
    """Whether one stream out of a relay is what another brought: yes, no, or None: their sizes say nothing.

    `delay` is how long it took, seconds.
    """

    joined: bool | None
    delay: float


class RelayLegs:
    """Every stream of media into and out of one relay in a window of epoch seconds, as its own capture shows them."""

    def __init__(self, inward: Sequence[Stream], outward: Sequence[Stream], start: float, end: float) -> None:
        self._inward, self._outward = inward, outward
        self._start, self._end = start, end
        self._units: dict[tuple[int, bool], list[Unit]] = {}
        self._alike: dict[tuple[int, int], Likeness] = {}

    @property
    def far_ends(self) -> set[tuple[str, Endpoint]]:
        """Transport protocol and far endpoint of every leg."""
        return {(s.protocol, s.source) for s in self._inward} | {(s.protocol, s.destination) for s in self._outward}

    def passing(self, brought: Stream, left: Stream) -> Passing:
        """Whether `left` is what `brought` brought: its sizes are the same in order, and no other leg fits as well.

        Two calls may say the same at different times (they play one recording): the leg that was quicker is the right
        one, and where neither was nothing is joined.
        """
        found = self._likeness(brought, left)
        if not found.holds:
            return Passing(None if found.telling < ENOUGH else False, 0.0)
        quicker: set[tuple[float, float]] = set()
        for other in self._outward:
            if other is not left:
                came = dict(self._likeness(brought, other).found)
                quicker |= {(sent, at) for sent, at in found.found if sent in came and came[sent] <= at + APART}
        for other in self._inward:
            if other is not brought:
                went = {at: sent for sent, at in self._likeness(other, left).found}
                quicker |= {(sent, at) for sent, at in found.found if at in went and went[at] >= sent - APART}
        return Passing(2 * len(quicker) < len(found.found), found.delay)

    def passed_at_once(self, brought: Stream, left: Stream) -> bool:
        """Whether single packets of `brought` left again in `left`: for windows too short for more."""
        return passed_at_once(self._of(brought), self._of(left, out=True))

    def _likeness(self, brought: Stream, left: Stream) -> Likeness:
        key = id(brought), id(left)
        if key not in self._alike:
            same = (brought.protocol, brought.source) == (left.protocol, left.destination)  # a leg's own other way
            self._alike[key] = NOTHING if same else likeness(self._of(brought), self._of(left, out=True))
        return self._alike[key]

    def _of(self, stream: Stream, *, out: bool = False) -> list[Unit]:
        key = id(stream), out
        if key not in self._units:
            window = (self._start - EARLY, self._end + LATE) if out else (self._start, self._end)
            self._units[key] = units(stream, *window)
        return self._units[key]
