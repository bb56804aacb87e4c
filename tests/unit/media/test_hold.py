"""A voice that is held: nothing is sent, nothing is made up, nothing counts as lost, and the talk goes on in time."""

import random

import pytest
from media_channel import KEYS, WALL, listener, speaker

from lab.media.srtp import Protector
from lab.media.timing import FRAME_SECONDS, RTP_CLOCK
from lab.media.voice import VoiceSession
from lab.wire.rtp import RtpPacket

DELAY = 0.02


Flying = list[tuple[float, bytes]]


def talk(talker: VoiceSession, ear: VoiceSession, flying: Flying, since: float, until: float, loss: float = 0.0) -> int:
    """Lets time run in steps of 5 ms; returns how many frames were sent."""
    dice, sent, step = random.Random(3), 0, 0.005
    for tick in range(round((until - since) / step)):
        now = since + tick * step
        while (data := talker.next_packet(now, WALL + now)) is not None:
            sent += 1
            if dice.random() >= loss:
                flying.append((now + DELAY, data))
        while flying and flying[0][0] <= now:
            ear.receive(flying.pop(0)[1], now, WALL + now)
        while ear.next_play_at is not None and ear.next_play_at <= now:
            ear.play(now, WALL + now)
    return sent


def held_call(seconds: float, loss: float = 0.0) -> tuple[VoiceSession, VoiceSession, int]:
    """Two seconds of talk, so many on hold, two of talk, and the end."""
    talker, ear, flying = speaker(), listener(), Flying()
    talker.start_sending(0.0, WALL)
    sent = talk(talker, ear, flying, 0.0, 2.0, loss)
    talker.hold()
    ear.hold()
    assert talk(talker, ear, flying, 2.0, 2.0 + seconds) == 0
    assert ear.next_play_at is None, "it plays although there is nothing to play"
    talker.resume(2.0 + seconds)
    ear.resume(2.0 + seconds)
    sent += talk(talker, ear, flying, 2.0 + seconds, 4.0 + seconds, loss)
    talker.stop_sending()
    ear.finish_receiving(4.0 + seconds, sent)
    talk(talker, ear, flying, 4.0 + seconds, 5.0 + seconds)
    return talker, ear, sent


@pytest.mark.parametrize("seconds", [2.0, 7.33, 120.0])
def test_what_was_held_is_neither_sent_nor_lost_and_the_talk_goes_on_in_time(seconds: float) -> None:
    talker, ear, sent = held_call(seconds)
    figures = ear.figures()
    assert sent == talker.figures().sent == pytest.approx(4.0 / FRAME_SECONDS, abs=2)
    assert (figures.received, figures.lost, figures.late, figures.duplicates) == (sent, 0, 0, 0)
    assert figures.concealed <= 3
    assert figures.jitter_ms < 3
    assert figures.mouth_to_ear_ms is not None and figures.mouth_to_ear_ms < 120


def test_the_clock_of_the_packets_runs_on_and_their_numbers_do_not() -> None:
    talker, reader = speaker(), Protector(KEYS.swapped())
    talker.start_sending(0.0, WALL)
    before = talker.next_packet(0.0, WALL)
    talker.hold()
    talker.resume(30.01)
    after = talker.next_packet(30.01, WALL + 30.01)
    first, second = (RtpPacket.parse(reader.unprotect(data) or b"") for data in (before or b"", after or b""))
    assert second.sequence == first.sequence + 1
    assert (second.timestamp - first.timestamp) % 2**32 == 30 * RTP_CLOCK
    assert second.marker, "the first packet after a silence says so (RFC 3551, 4.1)"


def test_what_is_lost_around_a_hold_counts_as_ever() -> None:
    _, ear, sent = held_call(30.0, loss=0.1)
    figures = ear.figures()
    assert figures.received + figures.lost == sent
    assert 8 <= figures.lost <= 40


def test_a_hold_before_the_first_frame_opens_no_microphone() -> None:
    talker = speaker()
    talker.hold()
    talker.resume(3.0)
    assert talker.next_send_at is None
    talker.start_sending(3.0, WALL)
    assert talker.next_packet(3.0, WALL) is not None


def test_who_hangs_up_on_hold_says_nothing_more() -> None:
    talker = speaker()
    talker.start_sending(0.0, WALL)
    talker.hold()
    talker.stop_sending()
    talker.resume(3.0)
    assert talker.next_send_at is None
