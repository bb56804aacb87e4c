"""What a peer may say to make a client write to others, or to tire it out; the call itself is with a known name."""

from collections import Counter

import pytest

from lab.overlay.actions import Close, Connect, LinkInfo, SendTo
from lab.overlay.call import Call
from lab.overlay.call_events import Ended, Moved
from lab.overlay.checklist import MOST_MET
from lab.overlay.client import Client
from lab.overlay.courtesy import CHECKS, GUESSES, SUSPECT
from lab.overlay.guessing import Guessing
from lab.overlay.identity import seal_seen
from lab.overlay.introduction import Introduction
from lab.overlay.limits import Rate
from lab.overlay.paths import nobodys
from lab.overlay.prospects import Part
from lab.overlay.remote import MOST_CANDIDATES
from lab.overlay.supernode import Supernode
from lab.overlay.tcp_checks import MOST_ACCEPTED
from lab.wire.addresses import Address
from lab.wire.framing import frame
from lab.wire.messages import Candidate, Carry, Envelope, Network
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow


HANDFUL = 24
HARD = "address-and-port-dependent"
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
    "::127.0.0.1",
    "64:ff9b::127.0.0.1",
    "fec0::1",
    "4000::1",
    "2001:db8::1%1",
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


@pytest.mark.parametrize("host", NOBODY)
def test_an_address_that_is_nobodys_is_known_by_its_looks(host: str) -> None:
    assert nobodys(host)


@pytest.mark.parametrize("host", ["203.0.113.99", "192.168.32.1", "100.64.0.1", "2001:db8:0:1::99", "fd00::1"])
def test_an_address_that_may_be_somebodys_is_not_refused(host: str) -> None:
    assert not nobodys(host)


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


@pytest.fixture
def wilful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers say that they draw ports, that they guess, and nothing of where they stand; they want ports guessed."""
    monkeypatch.setattr(Introduction, "_found", lambda self, now: Network(True, HARD, HARD, "random"))
    monkeypatch.setattr(Guessing, "word", lambda self, now: setattr(self, "word_until", now + 100))


@pytest.mark.usefixtures("wilful")
@pytest.mark.parametrize("part", [Part.TRY, Part.OPEN])
def test_a_peer_that_says_that_it_guesses_has_no_port_of_a_third_party_guessed(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch, part: Part
) -> None:
    """It names nothing else: all the world sees it under the victim's address, as far as it says."""
    monkeypatch.setattr("lab.overlay.guessing.part", lambda *about: part)
    told = (Candidate("server-reflexive", "udp", (VICTIM, 5000)),)
    monkeypatch.setattr(Introduction, "candidates", lambda self: told)
    net.run(1)
    counted = sent_by(net, "bob")
    talk(net, 30, "carol")
    guessing = machine(net, "bob").calls["c1.x"].checklist.guessing
    assert guessing.part is part and guessing.times, "it has guessed as it was asked to"
    at_victim = sum(count for (host, _), count in counted.items() if host == VICTIM)
    assert 0 < at_victim <= 2 * HANDFUL, at_victim


@pytest.mark.usefixtures("wilful")
def test_a_supernode_that_lies_as_well_has_no_more_sent_than_a_victim_bears(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It vouches for the victim, call after call."""
    monkeypatch.setattr("lab.overlay.guessing.part", lambda *about: Part.TRY)
    monkeypatch.setattr(Introduction, "candidates", lambda self: (Candidate("host", "udp", (VICTIM, 5000)),))
    vouched = Call.vouched
    monkeypatch.setattr(Call, "vouched", lambda self, hosts, now: vouched(self, (*hosts, VICTIM), now))
    machine(net, "bob").courtesy.guesses.rate = Rate(GUESSES.a_second, 400)
    net.run(1)
    counted, began = sent_by(net, "bob"), net.now
    for number in range(2):
        net.hosts["carol"].machine.dial(f"c{number}.x", "bob", net.now)
        net.settle(net.hosts["carol"])
        net.run(0.5)
        machine(net, "bob").answer(f"c{number}.x", net.now)
        net.settle(net.hosts["bob"])
        net.run(5)
    at_victim = sum(count for (host, _), count in counted.items() if host == VICTIM)
    assert 400 <= at_victim < 400 + (net.now - began) * GUESSES.a_second + 2 * CHECKS


def test_hosts_that_the_peers_supernode_sees_it_under_are_known_and_no_others(net: FakeNet) -> None:
    talk(net, 3)
    manners = machine(net, "bob").calls["c1.x"].checklist.manners
    assert manners.vouched == {"203.0.113.33"}
    assert not manners.knows(VICTIM)


def test_no_client_vouches_for_itself(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {name: machine(net, name).sealing.public for name in ("bob", "frank")}

    def carry(self: Client, envelope: Envelope, relays: bool = False) -> Carry:
        return Carry(envelope, relays, seen=seal_seen(envelope, (VICTIM,), keys[envelope.recipient]))

    monkeypatch.setattr(Client, "_carry", carry)
    talk(net, 3)
    for name, host in (("bob", "203.0.113.33"), ("frank", "203.0.113.32")):
        assert machine(net, name).calls["c1.x"].checklist.manners.vouched == {host}


def test_a_check_whose_source_may_be_forged_makes_no_host_the_peers(net: FakeNet) -> None:
    id = talk(net, 3)
    bob = machine(net, "bob")
    call = bob.calls[id]
    assert call.checklist.key is not None and call.checklist.manners.heard == {"203.0.113.33"}
    bob.datagram(call.media.socket, check(id, call.checklist.key), (VICTIM, 5000), net.now)
    net.settle(net.hosts["bob"])
    assert call.checklist.manners.heard == {"203.0.113.33"}


def test_a_receipt_vouches_for_the_host_that_it_was_given_to(net: FakeNet) -> None:
    """Which may be another than the one that TCP comes from: another family's, or of a router with several."""
    hub = net.hosts[machine(net, "bob").hub.hub or ""].machine
    assert isinstance(hub, Supernode)
    receipt = hub.receipts.give("198.51.100.77")
    frank = machine(net, "frank")
    assert frank.spare is not None
    server = (machine(net, "frank").hub.route.address[0], 3478)
    for host, shown in (("198.51.100.77", receipt), (VICTIM, receipt)):
        net.hosts["frank"].machine.spare.receipts = {server: (host, shown)}
        net.hosts["frank"].machine.spare.questions.clear()
        frank_hub = net.hosts[frank.hub.hub].machine
        frank_hub.receipts = hub.receipts
        id = f"{host}.x"
        frank.dial(id, "bob", net.now)
        net.settle(net.hosts["frank"])
        net.run(0.5)
        assert machine(net, "bob").calls[id].checklist.manners.knows("198.51.100.77") is (host != VICTIM)
        assert not machine(net, "bob").calls[id].checklist.manners.knows(VICTIM)
        frank.hang_up(id, net.now)
        net.settle(net.hosts["frank"])
        net.run(1)


@pytest.mark.parametrize("kind", ["host", "server-reflexive", "port-mapped"])
def test_fifty_ports_of_a_third_party_get_as_many_checks_as_a_few(
    net: FakeNet, lies: list[Candidate], kind: str
) -> None:
    lies += [Candidate(kind, "udp", (VICTIM, 1024 + number)) for number in range(40)]
    counted = sent_by(net, "bob")
    talk(net, 30)
    assert 0 < sum(count for (host, _), count in counted.items() if host == VICTIM) <= HANDFUL
    assert str(net.told("bob", Moved)[-1][1].path) == "punched/udp"


def test_a_third_party_gets_a_bounded_number_of_syns(net: FakeNet, lies: list[Candidate]) -> None:
    lies += [Candidate("host", "tcp", (VICTIM, 1024 + number)) for number in range(20)]
    lies += [Candidate("server-reflexive", "tcp", (VICTIM, 2024 + n), "simultaneous-open") for n in range(20)]
    wanted = []
    original = net._do
    net._do = lambda host, action: (wanted.append(action), original(host, action))  # type: ignore[method-assign]
    net.lose = lambda source, destination: {source[0], destination[0]} == {"203.0.113.32", "203.0.113.33"}
    id = talk(net, 2)
    bob = machine(net, "bob").calls[id].checklist
    for _ in range(20):
        bob.tcp.try_again(net.now)
        net.settle(net.hosts["bob"])
        net.run(5)
    syns = [action for action in wanted if isinstance(action, Connect) and action.address[0] == VICTIM]
    assert 0 < len(syns) <= HANDFUL


def test_calls_one_after_the_other_do_not_add_up_at_a_third_party(net: FakeNet, lies: list[Candidate]) -> None:
    lies += [Candidate("host", "udp", (VICTIM, 1024 + number)) for number in range(40)]
    counted, began = sent_by(net, "bob"), net.now
    machine(net, "bob").courtesy.checks.rate = Rate(SUSPECT.a_second, 60)
    for number in range(4):
        net.hosts["frank"].machine.dial(f"c{number}.x", "bob", net.now)
        net.settle(net.hosts["frank"])
        net.run(8)
        net.hosts["frank"].machine.hang_up(f"c{number}.x", net.now)
        net.settle(net.hosts["frank"])
        net.run(1)
    at_victim = sum(count for (host, _), count in counted.items() if host == VICTIM)
    assert 60 <= at_victim <= 60 + SUSPECT.a_second * (net.now - began)


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


def test_ten_thousand_addresses_that_a_check_is_shown_from_are_as_good_as_fifty(net: FakeNet) -> None:
    """Whoever has one, as a relay has, can send it again, and write any address on it."""
    id = talk(net, 3)
    bob = machine(net, "bob")
    call = bob.calls[id]
    checklist, counted = call.checklist, sent_by(net, "bob")
    using = checklist.selected
    assert checklist.key is not None and using is not None
    genuine = check(id, checklist.key)
    for number in range(10_000):
        bob.datagram(call.media.socket, genuine, (VICTIM, 1024 + number), net.now)
        if number % 100 == 0:
            net.settle(net.hosts["bob"])
    net.settle(net.hosts["bob"])
    assert len(checklist.paths) <= MOST_MET + MOST_CANDIDATES + 4
    net.run(10)
    assert sum(count for (host, _), count in counted.items() if host == VICTIM) <= 10_000 + HANDFUL
    assert checklist.selected is using
    fresh = ("203.0.113.33", 6000)
    bob.datagram(call.media.socket, genuine, fresh, net.now)
    assert fresh in {path.remote for path in checklist.paths.values()}, "the last one is looked at all the same"


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


def connects(net: FakeNet, name: str, first: bytes) -> int:
    """Somebody connects to a port of a client's, and this is the first frame; the number of the connection."""
    host = net.hosts[name]
    link = host.machine.accepted("media", LinkInfo(("198.51.100.18", 443), (VICTIM, 5000)), net.now)
    host.machine.link_data(link, frame(first, 2), net.now)
    net.settle(host)
    return link


def closed(net: FakeNet, name: str) -> set[int]:
    """The connections that a client closes, from now on."""
    found: set[int] = set()
    do = net._do

    def noted(host: object, action: object) -> None:
        if host is net.hosts[name] and isinstance(action, Close):
            found.add(action.link)
        do(host, action)  # type: ignore[arg-type]

    net._do = noted  # type: ignore[method-assign, assignment]
    return found


def test_a_connection_that_shows_a_wrong_key_or_a_call_that_is_over_is_closed_at_once(net: FakeNet) -> None:
    id = talk(net, 3, "alice")
    alice, gone = machine(net, "alice"), closed(net, "alice")
    key, known = alice.calls[id].checklist.key, len(alice.calls[id].checklist.paths)
    assert key is not None
    assert connects(net, "alice", check(id, bytes(20))) in gone
    assert connects(net, "alice", check("c9.x", key)) in gone
    assert len(alice.calls[id].checklist.paths) == known and id in alice.calls
    alice.hang_up(id, net.now)
    net.settle(net.hosts["alice"])
    net.run(3)
    assert connects(net, "alice", check(id, key)) in gone
    assert not alice.strangers.waiting


def test_a_check_that_is_shown_on_a_thousand_connections_keeps_few_of_them_open(net: FakeNet) -> None:
    id = talk(net, 3, "alice")
    checklist, gone = machine(net, "alice").calls[id].checklist, closed(net, "alice")
    using = checklist.selected
    assert checklist.key is not None and using is not None
    links = {connects(net, "alice", check(id, checklist.key)) for _ in range(1000)}
    assert len(links - gone) == MOST_ACCEPTED
    assert sum(path.key[0] == "tcp" for path in checklist.paths.values()) <= MOST_ACCEPTED + 4
    net.run(2)
    assert checklist.selected is using and not net.told("alice", Ended)


def test_candidates_of_one_that_moves_again_and_again_are_looked_at_each_time(net: FakeNet) -> None:
    id = talk(net, 1)
    checklist = machine(net, "bob").calls[id].checklist
    for move in range(7):
        net.run(10)
        told = [Candidate("host", "udp", (f"198.51.100.{100 + move}", 5000 + number)) for number in range(8)]
        checklist.add_remote(told, net.now)
        net.settle(net.hosts["bob"])
        assert set(told) <= set(checklist.remote) and len(checklist.remote) <= MOST_CANDIDATES
        assert {one.address for one in told} <= {path.remote for path in checklist.paths.values()}
    assert len(checklist.paths) <= MOST_CANDIDATES + 4
    assert checklist.selected is not None and checklist.selected.remote[0] == "203.0.113.33"


def test_who_floods_with_new_candidates_has_one_in_five_seconds_checked(net: FakeNet) -> None:
    id = talk(net, 1)
    checklist, counted, began = machine(net, "bob").calls[id].checklist, sent_by(net, "bob"), net.now
    for number in range(400):
        checklist.add_remote([Candidate("host", "udp", (f"198.51.{number // 200}.{number % 200}", 53))], net.now)
        net.settle(net.hosts["bob"])
        net.run(0.1)
    strangers = {host for host, _ in counted if host.startswith("198.51.")}
    assert 0 < len(strangers) <= MOST_CANDIDATES + (net.now - began) / 5
