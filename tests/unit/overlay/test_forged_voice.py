"""Packets that look like the peer's and are not, or no more: who can forge an address, or a relay that lies, sends any
number of them, and what was genuine when it went by."""

import itertools

import pytest

from lab.overlay.call_events import Ended, Heard, Moved, RankedDown
from lab.overlay.checks import Checks, Word
from lab.overlay.paths import Path
from lab.overlay.session import Session
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_lossy_paths import rtp
from tests.unit.overlay.test_paths_in_memory import place

FORGED = b"forged"
PAIRS = [("bob", "frank", "punched/udp"), ("carol", "dave", "relayed/mixed via relay-1")]


def forged(number: int) -> bytes:
    return rtp(number) + FORGED


def arrive(net: FakeNet, name: str, path: Path, data: bytes) -> None:
    """A datagram comes from where the path leads to: the peer, the relay, or whoever writes that address on it."""
    host = net.hosts[name]
    (call,) = host.machine.calls.values()
    host.machine.datagram(call.media.socket, data, path.remote, net.now)
    net.settle(host)


def talk(net: FakeNet, id: str, pair: tuple[str, str], first: int, seconds: float, step: int) -> None:
    """Fifty packets a second from each side; beside each of the second's, one forged comes to the first by the path
    that it uses, its numbers `step` apart."""
    (call,) = net.hosts[pair[0]].machine.calls.values()
    for number in range(first, first + round(seconds * 50)):
        for name in pair:
            net.hosts[name].machine.send(id, rtp(number))
            net.settle(net.hosts[name])
        path = call.checklist.selected
        if step and path is not None:
            arrive(net, pair[0], path, forged(number + (number - first) * (step - 1)))
        net.run(0.02)


@pytest.fixture
def net(net: FakeNet) -> FakeNet:
    net.is_voice = lambda data: not data.endswith(FORGED)
    return net


@pytest.mark.parametrize(("caller", "callee", "expected"), PAIRS)
def test_forged_voice_full_of_gaps_makes_no_path_lossy(net: FakeNet, caller: str, callee: str, expected: str) -> None:
    pair = (caller, callee)
    id = place(net, *pair)
    talk(net, id, pair, 0, 3, step=0)
    talk(net, id, pair, 150, 3, step=3)
    for name in pair:
        assert not net.told(name, RankedDown)
        assert str(net.told(name, Moved)[-1][1].path) == expected


def test_forged_voice_makes_no_path_look_alive_that_has_fallen_silent(net: FakeNet) -> None:
    pair = ("bob", "frank")
    id = place(net, *pair)
    talk(net, id, pair, 0, 3, step=0)
    outer = {next(iter(net.hosts[name].routers.values())).outer for name in pair}
    died, net.lose = net.now, lambda source, to: {source[0], to[0]} == outer
    talk(net, id, pair, 150, 2, step=1)
    for name in pair:
        assert str(net.told(name, Moved)[-1][1].path) == "relayed/udp via relay-1"
        assert not net.told(name, Ended)
        heard = [at for at, event in net.told(name, Heard) if at >= died and net.is_voice(event.data)]
        assert max(b - a for a, b in itertools.pairwise([died, *heard, net.now])) < 1.0


def test_forged_voice_is_no_answer_to_a_nomination(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    talk(net, id, ("bob", "frank"), 0, 3, step=0)
    checklist = net.hosts["bob"].machine.calls[id].checklist
    (relayed,) = (path for path in checklist.paths.values() if path.via is not None)
    relayed.nominating = True
    arrive(net, "bob", relayed, forged(1))
    assert checklist.selected is not relayed
    arrive(net, "bob", relayed, rtp(150))
    assert checklist.selected is relayed


def test_what_comes_from_where_a_silent_relay_was_does_not_show_that_udp_is_too_narrow_for_voice(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    talk(net, id, ("bob", "frank"), 0, 2, step=0)
    bob = net.hosts["bob"].machine
    (relayed,) = (path for path in bob.calls[id].checklist.paths.values() if path.via is not None)
    net.kill("relay-1")
    for number in range(60 * 20):
        arrive(net, "bob", relayed, forged(number))
        net.run(0.05)
        assert not bob.passage.throttled(net.now)


def test_a_relay_that_stands_by_and_says_that_it_has_sent_much_does_not_show_it_either(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = place(net, "bob", "frank")
    talk(net, id, ("bob", "frank"), 0, 2, step=0)
    net.run(30)  # it has carried the first words, of which it may say what it likes
    monkeypatch.setattr(Session, "counts", lambda session, index: 0xFFFF << 32 | round(50 * net.now))
    bob = net.hosts["bob"].machine
    for _ in range(60):
        net.run(1)
        assert not bob.passage.throttled(net.now)


MISSES = Word(300, True, True, None)


def checks_of(net: FakeNet, name: str) -> Checks:
    (call,) = net.hosts[name].machine.calls.values()
    return call.checklist.checks


@pytest.mark.parametrize("kept_back", [True, False])
def test_a_relay_that_shows_an_old_check_again_or_keeps_one_back_draws_no_voice_to_itself(
    net: FakeNet, kept_back: bool
) -> None:
    id = place(net, "bob", "frank")
    talk(net, id, ("bob", "frank"), 0, 2, step=0)
    (call,) = net.hosts["bob"].machine.calls.values()
    (relayed,) = (path for path in call.checklist.paths.values() if path.via is not None)
    old = checks_of(net, "frank").request(relayed, None, MISSES, net.now)
    if not kept_back:
        call.checklist.choice.heeds_from = net.now + 0.01  # and it changed nothing, for voice had just moved
        arrive(net, "bob", relayed, old)
    talk(net, id, ("bob", "frank"), 100, 4, step=0)
    arrive(net, "bob", relayed, old)
    assert not net.told("bob", RankedDown) and not call.checklist.guessing.word_until > net.now
    assert str(net.told("bob", Moved)[-1][1].path) == "punched/udp"
    arrive(net, "bob", relayed, checks_of(net, "frank").request(relayed, None, MISSES, net.now))
    talk(net, id, ("bob", "frank"), 300, 1, step=0)
    assert net.told("bob", RankedDown), "a word of now is heeded, by whichever path it comes"


def test_a_guess_says_nothing_of_what_the_peer_has_said_before(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    talk(net, id, ("bob", "frank"), 0, 2, step=0)
    (call,) = net.hosts["bob"].machine.calls.values()
    assert call.checklist.peer_finished and call.checklist.selected is not None
    arrive(net, "bob", call.checklist.selected, checks_of(net, "frank").guess(("203.0.113.32", 5000)))
    assert call.checklist.peer_finished
