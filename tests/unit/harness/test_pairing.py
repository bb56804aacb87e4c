"""Who calls whom, and when: every pair once in each direction, nobody in two calls at once."""

from itertools import permutations
from pathlib import Path

import pytest

from lab.errors import ConfigError
from lab.harness.pairing import Floor, pairs, players
from lab.topology import parse
from lab.topology.model import Node, Role

COMPOSE = Path(__file__).parents[3] / "compose"


def team(*names: str) -> list[Node]:
    return [Node(name, Role.CLIENT, names[0], "linux", "none", ()) for name in names]


@pytest.mark.parametrize("count", [2, 3, 6, 7])
def test_every_two_sites_call_each_other_once_in_each_direction(count: int) -> None:
    names = [f"n{number}" for number in range(count)]
    order = pairs([team(name) for name in names])
    assert sorted(order) == sorted(permutations(names, 2))


def test_two_clients_of_one_site_call_each_other_and_only_the_first_calls_others() -> None:
    order = pairs([team("bob", "bella", "ben"), team("frank")])
    assert sorted(order) == [("bella", "bob"), ("bob", "bella"), ("bob", "frank"), ("frank", "bob")]


def test_calls_next_to_each_other_share_no_client() -> None:
    order = pairs([team(f"n{number}") for number in range(8)])
    for at in range(0, len(order), 4):
        together = [name for pair in order[at : at + 4] for name in pair]
        assert len(set(together)) == 8


def test_sites_are_chosen_by_name_and_an_unknown_one_is_named() -> None:
    topology = parse(COMPOSE / "reference.yml")
    assert [clients[0].name for clients in players(topology, ["home", "office"])] == ["bob", "carol"]
    with pytest.raises(ConfigError, match=r"'nowhere'.*park"):
        players(topology, ["home", "nowhere"])


def test_a_carrier_has_nobody_to_call() -> None:
    with pytest.raises(ConfigError, match="carrier-1"):
        players(parse(COMPOSE / "zoo.yml"), ["carrier-1"])


def test_one_site_with_one_client_is_no_matrix() -> None:
    with pytest.raises(ConfigError, match="two sites"):
        pairs([team("bob")])


def test_who_is_in_a_call_is_passed_over_until_it_is_over() -> None:
    floor = Floor([("a", "b"), ("a", "c"), ("c", "d")])
    first, second = floor.take(), floor.take()
    assert (first, second) == (("a", "b"), ("c", "d")) and floor.take() is None and floor.waiting == 1
    floor.leave(("a", "b"))
    assert floor.take() is None  # c is still in its call
    floor.leave(("c", "d"))
    assert floor.take() == ("a", "c") and floor.waiting == 0
