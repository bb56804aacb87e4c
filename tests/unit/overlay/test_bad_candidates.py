"""What a peer may say to make a client write to others, or to tire it out; the call itself is with a known name."""

from collections import Counter

import pytest

from lab.overlay.actions import SendTo
from lab.overlay.call_events import Ended, Moved
from lab.overlay.checklist import MOST_CANDIDATES
from lab.overlay.client import Client
from lab.overlay.introduction import Introduction
from lab.wire.addresses import Address
from lab.wire.messages import Candidate
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_paths_in_memory import place

HANDFUL = 24
VICTIM = "203.0.113.99"
NOBODY = (
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "169.254.1.1",
    "::1",
    "::",
    "ff02::1",
    "fe80::1",
    "::ffff:127.0.0.1",
    "2002:7f00:1::1",
    "localhost",
)


def sent_by(net: FakeNet, name: str) -> Counter[Address]:
    """Counts the datagrams of one client from now on, by where they go to."""
    counted: Counter[Address] = Counter()
    own = {next(iter(net.hosts[name].addresses.values())), *(r.outer for r in net.hosts[name].routers.values())}

    def count(source: Address, destination: Address) -> bool:
        if source[0] in own:
            counted[destination] += 1
        return False

    net.lose = count
    return counted


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> list[Candidate]:
    """What bob's peer tells beside its own candidates."""
    more: list[Candidate] = []
    honest = Introduction.candidates

    def tell(self: Introduction) -> tuple[Candidate, ...]:
        credential = self.around.identity.credential
        return honest(self) + (tuple(more) if credential is not None and credential.name != "bob" else ())

    monkeypatch.setattr(Introduction, "candidates", tell)
    return more


def talk(net: FakeNet, seconds: float, peer: str = "frank") -> str:
    id = place(net, "bob", peer)
    net.run(seconds)
    return id


def test_addresses_that_are_nobodys_are_never_written_to(net: FakeNet, lies: list[Candidate]) -> None:
    lies += [Candidate("host", transport, (host, 5000)) for host in NOBODY for transport in ("udp", "tcp")]
    wanted = []
    original = net._do
    net._do = lambda host, action: (wanted.append(action), original(host, action))  # type: ignore[method-assign]
    talk(net, 8)
    asked = {action.address[0] for action in wanted if isinstance(action, SendTo)}
    connected = {action.address[0] for action in wanted if hasattr(action, "secure")}
    assert not (asked | connected) & set(NOBODY)
    assert str(net.told("bob", Moved)[-1][1].path) == "punched/udp"


@pytest.mark.parametrize("kind", ["host", "server-reflexive", "predicted"])
def test_a_third_party_gets_a_handful_of_checks_and_then_silence(
    net: FakeNet, lies: list[Candidate], kind: str
) -> None:
    lies += [Candidate(kind, "udp", (VICTIM, 53))]
    counted = sent_by(net, "bob")
    talk(net, 10)
    assert counted[VICTIM, 53] <= HANDFUL
    early = sum(counts for (host, _), counts in counted.items() if host == VICTIM)
    net.run(20)
    assert sum(counts for (host, _), counts in counted.items() if host == VICTIM) == early


def test_a_third_party_behind_a_hard_router_is_not_guessed_at(net: FakeNet, lies: list[Candidate]) -> None:
    """The peer names a victim's address and does not guess itself, as far as it says."""
    lies += [Candidate("server-reflexive", "udp", (VICTIM, 5000))]
    net.run(1)
    counted = sent_by(net, "bob")
    place(net, "bob", "carol")
    net.hosts["carol"].machine.calls["c1.x"].checklist.guessing.close()
    net.run(30)
    at_victim = Counter({address: count for address, count in counted.items() if address[0] == VICTIM})
    assert sum(at_victim.values()) <= 2 * HANDFUL, at_victim


def test_the_router_of_the_site_gets_a_handful_of_checks(net: FakeNet, lies: list[Candidate]) -> None:
    lies += [Candidate("host", "udp", ("192.168.32.1", port)) for port in (53, 80, 1900)]
    counted = sent_by(net, "bob")
    talk(net, 30)
    assert all(counted["192.168.32.1", port] <= HANDFUL for port in (53, 80, 1900))


def test_ten_thousand_candidates_are_as_good_as_fifty(net: FakeNet) -> None:
    id = talk(net, 1)
    checklist = machine(net, "bob").calls[id].checklist
    for start in range(0, 10_000, 50):
        checklist.add_remote([Candidate("host", "udp", (VICTIM, 1024 + start + n)) for n in range(50)], net.now)
    net.settle(net.hosts["bob"])
    counted = sent_by(net, "bob")
    assert len(checklist.remote) <= MOST_CANDIDATES and len(checklist.paths) <= MOST_CANDIDATES + 4
    net.run(20)
    assert sum(1 for host, _ in counted if host == VICTIM) <= MOST_CANDIDATES
    assert str(net.told("bob", Moved)[-1][1].path) == "punched/udp"
    assert not net.told("bob", Ended)


def machine(net: FakeNet, name: str) -> Client:
    found = net.hosts[name].machine
    assert isinstance(found, Client)
    return found


def check(call: str, key: bytes) -> bytes:
    return StunMessage(Method.BINDING, Kind.REQUEST, bytes(12), username=call, use_candidate=True).encode(key)


def test_a_check_with_a_wrong_key_changes_nothing_and_is_not_answered(net: FakeNet) -> None:
    id = talk(net, 8)
    bob = machine(net, "bob")
    call = bob.calls[id]
    known, counted = len(call.checklist.paths), sent_by(net, "bob")
    for source in ((VICTIM, 5000), call.checklist.selected.remote if call.checklist.selected else (VICTIM, 1)):
        selected = call.checklist.selected
        bob.datagram(call.media.socket, check(id, bytes(20)), source, net.now)
        net.settle(net.hosts["bob"])
        assert call.checklist.selected is selected
    assert len(call.checklist.paths) == known
    assert counted[VICTIM, 5000] == 0


def test_a_late_check_of_a_call_that_is_over_is_not_answered(net: FakeNet) -> None:
    id = talk(net, 1)
    bob = machine(net, "bob")
    call = bob.calls[id]
    key, socket = call.checklist.key, call.media.socket
    assert key is not None
    bob.hang_up(id, net.now)
    net.settle(net.hosts["bob"])
    net.run(3)
    counted = sent_by(net, "bob")
    bob.datagram(socket, check(id, key), (VICTIM, 5000), net.now)
    net.settle(net.hosts["bob"])
    net.run(2)
    assert counted[VICTIM, 5000] == 0
    assert not bob.calls
