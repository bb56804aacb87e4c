"""Links that have not shown what they are for: who makes room for whom, and when time is over."""

import random
import time

import pytest

from lab.overlay.lobby import Lobby, holder


def lobby(most: int = 6, each: int = 3, patience: float = 5.0) -> Lobby[int]:
    return Lobby("strangers", most, each, patience)


@pytest.mark.parametrize(
    ("host", "whose"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_a_holder_is_an_address_or_the_64_bits_that_one_subscriber_has(host: str, whose: str) -> None:
    assert holder(host) == whose


def test_of_one_address_the_oldest_goes_and_others_stay() -> None:
    own = lobby()
    assert own.enter(9, "198.51.100.9", 0.0) is None
    gone = [own.enter(number, "198.51.100.1", 0.0) for number in range(5)]
    assert [each and each.key for each in gone] == [None, None, None, 0, 1]
    assert gone[3] is not None and gone[3].reason == "too many strangers of one address"
    assert (own.count("198.51.100.1"), own.count("198.51.100.9"), len(own)) == (3, 1, 4)


def test_hosts_of_one_64_are_one_and_another_64_is_another() -> None:
    own = lobby()
    gone = [own.enter(number, f"2001:db8::{number + 1:x}", 0.0) for number in range(4)]
    assert gone[3] is not None and (gone[3].key, gone[3].host) == (0, "2001:db8::1")
    assert own.enter(9, "2001:db8:0:1::1", 0.0) is None


def test_where_there_is_no_room_the_oldest_of_the_greediest_goes() -> None:
    own = lobby()
    for number, host in enumerate(("a", "b", "b", "b", "c", "c")):
        assert own.enter(number, host, 0.0) is None
    gone = own.enter(6, "d", 1.0)
    assert gone is not None and (gone.key, gone.host, gone.reason) == (1, "b", "too many strangers")
    more = [own.enter(7, "e", 1.0), own.enter(8, "f", 1.0)]
    assert [each and each.host for each in more] == ["c", "b"], "of two that have as many, who has had so for longer"
    assert own.count("a") == 1, "who has one is the last to be asked"


def test_who_leaves_or_shows_itself_is_not_the_oldest_any_more() -> None:
    own = lobby()
    for number in range(3):
        own.enter(number, "a", float(number))
    assert own.leave(0) and not own.leave(0)
    own.again(1, 4.0)
    assert own.deadline() == 2.0 + 5.0
    assert own.enter(3, "a", 4.0) is None
    gone = own.enter(4, "a", 4.0)
    assert gone is not None and gone.key == 2
    assert own.late(8.9) == [] and own.late(9.0) == [(1, "a"), (3, "a"), (4, "a")]
    assert (len(own), own.deadline(), own.squeeze()) == (0, None, None)


def test_whatever_comes_and_goes_the_bounds_hold_and_the_greediest_is_found() -> None:
    rng, own, there = random.Random(1), lobby(most=40, each=12), dict[int, str]()
    for number in range(5_000):
        if there and rng.random() < 0.4:
            gone = rng.choice(list(there))
            own.leave(gone)
            del there[gone]
        host = f"h{min(rng.randrange(12), rng.randrange(12))}"
        there[number] = host
        if (displaced := own.enter(number, host, float(number))) is not None:
            counts = {each: list(there.values()).count(each) for each in there.values()}
            over = counts[host] > 12
            assert there[displaced.key] == displaced.host
            assert displaced.host == host if over else counts[displaced.host] == max(counts.values())
            assert displaced.key == min(key for key, each in there.items() if each == displaced.host)
            del there[displaced.key]
        assert len(own) == len(there) <= 40
        assert all(own.count(each) == list(there.values()).count(each) <= 12 for each in set(there.values()))


def test_a_step_among_a_hundred_thousand_takes_no_longer_than_among_a_thousand() -> None:
    def seconds(most: int) -> float:
        own = Lobby[int]("strangers", most, most, 1e9)
        for number in range(most):
            own.enter(number, f"h{number % (most // 4)}", 0.0)
        began = time.process_time()
        for number in range(most, most + 5_000):
            own.enter(number, f"h{number % (most // 4)}", 0.0)
            own.deadline()
            own.late(1.0)
        return time.process_time() - began

    assert seconds(100_000) < 10 * seconds(1_000)
