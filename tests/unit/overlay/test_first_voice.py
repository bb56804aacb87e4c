"""How soon after dialling, and after the answer, voice goes out at both ends: behind every firewall, in memory."""

import itertools

import pytest

from lab.overlay.call_events import Answered, Checked, Ended, Heard, Moved, Rings
from lab.overlay.relay import MOST_STANDBY_EACH
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_every_firewall import NAMES, net

__all__ = ["net"]
ROUND_TRIP = 4 * 2 * 0.02
"""Seconds of caller, hub, callee and back; every pair is at one hub or two that are as far away as all else."""
UDP = ("open", "cone")
PAIRS = list(itertools.permutations([*UDP, *NAMES.values()], 2))


def dial_and_answer_at_once(net: FakeNet, caller: str, callee: str) -> float:
    """The time of dialling; the callee picks up in the moment in which it rings."""
    dialled, host, other = net.now, net.hosts[caller], net.hosts[callee]
    host.machine.dial("c1.x", callee, net.now)
    net.settle(host)
    assert net.run(5, until=lambda: bool(net.told(callee, Rings)))
    other.machine.answer("c1.x", net.now)
    net.settle(other)
    return dialled


def speak_once_there_is_a_path(net: FakeNet, name: str) -> None:
    assert net.run(5, until=lambda: any(event.path for _, event in net.told(name, Moved)))
    assert net.hosts[name].machine.send("c1.x", b"\x80voice of " + name.encode())
    net.settle(net.hosts[name])


@pytest.mark.parametrize(("caller", "callee"), PAIRS)
def test_an_answer_at_once_is_heard_at_both_ends_within_the_bounds(net: FakeNet, caller: str, callee: str) -> None:
    net.run(10)  # those that have no UDP wait at a relay by now
    dialled = dial_and_answer_at_once(net, caller, callee)
    answered = net.told(callee, Answered)[0][0]
    first, second = sorted((caller, callee), key=lambda name: name == caller)
    speak_once_there_is_a_path(net, first)
    speak_once_there_is_a_path(net, second)
    for name in (caller, callee):
        assert net.run(2, until=lambda name=name: bool(net.told(name, Heard)))
        heard = net.told(name, Heard)[0][0]
        assert heard - answered <= 1.5 * ROUND_TRIP
        if caller in UDP and callee in UDP:
            assert heard - dialled <= 2.0 * ROUND_TRIP


def test_voice_begins_by_the_relay_before_any_check_has_come_back_and_the_call_is_not_proven_by_it(
    net: FakeNet,
) -> None:
    net.run(10)
    dial_and_answer_at_once(net, "cone", "open")
    assert net.run(5, until=lambda: bool(net.told("open", Moved)))
    valid = [event for _, event in net.told("open", Checked) if event.verdict.state == "valid"]
    assert not valid
    assert str(net.told("open", Moved)[0][1].path) == "relayed/udp via relay-1"
    net.run(2)
    assert str(net.told("open", Moved)[-1][1].path) == "direct/udp"


def test_a_relay_that_only_this_end_reaches_keeps_no_call_alive(net: FakeNet) -> None:
    dial_and_answer_at_once(net, "cone", NAMES["udp-blocked"])
    net.kill(NAMES["udp-blocked"])
    assert net.run(40, until=lambda: bool(net.told("cone", Ended)))
    error = net.told("cone", Ended)[0][1].error or ""
    assert "no path to" in error


def test_the_first_path_is_named_by_what_the_peer_says_of_its_network(net: FakeNet) -> None:
    net.run(10)
    dial_and_answer_at_once(net, "cone", NAMES["tcp-443"])
    net.run(2)
    assert {str(event.path) for _, event in net.told("cone", Moved)} == {"relayed/mixed via relay-1"}


@pytest.mark.parametrize("firewall", NAMES)
def test_who_has_no_udp_waits_at_a_relay_and_waits_again_after_a_call(net: FakeNet, firewall: str) -> None:
    name = NAMES[firewall]
    standby = net.hosts[name].machine.standby
    assert net.run(10, until=lambda: any(waiting.bound for waiting in standby.connections.values()))
    net.run(90)  # beyond the life of its token
    (before,) = standby.connections
    dial_and_answer_at_once(net, "cone", name)
    net.run(1)
    assert before not in standby.connections
    net.hosts["cone"].machine.hang_up("c1.x", net.now)
    net.settle(net.hosts["cone"])
    assert net.run(20, until=lambda: any(waiting.bound for waiting in standby.connections.values()))
    waiting = [stream for stream in net.hosts["relay-1"].machine.streams.values() if stream.waits_for == name]
    assert 1 <= len(waiting) <= MOST_STANDBY_EACH


def test_who_has_udp_waits_nowhere(net: FakeNet) -> None:
    net.run(30)
    for name in UDP:
        assert not net.hosts[name].machine.standby.connections


def test_a_relay_that_dies_is_waited_at_again_when_it_is_back(net: FakeNet) -> None:
    name = NAMES["tls-only"]
    standby = net.hosts[name].machine.standby
    assert net.run(10, until=lambda: any(waiting.bound for waiting in standby.connections.values()))
    (link,) = standby.connections
    net._down(net.hosts[name], link, "reset by the test")
    assert not standby.connections
    assert net.run(10, until=lambda: any(waiting.bound for waiting in standby.connections.values()))


def test_what_waits_for_a_call_is_connected_anew_where_the_client_signs_in_anew(net: FakeNet) -> None:
    name = NAMES["tls-only"]
    client = net.hosts[name].machine
    waiting = client.standby.connections
    assert net.run(10, until=lambda: any(one.bound for one in waiting.values()))
    before = set(waiting)
    client.sign_in_anew(net.now)
    net.settle(net.hosts[name])
    assert net.run(10, until=lambda: any(one.bound for one in waiting.values()))
    assert not before & set(waiting)
