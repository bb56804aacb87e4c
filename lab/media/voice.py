"""One end of a call's voice without I/O: speech in, protected packets out, and back to speech and figures.

The caller owns sockets and clocks: it hands in datagrams as they come and keeps the two deadlines `next_send_at` and
`next_play_at`. `now` is monotonic seconds, `wall` Unix epoch seconds of the same moment.
"""

from lab.errors import ProtocolError
from lab.media.codec import EXPECTED_LOSS, Encoder
from lab.media.playout import CAPTURE_TIME, CATCH_UP, Playout
from lab.media.quality import VoiceFigures
from lab.media.source import VoiceSource
from lab.media.srtp import LARGEST_FIRST_SEQUENCE, MediaKeys, Protector
from lab.media.timing import FRAME_SECONDS, FRAME_TICKS, ntp_bytes
from lab.wire.rtp import RtpPacket

PAYLOAD_TYPE = 111
"""Dynamic RTP payload type of Opus, the one that browsers use (RFC 3551, 6; RFC 7587, 4)."""


class VoiceSession:
    """Both directions of one end: `source` goes out under `keys.send`, what comes under `keys.receive` is played.

    After a stall, and at each wake-up, take in every waiting datagram first, then call `next_packet` and `play` until
    their deadlines lie ahead. Bad datagrams are counted and dropped.
    """

    def __init__(
        self,
        keys: MediaKeys,
        source: VoiceSource,
        ssrc: int,
        *,
        first_sequence: int | None = None,
        first_timestamp: int | None = None,
        expected_loss: int = EXPECTED_LOSS,
    ) -> None:
        """`ssrc` is 32 random bits; the first sequence number (below 2^15) and timestamp come from it unless given.

        Raises RuntimeUnavailable without libopus, ValueError on a sequence number that SRTP could lose.
        """
        self._sequence = ssrc & LARGEST_FIRST_SEQUENCE if first_sequence is None else first_sequence
        if not 0 <= self._sequence <= LARGEST_FIRST_SEQUENCE:
            raise ValueError(f"first sequence number is {self._sequence}, expected at most {LARGEST_FIRST_SEQUENCE}")
        self._ssrc = ssrc
        self._timestamp = ssrc if first_timestamp is None else first_timestamp
        self._source = source
        self._protector = Protector(keys)
        self._encoder = Encoder(expected_loss)
        self._playout = Playout()
        self._sent = 0
        self._marker = True
        self._held_at: float | None = None
        self.next_send_at: float | None = None
        """When `next_packet` has the next frame, monotonic seconds; None while not sending."""

    # Sending

    def start_sending(self, now: float, wall: float) -> None:
        """Opens the microphone: the first frame, of the 20 ms before `now`, is due at once. Does nothing when open."""
        if self.next_send_at is None:
            self.next_send_at = now

    def stop_sending(self) -> None:
        """Closes the microphone; what comes in is still played."""
        self.next_send_at = self._held_at = None

    def hold(self) -> None:
        """The call is on hold: frames pass unsent and uncounted, and after what is in flight none is waited for."""
        if self._held_at is None:
            self._held_at, self.next_send_at = self.next_send_at, None
        self._playout.rest(True)

    def resume(self, now: float) -> None:
        """Goes on: the numbering as if nothing had been, the clock as if everything had (RFC 3550, 5.1)."""
        due, self._held_at = self._held_at, None
        if due is not None and self.next_send_at is None:
            passed = max(0, int((now - due) / FRAME_SECONDS))
            self._let_pass(passed)
            self.next_send_at = due + passed * FRAME_SECONDS
        self._playout.rest(False)

    def next_packet(self, now: float, wall: float) -> bytes | None:
        """The SRTP packet of the frame that is due, or None when none is. Frame by frame, so call it until None."""
        due = self.next_send_at
        if due is None or due > now:
            return None
        behind = int((now - due) / FRAME_SECONDS) + 1 - CATCH_UP
        if behind > 0:
            self._let_pass(behind)
            due += behind * FRAME_SECONDS
        captured = wall - (now - due) - FRAME_SECONDS
        packet = RtpPacket(
            payload_type=PAYLOAD_TYPE,
            sequence=self._sequence,
            timestamp=self._timestamp,
            ssrc=self._ssrc,
            payload=self._encoder.encode(self._source.next_frame()),
            marker=self._marker,  # RFC 3551, 4.1: the first packet after a silence
            extensions=((CAPTURE_TIME, ntp_bytes(captured)),),
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._timestamp = (self._timestamp + FRAME_TICKS) & 0xFFFFFFFF
        self._marker = False
        self._sent += 1
        self.next_send_at = due + FRAME_SECONDS
        return self._protector.protect(packet.encode())

    def expect_loss(self, percent: int) -> None:
        """How much loss the voice is armed against, 0 to 100 percent, from the next frame on."""
        self._encoder.expect_loss(percent)

    def _let_pass(self, frames: int) -> None:
        self._source.skip(frames)
        self._timestamp = (self._timestamp + frames * FRAME_TICKS) & 0xFFFFFFFF
        self._marker = True

    # Receiving

    @property
    def next_play_at(self) -> float | None:
        """When `play` has the next tick, monotonic seconds; None before the first packet and when drained."""
        return self._playout.next_play_at

    @property
    def drained(self) -> bool:
        """Whether the other end has finished and all that came of it was played. Changes in `play`."""
        return self._playout.drained

    def receive(self, data: bytes, now: float, wall: float) -> bool:
        """Takes a datagram, or a frame of the TCP leg; whether it was the other end's voice (a late one is, too)."""
        rtp = self._protector.unprotect(data)
        if rtp is None:
            return False
        try:
            packet = RtpPacket.parse(rtp)
        except ProtocolError:
            return False
        if packet.payload_type != PAYLOAD_TYPE or not packet.payload:
            return False
        self._playout.insert(packet, now)
        return True

    def play(self, now: float, wall: float) -> bytes | None:
        """The 20 ms (640 bytes of PCM) of the tick that is due; None for silence, or when no tick is due."""
        return self._playout.play(now, wall)

    def finish_receiving(self, now: float, sent: int | None = None) -> None:
        """The other end has hung up, having sent `sent` frames if it said so; what is in flight is still played.

        `drained` becomes true once as many frames are accounted for, or DRAIN_SECONDS after the last packet.
        """
        self._playout.finish(now, sent)

    # Figures

    @property
    def rejected(self) -> int:
        """Datagrams that were not under the other end's key."""
        return self._protector.rejected

    def figures(self, rtt_ms: float | None = None) -> VoiceFigures:
        """The call so far. `rtt_ms` stands in (half of it) for a delay that no capture time came for."""
        return self._playout.figures(self._sent, self._protector.replayed, rtt_ms)
