"""The jitter buffer against networks that are written down, and against ones that nobody would write down."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.media.jitter import HORIZON, Action, JitterBuffer
from lab.media.timing import FRAME_SECONDS, FRAME_TICKS
from lab.wire.rtp import RtpPacket

Arrival = tuple[float, int]
"""When a packet comes, and which frame it carries."""


@dataclass
class Played:
    """What the buffer gave out: per tick its time, its action and the numbers of its frames."""

    buffer: JitterBuffer
    ticks: list[tuple[float, Action, list[int]]] = field(default_factory=list)

    @property
    def numbers(self) -> list[int]:
        return [n for _, action, numbers in self.ticks if action in (Action.PLAY, Action.MERGE) for n in numbers]

    def count(self, action: Action, since: float = 0.0) -> int:
        return sum(1 for at, found, _ in self.ticks if found is action and at >= since)

    def delay(self, number: int) -> float:
        """Seconds from when the frame was sent (20 ms a frame, from 0) to its playout."""
        at = next(
            at for at, action, numbers in self.ticks if action in (Action.PLAY, Action.MERGE) and number in numbers
        )
        return at - number * FRAME_SECONDS


def packet(number: int, first_sequence: int = 0, first_timestamp: int = 0) -> RtpPacket:
    sequence = (first_sequence + number) & 0xFFFF
    timestamp = (first_timestamp + number * FRAME_TICKS) & 0xFFFFFFFF
    return RtpPacket(111, sequence, timestamp, 1, b"%d" % number)


def played(
    arrivals: list[Arrival], first_sequence: int = 0, first_timestamp: int = 0, finish: float | None = None
) -> Played:
    """Runs the arrivals through a buffer that is asked every 20 ms."""
    buffer = JitterBuffer()
    result = Played(buffer)
    waiting = sorted(arrivals, key=lambda arrival: arrival[0])
    tick = waiting[0][0]
    end = max(waiting[-1][0], finish or 0.0) + 2.0
    while tick < end:
        tick += FRAME_SECONDS
        while waiting and waiting[0][0] <= tick:
            at, number = waiting.pop(0)
            buffer.insert(packet(number, first_sequence, first_timestamp), at)
        if finish is not None and tick >= finish:
            buffer.finish()
        decision = buffer.pull(tick)
        result.ticks.append((tick, decision.action, [int(frame.packet.payload) for frame in decision.frames]))
        assert len(buffer) <= HORIZON
        if decision.action is Action.END and not waiting:
            break
    return result


def even(frames: int, delay: float = 0.02) -> list[Arrival]:
    return [(number * FRAME_SECONDS + delay, number) for number in range(frames)]


# A quiet network


def test_an_even_stream_is_played_whole_and_in_order() -> None:
    result = played(even(100), finish=2.02)
    assert result.numbers == list(range(100))
    assert result.count(Action.CONCEAL) == 0
    assert result.buffer.missed == 0


def test_playing_starts_a_frame_after_the_first_packet_and_stays_there_where_nothing_is_late() -> None:
    result = played(even(200), finish=4.02)
    assert result.delay(0) == pytest.approx(0.02 + 0.02)
    assert result.delay(199) == pytest.approx(0.02 + 0.02)


def test_before_the_first_packet_there_is_nothing_to_play() -> None:
    assert JitterBuffer().pull(1.0).action is Action.WAIT


def test_packets_may_come_before_anyone_listens() -> None:
    buffer = JitterBuffer()
    for at, number in even(10):
        buffer.insert(packet(number), at)
    numbers = []
    for tick in range(30):
        numbers += [frame.number for frame in buffer.pull(0.21 + tick * FRAME_SECONDS).frames]
    assert numbers == list(range(10))


# Order, copies, loss


def test_neighbours_that_change_places_are_played_in_order_as_soon_as_it_is_known_that_they_do() -> None:
    swapped = [(at, number ^ 1) for at, number in even(100)]
    result = played(swapped, finish=2.02)
    assert result.numbers[-80:] == list(range(20, 100))
    assert result.buffer.missed <= 6


def test_an_older_packet_that_comes_second_is_played_first() -> None:
    result = played([(0.020, 1), (0.021, 0), (0.06, 2)], finish=0.1)
    assert result.numbers == [0, 1, 2]


def test_copies_are_counted_and_not_played_again() -> None:
    twice = even(50) + [(at + 0.001, number) for at, number in even(50)] + [(1.5, 3)]
    result = played(twice, finish=1.6)
    assert result.numbers == list(range(50))
    assert result.buffer.duplicates == 51
    assert result.buffer.late == 0


def test_a_single_loss_asks_for_recovery_from_the_next_packet() -> None:
    result = played([arrival for arrival in even(20) if arrival[1] != 7], finish=0.42)
    assert result.numbers == [number for number in range(20) if number != 7]
    assert [numbers for _, action, numbers in result.ticks if action is Action.RECOVER] == [[8]]
    assert result.buffer.missed == 1


def test_a_burst_of_losses_is_concealed_and_its_last_recovered() -> None:
    result = played([arrival for arrival in even(30) if arrival[1] not in (7, 8)], finish=0.62)
    assert result.buffer.missed == 2
    assert result.count(Action.CONCEAL) + result.count(Action.RECOVER) in (2, 3)  # one may arm against the next loss
    assert result.delay(29) <= 0.02 + 0.04 + 1e-6


def test_a_path_that_is_gone_for_seconds_leaves_no_delay_behind() -> None:
    result = played([arrival for arrival in even(300) if not 100 <= arrival[1] < 200], finish=6.02)
    assert result.buffer.missed == 100
    assert result.delay(230) <= 0.02 + 0.04 + 1e-6


def test_a_packet_after_its_moment_is_late_and_stays_missed() -> None:
    arrivals = [(at + 0.2 if number == 30 else at, number) for at, number in even(60)]
    result = played(arrivals, finish=1.5)
    assert 30 not in result.numbers
    assert (result.buffer.late, result.buffer.missed, result.buffer.duplicates) == (1, 1, 0)


def test_a_packet_from_before_the_beginning_counts_as_late_and_missed() -> None:
    result = played([(at, number) for at, number in even(20) if number > 1] + [(0.3, 1)], finish=0.5)
    assert (result.buffer.late, result.buffer.missed) == (1, 1)


# Counters that wrap and clocks that jump


@pytest.mark.parametrize("first_sequence", [0, 65_500, 65_535])
@pytest.mark.parametrize("first_timestamp", [0, 0xFFFFFFFF - 20_000])
def test_wraps_of_sequence_and_timestamp_go_unnoticed(first_sequence: int, first_timestamp: int) -> None:
    result = played(even(150), first_sequence, first_timestamp, finish=3.02)
    assert result.numbers == list(range(150))
    assert result.buffer.missed == 0
    assert result.delay(149) == pytest.approx(0.04)


def test_reordering_across_the_wrap_is_put_right() -> None:
    swapped = [(at, number ^ 1) for at, number in even(100)]
    assert played(swapped, first_sequence=65_484, finish=2.02).numbers[-80:] == list(range(20, 100))


@pytest.mark.parametrize("jump", [48_000 * 30, -48_000 * 30, 0x8000_0000])
def test_a_sender_whose_clock_jumps_is_played_on_without_a_gap(jump: int) -> None:
    buffer, numbers, concealed = JitterBuffer(), [], 0
    for number in range(200):
        at = number * FRAME_SECONDS
        timestamp = (number * FRAME_TICKS + (jump if number >= 100 else 0)) & 0xFFFFFFFF
        buffer.insert(RtpPacket(111, number, timestamp, 1, b"x"), at)
        decision = buffer.pull(at + 0.001)
        numbers += [frame.number for frame in decision.frames if decision.action is not Action.RECOVER]
        concealed += decision.action is Action.CONCEAL
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= 197
    assert concealed == 0


def test_a_sender_that_skips_time_is_heard_again_at_the_usual_delay() -> None:
    buffer, last = JitterBuffer(), 0.0
    times = [number * FRAME_SECONDS + (1.0 if number >= 50 else 0.0) for number in range(150)]
    pending = list(enumerate(times))
    for tick in range(250):
        now = tick * FRAME_SECONDS + 0.001
        while pending and pending[0][1] <= now:
            number, at = pending.pop(0)
            buffer.insert(RtpPacket(111, number, round(at * 48_000), 1, b"x"), at)
        for frame in buffer.pull(now).frames:
            last = now - times[frame.number]
    assert buffer.missed == 0
    assert last < 0.05


def test_a_sender_that_counts_anew_is_followed_after_its_second_packet() -> None:
    buffer, played_sequences = JitterBuffer(), []
    for number in range(100):
        sequence = number if number < 50 else 40_000 + number
        buffer.insert(RtpPacket(111, sequence, number * FRAME_TICKS, 1, b"x"), number * FRAME_SECONDS)
        decision = buffer.pull(number * FRAME_SECONDS + 0.001)
        played_sequences += [frame.packet.sequence for frame in decision.frames if decision.action is Action.PLAY]
    assert played_sequences[-1] >= 40_095
    assert buffer.missed <= 1


# Delay that follows the network


def jittery(frames: int, spread: float, start: int = 0) -> list[Arrival]:
    """Delays from 20 ms to 20 ms + `spread`, in a fixed order without any two alike in a row."""
    return [((n + start) * FRAME_SECONDS + 0.02 + spread * ((n * 7) % 10) / 9, n + start) for n in range(frames)]


@pytest.mark.parametrize("spread", [0.03, 0.08, 0.15])
def test_the_delay_grows_until_the_jitter_fits(spread: float) -> None:
    result = played(jittery(400, spread), finish=8.2)
    settled = [number for number in result.numbers if number >= 100]
    assert settled == list(range(100, 400))
    assert 0.02 + spread <= result.delay(399) <= 0.02 + spread + 0.06
    assert result.buffer.target_delay >= spread


def test_the_delay_comes_down_when_the_network_calms_and_nothing_is_thrown_away() -> None:
    calm = [(n * FRAME_SECONDS + 0.02, n) for n in range(200, 600)]
    result = played(jittery(200, 0.15) + calm, finish=12.02)
    assert result.delay(199) > 0.15
    assert result.delay(599) == pytest.approx(0.04)
    assert [number for number in result.numbers if number >= 200] == list(range(200, 600))


def test_the_target_never_leaves_its_bounds() -> None:
    result = played(jittery(300, 1.5), finish=9.0)
    assert 0.02 <= result.buffer.target_delay <= 0.4


def test_a_path_that_gets_longer_for_good_is_played_at_its_own_delay() -> None:
    moved = even(100) + [(at + 0.15, number) for at, number in even(500) if number >= 100]
    result = played(moved, finish=10.2)
    assert result.buffer.missed == 0
    assert result.delay(499) == pytest.approx(0.17 + 0.02, abs=0.021)


def test_a_path_that_gets_shorter_is_played_at_its_own_delay_at_last() -> None:
    moved = even(100, 0.2) + [(at, number) for at, number in even(400) if number >= 100]
    result = played(moved, finish=8.02)
    assert result.numbers == list(range(400))
    assert result.delay(399) <= 0.02 + 0.04


# Pauses with everything at once afterwards, as TCP gives them


def paused(frames: int, start: float, end: float) -> list[Arrival]:
    return [(max(at, end) if at >= start else at, number) for at, number in even(frames)]


@pytest.mark.parametrize("length", [0.1, 0.3, 0.6, 0.9])
def test_after_a_pause_below_a_second_everything_is_heard_and_the_delay_is_made_up(length: float) -> None:
    result = played(paused(500, 2.0, 2.0 + length), finish=10.02)
    assert result.numbers == list(range(500))
    assert result.delay(499) <= 0.02 + 0.04 + 1e-6


def test_after_a_pause_of_seconds_the_talk_goes_on_from_the_present() -> None:
    result = played(paused(400, 2.0, 5.0), finish=8.02)
    assert 100 < result.buffer.missed < 155
    assert result.buffer.late == result.buffer.missed
    assert result.delay(270) <= 0.02 + 0.06
    assert result.numbers == sorted(set(result.numbers))
    assert len(result.numbers) + result.buffer.missed == 400


def test_while_nothing_comes_every_tick_is_concealed() -> None:
    result = played(even(50), finish=None)
    assert result.ticks[-1][1] is Action.CONCEAL
    assert result.buffer.missed == 0  # late or lost is not known yet


# The end


def test_at_the_end_what_is_in_the_buffer_and_in_flight_is_played() -> None:
    result = played([*even(50), (1.15, 50), (1.16, 52)], finish=1.0)
    assert result.numbers == [*range(51), 52]
    assert result.ticks[-1][1] is Action.END
    assert result.count(Action.CONCEAL) == 0


def test_a_call_of_one_frame_is_heard() -> None:
    assert played([(0.0, 0)], finish=0.0).numbers == [0]


# Anything at all


HOSTILE = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 0xFFFF), st.integers(0, 40)),
        st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 40).map(lambda n: n * FRAME_TICKS)),
        st.one_of(st.just(0.0), st.floats(0, 0.05), st.floats(0, 5)),
        st.integers(0, 4),
    ),
    max_size=150,
)


@pytest.mark.slow
@given(HOSTILE)
def test_no_packet_at_no_time_breaks_the_buffer(events: list[tuple[int, int, float, int]]) -> None:
    buffer, now, given_out = JitterBuffer(), 0.0, []
    for sequence, timestamp, pause, pulls in events:
        now += pause
        buffer.insert(RtpPacket(111, sequence, timestamp, 1, b"x"), now)
        for _ in range(pulls):
            now += FRAME_SECONDS
            given_out += _numbers_played(buffer, now)
        assert len(buffer) <= HORIZON
    remaining = 0
    while len(buffer):
        remaining += 1
        assert remaining < 4 * HORIZON, "the buffer holds its frames for ever"
        now += FRAME_SECONDS
        given_out += _numbers_played(buffer, now)
    assert given_out == sorted(set(given_out)), "a frame was played twice, or out of order"


NETWORK = st.lists(
    st.tuples(st.sampled_from(["kept"] * 8 + ["lost", "twice"]), st.one_of(st.floats(0, 0.3), st.just(0.0))),
    min_size=1,
    max_size=120,
)


@given(NETWORK, st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_every_frame_is_played_once_or_missed_on_any_network(
    network: list[tuple[str, float]], first_sequence: int, first_timestamp: int
) -> None:
    arrivals = []
    for number, (fate, delay) in enumerate(network):
        at = number * FRAME_SECONDS + delay
        arrivals += [] if fate == "lost" else [(at, number)]
        arrivals += [(at + delay, number)] if fate == "twice" else []
    if not arrivals:
        return
    came = {number for _, number in arrivals}
    result = played(arrivals, first_sequence, first_timestamp, finish=max(at for at, _ in arrivals))
    numbers = result.numbers
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= came
    assert len(numbers) + result.buffer.missed == max(came) - min(came) + 1
    assert result.buffer.duplicates + result.buffer.late + len(numbers) == len(arrivals)
    assert result.ticks[-1][1] is Action.END


def _numbers_played(buffer: JitterBuffer, now: float) -> list[int]:
    decision = buffer.pull(now)
    return [frame.number for frame in decision.frames] if decision.action in (Action.PLAY, Action.MERGE) else []
