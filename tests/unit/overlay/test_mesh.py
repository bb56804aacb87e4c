"""Supernodes among themselves: all know all, each pair has one link, and who cannot be reached is none of them."""

import pytest

from lab.overlay.actions import Rejected
from lab.overlay.mesh import FORGET_AFTER, TOLD_AT_ONCE
from lab.overlay.seat import Left
from lab.overlay.supernode import TOLD_EVERY, WORDS_A_SECOND, Supernode
from lab.wire.messages import Message, Room, Supernodes
from tests.unit.overlay.fakenet import FakeNet, Host, Router


def supernodes(built_in: int, others: int = 0) -> FakeNet:
    """Built-in ones, and some of which nobody has been told."""
    net = FakeNet(delay=0.01)
    net.built_in = built_in
    net.authority()
    for number in range(1, built_in + 1):
        net.supernode(number)
    net.run(3)
    for number in range(others):
        stranger(net, f"new-{number}", f"198.51.100.{20 + number}")
    return net


def stranger(net: FakeNet, name: str, address: str, router: Router | None = None) -> Host:
    membership = net.membership(name, address)
    host = net._listening(Host(name, {}, Supernode(membership), membership.identity.public))
    net._place(host, (address, router))
    return net._add(host)


def peers(net: FakeNet, name: str) -> set[str]:
    return set(net.hosts[name].machine.peers)


def links(net: FakeNet, name: str, other: str) -> int:
    machine = net.hosts[name].machine
    dialled = sum(link.hub == other for link in machine.mesh.links())
    return dialled + sum((seat.role, seat.name) == ("supernode", other) for seat in machine.sessions.values())


def test_who_comes_to_one_is_soon_linked_with_all_and_once_with_each() -> None:
    net = supernodes(2, others=5)
    everybody = set(net.hosts) - {"authority"}
    assert net.run(20, until=lambda: all(peers(net, name) == everybody - {name} for name in everybody))
    net.run(60)
    for name in everybody:
        assert peers(net, name) == everybody - {name}
        for other in everybody - {name}:
            assert links(net, name, other) == 1, (name, other)


@pytest.mark.parametrize(("count", "pings"), [(4, 20.0), (12, 1.0)])
def test_a_supernode_that_dies_in_silence_is_soon_in_nobodys_directory(
    count: int, pings: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few by each link's own heartbeat; where that is slow, as among hundreds, by those that watch each other."""
    monkeypatch.setattr("lab.overlay.mesh.PINGS_A_SECOND", pings)
    net = supernodes(count)
    everybody = {f"supernode-{number}" for number in range(1, count + 1)}
    assert net.run(20, until=lambda: all(peers(net, name) == everybody - {name} for name in everybody))
    net.run(3)
    for victim in (2, count):
        name = f"supernode-{victim}"
        everybody.discard(name)
        net.kill(name)
        net.run(5)
        for other in everybody:
            assert peers(net, other) == net.hosts[other].machine.directory.members == everybody - {other}
    net.run(20)
    for other in everybody:
        assert peers(net, other) == everybody - {other}, "and nobody else is taken for dead"
        reasons = [event.reason for _, event in net.told(other, Left) if event.role == "supernode"]
        assert len(reasons) == 2


def test_a_supernode_that_stands_still_for_three_seconds_is_still_there() -> None:
    net = supernodes(4)
    still = net.hosts["supernode-2"]
    assert net.run(20, until=lambda: len(still.machine.peers) == 3)
    net.run(1.9)
    assert stand_still(net, still, 3.0), "it was spoken to meanwhile"
    net.run(5)
    for number in (1, 3, 4):
        assert "supernode-2" in peers(net, f"supernode-{number}")
        assert not [event for _, event in net.told(f"supernode-{number}", Left) if event.role == "supernode"]


def stand_still(net: FakeNet, host: Host, seconds: float) -> list[tuple[str, int, bytes]]:
    """Its process does nothing for a while; what came is there when it goes on."""
    machine, came = host.machine, list[tuple[str, int, bytes]]()
    hears, wakes = machine.link_data, machine.deadline
    machine.link_data = lambda link, data, now: came.append((host.name, link, data))  # type: ignore[method-assign]
    machine.deadline, host.alarm = lambda: None, None  # type: ignore[method-assign]
    net.run(seconds)
    machine.link_data, machine.deadline = hears, wakes  # type: ignore[method-assign]
    machine.poll(net.now)
    for _, link, data in came:
        machine.link_data(link, data, net.now)
    net.settle(host)
    return came


def test_who_cannot_be_reached_by_strangers_is_no_supernode_whatever_it_says() -> None:
    net = supernodes(2)
    stranger(net, "hidden", "192.168.9.10", Router("203.0.113.99"))
    stranger(net, "firewalled", "198.51.100.30", Router("", mapping=None, stateful=True))
    net.run(30)
    for name in ("supernode-1", "supernode-2"):
        assert peers(net, name) == {"supernode-1", "supernode-2"} - {name}
        assert "cannot reach" in " ".join(event.reason for _, event in net.told(name, Rejected))
        assert not any(known.peer for known in net.hosts[name].machine.mesh.known if not known.built_in)


def test_one_that_died_is_forgotten_unless_it_is_built_in_and_one_that_is_back_is_linked_again() -> None:
    net = supernodes(2, others=2)
    everybody = {"supernode-1", "supernode-2", "new-0", "new-1"}
    assert net.run(20, until=lambda: all(peers(net, name) == everybody - {name} for name in everybody))
    net.kill("new-1")
    net.kill("supernode-2")
    net.run(2 * FORGET_AFTER)
    hosts = net.hosts["supernode-1"].machine.mesh.by_host
    assert "203.0.113.12" in hosts and "198.51.100.20" in hosts
    assert "198.51.100.21" not in hosts
    host = net.hosts["supernode-2"]
    host.alive = True
    for link in list(host.machine.actions.links):
        host.machine.link_down(link, "broken while away", net.now)
    net.settle(host)
    assert net.run(
        60, until=lambda: peers(net, "supernode-1") == peers(net, "supernode-2") ^ {"supernode-1", "supernode-2"}
    )
    assert net.run(60, until=lambda: "supernode-2" in peers(net, "new-0"))


def test_a_name_resolves_across_a_mesh_that_made_itself() -> None:
    net = supernodes(2, others=4)
    net.run(10)
    for number in range(12):
        net.client(f"c{number}", f"192.168.{number}.10", Router(f"203.0.113.{100 + number}"))
    assert net.run(10, until=lambda: all(net.hosts[f"c{n}"].machine.hub.hub for n in range(12)))
    net.run(1)
    for host in list(net.hosts.values()):
        if isinstance(host.machine, Supernode):
            for number in range(12):
                found: list[str | None] = []
                host.machine.directory.find(
                    f"c{number}", net.now, lambda at, _, found=found: found.append(at and at.hub)
                )
                net.settle(host)
                net.run(1)
                assert found == [net.hosts[f"c{number}"].machine.hub.hub]
            assert set(host.machine.directory.hops) <= {0, 1}


def in_a_large_mesh(count: int) -> tuple[Supernode, list[tuple[str, Message]]]:
    """A supernode that is linked with so many others, and what it says to them."""
    net = FakeNet(delay=0.01)
    net.built_in, net.capacity = 1, 400
    net.authority()
    machine = net.supernode(1).machine
    net.run(3)
    said: list[tuple[str, Message]] = []
    for number in range(count):
        name, host = f"new-{number}", f"198.51.{number >> 8}.{number & 255}"
        machine.mesh.came_in(name, b"", [host], lambda message, name=name: said.append((name, message)), net.now)
    machine.poll(net.now + 100.0)
    said.clear()
    return machine, said


def test_a_newcomer_is_told_of_all_and_not_all_of_the_newcomer() -> None:
    machine, said = in_a_large_mesh(100)
    newcomer: list[Message] = []
    machine.mesh.came_in("late", b"", ["198.51.100.200"], newcomer.append, 200.0)
    told = {host for message in newcomer if isinstance(message, Supernodes) for (host,) in message.machines}
    assert len(told) == 100
    assert len({name for name, message in said if isinstance(message, Supernodes)}) == TOLD_AT_ONCE


def test_a_large_mesh_hears_of_room_seldom_unless_much_has_changed() -> None:
    count = round(5 * TOLD_EVERY * WORDS_A_SECOND)
    machine, said = in_a_large_mesh(count)
    now, told_at = 300.0, list[float]()
    while now < 330.0:
        now += 0.1
        machine.clients[f"c{round(now)}"] = 0
        before = len(said)
        if (due := machine.deadline()) is not None and now >= due:
            machine.poll(now)
        rooms = [message for _, message in said[before:] if isinstance(message, Room)]
        if rooms:
            assert len(rooms) == count
            told_at.append(now)
    assert len(told_at) == 30 / 5, "each of the others is told as often as so many words a second go round"
    machine.poll(now)
    machine.clients.update((f"d{number}", 0) for number in range(400))
    said.clear()
    machine.poll(now + TOLD_EVERY)
    assert {message.room for _, message in said if isinstance(message, Room)} == {0}


@pytest.mark.parametrize(("over", "port"), [("TCP", 33033), ("UDP", 3478)])
def test_a_supernode_is_reached_over_both_or_is_none(over: str, port: int) -> None:
    net = supernodes(2)
    net.lose = lambda source, to: over == "UDP" and to == ("198.51.100.30", port)
    net.cut = lambda source, to: over == "TCP" and to == ("198.51.100.30", port)
    stranger(net, "half", "198.51.100.30", Router("", mapping=None))
    net.run(30)
    for name in ("supernode-1", "supernode-2"):
        assert peers(net, name) == {"supernode-1", "supernode-2"} - {name}
        assert f"cannot reach half by {over}" in " ".join(event.reason for _, event in net.told(name, Rejected))
