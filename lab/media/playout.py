"""The way from packets to sound: jitter buffer, decoder, and what is counted while it plays.

Sees packets after decryption; sends nothing. `now` and ticks are monotonic seconds, `wall` is Unix epoch seconds.
"""

from lab.errors import ProtocolError
from lab.media.codec import LOOKAHEAD_SECONDS, Decoder, has_redundancy, merge
from lab.media.jitter import Action, Decision, Frame, JitterBuffer
from lab.media.quality import InterarrivalJitter, VoiceFigures, mos, rating
from lab.media.timing import FRAME_SECONDS, wall_of_ntp
from lab.wire.rtp import RtpPacket

CAPTURE_TIME = 1
"""RTP header extension of the capture time, 8 bytes NTP: WebRTC's abs-capture-time, short form."""

CATCH_UP = 3
"""Frames sent or played at once after a stall; what is older passes unsent or unheard."""

FIRST_WAIT_SECONDS = 0.012
"""How long the first packet waits: ticks that fall between two packets bear half a frame of jitter either way."""

DRAIN_SECONDS = 0.3
"""How long after the other end stopped its last packets are waited for."""


class Playout:
    """One end's ear. `next_play_at` is the tick that is due next (monotonic seconds), None before the first packet and
    when drained; `drained` says that the other end has finished and that all of it was played.
    """

    def __init__(self) -> None:
        self.next_play_at: float | None = None
        self.drained = False
        self._buffer = JitterBuffer()
        self._decoder = Decoder()
        self._jitter = InterarrivalJitter()
        self._received = 0
        self._broken = 0  # came in time, and would not decode
        self._recovered = 0
        self._concealed = 0
        self._delays = 0.0
        self._waits = 0.0
        self._timed = 0
        self._last_arrival = float("-inf")
        self._finished = self._resting = False
        self._peer_sent: int | None = None
        self._first_decoded_at: float | None = None

    def insert(self, packet: RtpPacket, now: float) -> None:
        self._last_arrival = now
        if self._buffer.insert(packet, now):
            self._jitter.observe(now, packet.timestamp)
        if self.next_play_at is None and not self.drained:
            self.next_play_at = now + FIRST_WAIT_SECONDS

    def finish(self, now: float, sent: int | None) -> None:
        self._finished = True
        self._peer_sent = sent
        self._last_arrival = max(self._last_arrival, now)
        self._buffer.finish()
        if self.next_play_at is None and not self.drained:
            self.next_play_at = now

    def rest(self, on_hold: bool) -> None:
        """While the call is on hold the ticks end with the last frame that came, and nothing is made up after it."""
        self._resting = on_hold

    def play(self, now: float, wall: float) -> bytes | None:
        tick = self.next_play_at
        if tick is None or tick > now:
            return None
        tick += max(0, int((now - tick) / FRAME_SECONDS) + 1 - CATCH_UP) * FRAME_SECONDS
        self.next_play_at = tick + FRAME_SECONDS
        decision = self._buffer.pull(tick)
        if decision.action is Action.END:
            self._settle(tick)
        if decision.action is Action.CONCEAL and self._resting and not len(self._buffer):
            self.next_play_at = None
            return None
        return self._sound(decision, tick, wall - (now - tick))

    def _settle(self, tick: float) -> None:
        complete = self._peer_sent is not None and self._accounted >= self._peer_sent
        if complete or tick - self._last_arrival >= DRAIN_SECONDS:
            self.drained = True
            self.next_play_at = None

    @property
    def _accounted(self) -> int:
        return self._received + self._broken + self._buffer.missed

    def _sound(self, decision: Decision, tick: float, wall: float) -> bytes | None:
        match decision.action:
            case Action.WAIT | Action.END:
                return None
            case Action.PLAY:
                return self._decode(decision.frames[0], tick, wall)
            case Action.MERGE:
                first, second = (self._decode(frame, tick, wall) for frame in decision.frames)
                return merge(first, second)
            case Action.RECOVER if has_redundancy(decision.frames[0].packet.payload):
                return self._recover(decision.frames[0])
            case _:
                return self._conceal()

    def _decode(self, frame: Frame, tick: float, wall: float) -> bytes:
        try:
            pcm = self._decoder.decode(frame.packet.payload)
        except ProtocolError:
            self._broken += 1
            return self._conceal()
        self._received += 1
        if self._first_decoded_at is None:
            self._first_decoded_at = wall
        self._waits += tick - frame.arrival
        for identifier, value in frame.packet.extensions:
            if identifier == CAPTURE_TIME and len(value) == 8:
                self._delays += wall - wall_of_ntp(value, near=wall) + LOOKAHEAD_SECONDS
                self._timed += 1
        return pcm

    def _recover(self, following: Frame) -> bytes:
        try:
            pcm = self._decoder.recover(following.packet.payload)
        except ProtocolError:
            return self._conceal()
        self._recovered += 1
        return pcm

    def _conceal(self) -> bytes:
        self._concealed += 1
        return self._decoder.conceal()

    def _mouth_to_ear(self, rtt_ms: float | None) -> float | None:
        if self._timed:
            return 1000 * max(0.0, self._delays / self._timed)
        if not self._received or rtt_ms is None:
            return None
        return rtt_ms / 2 + 1000 * (self._waits / self._received + FRAME_SECONDS + LOOKAHEAD_SECONDS)

    def figures(self, sent: int, replayed: int, rtt_ms: float | None) -> VoiceFigures:
        lost = self._buffer.missed + self._broken
        if self.drained and self._peer_sent is not None:  # the span alone shows neither a lost head nor a lost tail
            lost = max(lost, self._peer_sent - self._received)
        delay = self._mouth_to_ear(rtt_ms)
        unheard = 100 * (lost - self._recovered) / (self._received + lost) if lost else 0.0
        return VoiceFigures(
            sent=sent,
            received=self._received,
            lost=lost,
            concealed=self._concealed,
            recovered=self._recovered,
            duplicates=self._buffer.duplicates + replayed,
            late=self._buffer.late,
            jitter_ms=self._jitter.milliseconds,
            mouth_to_ear_ms=delay,
            mos=mos(rating(delay, unheard)) if delay is not None else None,
            first_decoded_at=self._first_decoded_at,
        )
