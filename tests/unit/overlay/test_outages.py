"""A network, or a relay, that is gone for seconds in mid-call: voice is back within three of the moment that it
forwards again, whatever the kernel's own patience with TCP, and no call ends."""

import itertools
from collections.abc import Callable

import pytest

from lab.overlay.call_events import Ended, Heard
from lab.overlay.checklist import DEAD_AFTER, REVIVE, REVIVE_MOST
from lab.overlay.relay import Bound
from lab.overlay.roster import TOKEN_LIFETIME
from lab.wire.addresses import Address
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place
from tests.unit.overlay.test_survival import path

pytestmark = pytest.mark.slow


HARD = "address-and-port-dependent"
BACK = 3.0
"""Seconds within which voice is back where a path has to be found."""
PAIRS = {
    ("tcp", "tcp-443"): "relayed/tcp",
    ("drawn", "drawn-too"): "relayed/udp",
    ("tcp", "drawn"): "relayed/mixed",
    ("tcp", "open"): "direct/tcp",
    ("blocked", "blocked-too"): "punched/tcp",
    ("cone", "flat"): "punched/udp",
}


CLIENTS: dict[str, tuple[str, Callable[[], Router]]] = {
    "open": ("198.51.100.18", lambda: Router("203.0.113.31", mapping=None)),
    "cone": ("192.168.32.10", lambda: Router("203.0.113.32")),
    "flat": ("192.168.33.10", lambda: Router("203.0.113.33")),
    "drawn": ("192.168.34.10", lambda: Router("203.0.113.34", HARD, ports_drawn_from=range(1024, 65536))),
    "drawn-too": ("192.168.35.10", lambda: Router("203.0.113.35", HARD, ports_drawn_from=range(1024, 65536))),
    "tcp": ("192.168.36.10", lambda: Router("203.0.113.36", HARD, udp=False)),
    "tcp-443": ("192.168.37.10", lambda: Router("203.0.113.37", HARD, udp=False, tcp_ports={443})),
    "blocked": ("192.168.38.10", lambda: Router("203.0.113.38", udp=False)),
    "blocked-too": ("192.168.39.10", lambda: Router("203.0.113.39", udp=False)),
}


@pytest.fixture
def net(pair: tuple[str, str]) -> FakeNet:
    """Two clients, two supernodes, two relays; ten milliseconds each way on every access link."""
    net = FakeNet(delay=0.01)
    net.authority()
    for number in (1, 2):
        net.supernode(number)
        net.relay(number)
    for name in pair:
        address, router = CLIENTS[name]
        net.client(name, address, router())
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in pair))
    net.run(4)
    return net


def call(net: FakeNet, pair: tuple[str, str]) -> str:
    """One that has talked for two seconds, on the best path that the two have."""
    id = place(net, *pair)
    talk(net, id, pair, 2)
    assert path(net, pair[0]).startswith(PAIRS[pair])
    return id


def about(*hosts: str) -> Callable[[Address, Address], bool]:
    """Whether a packet comes from or goes to one of some hosts."""
    return lambda source, destination: source[0] in hosts or destination[0] in hosts


def back_after(net: FakeNet, name: str, since: float) -> float:
    """Seconds from a time until voice was heard again, and was still heard a second later."""
    heard = [at for at, _ in net.told(name, Heard) if at > since]
    assert heard and max(heard) > net.now - 0.1, f"{name} hears nothing {net.now - since:.1f} s after"
    return heard[0] - since


LONG = {("tcp", "open"): 20, ("blocked", "blocked-too"): 20}
CASES = [
    *((pair, LONG.get(pair, 12)) for pair in PAIRS),
    *((pair, seconds) for pair in list(PAIRS)[:2] for seconds in (5, 25)),
]


@pytest.mark.parametrize(("pair", "seconds"), CASES)
def test_everything_gone_for_seconds(net: FakeNet, pair: tuple[str, str], seconds: float) -> None:
    id = call(net, pair)
    net.cut = lambda source, destination: True
    talk(net, id, pair, 3, first=150)
    net.run(seconds - 3)
    assert path(net, pair[0]) == "None", "the outage is one of TCP as well"
    net.cut, again = None, net.now
    talk(net, id, pair, 4, first=300)
    for name in pair:
        assert back_after(net, name, again) <= BACK
        assert path(net, name).startswith(PAIRS[pair])
        assert not net.told(name, Ended)


@pytest.mark.parametrize(
    ("host", "pair"), [("203.0.113.36", ("tcp", "tcp-443")), ("203.0.113.34", ("drawn", "drawn-too"))]
)
def test_one_router_gone_for_seconds(net: FakeNet, host: str, pair: tuple[str, str]) -> None:
    id = call(net, pair)
    net.cut = about(host)
    talk(net, id, pair, 3, first=150)
    net.run(9)
    net.cut, again = None, net.now
    talk(net, id, pair, 4, first=300)
    for name in pair:
        assert back_after(net, name, again) <= BACK
        assert not net.told(name, Ended)


@pytest.mark.parametrize("pair", list(PAIRS)[:3])
def test_a_relay_alone_out_of_reach_for_seconds(net: FakeNet, pair: tuple[str, str]) -> None:
    """The other one is gone for good, and who is signed in stays so."""
    net.kill("relay-2")
    net.run(7)
    id = call(net, pair)
    net.cut = about("203.0.113.21")
    talk(net, id, pair, 20, first=150)
    net.cut, again = None, net.now
    talk(net, id, pair, 5, first=1150)
    for name in pair:
        assert back_after(net, name, again) <= BACK
        assert path(net, name).startswith(PAIRS[pair])


@pytest.mark.parametrize("pair", list(PAIRS)[:2])
def test_each_relay_restarted_in_turn_long_after_the_tokens_have_expired(net: FakeNet, pair: tuple[str, str]) -> None:
    id = call(net, pair)
    net.run(TOKEN_LIFETIME)
    said = 150
    for name in ("relay-1", "relay-2", "relay-1"):
        net.kill(name)
        talk(net, id, pair, 3, first=said)
        net.start(name)
        started = net.now
        talk(net, id, pair, 16, first=said + 150)  # a leg that stands by is bound again within fifteen seconds
        said += 950
        bound = {event.leg for at, event in net.told(name, Bound) if at > started}
        assert bound == {0, 1}, f"{name} does not stand by again"
    for name in pair:
        assert path(net, name).startswith(PAIRS[pair])
        assert not net.told(name, Ended)


@pytest.mark.parametrize("pair", list(PAIRS)[:2])
def test_the_only_relay_restarted_long_after_the_tokens_have_expired(net: FakeNet, pair: tuple[str, str]) -> None:
    net.kill("relay-2")
    net.run(7)
    id = call(net, pair)
    net.run(TOKEN_LIFETIME)
    talk(net, id, pair, 2, first=150)
    for said in (250, 1250):
        net.kill("relay-1")
        net.run(12)
        net.start("relay-1")
        again = net.now
        talk(net, id, pair, 5, first=said)
        for name in pair:
            assert back_after(net, name, again) <= BACK


@pytest.mark.parametrize("pair", list(PAIRS)[:2])
def test_relays_and_supernodes_restarted_together_long_after_the_tokens_have_expired(
    net: FakeNet, pair: tuple[str, str]
) -> None:
    """The relays know nothing of the call, and fresh tokens come from supernodes that know nothing of the clients."""
    id = call(net, pair)
    net.run(TOKEN_LIFETIME)
    nodes = ("relay-1", "relay-2", "supernode-1", "supernode-2")
    for name in nodes:
        net.kill(name)
    net.run(12)
    for name in nodes:
        net.start(name)
    again = net.now
    talk(net, id, pair, 5, first=750)
    for name in pair:
        assert back_after(net, name, again) <= BACK


@pytest.mark.parametrize("pair", list(PAIRS)[:2])
def test_relays_that_are_gone_when_the_call_is_answered_are_taken_up_when_they_come(
    net: FakeNet, pair: tuple[str, str]
) -> None:
    net.cut = about("203.0.113.21", "203.0.113.22")
    id = place(net, *pair)
    net.run(9)
    net.cut, again = None, net.now
    talk(net, id, pair, 4)
    for name in pair:
        assert back_after(net, name, again) <= BACK


@pytest.mark.parametrize("pair", [("tcp", "drawn")])
def test_a_relay_that_stays_away_is_asked_a_few_times_a_second_and_no_more(net: FakeNet, pair: tuple[str, str]) -> None:
    """While the call goes on over the other."""
    id = call(net, pair)
    used = path(net, "drawn").rpartition(" ")[2]
    net.kill(used)
    host = net.hosts[used].addresses[4]
    talk(net, id, pair, 10, first=150)
    asked = 0

    def count(source: Address, destination: Address) -> bool:
        nonlocal asked
        asked += destination[0] == host
        return False

    net.cut = count
    talk(net, id, pair, 15, first=650)
    assert 0 < asked <= 3 * 15 * 2


class Between:
    """What goes from one router to another is noted, and lost."""

    def __init__(self, net: FakeNet, one: str, other: str) -> None:
        self.net, self.hosts = net, {one, other}
        self.sent: list[float] = []
        net.lose = self

    def __call__(self, source: Address, destination: Address) -> bool:
        lost = {source[0], destination[0]} == self.hosts
        if lost and source[0] == min(self.hosts):
            self.sent.append(self.net.now)
        return lost


@pytest.mark.parametrize("pair", [("cone", "flat")])
@pytest.mark.parametrize(("seconds", "back"), [(15, 2.5), (40, 5), (300, 9)])
def test_a_path_that_was_gone_is_found_again_within_a_tenth_of_the_time(
    net: FakeNet, pair: tuple[str, str], seconds: float, back: float
) -> None:
    call(net, pair)
    gone = Between(net, "203.0.113.32", "203.0.113.33")
    net.run(seconds)
    assert path(net, "cone").startswith("relayed")
    asked = [at for at in gone.sent if at > net.now - 100]
    assert seconds < 300 or len(asked) <= 100 / REVIVE_MOST + 1, "it costs little meanwhile"
    net.lose = None
    assert net.run(back, until=lambda: all(path(net, name) == "punched/udp" for name in pair))


@pytest.mark.parametrize("pair", [("cone", "flat")])
def test_a_path_that_is_gone_is_asked_as_often_as_an_impatient_router_wants(
    net: FakeNet, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(net.hosts["cone"].machine.calls[call(net, pair)].media, "keepalive", lambda: 3.0)
    gone = Between(net, "203.0.113.32", "203.0.113.33")
    net.run(150)
    late = [at for at in gone.sent if at > net.now - 60]
    assert max(later - earlier for earlier, later in itertools.pairwise(late)) < 3.1


@pytest.mark.parametrize("pair", [("cone", "flat")])
@pytest.mark.parametrize(("relays", "back"), [(1, 1.0), (2, 2.5)])
def test_a_path_that_was_gone_for_minutes_is_found_soon_when_the_one_in_use_dies(
    net: FakeNet, pair: tuple[str, str], relays: int, back: float
) -> None:
    """Neither end has talked, so that no silence tells it; of two relays, the other looks alive at first."""
    if relays == 1:
        net.kill("relay-2")
        net.run(7)
    place(net, *pair)
    net.run(2)
    assert path(net, "cone") == PAIRS[pair]
    gone = Between(net, "203.0.113.32", "203.0.113.33")
    net.run(200)
    before, used = len(gone.sent), path(net, "cone")
    assert used.startswith("relayed")
    assert net.run(REVIVE_MOST + 1, until=lambda: len(gone.sent) > before)
    net.cut = about("203.0.113.21", "203.0.113.22")
    assert net.run(DEAD_AFTER + 1, until=lambda: path(net, "cone") != used)
    left = net.now
    net.run(REVIVE + 0.3)
    assert gone.sent[-1] > left, "it is asked at the pace of one that has just died"
    net.lose = None
    assert net.run(back, until=lambda: all(path(net, name) == "punched/udp" for name in pair))


@pytest.mark.parametrize("pair", [("drawn", "drawn-too")])
def test_udp_that_works_again_is_returned_to(net: FakeNet, pair: tuple[str, str]) -> None:
    id = call(net, pair)
    net.hosts["drawn"].routers[4].udp = False
    talk(net, id, pair, 8, first=150)
    assert path(net, "drawn").startswith("relayed/mixed")
    net.hosts["drawn"].routers[4].udp = True
    talk(net, id, pair, 8, first=550)
    for name in pair:
        assert path(net, name).startswith("relayed/udp")
