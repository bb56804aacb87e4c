"""When a silence is believed: never because of losses, never without a control packet that came through."""

import pytest

from lab.certify import asking
from lab.certify.asking import Patience, ask
from lab.certify.bench import Bench
from lab.certify.conversation import open_udp
from lab.links import Burst

from .conftest import Router, bench_of


def talking(router: Router) -> tuple[Bench, asking.Shot, asking.Control]:
    """A bench, a packet that is filtered, and control packets that are not."""
    bench = bench_of(router)
    talk = open_udp(bench.inside, bench.outside, bench.fresh(), bench.to(0, 3478), bench.patience)
    assert talk is not None
    return bench, asking.udp(bench.outside, bench.to(1, 3478), bench.inside, talk.outer), talk.down


def test_every_try_that_counts_has_a_control_packet_that_came() -> None:
    router = Router(loss=0.4)
    bench, shot, control = talking(router)
    made = []

    def counted() -> asking.Shot:
        made.append(control())
        return made[-1]

    assert ask([shot], bench.patience, counted) == {shot.key: ()}
    came = [one for one in made if bench.inside.seen(one.key)]
    assert len(came) == bench.patience.tries
    assert len(made) > len(came)


def test_what_passes_is_asked_no_more() -> None:
    router = Router()
    bench, _, control = talking(router)
    shot = control()
    assert len(ask([shot], bench.patience)[shot.key]) == 1


def test_tries_leave_no_doubt_at_any_loss() -> None:
    for loss in (0.0, 0.05, 0.1, 0.3, 0.45):
        assert max(loss, 0.01) ** Patience(0.0, loss).tries <= asking.DOUBT * 10


def test_a_burst_takes_no_question_with_all_its_copies() -> None:
    """What follows a lost packet is lost more often than others are: 2 % turn bad, 30 % of the bad ones turn good."""
    burst = Burst(0.02, 0.3)
    assert burst.loss_after_loss == pytest.approx(0.7)
    tries = Patience(0.0, burst.loss, again=burst.loss_after_loss).tries
    assert burst.loss * burst.loss_after_loss ** (tries - 1) <= asking.DOUBT * 2
    assert Patience(0.0, burst.loss).tries < 10, "nobody waits so long for losses that come one by one"


def test_tokens_and_sequence_numbers_are_not_given_twice() -> None:
    assert len({asking.new_token() for _ in range(1000)} | {asking.new_seq() for _ in range(1000)}) == 2000


def test_a_silence_on_a_way_that_is_cut_proves_nothing() -> None:
    router = Router()
    bench, shot, control = talking(router)
    router.loss = 1.0
    with pytest.raises(asking.Severed, match="nothing is proven"):
        ask([shot], bench.patience, control)
