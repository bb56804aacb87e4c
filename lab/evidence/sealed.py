"""Streams inside TLS: nobody can compare what they carry, so two are joined by the sizes that they carry, in order.

Belongs here: records and frames of a TCP stream, and whether one stream's sizes are another's. Never: keys, verdicts.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from math import inf
from statistics import median
from typing import NamedTuple

from lab.evidence.flows import Stream
from lab.evidence.media import Bout, voice_like

RUN = 6
"""Packets in a row whose sizes are compared, as five differences: 2 to 5 bits each with voice, so one run in 2^10 to
2^25 comes twice by chance. Differences, because TLS and RFC 4571 add the same to every packet."""
TELLING = 3
"""Different differences that a run must have: a pause, where every packet is of one size, says nothing."""
ENOUGH, PART = 5, 0.15
"""What joins two streams: so many runs found, and this part of all that tell. What does not belong together reaches a
few hundredths; what does loses the runs in which a relay joined, split or dropped a packet, or used another leg."""
EARLY, LATE = 0.002, 2.0
"""Seconds from a packet's arrival in which it leaves again: one kernel's clock, and the longest wait of TCP."""
MOST_JOINED = 8
"""Packets that a relay may have had at once, and sent on as one record; or that came as one, and left singly."""
APART = 0.002
"""Seconds by which the right stream must be quicker than any other that fits as well, where two say the same."""
AT_ONCE = 0.1
"""Seconds in which a relay passes a packet on, where single packets are all there is."""
SETTING_UP = 0.6
"""Seconds at the beginning of a TLS connection that are not taken for media: a handshake and checks, which nobody can
tell from voice there. Less than the shortest stretch that is judged by its rhythm, with the grace before it."""
VARIED, NEAR = 5, 0.35
"""Different sizes that a voice's records have in so many seconds, unless it pauses: checks and their answers have three
or four."""
PAUSE = 1.5
"""Seconds before and after a stretch in which its voice must have varied at least once."""
STEADY = 38.0
"""Records a second of a voice whose packets are all of one size: 50 for 20 ms; checks, half as many at most."""
_RECORDS = range(20, 24)  # RFC 8446, 5.1: change_cipher_spec, alert, handshake, application_data
_APPLICATION = 23
_RECORD_HEADER, _LARGEST_RECORD = 5, (1 << 14) + 256  # RFC 8446, 5.2
_SEALING = (
    1 + 16
)  # what TLS 1.3 adds to a record, unpadded: the type of its content and the tag of its cipher; 5.2, 5.3
_FRAME_HEADER, _LARGEST_FRAME = 2, 1500  # RFC 4571; a frame larger than a packet is no voice
_FIRST = 64  # packets that are looked at to tell whether a stream is TLS


class Unit(NamedTuple):
    """One packet of voice as it was carried: when it was whole (epoch s), and how long it is as a frame of RFC 4571."""

    time: float
    size: int


@dataclass(frozen=True)
class Likeness:
    """How far the sizes of one stream are those of another: runs that tell, and when those found left and came.

    `found` has the time of each run, of its first packet, where it was sent and where it was received, epoch seconds.
    """

    telling: int = 0
    found: tuple[tuple[float, float], ...] = ()

    @property
    def holds(self) -> bool:
        return len(self.found) >= max(ENOUGH, PART * self.telling)

    @property
    def delay(self) -> float:
        """Seconds from place to place, median."""
        return median(received - sent for sent, received in self.found) if self.found else 0.0


def sealed(stream: Stream | None) -> bool:
    """Whether a stream is TLS, by its record headers."""
    if stream is None or stream.protocol != "tcp":
        return False
    return any(_is_record(packet.payload) and packet.payload[0] == _APPLICATION for packet in stream.packets[:_FIRST])


def media_since(stream: Stream) -> float:
    """From when packets of a TLS stream may be media: its first one behind the setting-up, epoch seconds."""
    later = stream.between(stream.times[0] + SETTING_UP, inf).start
    return stream.times[later] if later < len(stream.times) else inf


def spoken(stream: Stream, bout: Bout) -> Bout | None:
    """What of a TLS stream's stretch is voice and no checks: from the first to the last records that vary in size.

    Where none of it varies, it is a pause if it stands beside what does, or a voice of one size if there is enough of
    it, else None.
    """
    near = units(stream, bout.start - PAUSE, bout.end + PAUSE)
    varying = _varying(near)
    if not varying:
        held = sum(bout.start <= unit.time <= bout.end for unit in near)
        return bout if held >= STEADY * bout.seconds else None
    inside = [time for time in varying if bout.start <= time <= bout.end]
    return replace(bout, start=inside[0], end=inside[-1]) if inside else bout


def _varying(found: list[Unit]) -> list[float]:
    """Times of the packets that have enough different sizes close before or close after them."""
    times = [unit.time for unit in found]
    varying: set[float] = set()
    for index, unit in enumerate(found):
        after = found[index : bisect_right(times, unit.time + NEAR)]
        if len({other.size for other in after}) >= VARIED:
            varying |= {other.time for other in after}
    return sorted(varying)


def units(stream: Stream, start: float, end: float) -> list[Unit]:
    """What a stream carried in a window of epoch seconds: packets of UDP, TLS records, or frames of RFC 4571."""
    if stream.protocol == "udp":
        window = stream.packets[stream.between(start, end)]
        return [Unit(packet.time, packet.length + _FRAME_HEADER) for packet in window if voice_like(packet)]
    found = _records(stream) if sealed(stream) else _frames(stream)
    return [unit for unit in found if start <= unit.time <= end]


def likeness(sent: list[Unit], received: list[Unit]) -> Likeness:
    """How far what arrived at a place is what left it: runs of `sent` found in `received` no earlier, soon after.

    Packet by packet, whatever is always added to one; or else as one row of bytes that a relay has cut anew.
    """
    whole = _packet_by_packet(sent, received)
    if whole.holds:
        return whole
    anew = _cut_anew(sent, received)
    return anew if anew.holds else whole


def _packet_by_packet(sent: list[Unit], received: list[Unit]) -> Likeness:
    places: defaultdict[tuple[int, ...], list[float]] = defaultdict(list)
    for run, time in _runs(received):
        places[run].append(time)
    telling = 0
    found: list[tuple[float, float]] = []
    for run, time in _runs(sent):
        telling += 1
        came = next((at for at in places.get(run, ()) if -EARLY <= at - time <= LATE), None)
        if came is not None:
            found.append((time, came))
    return Likeness(telling, tuple(found))


def _cut_anew(sent: list[Unit], received: list[Unit]) -> Likeness:
    """Runs of as many bytes from edge to edge, RUN edges each: packets were joined between two, or taken apart."""
    times = [unit.time for unit in received]
    ahead, ahead_there = _edges_ahead(sent), _edges_ahead(received)
    telling = 0
    found: list[tuple[float, float]] = []
    for index in range(len(sent) - RUN + 1):
        if len({unit.size for unit in sent[index : index + RUN]}) < TELLING:
            continue
        telling += 1
        time = sent[index].time
        near = range(bisect_left(times, time - EARLY), bisect_right(times, time + LATE))
        size, mine = sent[index].size, ahead[index]
        place = next(
            (
                place
                for place in near
                if (size in ahead_there[place] or received[place].size in mine)
                and _same_edges(sent, index, received, place)
            ),
            None,
        )
        if place is not None:
            found.append((time, times[place]))
    return Likeness(telling, tuple(found))


def _edges_ahead(found: list[Unit]) -> list[frozenset[int]]:
    """For each packet, how many bytes it and those behind it are together, one to MOST_JOINED of them: where an edge
    in common can be at all."""
    sizes = [unit.size for unit in found]
    return [frozenset(accumulate(sizes[at : at + MOST_JOINED])) for at in range(len(sizes))]


def _same_edges(sent: list[Unit], index: int, received: list[Unit], place: int) -> bool:
    """Whether bytes from here on in both have RUN edges between packets in common, one after the other: from edge to
    edge there is one packet in either, and one or several in the other."""
    for _ in range(RUN):
        if index >= len(sent) or place >= len(received):
            return False
        missing = sent[index].size - received[place].size
        index, place = index + 1, place + 1
        several, at = (received, place) if missing > 0 else (sent, index)
        stop = min(at + MOST_JOINED - 1, len(several))
        missing = abs(missing)
        while missing > 0 and at < stop:
            missing -= several[at].size
            at += 1
        if missing != 0:
            return False
        index, place = (index, at) if several is received else (at, place)
    return True


def passed_at_once(sent: list[Unit], received: list[Unit]) -> bool:
    """Whether most of a few packets left again at once, all with the same added: for windows too short for runs."""
    added: defaultdict[int, int] = defaultdict(int)
    for unit in sent:
        for size in {other.size - unit.size for other in received if -EARLY <= other.time - unit.time <= AT_ONCE}:
            added[size] += 1
    return bool(added) and 2 * max(added.values()) >= len(sent)


def _runs(found: list[Unit]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Every run that tells, with the time of its first packet."""
    steps = [two.size - one.size for one, two in pairwise(found)]
    for index in range(len(steps) - RUN + 2):
        run = tuple(steps[index : index + RUN - 1])
        if len(set(run)) >= TELLING:
            yield run, found[index].time


def _is_record(data: bytes | bytearray) -> bool:
    return len(data) >= 3 and data[0] in _RECORDS and data[1] == 3


def _records(stream: Stream) -> Iterator[Unit]:
    for data, times in _runs_of_bytes(stream):
        at = 0
        while at + _RECORD_HEADER <= len(data):
            size = int.from_bytes(data[at + 3 : at + 5])
            if not _is_record(data[at : at + 3]) or size > _LARGEST_RECORD:
                at = times.next_segment(at)  # begun in mid-record, or something was lost: go on where a segment begins
                continue
            stop = at + _RECORD_HEADER + size
            if stop > len(data):
                break
            if data[at] == _APPLICATION:
                yield Unit(times.whole(stop), size - _SEALING)
            at = stop


def _frames(stream: Stream) -> Iterator[Unit]:
    for data, times in _runs_of_bytes(stream):
        at = 0
        while at + _FRAME_HEADER <= len(data):
            size = int.from_bytes(data[at : at + 2])
            if not 0 < size <= _LARGEST_FRAME:
                at = times.next_segment(at)
                continue
            stop = at + _FRAME_HEADER + size
            if stop > len(data):
                break
            yield Unit(times.whole(stop), size + _FRAME_HEADER)
            at = stop


class _Times:
    """When the bytes of a run were there: the ends of its segments and their times, never before an earlier byte's."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self.times: list[float] = []
        self._at = 0

    def add(self, end: int, time: float) -> None:
        self.ends.append(end)
        self.times.append(max(time, self.times[-1]) if self.times else time)

    def whole(self, stop: int) -> float:
        while self.ends[self._at] < stop:
            self._at += 1
        return self.times[self._at]

    def next_segment(self, at: int) -> int:
        """Where the next segment begins after an offset; the end of the bytes if there is none."""
        return next((end for end in self.ends if end > at), self.ends[-1])


def _runs_of_bytes(stream: Stream) -> Iterator[tuple[bytearray, _Times]]:
    """The bytes of a stream in their order, in pieces where some are missing."""
    half, mask = 1 << 31, (1 << 32) - 1
    if not stream.packets:
        return
    base = stream.packets[0].sequence
    placed = [(((p.sequence - base + half) & mask) - half, p) for p in stream.packets]
    placed.sort(key=lambda item: item[0])
    data, times, reached = bytearray(), _Times(), placed[0][0]
    for begin, packet in placed:
        end = begin + len(packet.payload)
        if begin > reached and data:
            yield data, times
            data, times = bytearray(), _Times()
        if begin > reached:
            reached = begin
        if end <= reached:
            continue
        data += packet.payload[reached - begin :]
        times.add(len(data), packet.time)
        reached = end
    if data:
        yield data, times
