"""What one stranger, one user and a crowd may ask of a supernode, and that nobody else notices who asks too much."""

from dataclasses import replace

import pytest

from lab.errors import ConfigError
from lab.overlay.actions import Close, LinkInfo
from lab.overlay.doorkeeper import FRAMES, INVITATIONS, MOST_REASONS, STRANGERS, STRANGERS_EACH, Doorkeeper
from lab.overlay.limits import MOST_KEYS, Limiter, Rate
from lab.overlay.seat import Rejected
from lab.overlay.supernode import GREETING_LIMIT
from lab.wire.framing import frame
from lab.wire.messages import Carry, Envelope, Ping, encode
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

STRANGER = "198.51.100.66"


def test_so_many_at_once_and_so_many_a_second_for_each_key_alone() -> None:
    limiter = Limiter(Rate(2, 3))
    assert [limiter.allows("a", 10.0) for _ in range(5)] == [True, True, True, False, False]
    assert limiter.allows("b", 10.0)
    assert [limiter.allows("a", 11.0) for _ in range(3)] == [True, True, False]
    assert sum(limiter.allows("a", 100.0) for _ in range(9)) == 3, "no more is saved up than may come at once"


def test_a_limiter_keeps_no_more_keys_than_fit() -> None:
    limiter = Limiter(Rate(0.001, 1))
    for number in range(2 * MOST_KEYS):
        assert limiter.allows(number, 1.0)
    assert not limiter.allows(2 * MOST_KEYS - 1, 1.0)
    assert len(limiter._buckets) == MOST_KEYS


def test_strangers_are_limited_by_address_and_in_all() -> None:
    door = Doorkeeper()
    now, admitted = 0.0, 0
    for number in range(STRANGERS):
        now += 1.0
        admitted += door.knocks(f"198.18.0.{number % 250}", now) is None
    assert admitted == STRANGERS
    assert door.knocks("198.19.0.1", now) == "too many strangers at a time"
    door.known("198.18.0.1")
    assert door.knocks("198.19.0.1", now) is None


def test_reasons_that_strangers_can_word_fill_no_memory() -> None:
    door = Doorkeeper()
    for number in range(10 * MOST_REASONS):
        door.count(STRANGER, f"said {number}", 0.0)
    assert len(door.turned) <= MOST_REASONS + 1
    assert door.turned.total() == 10 * MOST_REASONS


def test_ten_thousand_connections_that_say_nothing_keep_nobody_out(net: FakeNet) -> None:
    supernode = net.hosts["supernode-1"].machine
    for number in range(10_000):
        supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), (STRANGER, 1024 + number)), net.now)
    closed = [action for action in supernode.actions.take() if isinstance(action, Close)]
    assert len(closed) == 10_000 - STRANGERS_EACH
    assert sum(not session.role for session in supernode.sessions.values()) == STRANGERS_EACH
    assert supernode.door.turned["too many links that have not signed in"] == 10_000 - STRANGERS_EACH
    assert len(net.told("supernode-1", Rejected)) <= 1, "one line a second"
    net.client("late", "198.51.100.77")
    assert net.run(3, until=lambda: net.hosts["late"].machine.hub.hub is not None)
    net.run(GREETING_LIMIT + 1)
    assert all(session.role for session in supernode.sessions.values())
    assert (
        supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), (STRANGER, 9)), net.now)
        in supernode.sessions
    )
    place(net, "late", "bob")


@pytest.mark.parametrize("what", ["pings", "invitations"])
def test_a_client_that_asks_too_much_is_cut_off_or_told_to_wait_and_others_are_not(net: FakeNet, what: str) -> None:
    hub = net.hosts["bob"].machine.hub
    supernode = net.hosts[str(hub.hub)].machine
    (link,) = [link for link, session in supernode.sessions.items() if session.name == "bob"]
    if what == "pings":
        for _ in range(int(FRAMES.at_once) + 1):
            supernode.link_data(link, frame(encode(Ping()), 4), net.now)
        assert link not in supernode.sessions
        assert supernode.door.turned["too many messages in a short time"] == 1
    else:
        carry = Carry(Envelope("bob", "nobody", "c1.x", b"an invite", bytes(64)), relays=True)
        for _ in range(int(INVITATIONS.at_once) + 5):
            supernode.link_data(link, frame(encode(carry), 4), net.now)
        assert link in supernode.sessions
        assert supernode.door.turned["too many invitations in a short time"] == 5
    place(net, "alice", "frank")


@pytest.mark.parametrize("off", [86_400.0, -86_400.0])
def test_a_client_whose_clock_is_off_by_a_day_is_told_so_and_nobody_else_notices(off: float) -> None:
    net = FakeNet()
    net.authority()
    net.supernode(1)
    own = net.membership
    net.membership = lambda name, *more: replace(  # type: ignore[method-assign]
        own(name, *more), wall_offset=own(name, *more).wall_offset + (off if name == "odd" else 0.0)
    )
    net.client("odd", "198.51.100.20", Router("203.0.113.40", mapping=None))
    net.client("alice", "198.51.100.21", Router("203.0.113.41", mapping=None))
    assert net.run(10, until=lambda: net.hosts["alice"].machine.hub.hub is not None)
    net.run(5)
    assert net.hosts["odd"].machine.hub.hub is None
    turned = net.hosts["supernode-1"].machine.door.turned
    assert sum(times for reason, times in turned.items() if f"clock is {off:+.0f} s off" in reason) > 0, turned
    with pytest.raises(ConfigError, match=r"clock is .* s off, 30 s are allowed; set it"):
        net.hosts["odd"].machine.dial("c1.x", "alice", net.now)
