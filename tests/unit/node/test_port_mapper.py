"""The library that asks a router for ports, and what the machine hears of it; the library itself is a stand-in."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from lab.node import igd
from lab.node.port_mapper import PortMapper
from lab.overlay.actions import Machine, MapPort, UnmapPort
from lab.wire.addresses import Address


class Heard(Machine):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[tuple[object, ...]] = []

    def port_mapped(self, mapping: int, outer: Address, lifetime: int, now: float) -> None:
        self.answers.append((mapping, outer, lifetime))

    def port_not_mapped(self, mapping: int, reason: str, now: float) -> None:
        self.answers.append((mapping, reason))


class Router:
    """What miniupnpc makes of a router; `there` False: nobody answers, `taken`: outer ports of others."""

    there = True
    taken: frozenset[int] = frozenset()
    held: dict[int, tuple[str, int, int]]
    looked_for: int

    lanaddr = "192.168.32.10"
    discoverdelay = 0

    def discover(self) -> int:
        type(self).looked_for += 1
        if not self.there:
            raise Exception("Success")  # as the library does
        return 1

    def selectigd(self) -> str:
        return "http://192.168.32.1:5000/ctl/IPConn"

    def externalipaddress(self) -> str:
        return "203.0.113.32"

    def addportmapping(self, outer: int, protocol: str, host: str, port: int, *rest: Any) -> bool:
        if not self.there:
            raise Exception("HTTP error")
        if outer in self.taken:
            raise Exception("ConflictInMappingEntry")
        self.held[outer] = (host, port, rest[-1])
        return True

    def addanyportmapping(self, outer: int, protocol: str, host: str, port: int, *rest: Any) -> int:
        if not self.there:
            raise Exception("HTTP error")
        self.held[outer + 1] = (host, port, rest[-1])
        return outer + 1

    def deleteportmapping(self, outer: int, protocol: str) -> bool:
        del self.held[outer]
        return True


@pytest.fixture
def router(monkeypatch: pytest.MonkeyPatch) -> type[Router]:
    class Fresh(Router):
        held: dict[int, tuple[str, int, int]] = {}  # noqa: RUF012
        looked_for = 0

    monkeypatch.setattr(igd.miniupnpc, "UPnP", Fresh)
    return Fresh


def after(*steps: Callable[[PortMapper], object]) -> list[tuple[object, ...]]:
    """What the machine hears of these steps, each answered before the next."""

    async def main() -> list[tuple[object, ...]]:
        machine = Heard()
        mapper = PortMapper(machine, answered.set, [igd.Igd()])
        for step in steps:
            answered.clear()
            step(mapper)
            await asyncio.wait_for(answered.wait(), 5)
        await mapper.close()
        return machine.answers

    answered = asyncio.Event()
    return asyncio.run(main())


def test_a_port_is_asked_for_and_given_back_at_the_end(router: type[Router]) -> None:
    asked: dict[int, Any] = {}

    def ask(mapper: PortMapper) -> None:
        mapper.do(MapPort(7, 40001, 600))

    def look(mapper: PortMapper) -> None:
        asked.update(router.held)
        mapper.do(MapPort(8, 40001, 600))

    assert after(ask, look) == [(7, ("203.0.113.32", 40001), 600), (8, ("203.0.113.32", 40001), 600)]
    assert asked == {40001: ("192.168.32.10", 40001, 600)}
    assert (router.held, router.looked_for) == ({}, 1)


def test_a_port_that_another_host_holds_is_exchanged_for_one_that_is_free(router: type[Router]) -> None:
    router.taken = frozenset({40001})
    assert after(lambda mapper: mapper.do(MapPort(7, 40001, 600))) == [(7, ("203.0.113.32", 40002), 600)]
    assert router.held == {}


def test_a_network_without_such_a_router_is_told_in_one_sentence(router: type[Router]) -> None:
    router.there = False
    assert after(lambda mapper: mapper.do(MapPort(7, 40001, 600))) == [(7, "no router gives ports when asked")]


def test_what_was_asked_for_and_given_up_at_once_is_not_left_behind(router: type[Router]) -> None:
    def both(mapper: PortMapper) -> None:
        mapper.do(MapPort(7, 40001, 600))
        mapper.do(UnmapPort(40001))
        mapper.do(MapPort(8, 40005, 600))

    assert (7, ("203.0.113.32", 40001), 600) in after(both)
    assert set(router.held) <= {40005}
    assert 40001 not in router.held


def test_a_router_that_went_away_is_looked_for_again(router: type[Router]) -> None:
    def ask(mapper: PortMapper) -> None:
        mapper.do(MapPort(7, 40001, 600))

    def away(mapper: PortMapper) -> None:
        router.there = False
        mapper.do(MapPort(8, 40001, 600))

    def back(mapper: PortMapper) -> None:
        router.there = True
        mapper.do(MapPort(9, 40001, 600))

    answers = after(ask, away, back)
    assert [len(answer) for answer in answers] == [3, 2, 3]
    assert router.looked_for == 3
