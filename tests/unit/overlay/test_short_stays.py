"""A hub that lets a node in and cuts it off: others come first, it is asked ever more seldom, and honest ones are not
taken for such."""

import random
from itertools import pairwise

import pytest

from lab.overlay.actions import Connect
from lab.overlay.host_cache import MOST
from lab.overlay.member import SignedIn, SignedOut
from lab.overlay.seat import Joined
from lab.overlay.short_stays import BACKOFF_FIRST, BACKOFF_MOST, SHORT_STAY, ShortStays
from lab.overlay.supernode import LEAVING_LIMIT, Supernode
from lab.wire.messages import Move
from tests.unit.overlay.fakenet import FakeNet, Host, Router

pytestmark = pytest.mark.slow

HUB, OTHER = ("203.0.113.11",), ("203.0.113.12",)


class Cutting(Supernode):
    """Lets everybody in, and ends the session `after` seconds; `parting`: it asks it to go elsewhere before."""

    after = 0.1
    parting = False
    roles = ("client", "supernode")

    def poll(self, now: float) -> None:
        super().poll(now)
        for link, session in list(self.sessions.items()):
            if session.role in self.roles and now >= session.since + self.after:
                if self.parting:
                    self.send(link, Move(()))
                self.drop(link, "no reason", now)

    def deadline(self) -> float | None:
        due = [session.since + self.after for session in self.sessions.values() if session.role in self.roles]
        return min((time for time in (super().deadline(), *due) if time is not None), default=None)


def world(*machines: type[Supernode]) -> FakeNet:
    net = FakeNet()
    net.built_in = len(machines)
    net.authority()
    for number, machine in enumerate(machines, 1):
        net.supernode(number, machine)
    net.run(3)
    net.client("bob", "192.168.32.10", Router("203.0.113.32"))
    return net


def let_in_by(net: FakeNet, name: str) -> list[float]:
    """When it has let bob in."""
    return [at for at, event in net.told(name, Joined) if event.role == "client"]


def test_a_hub_that_cuts_its_clients_off_is_asked_ever_more_seldom() -> None:
    net = world(Cutting)
    net.run(300)
    times = let_in_by(net, "supernode-1")
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) < 25
    assert pauses[0] < 2.0 and BACKOFF_MOST / 2 < max(pauses) < BACKOFF_MOST + 2.0
    assert min(pauses[8:]) > BACKOFF_MOST / 2


def test_two_such_hubs_are_each_asked_seldom_and_an_honest_one_that_starts_is_found_at_once() -> None:
    net = world(Cutting, Cutting, Supernode)
    net.kill("supernode-3")
    net.run(200)
    for name in ("supernode-1", "supernode-2"):
        assert 3 < len(let_in_by(net, name)) < 25
    net.start("supernode-3")
    assert net.run(BACKOFF_MOST + 5, until=lambda: net.hosts["bob"].machine.hub.hub == "supernode-3")
    net.run(60)
    assert net.hosts["bob"].machine.hub.hub == "supernode-3"


def test_an_honest_hub_is_reached_within_five_seconds_of_each_cut() -> None:
    net = world(Cutting, Supernode)
    net.run(60)
    assert net.hosts["bob"].machine.hub.hub == "supernode-2"
    for at, _ in net.told("bob", SignedOut):
        assert any(at <= then < at + 5.0 for then, event in net.told("bob", SignedIn))


def test_the_only_honest_hub_that_fails_once_is_back_though_the_others_answer_nobody() -> None:
    """The hub's rest ends while the climb waits for one that is silent: it has its turn all the same."""
    net = world(Supernode, Supernode)
    assert net.run(5, until=lambda: net.hosts["bob"].machine.hub.hub is not None)
    home = net.hosts["bob"].machine.hub.hub
    (other,) = {"supernode-1", "supernode-2"} - {home}
    net.kill(other)
    machine = net.hosts[home].machine
    machine.drop(machine.clients["bob"], "a slip", net.now)
    net.settle(net.hosts[home])
    cut = net.now
    assert net.run(5, until=lambda: net.told("bob", SignedIn)[-1][0] > cut)
    assert net.now < cut + 2.5


def test_a_supernode_that_hands_its_clients_over_is_asked_again_at_once() -> None:
    net = world(Supernode)
    assert net.run(5, until=lambda: net.hosts["bob"].machine.hub.hub is not None)
    machine = net.hosts["supernode-1"].machine
    machine.leave(net.now)
    net.settle(net.hosts["supernode-1"])
    net.run(LEAVING_LIMIT / 30)
    machine.drop(machine.clients["bob"], "it ends", net.now)
    net.settle(net.hosts["supernode-1"])
    assert net.run(1, until=lambda: net.hosts["bob"].machine.hub.hub is None)
    assert not net.hosts["bob"].machine.hub.stays.ends()


def test_one_that_always_says_so_before_it_cuts_is_asked_ever_more_seldom_all_the_same() -> None:
    class Polite(Cutting):
        parting = True

    net = world(Polite)
    net.run(200)
    assert len(let_in_by(net, "supernode-1")) < 20


def test_a_client_whose_own_network_changes_is_back_at_its_hub_at_once() -> None:
    net = world(Supernode)
    assert net.run(5, until=lambda: net.hosts["bob"].machine.hub.hub is not None)
    for number in range(6):
        net.run(0.5)
        net.move("bob", (f"192.168.{40 + number}.10", Router(f"203.0.113.{40 + number}")))
        assert net.run(0.5, until=lambda: net.hosts["bob"].machine.hub.hub is not None)


@pytest.mark.parametrize("first", [True, False], ids=["it dials", "it is dialled"])
def test_a_supernode_that_cuts_its_links_with_others_is_dialled_ever_more_seldom(first: bool) -> None:
    """What was learnt on one link holds for the next, though it has dialled itself meanwhile."""

    class Aloof(Cutting):
        roles = ("supernode",)

        def poll(self, now: float) -> None:
            super().poll(now)
            for link in self.mesh.links():
                if link.hub is not None and now >= link.since + self.after:
                    link.is_dead("no reason", now)
                    self.mesh.touched(link)

    net = world(Aloof, Supernode) if first else world(Supernode, Aloof)
    victim, dialled, do = f"supernode-{1 + first}", list[Connect](), net._do

    def note(host: Host, action: object) -> None:
        if host.name == victim and isinstance(action, Connect) and action.hub:
            dialled.append(action)
        do(host, action)

    net._do = note  # type: ignore[method-assign]
    net.run(300)
    assert 3 < len(dialled) < 40


@pytest.mark.parametrize("seed", range(3))
def test_the_pause_doubles_with_jitter_up_to_the_most_and_a_long_stay_ends_the_row(seed: int) -> None:
    stays = ShortStays(random.Random(seed))
    for number in range(12):
        stays.over(HUB, 1.0, False, 100.0)
        whole = min(BACKOFF_FIRST * 2**number, BACKOFF_MOST)
        assert whole / 2 <= stays.ends()[HUB] - 100.0 <= whole
    assert stays.rests(HUB) and not stays.rests(OTHER)
    assert stays.rested(100.0) == [] and stays.rested(200.0) == [HUB]
    stays.over(HUB, SHORT_STAY, False, 200.0)
    assert not stays.rests(HUB)
    stays.over(HUB, 1.0, False, 200.0)
    assert stays.ends()[HUB] <= 200.0 + BACKOFF_FIRST


def test_a_call_that_waits_leaves_nobody_alone_for_long() -> None:
    stays = ShortStays(random.Random(1))
    for _ in range(9):
        stays.over(HUB, 0.0, False, 100.0)
    stays.hurry(100.0)
    assert stays.deadline() == 100.0 + BACKOFF_FIRST


def test_any_number_of_such_hubs_fills_no_memory() -> None:
    stays = ShortStays(random.Random(1))
    for number in range(2 * MOST):
        stays.over((f"198.18.{number >> 8}.{number & 255}",), 0.0, False, float(number))
        stays.rested(number + 1.0)
    assert len(stays._times) == MOST
