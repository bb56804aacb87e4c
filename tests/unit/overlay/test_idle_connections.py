"""TCP connections that nothing uses, behind routers that forget them sooner than RFC 5382 wants: how long a client
leaves one alone is learnt from what breaks."""

import pytest

from lab.overlay.lifetime import TCP_AT_FIRST, TCP_LEAST, TcpLifetime
from lab.overlay.tcp_port import LIMIT
from tests.unit.overlay.fakenet import FakeNet, Pipe, Router
from tests.unit.overlay.test_every_firewall import HARD
from tests.unit.overlay.test_holding import hold
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow

NAMES = ("shut", "other")


class Forgetful:
    """The router of one client: what it has been idle for too long it answers with a RST, from outside with nothing."""

    def __init__(self, net: FakeNet, name: str, seconds: float, silent: bool = False) -> None:
        self.net, self.name, self.seconds, self.silent = net, name, seconds, silent
        self.used: dict[tuple[str, int], float] = {}
        self.pass_on = net._transmit
        net._transmit = self.transmit  # type: ignore[method-assign]

    def transmit(self, pipe: Pipe, again: bool = False) -> None:
        other = pipe.other
        assert other is not None
        ends = [end for end in (pipe, other) if end.host.name == self.name]
        if ends:
            key = (self.name, ends[0].link)
            idle = self.net.now - self.used.get(key, self.net.now)
            if idle <= self.seconds or not self.silent:
                self.used[key] = self.net.now
            if idle > self.seconds:
                pipe.unsent.clear()
                if pipe.host.name == self.name and not self.silent:
                    self.net.after(2 * self.net.delay, lambda: self.net._hang_up(pipe))
                return
        self.pass_on(pipe, again)


@pytest.fixture
def net() -> FakeNet:
    net = FakeNet()
    net.authority()
    net.supernode(1)
    net.relay(1)
    net.client("shut", "192.168.33.10", Router("203.0.113.33", mapping=HARD, udp=False))
    net.client("other", "192.168.34.10", Router("203.0.113.34", mapping=HARD, udp=False))
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in NAMES))
    assert net.run(10, until=lambda: any(one.bound for one in net.hosts["shut"].machine.standby.connections.values()))
    return net


@pytest.mark.parametrize(("timeout", "learnt"), [(6.0, 5.0), (3.0, 2.5), (12.0, TCP_AT_FIRST)])
def test_a_connection_that_waits_at_a_relay_is_used_before_the_router_forgets_it(
    net: FakeNet, timeout: float, learnt: float
) -> None:
    client = net.hosts["shut"].machine
    Forgetful(net, "shut", timeout)
    net.run(60)
    assert client.passage.tcp_lifetime.keepalive == pytest.approx(learnt, abs=0.1)
    (before,) = client.standby.connections
    net.run(60)
    assert list(client.standby.connections) == [before]


@pytest.mark.parametrize("silent", [False, True])
def test_a_call_on_hold_keeps_its_connection_after_one_has_broken(net: FakeNet, silent: bool) -> None:
    Forgetful(net, "shut", 3.0, silent)
    id = place(net, *NAMES)
    talk(net, id, NAMES, 3)
    hold(net, id, "other", True)
    net.run(40)
    (leg,) = net.hosts["shut"].machine.calls[id].legs.all
    link = leg.tcp_bound
    assert link is not None
    net.run(60)
    assert leg.tcp_bound == link


@pytest.mark.parametrize(("timeout", "learnt"), [(6.0, 5.0), (60.0, TCP_AT_FIRST)])
def test_the_port_for_the_next_call_keeps_its_outer_address(net: FakeNet, timeout: float, learnt: float) -> None:
    """It is asked for before the router forgets it, and opened anew where that has happened."""
    net.supernode(2)
    net.client("waits", "192.168.35.10", Router("203.0.113.35", udp=False))
    client = net.hosts["waits"].machine
    assert net.run(10, until=lambda: client.spare_port is not None and bool(client.spare_port.mapped))
    Forgetful(net, "waits", timeout)
    net.run(60)
    assert client.passage.tcp_lifetime.keepalive == pytest.approx(learnt, abs=0.1)
    port = client.spare_port
    assert port.questions and not port.forgotten
    net.run(60)
    assert client.spare_port is port and all(net.now - one.heard < timeout for one in port.questions.values())


def test_a_supernode_that_answers_no_more_is_asked_no_more_and_a_new_port_is_opened(net: FakeNet) -> None:
    net.client("waits", "192.168.35.10", Router("203.0.113.35", udp=False))
    client = net.hosts["waits"].machine
    assert net.run(10, until=lambda: client.spare_port is not None and bool(client.spare_port.mapped))
    port = client.spare_port
    asked = max(question.due for question in port.questions.values())
    port.poll(asked)
    assert all(question.waits for question in port.questions.values()) and port.settled and not port.forgotten
    port.poll(asked + LIMIT)
    assert port.forgotten
    net.run(1)
    assert client.spare_port is not port and not client.spare_port.forgotten


def test_where_a_client_is_next_is_another_matter() -> None:
    learnt = TcpLifetime()
    learnt.broke(5.0)
    assert learnt.keepalive == 2.5
    learnt.broke(9.0)
    assert learnt.keepalive == 2.5, "what broke after a longer rest says less"
    learnt.broke(0.5)
    assert learnt.keepalive == 2.5, "nothing that was in use was left alone"
    learnt.broke(2.5)
    assert learnt.keepalive == TCP_LEAST
    learnt.forget()
    assert learnt.keepalive == TCP_AT_FIRST
