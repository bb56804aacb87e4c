"""A whole voice, end to end: speech in, packets over a simulated network, speech and figures out."""

import random

import pytest
from media_channel import KEYS, WALL, Channel, call, listener, losing, speaker, steady

from lab.media.likeness import similarity
from lab.media.playout import CAPTURE_TIME, CATCH_UP, DRAIN_SECONDS
from lab.media.quality import mos, rating
from lab.media.source import VoiceSource, load_recording
from lab.media.srtp import MediaKeys, Protector
from lab.media.timing import wall_of_ntp
from lab.media.voice import VoiceSession
from lab.wire.rtp import RtpPacket

SAID = load_recording("speech-a")


def random_network(loss: float = 0.0, jitter: float = 0.0, copies: float = 0.0, delay: float = 0.02) -> Channel:
    dice = random.Random(7)

    def channel(index: int, sent: float) -> list[float]:
        if dice.random() < loss:
            return []
        return [sent + delay + jitter * dice.random() for _ in range(2 if dice.random() < copies else 1)]

    return channel


# What is heard


def test_on_a_clean_path_every_frame_is_heard_as_it_was_said() -> None:
    heard = call(250, steady())
    figures = heard.figures
    assert (figures.sent, figures.received, figures.lost) == (0, 250, 0)
    assert (figures.concealed, figures.recovered, figures.duplicates, figures.late) == (0, 0, 0, 0)
    assert similarity(SAID, heard.pcm) > 0.9


def test_the_other_speaker_is_not_who_is_heard() -> None:
    heard = call(250, steady(), source=VoiceSource.recording("speech-b"))
    assert similarity(SAID, heard.pcm) < 0.65
    assert similarity(load_recording("speech-b"), heard.pcm) > 0.9


def test_through_loss_the_voice_is_still_the_voice_and_most_of_it_is_recovered() -> None:
    heard = call(250, random_network(loss=0.1))
    figures = heard.figures
    assert figures.received + figures.lost == 250
    assert 10 <= figures.lost <= 45
    assert figures.recovered > figures.lost / 2
    assert figures.concealed > 0
    assert similarity(SAID, heard.pcm) > 0.9


def test_through_loss_jitter_reordering_and_copies_the_voice_is_still_the_voice() -> None:
    heard = call(250, random_network(loss=0.05, jitter=0.08, copies=0.1))
    figures = heard.figures
    assert figures.received + figures.lost == 250
    assert figures.received >= 225
    assert figures.duplicates >= 10
    assert figures.jitter_ms > 10
    assert similarity(SAID, heard.pcm) > 0.85


def test_copies_change_nothing_that_is_heard() -> None:
    twice = call(100, lambda index, sent: [sent + 0.02, sent + 0.03])
    assert twice.pcm == call(100, steady()).pcm
    assert twice.figures.duplicates == 100


def test_after_a_pause_and_its_burst_the_voice_goes_on() -> None:
    heard = call(300, lambda index, sent: [max(sent + 0.02, 3.0) if sent > 1.0 else sent + 0.02])
    assert heard.figures.received + heard.figures.lost == 300
    assert heard.figures.received > 195
    after = heard.pcm[160 * 640 :]
    assert similarity(SAID, after) > 0.85


def test_wraps_of_sequence_and_timestamp_are_not_heard() -> None:
    heard = call(100, steady(), first_sequence=0x7FFF, first_timestamp=0xFFFFFFFF - 20_000)
    assert (heard.figures.received, heard.figures.lost) == (100, 0)


def test_a_sequence_that_wraps_in_the_middle_of_a_long_call_is_not_heard() -> None:
    talker, ear = speaker(first_sequence=0x7FFF), listener()
    talker._sequence = 0x7FFF
    talker.start_sending(0.0, WALL)
    packets = _packets(talker, 40)
    assert [RtpPacket.parse(packet).sequence for packet in packets][-1] == 0x7FFF + 39
    assert all(ear.receive(packet, 0.02 * i, WALL + 0.02 * i) for i, packet in enumerate(packets))


# When it is sent


def test_frames_leave_every_20_ms_without_drift() -> None:
    talker = speaker()
    talker.start_sending(10.0, WALL)
    for frame in range(500):
        due = talker.next_send_at
        assert due == pytest.approx(10.0 + 0.02 * frame, abs=1e-6)
        late = due + 0.004  # a timer is always a little late
        assert talker.next_packet(late, WALL + late) is not None
        assert talker.next_packet(late, WALL + late) is None


def test_nothing_leaves_before_its_time_nor_after_the_end() -> None:
    talker = speaker()
    assert talker.next_packet(0.0, WALL) is None
    talker.start_sending(1.0, WALL)
    assert talker.next_packet(0.999, WALL) is None
    assert talker.next_packet(1.0, WALL) is not None
    talker.stop_sending()
    assert talker.next_packet(5.0, WALL + 5) is None
    assert talker.next_send_at is None


def test_after_a_stall_a_few_frames_catch_up_and_the_rest_was_never_said() -> None:
    talker = speaker()
    talker.start_sending(0.0, WALL)
    before = [RtpPacket.parse(packet) for packet in _packets(talker, 10)]
    burst = []
    while (packet := talker.next_packet(3.005, WALL + 3.005)) is not None:
        burst.append(RtpPacket.parse(packet))
    assert len(burst) == CATCH_UP
    assert talker.next_send_at is not None
    assert 3.005 < talker.next_send_at <= 3.025
    assert burst[0].sequence == before[-1].sequence + 1
    assert (burst[-1].timestamp - before[0].timestamp) % (1 << 32) == 150 * 960
    assert burst[0].marker
    assert not burst[1].marker


def test_a_stall_of_the_sender_loses_no_frame_that_was_sent() -> None:
    heard = call(150, steady(), stalls=[(1.0, 1.5), (2.0, 2.04)])
    assert (heard.figures.received, heard.figures.lost) == (150, 0)
    assert heard.figures.mouth_to_ear_ms is not None
    assert heard.figures.mouth_to_ear_ms < 100


def test_the_microphone_opens_once() -> None:
    talker = speaker()
    talker.start_sending(1.0, WALL)
    talker.start_sending(2.0, WALL)
    assert talker.next_send_at == 1.0


def test_each_packet_carries_the_time_its_first_sample_was_captured() -> None:
    talker = speaker()
    talker.start_sending(5.0, WALL + 5)
    packet = RtpPacket.parse(talker.next_packet(5.007, WALL + 5.007) or b"")
    (identifier, value), *_ = packet.extensions
    assert identifier == CAPTURE_TIME
    assert wall_of_ntp(value, near=WALL) == pytest.approx(WALL + 5 - 0.02, abs=1e-5)


# When it is played


def test_nothing_is_due_to_play_before_the_first_packet() -> None:
    ear = listener()
    assert ear.next_play_at is None
    assert ear.play(1.0, WALL) is None


def test_ticks_of_playout_do_not_drift() -> None:
    heard = call(100, steady())
    times = [at for at, _ in heard.ticks]
    assert times == pytest.approx([times[0] + 0.02 * index for index in range(len(times))], abs=1e-6)


def test_after_a_stall_of_the_listener_playing_goes_on_at_the_usual_delay() -> None:
    talker, ear = speaker(), listener()
    talker.start_sending(0.0, WALL)
    played = 0
    for index, packet in enumerate(_packets(talker, 250)):
        now = 0.02 * index
        ear.receive(packet, now, WALL + now)
        if 1.0 < now < 1.5:
            continue
        ticks = 0
        while ear.next_play_at is not None and ear.next_play_at <= now:
            ear.play(now, WALL + now)
            ticks += 1
        assert ticks <= CATCH_UP
        played += ticks
    assert ear.figures().lost == 0
    assert ear.figures().received >= 245
    assert played < 240


def test_packets_that_come_before_this_end_starts_are_heard() -> None:
    talker, ear = speaker(), listener()
    talker.start_sending(0.0, WALL)
    for packet in _packets(talker, 10):
        assert ear.receive(packet, 0.3, WALL + 0.3)
    ear.start_sending(0.35, WALL + 0.35)
    now = 0.3
    while ear.figures().received < 10:
        now += 0.02
        assert now < 1.0
        ear.play(now, WALL + now)
    assert ear.figures().lost == 0


# The end of a call


def test_frames_in_flight_at_the_end_are_heard_and_not_lost() -> None:
    heard = call(50, steady(0.25))
    assert (heard.figures.received, heard.figures.lost) == (50, 0)


def test_a_call_whose_count_is_known_drains_as_soon_as_all_is_heard() -> None:
    heard = call(50, steady())
    assert heard.ticks[-1][0] < 49 * 0.02 + 0.02 + 0.08
    assert heard.listener.drained
    assert heard.listener.next_play_at is None


def test_a_call_whose_count_is_not_known_drains_after_a_moment() -> None:
    heard = call(50, steady(), tell_sent=False)
    assert (heard.figures.received, heard.figures.lost) == (50, 0)
    assert heard.ticks[-1][0] == pytest.approx(49 * 0.02 + 0.02 + DRAIN_SECONDS, abs=0.03)


def test_a_lost_head_and_a_lost_tail_are_seen_when_the_count_is_known() -> None:
    heard = call(50, losing(0, 1, 48, 49))
    assert (heard.figures.received, heard.figures.lost) == (46, 4)


def test_a_call_in_which_nothing_came_drains_and_has_no_score() -> None:
    ear = listener()
    ear.finish_receiving(1.0, sent=30)
    now = 1.0
    while not ear.drained:
        now += 0.02
        ear.play(now, WALL + now)
        assert now < 2.0
    figures = ear.figures(rtt_ms=3.0)
    assert (figures.received, figures.lost) == (0, 30)
    assert (figures.mouth_to_ear_ms, figures.mos, figures.first_decoded_at) == (None, None, None)


# Figures


def test_mouth_to_ear_is_network_frame_codec_and_buffer() -> None:
    heard = call(150, steady(0.1))
    # 100 ms on the way, 20 ms to capture a frame, 6.5 ms of codec, 12 ms in the buffer where nothing is late
    assert heard.delays[5][1] == pytest.approx(100 + 20 + 6.5 + 12, abs=1)
    assert heard.figures.mouth_to_ear_ms == pytest.approx(100 + 20 + 6.5 + 12, abs=5)
    assert heard.figures.mos == pytest.approx(mos(rating(heard.figures.mouth_to_ear_ms, 0)))


def test_the_first_decoded_frame_is_timed_by_the_wall_clock() -> None:
    heard = call(20, steady(0.1))
    assert heard.figures.first_decoded_at == pytest.approx(WALL + 0.1 + 0.012, abs=1e-3)


def test_frames_that_redundancy_gave_back_do_not_lower_the_score() -> None:
    figures = call(300, losing(10, 100)).figures
    assert (figures.lost, figures.recovered) == (2, 2)
    assert figures.concealed <= 2  # the ear arms itself against the next ones
    assert figures.mouth_to_ear_ms is not None
    assert figures.mos == pytest.approx(mos(rating(figures.mouth_to_ear_ms, 0)))


def test_after_a_first_loss_on_a_fast_path_the_next_ones_are_recovered() -> None:
    figures = call(250, losing(60, 90, 120, 150, 180)).figures
    assert figures.lost == 5
    assert figures.recovered == 4


def test_loss_lowers_the_score_by_what_was_not_heard() -> None:
    figures = call(100, losing(*range(40, 50))).figures
    assert figures.lost == 10
    assert figures.mouth_to_ear_ms is not None
    assert figures.mos == pytest.approx(mos(rating(figures.mouth_to_ear_ms, 10 - figures.recovered)))
    assert figures.mos < 3.4


def test_without_capture_times_half_the_round_trip_stands_in() -> None:
    here, ear = Protector(KEYS), listener()
    talker = speaker()
    talker.start_sending(0.0, WALL)
    for index, data in enumerate(_packets(talker, 3)):
        old = RtpPacket.parse(Protector(KEYS.swapped()).unprotect(data) or b"")
        plain = RtpPacket(old.payload_type, old.sequence, old.timestamp, old.ssrc, old.payload)
        ear.receive(here.protect(plain.encode()), 0.02 * index, WALL)
    for tick in range(1, 8):
        ear.play(0.02 * tick + 1e-6, WALL)
    assert ear.figures().mouth_to_ear_ms is None
    assert ear.figures(rtt_ms=50).mouth_to_ear_ms == pytest.approx(25 + 12 + 20 + 6.5, abs=0.1)


# Strangers and broken packets


def test_a_stranger_is_not_heard() -> None:
    stranger = VoiceSession(MediaKeys(bytes(30), bytes(30)), VoiceSource.recording("speech-b"), ssrc=1)
    stranger.start_sending(0.0, WALL)
    ear = listener()
    assert not any(ear.receive(packet, 0.0, WALL) for packet in _packets(stranger, 5))
    assert ear.rejected == 5
    assert ear.next_play_at is None


@pytest.mark.parametrize(
    "packet",
    [
        RtpPacket(0, 1, 0, 1, b"other payload type"),
        RtpPacket(111, 1, 0, 1, b""),
    ],
)
def test_a_packet_of_the_other_end_that_is_no_voice_is_dropped(packet: RtpPacket) -> None:
    ear = listener()
    assert not ear.receive(Protector(KEYS).protect(packet.encode()), 0.0, WALL)
    assert ear.next_play_at is None


def test_a_payload_that_does_not_decode_is_concealed_and_counts_as_lost() -> None:
    ear, here = listener(), Protector(KEYS)
    ear.receive(here.protect(RtpPacket(111, 1, 0, 1, b"\xff" * 30).encode()), 0.0, WALL)
    ear.finish_receiving(0.0, sent=1)
    now = 0.0
    while not ear.drained:
        now += 0.02
        ear.play(now, WALL + now)
    figures = ear.figures()
    assert (figures.received, figures.lost, figures.concealed) == (0, 1, 1)


def test_a_first_sequence_number_that_srtp_could_lose_is_refused() -> None:
    with pytest.raises(ValueError, match="first sequence number is 32768, expected at most 32767"):
        speaker(first_sequence=0x8000)


def _packets(talker: VoiceSession, count: int) -> list[bytes]:
    packets = []
    while len(packets) < count:
        due = talker.next_send_at
        assert due is not None
        packet = talker.next_packet(due, WALL + due)
        assert packet is not None
        packets.append(packet)
    return packets
