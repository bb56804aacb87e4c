"""A router asked in several protocols at once: the first that grants is kept to, and nothing is asked for twice."""

import threading

import pytest

from lab.node.gateways import Gateways, Given, NoGateway

OUTER = ("203.0.113.32", 40001)


class Stand:
    """A protocol whose router is found once `there` is set; `outer` None: it refuses with `reason`."""

    def __init__(self, outer: tuple[str, int] | None = OUTER, reason: str = "", heard: bool = False) -> None:
        self.outer, self.reason, self.heard = outer, reason, heard
        self.there, self.slow = threading.Event(), threading.Event()
        self.there.set()
        self.slow.set()
        self.done: list[tuple[str, int]] = []
        self.given_back = threading.Event()

    def find(self) -> None:
        assert self.there.wait(5)

    def map(self, port: int, lifetime: int) -> Given:
        self.done.append(("map", port))
        assert self.slow.wait(5)
        if self.outer is None:
            raise NoGateway(self.reason, heard=self.heard)
        return Given(self.outer, lifetime)

    def unmap(self, port: int, outer: int) -> None:
        self.done.append(("unmap", outer))
        self.given_back.set()


def test_the_first_that_grants_is_kept_to_and_the_other_asks_for_nothing() -> None:
    quick, slow = Stand(), Stand()
    slow.there.clear()
    gateways = Gateways([slow, quick])
    assert gateways.map(40001, 600) == Given(OUTER, 600)
    slow.there.set()
    gateways.map(40002, 600)
    gateways.unmap(40002, 40002)
    assert quick.done == [("map", 40001), ("map", 40002), ("unmap", 40002)]
    assert slow.done == []


def test_a_silent_protocol_does_not_hold_up_the_other() -> None:
    silent, granting = Stand(None, "no router answers"), Stand()
    silent.slow.clear()
    assert Gateways([silent, granting]).map(40001, 600).outer == OUTER
    silent.slow.set()


def test_what_comes_second_is_given_back_where_it_is_another_port() -> None:
    first, second = Stand(), Stand(("203.0.113.32", 50005))
    second.slow.clear()
    assert Gateways([second, first]).map(40001, 600).outer == OUTER
    second.slow.set()
    assert second.given_back.wait(5)
    assert second.done == [("map", 40001), ("unmap", 50005)]


def test_one_that_grants_no_more_is_left_for_another() -> None:
    leaving, other = Stand(), Stand(None, "nobody")
    gateways = Gateways([leaving, other])
    gateways.map(40001, 600)
    leaving.outer, other.outer = None, ("203.0.113.32", 50001)
    assert gateways.map(40001, 600).outer == ("203.0.113.32", 50001)


def test_a_refusal_says_more_than_silence() -> None:
    silent, refusing = Stand(None, "no router answers"), Stand(None, "the router gives no port: no resources", True)
    with pytest.raises(NoGateway, match="no resources"):
        Gateways([silent, refusing]).map(40001, 600)
    with pytest.raises(NoGateway, match="no router gives ports when asked"):
        Gateways([silent, Stand(None, "nobody")]).map(40001, 600)
