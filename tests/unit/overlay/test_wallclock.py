"""A wall clock that is stepped, or goes on while the host sleeps: what is signed and judged follows it at once."""

import time

import pytest

from lab.node.roles import HostClock
from lab.overlay.identity import CREDENTIAL_LIFETIME
from lab.overlay.member import SignedOut
from lab.overlay.relay import BindRefused
from lab.overlay.seat import Joined, Left
from tests.unit.overlay.fakenet import WALL, FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

DAY = 86_400.0


def step(net: FakeNet, name: str, seconds: float) -> None:
    """Somebody, or a time server, puts a host's clock on or back."""
    net.hosts[name].machine.membership.wall.offset += seconds


def anew(net: FakeNet, name: str) -> bool:
    """Whether it signs in over a new connection."""
    machine = net.hosts[name].machine
    machine.sign_in_anew(net.now)
    net.settle(net.hosts[name])
    assert machine.hub.hub is None
    return net.run(5, until=lambda: machine.hub.hub is not None)


@pytest.mark.parametrize("off", [DAY, -DAY], ids=["ahead", "behind"])
def test_a_client_whose_clock_is_put_right_is_let_in_without_a_restart(net: FakeNet, off: float) -> None:
    step(net, "bob", off)
    assert not anew(net, "bob")
    step(net, "bob", -off)
    assert net.run(40, until=lambda: net.hosts["bob"].machine.hub.hub is not None)
    place(net, "bob", "alice")


def test_who_has_slept_signs_in_and_calls_with_the_time_of_now(net: FakeNet) -> None:
    for host in net.hosts.values():  # all but one have gone on for an hour
        clock = host.machine.wall if host.name == "authority" else host.machine.membership.wall
        clock.offset += 3600.0 if host.name != "bob" else 0.0
    step(net, "bob", 3600.0)
    assert anew(net, "bob")
    place(net, "bob", "frank")
    place(net, "carol", "dave", id="c2.x")
    assert net.told("relay-1", BindRefused) == [], "tokens are of now as well"


def test_a_time_that_was_signed_by_a_clock_far_ahead_binds_nobody_to_it(net: FakeNet) -> None:
    hub = net.hosts["bob"].machine.hub
    step(net, "bob", DAY)
    ahead = hub._since(net.now)
    assert hub._since(net.now) > ahead, "each is later than the one before"
    step(net, "bob", -DAY)
    assert hub._since(net.now) == pytest.approx(WALL - 100 + net.now)
    step(net, "bob", -5.0)
    assert hub._since(net.now) == pytest.approx(WALL - 100 + net.now, abs=0.1), "a small step back is waited out"


def test_a_credential_that_has_expired_while_the_supernode_slept_holds_no_longer(net: FakeNet) -> None:
    home = net.hosts["bob"].machine.hub.hub
    step(net, home, CREDENTIAL_LIFETIME + 60.0)
    assert net.run(10, until=lambda: bool(net.told("bob", SignedOut)))
    assert [event.reason for _, event in net.told("bob", SignedOut)] == [
        "the hub closed the door: the credential of bob has expired"
    ]


@pytest.mark.parametrize("odd", [1, 3], ids=["it dials", "it is dialled"])
@pytest.mark.parametrize("off", [DAY, -DAY], ids=["ahead", "behind"])
def test_a_supernode_whose_clock_is_off_stays_out_for_one_reason_until_it_is_put_right(off: float, odd: int) -> None:
    net, name = FakeNet(delay=0.01), f"supernode-{odd}"
    net.built_in = 3
    net.authority()
    for number in (1, 2, 3):
        net.supernode(number)
    step(net, name, off)
    for number in range(6):
        net.client(f"c{number}", f"192.168.{number}.10", Router(f"203.0.113.{100 + number}"))
    net.run(120)
    others = {"supernode-1", "supernode-2", "supernode-3"} - {name}
    assert not net.hosts[name].machine.peers
    for other in others:
        machine = net.hosts[other].machine
        assert set(machine.peers) == others - {other}
        ((reason, times),) = machine.actions.refusals.counted.items()
        assert reason == f"the clocks of {min(name, other)} and {max(name, other)} are more than 30 s apart; set them"
        assert times < 60, "it is dialled, and dials, ever more seldom"
        assert len([event for _, event in net.told(other, Joined) if event.role == "supernode"]) == 1
    assert all(net.hosts[f"c{number}"].machine.hub.hub in others for number in range(6))
    step(net, name, -off)
    assert net.run(60, until=lambda: set(net.hosts[name].machine.peers) == others)


def test_a_supernode_whose_clock_falls_behind_leaves_the_mesh_once(net: FakeNet) -> None:
    step(net, "supernode-2", -DAY)
    for number in range(6):
        net.client(f"c{number}", f"192.168.{140 + number}.10", Router(f"203.0.113.{140 + number}"))
    net.run(120)
    assert not net.hosts["supernode-1"].machine.peers
    told = [event for _, event in net.told("supernode-1", Left) if event.role == "supernode"]
    assert len(told) == 1
    assert all(net.hosts[f"c{number}"].machine.hub.hub == "supernode-1" for number in range(6))


def test_the_hosts_clock_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = HostClock()
    before, now = clock.offset, time.time()
    monkeypatch.setattr(time, "time", lambda: now + DAY)
    assert clock.offset == pytest.approx(before + DAY, abs=5.0)
