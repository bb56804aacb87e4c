"""Turns and the line: who is let in when."""

import pytest

from lab.overlay.admission import MOST_WAITING, Admission


def test_clients_are_let_in_no_faster_than_the_rate_however_many_come() -> None:
    admission = Admission(None, 50.0)
    let_in: list[float] = []
    now = 100.0
    for number in range(500):
        if admission.now(len(let_in), now):
            let_in.append(now)
        else:
            assert admission.wait(number, f"c{number}", now)
    while (at := admission.deadline(len(let_in))) is not None:
        now = max(now, at)
        if admission.due(len(let_in), now) is not None:
            let_in.append(now)
    assert len(let_in) == 500
    for at in let_in:
        assert sum(at <= other < at + 1 for other in let_in) <= 51
    assert let_in[-1] - let_in[0] == pytest.approx(499 / 50, abs=0.1)


def test_who_comes_first_is_let_in_first_when_there_is_room_again() -> None:
    admission = Admission(2, 1000.0)
    assert admission.now(0, 1.0)
    assert admission.now(1, 1.1)
    for link, name in ((7, "a"), (8, "b"), (9, "c")):
        assert not admission.now(2, 2.0)
        admission.wait(link, name, 2.0)
    assert admission.due(2, 3.0) is None
    assert admission.deadline(2) is None, "nothing changes until somebody leaves"
    admission.leave(8)
    assert [admission.due(1, 4.0), admission.due(1, 5.0), admission.due(1, 6.0)] == [7, 9, None]


def test_nobody_is_let_in_past_the_line() -> None:
    admission = Admission(None, 10.0)
    assert admission.now(0, 1.0)
    admission.wait(7, "a", 1.0)
    assert not admission.now(1, 9.0)
    assert admission.due(1, 9.0) == 7


def test_who_sits_here_needs_a_turn_like_others_and_no_room() -> None:
    admission = Admission(1, 10.0)
    assert admission.now(0, 1.0)
    assert not admission.now(1, 1.05, sits=True)
    admission.wait(7, "a", 1.05, sits=True)
    admission.wait(8, "b", 1.05)
    assert admission.deadline(1) == pytest.approx(1.1)
    assert [admission.due(1, 1.06), admission.due(1, 1.1), admission.due(1, 1.2)] == [None, 7, None], "it is full"
    assert admission.room(0) == 0 and admission.waits("a") is None
    assert admission.now(1, 2.0, sits=True), "who waits for room does not keep it from its own"


def test_neither_who_sits_here_nor_who_is_new_holds_up_the_other() -> None:
    admission = Admission(None, 10.0)
    for link in range(0, 10, 2):
        admission.wait(link, f"new-{link}", 1.0)
        admission.wait(link + 1, f"back-{link}", 1.0, sits=True)
    assert admission.seconds() == admission.seconds(sits=True) == 1.0
    assert admission.ahead(5) == 2
    turns = [admission.due(0, 1.0 + 0.1 * turn) for turn in range(10)]
    assert turns == [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]
    assert admission.deadline(0) is None


def test_a_machine_that_is_busy_twice_in_a_row_has_room_for_nobody_more_until_it_is_not() -> None:
    admission = Admission(10, 10.0)
    admission.weighed(0, 4)
    assert admission.room(4) == 6, "one busy moment is none"
    admission.weighed(0, 4)
    assert admission.room(4) == 0 and admission.full(4)
    admission.weighed(3, 4)
    assert admission.room(4) == 3
    admission.weighed(200, 4)
    assert admission.capacity == 10, "no more than at the start"


def test_who_takes_as_many_as_come_does_so_on_any_machine() -> None:
    admission = Admission(None, 10.0)
    for _ in range(2):
        admission.weighed(0, 4)
    assert admission.room(4) is None


def test_the_place_of_one_that_is_back_is_kept_though_its_old_link_is_found_dead() -> None:
    admission = Admission(1, 10.0)
    admission.wait(7, "a", 1.0, sits=True)
    admission.wait(8, "b", 1.0)
    admission.left("a")
    assert admission.full(0) and admission.due(0, 2.0) == 7
    assert not admission.full(0), "it is counted as a client now"
    admission.wait(9, "a", 1.0, sits=True)
    admission.left("a")
    admission.leave(9)
    assert not admission.full(0), "it has gone for good"


def test_one_that_shall_help_goes_first() -> None:
    admission = Admission(1, 10.0)
    admission.wait(7, "a", 1.0)
    admission.wait(8, "b", 1.0)
    admission.wait(9, "c", 1.0, first=True)
    assert [admission.ahead(link) for link in (9, 7, 8)] == [0, 1, 2]
    assert admission.without_help == 2
    admission.first(8)
    assert admission.without_help == 1
    assert admission.due(0, 2.0) == 8
    assert admission.without_help == 1


def test_the_line_is_bounded_and_others_come_back_one_after_the_other_before_it_runs_dry() -> None:
    admission = Admission(None, 100.0)
    for link in range(MOST_WAITING):
        assert admission.wait(link, f"c{link}", 0.0)
    assert not admission.wait(MOST_WAITING, "late", 0.0)
    back = [admission.come_back(0.0) for _ in range(1000)]
    assert back == sorted(back)
    assert len(set(back)) == len(back)
    assert back[0] < MOST_WAITING / 100.0, "before the line is empty"
    assert back[-1] == pytest.approx(back[0] + 999 / 200.0)


def test_who_has_been_turned_away_at_several_comes_back_as_they_move_on_together() -> None:
    """Ten thousand at seven full supernodes, each of which turns all of them away: in as soon as these let them in."""
    several = [Admission(None, 100.0) for _ in range(7)]
    for admission in several:
        for link in range(MOST_WAITING):
            admission.wait(link, f"c{link}", 0.0)
    back = [min(admission.come_back(0.0, len(several)) for admission in several) for _ in range(10_000)]
    assert back[0] < MOST_WAITING / 100.0, "before the lines are empty"
    together = len(several) * 100.0
    assert back[-1] < (MOST_WAITING * len(several) + 10_000) / together, "and no later than their turn"
