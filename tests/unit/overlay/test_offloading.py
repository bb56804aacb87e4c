"""Which sessions go to the kernel, when they come back, and that every sum is that of both places."""

import pytest

from lab.overlay.actions import CountOffloaded, LinkInfo, Offload, Offloaded, Onload
from lab.overlay.offloading import COUNT_EVERY, ForwardsInKernel, ForwardsInUserSpace
from lab.overlay.relay import Unbound
from lab.overlay.session import CALL_RATE, IDLE_LIMIT
from lab.wire.framing import frame
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.test_relay import FAR, NEAR, Bench

SIX = ("2001:db8:0:1::32", 5000)


class KernelBench(Bench):
    """A relay whose shell has a kernel, played by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.relay.kernel_up(self.now)
        assert self.asked(ForwardsInKernel)

    def asked(self, kind: type) -> list[object]:
        """What was asked of the shell since the last look, of one kind."""
        return [action for action in self.relay.actions.take() if isinstance(action, kind)]

    def send_bind(self, source: tuple[str, int], token: bytes) -> None:
        request = StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=token).encode()
        self.relay.datagram(0, request, source, self.now)

    def joined(self) -> int:
        """Two legs bound; the number of their session in the kernel."""
        self.send_bind(NEAR, self.token(0))
        self.send_bind(FAR, self.token(1))
        (offload,) = self.asked(Offload)
        assert isinstance(offload, Offload)
        return offload.session


@pytest.fixture
def bench() -> KernelBench:
    return KernelBench()


def test_a_session_goes_to_the_kernel_when_its_second_leg_is_bound(bench: KernelBench) -> None:
    bench.send_bind(NEAR, bench.token(0))
    assert not bench.asked(Offload)
    bench.send_bind(FAR, bench.token(1))
    (offload,) = bench.asked(Offload)
    assert isinstance(offload, Offload)
    assert (offload.legs, offload.rate) == ((NEAR, FAR), CALL_RATE)


def test_nothing_goes_to_a_kernel_that_nobody_has_told_of() -> None:
    bench = Bench()
    bench.bind(NEAR, bench.token(0))
    bench.bind(FAR, bench.token(1))
    assert not bench.relay.offloading.placed
    bench.relay.kernel_up(bench.now)
    assert [a.legs for a in bench.relay.actions.take() if isinstance(a, Offload)] == [(NEAR, FAR)]


def test_a_refused_token_brings_nobody_into_the_kernel(bench: KernelBench) -> None:
    bench.send_bind(NEAR, bench.token(0))
    bench.send_bind(FAR, bench.token(1, relay="relay-2"))
    assert not bench.asked(Offload)


@pytest.mark.parametrize("far", [SIX, NEAR], ids=["of two families", "from one address"])
def test_legs_that_the_kernel_cannot_join_stay_in_user_space(bench: KernelBench, far: tuple[str, int]) -> None:
    bench.send_bind(NEAR, bench.token(0))
    bench.send_bind(far, bench.token(1))
    assert not bench.asked(Offload)


def test_a_leg_that_moved_is_forwarded_from_its_new_address(bench: KernelBench) -> None:
    session = bench.joined()
    elsewhere = ("203.0.113.40", 7000)
    bench.send_bind(elsewhere, bench.token(0))
    (offload,) = bench.asked(Offload)
    assert isinstance(offload, Offload)
    assert (offload.session, offload.legs) == (session, (elsewhere, FAR))


def test_a_refresh_changes_nothing(bench: KernelBench) -> None:
    bench.joined()
    bench.send_bind(NEAR, bench.token(0))
    assert not bench.asked(Offload)


def test_a_bind_is_answered_with_what_both_places_counted(bench: KernelBench) -> None:
    bench.send_bind(NEAR, bench.token(0))
    bench.relay.datagram(0, b"\x80early", NEAR, bench.now)  # had, and sent to nobody
    bench.send_bind(FAR, bench.token(1))
    (offload,) = bench.asked(Offload)
    assert isinstance(offload, Offload)
    bench.send_bind(NEAR, bench.token(0))
    (count,) = bench.relay.actions.take()
    assert count == CountOffloaded(offload.session)
    bench.relay.kernel_counted(offload.session, Offloaded((100, 60), (90, 50), (9000, 5000)), bench.now)
    (answer,) = bench.relay.actions.take()
    assert StunMessage.parse(answer.data).counts == 101 << 32 | 50
    bench.send_bind(FAR, bench.token(1))
    bench.relay.actions.take()
    bench.relay.kernel_counted(offload.session, Offloaded((110, 60), (95, 50), (9500, 5000)), bench.now)
    (answer,) = bench.relay.actions.take()
    assert StunMessage.parse(answer.data).counts == 60 << 32 | 95
    assert (bench.relay.packets, bench.relay.bytes) == (145, 14500 - 145 * 28)


def test_what_a_leg_had_is_not_forgotten_when_it_moves() -> None:
    bench = Bench()
    bench.bind(NEAR, bench.token(0))
    bench.bind(FAR, bench.token(1))
    bench.say(NEAR, b"\x80one")
    assert bench.bind(("203.0.113.40", 7000), bench.token(0)).counts == 1 << 32


def test_the_end_of_a_session_is_told_with_the_kernels_last_counts(bench: KernelBench) -> None:
    session = bench.joined()
    bench.relay.poll(bench.now + IDLE_LIMIT + 1)
    actions = bench.relay.actions.take()
    assert Onload(session) in actions
    assert not [action for action in actions if isinstance(action, Unbound)]
    bench.relay.kernel_counted(session, Offloaded((7, 5), (6, 4), (600, 400), final=True), bench.now)
    assert bench.asked(Unbound) == [Unbound("c1", 10, 1000 - 280)]
    assert not bench.relay.offloading.placed


def test_voice_that_only_the_kernel_sees_keeps_a_session(bench: KernelBench) -> None:
    session = bench.joined()
    for second in range(1, int(IDLE_LIMIT) + 10):
        bench.relay.poll(bench.now + second)
        if CountOffloaded(session) in bench.relay.actions.take():
            heard = Offloaded((second, 0), (second, 0), (0, 0))
            bench.relay.kernel_counted(session, heard, bench.now + second)
    assert bench.relay.sessions
    for second in range(int(IDLE_LIMIT) + 10, 2 * int(IDLE_LIMIT) + 20):
        bench.relay.poll(bench.now + second)
    assert not bench.relay.sessions, f"counts every {COUNT_EVERY} s that do not change are silence"


def test_without_its_kernel_the_relay_goes_on_in_user_space(bench: KernelBench) -> None:
    bench.joined()
    bench.send_bind(NEAR, bench.token(0))
    bench.relay.actions.take()
    bench.relay.kernel_down("the deputy has ended", bench.now)
    actions = bench.relay.actions.take()
    assert ForwardsInUserSpace("the deputy has ended") in actions
    assert [StunMessage.parse(a.data).kind for a in actions if hasattr(a, "data")] == [Kind.SUCCESS]
    assert bench.say(NEAR, b"\x80x") == [(FAR, b"\x80x")]
    assert bench.bind(NEAR, bench.token(0)).counts is None, "what the kernel had counted would pass for lost"


def test_a_session_that_the_kernel_refuses_is_served(bench: KernelBench) -> None:
    session = bench.joined()
    bench.relay.kernel_refused(session, "no way to 203.0.113.33", bench.now)
    assert bench.asked(ForwardsInUserSpace)
    assert bench.say(NEAR, b"\x80x") == [(FAR, b"\x80x")]


def test_an_address_that_binds_for_another_call_is_taken_from_the_first(bench: KernelBench) -> None:
    session = bench.joined()
    bench.send_bind(NEAR, bench.token(0, call="c2"))
    assert bench.asked(Onload) == [Onload(session)]


def test_who_comes_back_from_the_kernel_finds_no_second_allowance(bench: KernelBench) -> None:
    bench.joined()
    bench.relay.kernel_down("gone", bench.now)
    bench.relay.actions.take()
    through = sum(len(bench.say(NEAR, b"\x80" + bytes(999))) for _ in range(100))
    assert through == 5


def test_a_call_that_has_spent_its_allowance_gets_no_new_one_from_the_kernel() -> None:
    bench = Bench()
    bench.bind(NEAR, bench.token(0))
    bench.bind(FAR, bench.token(1))
    for _ in range(100):
        bench.say(NEAR, b"\x80" + bytes(999))
    bench.relay.kernel_up(bench.now)
    assert not [action for action in bench.relay.actions.take() if isinstance(action, Offload)]
    bench.now += 1.0
    bench.bind(NEAR, bench.token(0))
    assert bench.relay.offloading.placed


def test_the_straight_way_is_for_voice_between_two_udp_legs_alone() -> None:
    bench = Bench()
    bench.bind(NEAR, bench.token(0))
    assert bench.relay.straight(b"\x80x", NEAR, bench.now) is None, "nobody on the other leg"
    bench.bind(FAR, bench.token(1))
    assert bench.relay.straight(b"\x80x", NEAR, bench.now) == FAR
    assert bench.relay.straight(b"\x80x", ("203.0.113.99", 1), bench.now) is None, "a stranger"
    bind = StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=bench.token(0)).encode()
    assert bench.relay.straight(bind, NEAR, bench.now) is None
    assert bench.bind(FAR, bench.token(1)).counts == 1, "one sent to it, none had"
    through = sum(bench.relay.straight(b"\x80" + bytes(999), NEAR, bench.now) == FAR for _ in range(100))
    assert through == 49, "the cap"


def test_whole_frames_of_voice_go_straight_from_link_to_link() -> None:
    bench = Bench()
    relay = bench.relay
    links = [relay.accepted("relay", LinkInfo(("203.0.113.21", 443), source), bench.now) for source in (NEAR, FAR)]
    voice = frame(b"\x80voice", 2)
    assert relay.straight_link(links[0], voice, bench.now) is None, "not bound"
    for leg, link in enumerate(links):
        bind = StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=bench.token(leg)).encode()
        assert relay.straight_link(link, frame(bind, 2), bench.now) is None
        relay.link_data(link, frame(bind, 2), bench.now)
    assert relay.straight_link(links[0], voice * 3, bench.now) == links[1]
    assert (relay.packets, relay.bytes) == (3, 18)
    assert relay.straight_link(links[0], voice + frame(bind, 2), bench.now) is None
    assert relay.straight_link(links[0], voice[:-1], bench.now) is None, "a frame that goes on"
    relay.link_data(links[0], voice[:-1], bench.now)
    assert relay.straight_link(links[0], voice, bench.now) is None, "behind half a frame"
    assert relay.straight_link(links[1], frame(b"\x80" + bytes(4000), 2) * 20, bench.now) is None, "the cap"
