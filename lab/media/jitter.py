"""The jitter buffer: packets in as the network gives them, one decision out for each 20 ms of playout.

Puts in order, waits, skips, asks for recovery or concealment. Decodes nothing and reads no clock.
"""

from dataclasses import dataclass
from enum import Enum

from lab.media.delay import DelayEstimate
from lab.media.timing import FRAME_SECONDS, FRAME_TICKS, RTP_CLOCK
from lab.wire.rtp import RtpPacket

HORIZON = 50
"""Frames. Voice more than a second behind the newest is dropped: after a long pause the talk goes on from the present.
Also the bound of the buffer's memory."""

# RFC 3550, A.1: a larger step of the sequence number is a sender that started anew, once a second packet agrees.
_MAX_DROPOUT = 3000
_MAX_MISORDER = 1024

_CLOCK_JUMP_SECONDS = 1.0  # a timestamp off by more, with the sequence unbroken, is a new clock and not delay
_SLACK_SECONDS = FRAME_SECONDS / 2
_PACE = 5  # ticks between two changes of the delay; one in ten words shortened is not heard
_HURRY = 2  # ticks between two, far behind
_FAR_BEHIND_SECONDS = 0.2
_EPSILON = 1e-6  # of a clock in floating point


class Action(Enum):
    """What the playout does for one tick."""

    WAIT = "wait"  # nothing has begun: play nothing
    PLAY = "play"  # decode frames[0]
    MERGE = "merge"  # decode frames[0] and frames[1], play both in the time of one
    RECOVER = "recover"  # the frame before frames[0] is lost; frames[0] stays in the buffer
    CONCEAL = "conceal"  # nothing to play: make something up
    END = "end"  # the other end has finished, and all is played


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet in the buffer. `number` is its sequence number unwrapped; times are seconds, monotonic."""

    number: int
    packet: RtpPacket
    arrival: float
    media_time: float


@dataclass(frozen=True, slots=True)
class Decision:
    action: Action
    frames: tuple[Frame, ...] = ()


class JitterBuffer:
    """One stream's buffer. Bounded to HORIZON frames; never raises on any packet; gives out no frame twice.

    `duplicates` counts packets seen before, `late` those whose moment had passed, `missed` the frames passed over
    without having been played (late ones included).
    """

    def __init__(self) -> None:
        self.duplicates = 0
        self.late = 0
        self.missed = 0
        self._delay = DelayEstimate()
        self._frames: dict[int, Frame] = {}
        self._absent: set[int] = set()  # passed over and never seen: tells a late packet from a duplicate
        self._first = 0
        self._next = 0
        self._begun = False
        self._finished = False
        self._starved = False
        self._held = 0
        self._since_change = _PACE
        self._overflown = False
        self._newest: Frame | None = None
        self._newest_ticks = 0
        self._clock_shift = 0.0
        self._stranger: int | None = None

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def target_delay(self) -> float:
        """Seconds that a frame should wait between the earliest that it could have come and its playout."""
        return self._delay.target

    @property
    def position(self) -> int:
        """Number of the frame whose turn is next: sequence numbers, unwrapped."""
        return self._next

    def finish(self) -> None:
        """The other end has stopped: play what is there and what still comes, wait for nothing."""
        self._finished = True

    # Packets in

    def insert(self, packet: RtpPacket, now: float) -> bool:
        """Takes a packet that arrived at `now` (seconds, monotonic); whether it is the first of its number."""
        number = self._unwrap(packet.sequence)
        if number is None:
            return False
        if number in self._frames or self._was_played(number):
            self.duplicates += 1
            return False
        frame = self._timed(number, packet, now)
        self._note_oldest(number)
        stale = self._newest is not None and number <= self._newest.number - HORIZON
        late = stale or (self._begun and number < self._next)
        self._delay.observe(now - frame.media_time, late)
        if late:
            self.late += 1
            self._absent.discard(number)
            return True
        if not self._begun:
            self._next = min(self._next, number)
        self._frames[number] = frame
        self._note_newest(frame)
        return True

    def _was_played(self, number: int) -> bool:
        return self._begun and self._first <= number < self._next and number not in self._absent

    def _note_oldest(self, number: int) -> None:
        if self._newest is None:
            self._first = self._next = number
        elif number < self._first:
            if self._begun:  # the stream began earlier than it seemed
                self._absent.update(range(number, self._first))
                self.missed += self._first - number
            self._first = number

    def _unwrap(self, sequence: int) -> int | None:
        """The sequence number without its wraps, or None while it is too strange to believe (RFC 3550, A.1)."""
        if self._newest is None:
            return sequence
        step = _signed(sequence - self._newest.packet.sequence, 16)
        if -_MAX_MISORDER <= step <= _MAX_DROPOUT:
            self._stranger = None
            return self._newest.number + step
        expected, self._stranger = self._stranger, (sequence + 1) & 0xFFFF
        # A second packet in a row: the sender counts anew, and goes on where it was.
        return self._newest.number + 1 if sequence == expected else None

    def _timed(self, number: int, packet: RtpPacket, now: float) -> Frame:
        """The frame on the sender's clock; a clock that jumps by itself is shifted back to where it was."""
        newest = self._newest
        if newest is None:
            self._newest_ticks = packet.timestamp
            return Frame(number, packet, now, packet.timestamp / RTP_CLOCK)
        step = _signed(packet.timestamp - newest.packet.timestamp, 32)
        ticks = self._newest_ticks + step
        media_time = ticks / RTP_CLOCK + self._clock_shift
        if number > newest.number:
            self._newest_ticks = ticks
            fastest = self._delay.fastest
            jumped = step != FRAME_TICKS * (number - newest.number)
            if jumped and fastest is not None and abs(now - media_time - fastest) > _CLOCK_JUMP_SECONDS:
                shift = now - fastest - media_time
                self._clock_shift += shift
                media_time += shift
        return Frame(number, packet, now, media_time)

    def _note_newest(self, frame: Frame) -> None:
        if self._newest is not None and frame.number < self._newest.number:
            return
        self._newest = frame
        oldest = min(self._frames)
        if frame.number - oldest >= HORIZON:
            self._pass_to(frame.number - HORIZON + 1)
            self._overflown = True

    # Decisions out

    def pull(self, now: float) -> Decision:
        """What to play in the tick at `now` (seconds, monotonic). Call it once for each 20 ms."""
        self._since_change += 1
        if not self._frames:
            return self._nothing()
        if self._overflown:
            self._forget_the_past()
        low = self._frames[min(self._frames)]
        if not self._begun:
            if self._waited(low, now) < self.target_delay - _SLACK_SECONDS and not self._finished:
                return Decision(Action.WAIT)
            self._begun = True
        self._skip_what_has_passed(low, now)
        return self._here(low, now) if low.number == self._next else self._gap(low)

    def _nothing(self) -> Decision:
        if self._finished:
            return Decision(Action.END)
        if not self._begun:
            return Decision(Action.WAIT)
        # Late or lost? Not known yet, so its turn stays: if it comes next it is played, and the delay has grown.
        self._starved = True
        self._held += 1
        return Decision(Action.CONCEAL)

    def _here(self, low: Frame, now: float) -> Decision:
        spare = self._waited(low, now) - self.target_delay
        if spare < -_SLACK_SECONDS and not self._finished and (self._starved or self._since_change >= _PACE):
            self._since_change = 0
            self._held += 1
            return Decision(Action.CONCEAL)
        self._starved = False
        following = self._frames.get(low.number + 1)
        pace = _HURRY if spare > _FAR_BEHIND_SECONDS else _PACE
        if following is not None and spare > FRAME_SECONDS - _EPSILON and self._since_change >= pace:
            self._since_change = 0
            self._take(low)
            self._take(following)
            return Decision(Action.MERGE, (low, following))
        self._take(low)
        return Decision(Action.PLAY, (low,))

    def _gap(self, low: Frame) -> Decision:
        adjacent = low.number == self._next + 1
        self._pass_to(self._next + 1)
        return Decision(Action.RECOVER, (low,)) if adjacent else Decision(Action.CONCEAL)

    def _skip_what_has_passed(self, low: Frame, now: float) -> None:
        """Passes over missing frames whose moments went by while nothing was there, or while the delay was too long."""
        missing = low.number - self._next
        # A single one can be recovered: worth one frame more of delay, unless its moment was filled already.
        slack = 2 * FRAME_SECONDS if missing == 1 and not self._held else FRAME_SECONDS
        spare = self._waited(low, now) + missing * FRAME_SECONDS - self.target_delay - slack
        if missing and spare > -_EPSILON:
            self._pass_to(self._next + min(missing, int((spare + _EPSILON) / FRAME_SECONDS) + 1))

    def _forget_the_past(self) -> None:
        """After a long pause and its burst: keep as much as the target holds, and measure anew."""
        assert self._newest is not None
        self._overflown = False
        self._begun = self._starved = True
        self._delay.restart(min(frame.arrival - frame.media_time for frame in self._frames.values()))
        self._pass_to(self._newest.number - round(self.target_delay / FRAME_SECONDS) + 1)

    def _waited(self, frame: Frame, now: float) -> float:
        """Delay at which the frame would be played now, in seconds since the earliest that it could have come."""
        fastest = self._delay.fastest
        since_due = now - frame.media_time - fastest if fastest is not None else 0.0
        return max(since_due, now - frame.arrival)

    def _take(self, frame: Frame) -> None:
        del self._frames[frame.number]
        self._next = frame.number + 1
        self._held = 0

    def _pass_to(self, number: int) -> None:
        """Moves the turn on to `number`; what is passed over is missed, and what was there of it came too late."""
        for passed in range(self._next, number):
            self.missed += 1
            if self._frames.pop(passed, None) is not None:
                self.late += 1
            else:
                self._absent.add(passed)
                self._delay.lose()
        self._next = max(self._next, number)
        self._held = 0
        if len(self._absent) > 2 * _MAX_MISORDER:
            self._absent = {absent for absent in self._absent if absent >= self._next - _MAX_MISORDER}


def _signed(difference: int, bits: int) -> int:
    """A difference of two counters that wrap at `bits`, as the shorter way round."""
    half = 1 << (bits - 1)
    return ((difference + half) & ((1 << bits) - 1)) - half
