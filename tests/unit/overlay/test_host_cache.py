"""Which supernodes a node knows and tries, and what a supernode that lies about others can do to that."""

import pytest

from lab.overlay.host_cache import MOST, HostCache

ONE, TWO = ("203.0.113.11", "2001:db8::11"), ("203.0.113.12",)
OWN = ("198.51.100.18",)


def numbered(number: int) -> tuple[str, ...]:
    return (f"198.18.{number // 250}.{1 + number % 250}",)


def test_built_in_ones_come_first_and_learnt_ones_behind_them() -> None:
    cache = HostCache([TWO, ONE], [numbered(1)])
    assert cache.learn([numbered(2), numbered(1)], OWN)
    assert cache.machines() == [TWO, ONE, numbered(1), numbered(2)]
    assert not cache.learn([numbered(2), ("203.0.113.11",)], OWN), "nothing of it is new"


def test_who_failed_comes_last_until_it_lets_the_node_in_again() -> None:
    cache = HostCache([ONE, TWO], [numbered(1)])
    cache.failed("2001:db8::11")
    assert cache.machines() == [TWO, numbered(1), ONE]
    cache.failed("203.0.113.12")
    assert cache.machines() == [numbered(1), ONE, TWO]
    cache.let_in("203.0.113.11")
    assert cache.machines() == [ONE, numbered(1), TWO]


@pytest.mark.parametrize("host", ["127.0.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255", "fe80::1", "::ffff:10.0.0.1",
                                  "nobody", "", "198.51.100.18"])  # fmt: skip
def test_what_nobody_else_can_be_at_is_not_kept(host: str) -> None:
    cache = HostCache([ONE])
    assert not cache.learn([(host,), ("198.18.0.1", host)], OWN)
    assert cache.machines() == [ONE]


def test_two_hundred_are_kept_and_lies_displace_neither_built_in_ones_nor_those_that_let_the_node_in() -> None:
    cache = HostCache([ONE, TWO])
    cache.learn([numbered(number) for number in range(5)], OWN)
    cache.let_in(numbered(3)[0])
    cache.learn([numbered(number) for number in range(100, 1100)], OWN)
    machines = cache.machines()
    assert len(machines) == MOST
    assert machines[:3] == [ONE, TWO, numbered(3)]
    assert machines[-1] == numbered(1099)
