"""A router is asked for a port in the background, for the next call; whoever gives none is asked once."""

from typing import Any

import pytest

from lab.overlay.actions import Event, MapPort, UnmapPort
from lab.overlay.call_events import Answered, Moved, Told
from lab.overlay.mapped_port import LIFETIME, MappedPort, PortMapped, PortNotMapped
from lab.overlay.paths import Kind, PathName, Transport
from lab.wire.addresses import Address
from tests.unit.overlay.fakenet import FakeNet, Router

HARD = "address-and-port-dependent"
PUNCHED = PathName(Kind.PUNCHED, Transport.UDP)


class Giving(Router):
    """A router that gives ports where it `gives`; `tells`: another outer address than its own."""

    def __init__(self, outer: str, *, gives: bool = True, tells: str | None = None) -> None:
        super().__init__(outer, mapping=HARD)
        self.gives, self.tells = gives, tells
        self.asked: list[MapPort] = []
        self.held: dict[int, Address] = {}

    def map(self, host: str, wanted: MapPort) -> Address | None:
        self.asked.append(wanted)
        if not self.gives:
            return None
        self.held[wanted.port] = (host, wanted.port)
        return (self.tells if self.tells is not None else self.outer, wanted.port)

    def unmap(self, port: int) -> None:
        self.held.pop(port, None)

    def admit(self, source: Address, destination: Address) -> Address | None:
        """Anybody reaches a port that was given; the answer leaves by it, as connection tracking has it."""
        inner = self.held.get(destination[1]) if destination[0] == self.outer else None
        if inner is None:
            return super().admit(source, destination)
        self.out[inner, source] = destination
        self.back[destination] = inner
        self.contacted.add((destination, source))
        return inner


def world(router: Router, other: Router | None = None) -> FakeNet:
    """anna behind `router`, bert behind a hard one; both signed in, and what could be found out is."""
    net = FakeNet(seed=3)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay()
    net.client("anna", "192.168.40.10", router)
    net.client("bert", "192.168.41.10", other or Router("203.0.113.41", mapping=HARD))
    assert net.run(20, until=lambda: all(net.hosts[name].machine.hub.hub for name in ("anna", "bert")))
    net.run(5)
    return net


def called(net: FakeNet, caller: str = "anna", callee: str = "bert") -> None:
    net.hosts[caller].machine.dial("c1", callee, net.now)
    net.settle(net.hosts[caller])
    assert net.run(3, until=lambda: "c1" in net.hosts[callee].machine.calls)
    net.run(0.5)
    net.hosts[callee].machine.answer("c1", net.now)
    net.settle(net.hosts[callee])
    assert net.run(3, until=lambda: bool(net.told(caller, Answered)))
    net.run(3)


def hung_up(net: FakeNet) -> None:
    net.hosts["anna"].machine.hang_up("c1", net.now)
    net.settle(net.hosts["anna"])
    net.run(3)


def said(net: FakeNet, name: str, kind: type[Event]) -> list[Any]:
    return [event for _, event in net.told(name, kind)]


def path(net: FakeNet, name: str) -> PathName | None:
    """What a client's voice goes out on."""
    return said(net, name, Moved)[-1].path


def spare(net: FakeNet, name: str = "anna") -> Address | None:
    return net.hosts[name].machine.spare.mapping.outer


@pytest.mark.parametrize(("caller", "callee"), [("anna", "bert"), ("bert", "anna")])
def test_two_hard_networks_are_punched_where_one_router_gives_a_port(caller: str, callee: str) -> None:
    net = world(Giving("203.0.113.40"))
    outer = spare(net)
    assert outer is not None
    called(net, caller, callee)
    assert path(net, "anna") == path(net, "bert") == PUNCHED
    told = [(one.kind, one.address) for event in said(net, "anna", Told) for one in event.candidates]
    assert ("port-mapped", outer) in told


def test_the_same_networks_need_the_relay_where_it_gives_none() -> None:
    net = world(Giving("203.0.113.40", gives=False))
    called(net)
    assert path(net, "anna").kind is Kind.RELAYED


@pytest.mark.slow
def test_a_router_that_gives_none_is_asked_once_for_all_calls() -> None:
    router = Giving("203.0.113.40", gives=False)
    net = world(router)
    called(net)
    hung_up(net)
    net.run(3000)
    assert len(router.asked) == 1
    assert len(net.told("anna", PortNotMapped)) == 1


@pytest.mark.slow
def test_it_is_asked_again_at_half_of_what_it_gave_and_the_port_is_given_back_after_the_call() -> None:
    router = Giving("203.0.113.40")
    net = world(router)
    called(net)
    talking, waiting = router.asked[0].port, router.asked[1].port
    assert set(router.held) == {talking, waiting}
    net.run(LIFETIME / 2 + 10)
    assert [wanted.port for wanted in router.asked] == [talking, waiting, talking, waiting]
    hung_up(net)
    assert set(router.held) == {waiting}
    assert [event.port for event in said(net, "anna", PortMapped)] == [talking, waiting]  # told once, not when renewed


def test_a_client_that_moves_asks_the_router_that_it_has_come_to() -> None:
    first, second = Giving("203.0.113.40"), Giving("203.0.113.42")
    net = world(first)
    net.move("anna", ("192.168.42.10", second))
    assert net.run(10, until=lambda: spare(net) is not None)
    assert spare(net)[0] == "203.0.113.42"
    third = Router("203.0.113.43", mapping=HARD)
    net.move("anna", ("192.168.43.10", third))
    net.run(10)
    assert spare(net) is None


def test_a_call_that_moves_tells_the_port_of_the_new_router() -> None:
    net = world(Giving("203.0.113.40"))
    called(net)
    net.move("anna", ("192.168.42.10", Giving("203.0.113.42")))
    net.run(6)
    assert path(net, "anna") == PUNCHED


@pytest.mark.parametrize("tells", ["", "0.0.0.0", "127.0.0.1", "239.255.255.250", "255.255.255.255", "here"])
def test_a_router_that_tells_what_nobody_can_reach_has_given_nothing(tells: str) -> None:
    router = Giving("203.0.113.40", tells=tells)
    net = world(router)
    assert spare(net) is None
    called(net)
    assert path(net, "anna").kind is Kind.RELAYED


@pytest.mark.parametrize("tells", ["100.64.0.9", "198.51.100.77"])
def test_a_router_that_tells_a_private_or_a_strange_address_breaks_no_call(tells: str) -> None:
    net = world(Giving("203.0.113.40", tells=tells))
    called(net)
    assert path(net, "anna") is not None
    assert path(net, "bert") is not None


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_a_router_that_tells_a_port_that_is_none_has_given_nothing(port: int) -> None:
    class Wrong(Giving):
        def map(self, host: str, wanted: MapPort) -> Address | None:
            return self.outer, port

    net = world(Wrong("203.0.113.40"))
    assert spare(net) is None
    called(net)
    assert path(net, "bert") is not None, "the callee has understood where the caller can be reached"


def test_who_has_a_public_address_asks_nobody() -> None:
    router = Giving("198.51.100.30")
    router.mapping = None
    net = world(Router("203.0.113.40"))
    net.client("zoe", "198.51.100.20", router)
    net.run(10)
    assert net.hosts["zoe"].machine.hub.hub
    assert router.asked == []


def test_a_late_answer_of_a_router_that_was_left_is_not_heard() -> None:
    net = world(Giving("203.0.113.40", gives=False))
    machine = net.hosts["anna"].machine
    mapping = machine.spare.mapping
    machine.gateway.forget()
    mapping.ask()
    (question,) = machine.actions.mappings
    machine.actions.take()
    mapping.relocated()
    machine.port_mapped(question, ("203.0.113.40", 50001), 600, net.now)
    assert mapping.outer is None


def test_a_socket_that_is_closed_before_the_answer_gives_back_what_may_have_been_given() -> None:
    net = world(Giving("203.0.113.40", gives=False))
    machine = net.hosts["anna"].machine
    machine.gateway.forget()
    machine.spare.mapping.ask()
    port = machine.spare.port
    machine.actions.take()
    machine.spare.close()
    assert UnmapPort(port) in machine.actions.take()
    assert machine.gateway.asking is None


def test_the_answer_takes_as_long_as_it_likes_and_no_call_waits() -> None:
    net = world(Giving("203.0.113.40"))
    net.mapping_delay = 30.0
    net.move("anna", ("192.168.42.10", Giving("203.0.113.42")))
    assert net.run(5, until=lambda: bool(net.hosts["anna"].machine.hub.hub))
    began = net.now
    net.hosts["anna"].machine.dial("c1", "bert", net.now)
    net.settle(net.hosts["anna"])
    assert net.run(1, until=lambda: "c1" in net.hosts["bert"].machine.calls)
    assert net.now - began < 0.2


def test_a_call_that_is_placed_before_the_first_answer_leaves_the_next_one_with_a_port() -> None:
    first = Giving("203.0.113.40")
    net = world(first)
    second = Giving("203.0.113.42")
    net.mapping_delay = 2.0
    net.move("anna", ("192.168.42.10", second))
    assert net.run(1.5, until=lambda: bool(net.hosts["anna"].machine.hub.hub))
    net.hosts["anna"].machine.dial("c1", "bert", net.now)
    net.settle(net.hosts["anna"])
    net.run(6)
    assert spare(net) is not None
    assert len({wanted.port for wanted in second.asked}) == 2


def test_whoever_waits_for_an_answer_asks_itself_when_the_asker_is_gone() -> None:
    router = Giving("203.0.113.40")
    net = world(router)
    machine = net.hosts["anna"].machine
    machine.gateway.forget()
    asker, waiting = machine.spare.mapping, MappedPort(machine.gateway)
    asker.ask()
    waiting.open(50123)
    assert waiting.question is None
    machine.spare.close()
    assert waiting.question is not None
