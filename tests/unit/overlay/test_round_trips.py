"""Of paths of one rank the shorter carries the voice, once it is clearly so: measured over several checks, to stay."""

import itertools

import pytest

from lab.overlay.call_events import Heard, Moved
from lab.overlay.choice import STAY
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place
from tests.unit.overlay.test_survival import path

pytestmark = pytest.mark.slow

HARD = "address-and-port-dependent"
RELAYS = {"relay-1": "203.0.113.21", "relay-2": "203.0.113.22"}
PAIR = ("drawn", "drawn-too")


@pytest.fixture
def net() -> FakeNet:
    """Ten milliseconds each way on every access link; two relays; two clients on the internet in both families."""
    net = FakeNet(delay=0.01)
    net.authority()
    for number in (1, 2):
        net.supernode(number)
        net.relay(number)
    for number, name in enumerate(PAIR, 34):
        router = Router(f"203.0.113.{number}", mapping=HARD, ports_drawn_from=range(1024, 65536))
        net.client(name, f"192.168.{number}.10", router)
    for number, name in enumerate(("both", "both-too"), 50):
        net.client(name, f"198.51.100.{number}", None, (f"2001:db8:{number}::10", None))
    names = (*PAIR, "both", "both-too")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in names))
    net.run(4)
    return net


def relay(net: FakeNet, name: str) -> str:
    return path(net, name).rpartition(" ")[2]


def call(net: FakeNet) -> tuple[str, str, str]:
    """One over a relay; its id, that relay and the other one."""
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    used = relay(net, PAIR[0])
    return id, used, next(name for name in RELAYS if name != used)


def test_voice_moves_to_the_relay_that_has_become_clearly_the_shorter_way(net: FakeNet) -> None:
    id, used, other = call(net)
    net.detour = {RELAYS[used]: 0.05}
    began = net.now
    talk(net, id, PAIR, 16, first=150)
    for name in PAIR:
        assert relay(net, name) == other
        heard = [began, *(at for at, _ in net.told(name, Heard) if at > began)]
        assert max(later - earlier for earlier, later in itertools.pairwise(heard)) < 0.15, "moving costs no voice"


def test_voice_stays_where_another_relay_gains_less_than_a_quarter(net: FakeNet) -> None:
    net.detour = dict.fromkeys(RELAYS.values(), 0.05)
    id, used, _ = call(net)
    net.detour[RELAYS[used]] += 0.012
    talk(net, id, PAIR, 16, first=150)
    assert [relay(net, name) for name in PAIR] == [used, used]


def test_relays_that_take_turns_at_being_the_shorter_way_do_not_make_the_voice_swing(net: FakeNet) -> None:
    id, used, other = call(net)
    moves = len(net.told(PAIR[0], Moved))
    for turn in range(20):
        net.detour = {RELAYS[(used, other)[turn % 2]]: 0.05}
        talk(net, id, PAIR, 1, first=150 + 50 * turn)
    assert len(net.told(PAIR[0], Moved)) - moves <= 20 / STAY


def test_voice_stays_where_another_path_gains_a_few_milliseconds(net: FakeNet) -> None:
    """Sixteen of fifty-six, more than a quarter."""
    id = place(net, "both", "both-too")
    net.detour = {"2001:db8:51::10": 0.008}
    talk(net, id, ("both", "both-too"), 16)
    assert net.hosts["both"].machine.calls[id].checklist.selected.remote[0] == "2001:db8:51::10"


def test_of_two_host_candidates_the_shorter_way_is_taken_though_the_other_answered_first(net: FakeNet) -> None:
    id = place(net, "both", "both-too")
    talk(net, id, ("both", "both-too"), 2)
    remote = net.hosts["both"].machine.calls[id].checklist.selected.remote
    assert remote[0] == "2001:db8:51::10"
    net.detour = {"2001:db8:51::10": 0.1}
    talk(net, id, ("both", "both-too"), 16, first=100)
    for name, far in (("both", "198.51.100.51"), ("both-too", "198.51.100.50")):
        assert net.hosts[name].machine.calls[id].checklist.selected.remote[0] == far
