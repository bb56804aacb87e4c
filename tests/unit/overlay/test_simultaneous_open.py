"""TCP between two routers that translate, in memory: who has no UDP is met all the same."""

import itertools

import pytest

from lab.overlay.actions import Actions, Connect, LinkInfo
from lab.overlay.call_events import Checked, Heard, Moved
from lab.overlay.tcp_checks import FRESH_SYN, MOST_TARGETS, REFUSED_PAUSE, SIMULTANEOUS_LIMIT, Streams, TcpChecks
from lab.overlay.tcp_port import PREDICTED, TcpPort
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.natsim import Nat
from tests.unit.overlay.test_paths_in_memory import place

HARD = "address-and-port-dependent"
ROUTERS = {
    "cone": {},
    "blocked": {"udp": False},
    "blocked-too": {"udp": False},
    "counting": {"udp": False, "mapping": HARD, "sequential": True},
    "random": {"udp": False, "mapping": HARD},
    "full": {"filtering": "endpoint-independent"},
    "restricted": {"filtering": "address-dependent"},
    "stateful": {"udp": False, "mapping": None, "stateful": True},
    "web": {"udp": False, "tcp_ports": {443, 80}},
}


@pytest.fixture
def net() -> FakeNet:
    net = FakeNet()
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    for number, (name, axes) in enumerate(ROUTERS.items(), 40):
        outer = f"203.0.113.{number}"
        router = Nat(outer, net=net, **axes) if "filtering" in axes else Router(outer, **axes)
        net.client(name, f"198.51.100.{number}" if router.mapping is None else f"192.168.{number}.10", router)
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in ROUTERS))
    net.run(5)
    return net


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("cone", "blocked", "punched/tcp"),
        ("blocked", "blocked-too", "punched/tcp"),
        ("counting", "cone", "punched/tcp"),
        ("counting", "blocked", "punched/tcp"),
        ("stateful", "blocked", "direct/tcp"),
        ("stateful", "cone", "direct/tcp"),
        ("random", "cone", "relayed/mixed via relay-1"),
        ("random", "blocked", "relayed/tcp via relay-1"),
        ("random", "full", "punched/tcp"),
        ("random", "restricted", "punched/tcp"),
        ("web", "full", "relayed/mixed via relay-1"),
        ("web", "cone", "relayed/mixed via relay-1"),
        ("web", "blocked", "relayed/tcp via relay-1"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_two_routers_are_met_by_tcp_where_both_ports_are_known(
    net: FakeNet, one: str, other: str, expected: str, turned: bool
) -> None:
    caller, callee = (other, one) if turned else (one, other)
    id = place(net, caller, callee)
    net.run(2)
    for name in (caller, callee):
        assert str(net.told(name, Moved)[-1][1].path) == expected
    for name, far in ((caller, callee), (callee, caller)):
        before = len(net.told(far, Heard))
        assert net.hosts[name].machine.send(id, b"\x80voice of " + name.encode())
        net.settle(net.hosts[name])
        assert net.run(1, until=lambda far=far, before=before: len(net.told(far, Heard)) == before + 1)


def test_two_that_have_udp_open_no_port_for_tcp(net: FakeNet) -> None:
    net.client("cone-2", "192.168.60.10", Router("203.0.113.60"))
    assert net.run(10, until=lambda: net.hosts["cone-2"].machine.hub.hub is not None)
    net.run(3)
    place(net, "cone", "cone-2")
    net.run(2)
    for name in ("cone", "cone-2"):
        assert str(net.told(name, Moved)[-1][1].path) == "punched/udp"
        assert not net.hosts[name].ports


def test_ports_are_closed_when_the_call_is_over(net: FakeNet) -> None:
    id = place(net, "cone", "blocked")
    net.run(1)
    assert net.hosts["cone"].ports
    net.hosts["cone"].machine.hang_up(id, net.now)
    net.settle(net.hosts["cone"])
    net.run(3)
    assert not net.hosts["cone"].ports
    assert not net.syns
    assert len(net.hosts["blocked"].ports) == 1  # the spare one of the next call


def test_a_router_that_counts_is_asked_anew_for_each_call_and_its_next_ports_are_told(net: FakeNet) -> None:
    spare = net.hosts["counting"].machine.spare_port
    assert not spare.endpoint_independent
    before = {candidate.address[1] for candidate in spare.candidates()}
    assert len(before) == PREDICTED
    place(net, "counting", "cone")
    (call,) = net.hosts["cone"].machine.calls.values()
    told = {c.address[1] for c in call.checklist.remote if c.kind == "predicted" and c.transport == "tcp"}
    assert len(told) == PREDICTED and max(told) > max(before)
    assert net.met == 1


def test_nothing_is_connected_before_this_ends_own_port_is_known_and_then_seldom_enough() -> None:
    net = FakeNet()
    actions, own = Actions(), net.membership("x", "192.168.1.2").own
    checks = TcpChecks(actions, own, None, Streams(*[lambda *_: False] * 6))
    port = TcpPort(actions, [("203.0.113.11", 3478)], net.rng, own)
    port.open(0.0)
    checks.port = port
    checks.meet([("203.0.113.50", 1000 + number) for number in range(100)], 0.0)
    checks.poll(0.0)
    assert not [action for action in actions.take() if isinstance(action, Connect)]
    port.tcp_up(port.number, ("0.0.0.0", 4000), 0.0)
    (question,) = port.questions
    port.poll(port.deadline() or 0.0)  # no supernode answers: the port is what it is
    assert question not in port.questions and port.settled
    actions.take()
    sent: list[tuple[float, Connect]] = []
    at = 2.0
    while at < 60:
        checks.poll(at)
        sent += [(at, action) for action in actions.take() if isinstance(action, Connect)]
        at += 0.01
    assert {action.local_port for _, action in sent} == {4000}
    assert len({action.address for _, action in sent}) == MOST_TARGETS
    first = [at for at, action in sent if action.address == sent[0][1].address]
    assert all(later - earlier >= FRESH_SYN - 1e-6 for earlier, later in itertools.pairwise(first))
    assert len(first) <= 17


def opened() -> tuple[Actions, TcpChecks]:
    """Checks of a client at 192.168.1.2 whose TCP port is 4000, and what they want done."""
    net = FakeNet()
    actions, own = Actions(), net.membership("x", "192.168.1.2").own
    checks = TcpChecks(actions, own, None, Streams(*[lambda *_: False] * 6))
    checks.port = port = TcpPort(actions, [], net.rng, own)
    port.open(0.0)
    port.tcp_up(port.number, ("0.0.0.0", 4000), 0.0)
    return actions, checks


def test_a_peer_that_moves_again_and_again_is_met_where_it_stands_last() -> None:
    (actions, checks), begun = opened(), 0.0
    for move in range(6):
        begun += 1.5 if move % 2 else 10.0  # the next move may come while the last place is still tried
        told = [(f"203.0.113.{50 + move}", 1000 + number) for number in range(PREDICTED)]
        checks.meet(told, begun)
        checks.poll(begun)
        asked = {action.address for action in actions.take() if isinstance(action, Connect)}
        assert set(told) <= asked
        assert len(checks.targets) <= MOST_TARGETS and len(checks.links) <= MOST_TARGETS
        checks.poll(begun + 1)
    (last,) = (target for target in checks.targets.values() if target.remote == told[0])
    assert last.link is not None
    checks.link_up(last.link, LinkInfo(("192.168.1.2", 4000), told[0]), begun + 1.1)
    checks.works(last.link)
    checks.meet([("203.0.113.99", 1000 + number) for number in range(100)], begun + 2)
    assert told[0] in checks.targets and last.link in checks.links


def test_what_never_answered_is_no_path_and_told_of_nobody(net: FakeNet) -> None:
    place(net, "random", "blocked")
    net.run(10)
    assert not net.syns
    tried = [event.verdict.path for _, event in net.told("random", Checked)]
    assert "tcp" not in tried


def test_a_connection_that_is_lost_because_the_peer_was_giving_up_its_own_syn_is_opened_anew() -> None:
    actions, checks = opened()
    peer = ("203.0.113.50", 1000)
    checks.meet([peer], 0.0)
    checks.poll(0.0)
    (first,) = checks.links
    actions.take()
    checks.link_up(first, LinkInfo(("192.168.1.2", 4000), peer), 0.1)
    checks.link_down(first, "reset", 0.2)
    checks.poll(0.2 + REFUSED_PAUSE)
    assert [action.address for action in actions.take() if isinstance(action, Connect)] == [peer]
    (second,) = checks.links
    checks.link_up(second, LinkInfo(("192.168.1.2", 4000), peer), 0.4)
    checks.link_down(second, "reset", SIMULTANEOUS_LIMIT + 1)  # it has carried the call: this is no opening any more
    checks.poll(SIMULTANEOUS_LIMIT + 2)
    assert not [action for action in actions.take() if isinstance(action, Connect)]
