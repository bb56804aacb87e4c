"""Every pair of the reference lab's sites, on a network in memory: which path the call ends on, from both sides."""

import itertools

import pytest

from lab.overlay.call_events import Answered, Checked, Closing, Ended, Heard, Moved, Rings
from tests.unit.overlay.fakenet import FakeNet

SITES = {"alice": "open", "bob": "cone", "frank": "cone", "carol": "hard", "dave": "tcp", "erin": "tcp-443"}
EXPECTED = {
    frozenset({"open", "cone"}): "direct/udp",
    frozenset({"open", "hard"}): "direct/udp",
    frozenset({"open", "tcp"}): "direct/tcp",
    frozenset({"open", "tcp-443"}): "direct/tcp",
    frozenset({"cone"}): "punched/udp",
    frozenset({"cone", "hard"}): "punched/udp",
    frozenset({"cone", "tcp"}): "relayed/mixed via relay-1",
    frozenset({"cone", "tcp-443"}): "relayed/mixed via relay-1",
    frozenset({"hard", "tcp"}): "relayed/mixed via relay-1",
    frozenset({"hard", "tcp-443"}): "relayed/mixed via relay-1",
    frozenset({"tcp", "tcp-443"}): "relayed/tcp via relay-1",
}


def place(net: FakeNet, caller: str, callee: str, ring: float = 0.5, id: str = "c1.x") -> str:
    """Dials, rings, answers; returns the call's id once both sides talk."""
    host, other = net.hosts[caller], net.hosts[callee]
    host.machine.dial(id, callee, net.now)
    net.settle(host)
    assert net.run(5, until=lambda: any(event.call == id for _, event in net.told(callee, Rings)))
    net.run(ring)
    other.machine.answer(id, net.now)
    net.settle(other)
    assert net.run(5, until=lambda: any(event.call == id for _, event in net.told(caller, Answered)))
    return id


@pytest.mark.parametrize(("caller", "callee"), list(itertools.permutations(SITES, 2)))
def test_call_ends_on_the_best_path_of_both_networks(net: FakeNet, caller: str, callee: str) -> None:
    id = place(net, caller, callee)
    net.run(8)  # guessing ports takes that long at the most
    expected = EXPECTED[frozenset({SITES[caller], SITES[callee]})]
    for name in (caller, callee):
        moves = net.told(name, Moved)
        assert moves, f"{name} found no path at all"
        assert str(moves[-1][1].path) == expected
    for name, other in ((caller, callee), (callee, caller)):
        assert net.hosts[name].machine.send(id, b"\x80voice of " + name.encode())
        net.settle(net.hosts[name])
        assert net.run(2, until=lambda other=other: bool(net.told(other, Heard)))
    net.hosts[caller].machine.hang_up(id, net.now)
    net.settle(net.hosts[caller])
    assert net.run(2, until=lambda: bool(net.told(caller, Ended)) and bool(net.told(callee, Ended)))
    for name in (caller, callee):
        ended = net.told(name, Ended)[0][1]
        assert (ended.error, ended.connected) == (None, True)
        assert not net.hosts[name].machine.calls


@pytest.mark.parametrize(("caller", "callee"), list(itertools.permutations(SITES, 2)))
def test_a_path_is_ready_by_the_time_the_answer_arrives(net: FakeNet, caller: str, callee: str) -> None:
    place(net, caller, callee)
    answered = net.told(callee, Answered)[0][0]
    round_trip = 4 * 2 * net.delay  # caller, hub, hub, callee and back at the most
    for name in (caller, callee):
        assert net.run(2, until=lambda name=name: bool(net.told(name, Moved)))
        assert net.told(name, Moved)[0][0] - answered <= 1.5 * round_trip


def test_a_call_that_finds_no_path_fails_on_both_sides_with_the_reason(net: FakeNet) -> None:
    net.kill("relay-1")
    net.kill("alice")  # who would become one
    net.run(10)
    place(net, "bob", "dave")
    assert net.run(40, until=lambda: bool(net.told("bob", Ended)) and bool(net.told("dave", Ended)))
    errors = [net.told(name, Ended)[0][1].error or "" for name in ("bob", "dave")]
    assert all("no path to" in error for error in errors), errors
    assert not any(net.told(name, Ended)[0][1].connected for name in ("bob", "dave"))


def test_the_log_tells_which_paths_were_tried_and_did_not_answer(net: FakeNet) -> None:
    id = place(net, "bob", "carol")
    net.run(1)
    net.hosts["bob"].machine.hang_up(id, net.now)
    net.settle(net.hosts["bob"])
    net.run(2)
    verdicts = [event.verdict for _, event in net.told("bob", Checked)]
    tried = {(verdict.path, verdict.remote) for verdict in verdicts if verdict.state == "in-progress"}
    assert ("udp", ("192.168.34.10", carol_port(net))) in tried
    failed = {verdict.remote for verdict in verdicts if verdict.state == "failed"}
    assert ("192.168.34.10", carol_port(net)) in failed
    assert any(verdict.path == "relayed/udp via relay-1" for verdict in verdicts if verdict.state == "valid")


def carol_port(net: FakeNet) -> int:
    """The port of carol's first socket, which her only call took."""
    return min(
        verdict.remote[1]
        for _, event in net.told("bob", Checked)
        for verdict in [event.verdict]
        if verdict.remote[0] == "192.168.34.10"
    )


def test_who_hangs_up_before_an_answer_is_told_so(net: FakeNet) -> None:
    net.hosts["bob"].machine.dial("c1.x", "frank", net.now)
    net.settle(net.hosts["bob"])
    assert net.run(2, until=lambda: bool(net.told("frank", Rings)))
    net.hosts["bob"].machine.hang_up("c1.x", net.now)
    net.settle(net.hosts["bob"])
    assert net.run(3, until=lambda: bool(net.told("bob", Ended)) and bool(net.told("frank", Ended)))
    assert net.told("bob", Ended)[0][1].error == "hung up before frank answered"
    assert net.told("frank", Ended)[0][1].error == "bob ended the call: hung up"


def test_the_callee_may_hang_up_too(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    net.run(1)
    net.hosts["frank"].machine.hang_up(id, net.now, frames=50)
    net.settle(net.hosts["frank"])
    assert net.run(2, until=lambda: bool(net.told("bob", Ended)) and bool(net.told("frank", Ended)))
    assert net.told("bob", Closing)[0][1].frames == 50
    assert net.told("bob", Ended)[0][1].error is None


def test_two_calls_at_once_do_not_disturb_each_other(net: FakeNet) -> None:
    for callee in ("carol", "dave"):
        net.hosts["bob"].machine.dial(f"{callee}.x", callee, net.now)
        net.settle(net.hosts["bob"])
    net.run(1)
    for callee in ("carol", "dave"):
        net.hosts[callee].machine.answer(f"{callee}.x", net.now)
        net.settle(net.hosts[callee])
    net.run(2)
    for callee in ("carol", "dave"):
        net.hosts["bob"].machine.send(f"{callee}.x", b"\x80for " + callee.encode())
    net.settle(net.hosts["bob"])
    net.run(1)
    for callee in ("carol", "dave"):
        assert [event.data for _, event in net.told(callee, Heard)] == [b"\x80for " + callee.encode()]


def test_voice_goes_on_by_the_relay_when_the_direct_path_dies(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    net.run(1)
    assert str(net.told("bob", Moved)[-1][1].path) == "punched/udp"
    relays = ("203.0.113.21", "203.0.113.11", "203.0.113.12")
    net.lose = lambda source, destination: source[0] not in relays and destination[0] not in relays
    assert net.run(5, until=lambda: str(net.told("bob", Moved)[-1][1].path).startswith("relayed"))
    assert net.run(5, until=lambda: str(net.told("frank", Moved)[-1][1].path).startswith("relayed"))
    assert net.hosts["bob"].machine.send(id, b"\x80still here")
