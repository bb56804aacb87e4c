"""What one stranger, one user and a crowd may ask of a supernode, and that nobody else notices who asks too much."""

import itertools
from collections import Counter
from dataclasses import replace

import pytest

from lab.errors import ConfigError
from lab.overlay import directory
from lab.overlay.actions import Close, LinkInfo, Rejected, Write
from lab.overlay.call_events import Ended
from lab.overlay.doorkeeper import (
    ADDRESS_FRAMES,
    ADDRESS_LOOKUPS,
    FRAMES,
    GREETING_LIMIT,
    INVITATIONS,
    KNOCKS,
    LOCATIONS,
    LOOKUPS,
    MESH_FRAMES,
    MESH_LOOKUPS,
    MESH_WORDS,
    RENEWALS,
    SIGN_INS,
    STRANGERS,
    STRANGERS_EACH,
    Doorkeeper,
)
from lab.overlay.gate import MOST_LINKS
from lab.overlay.limits import MOST_KEYS, Limiter, Rate
from lab.overlay.member import SignedOut
from lab.overlay.refusals import MOST_REASONS, TOLD, Refusals, TooMuch
from lab.overlay.seat import Left, Unreachable
from lab.overlay.supernode import Supernode
from lab.overlay.wallclock import SetClock
from lab.wire.framing import frame
from lab.wire.messages import (
    Carry,
    Credential,
    Demoted,
    Dial,
    Envelope,
    Hello,
    Invite,
    Located,
    Location,
    Message,
    Moved,
    Near,
    Ping,
    Present,
    RelayEntry,
    Relays,
    Renewed,
    Room,
    Supernodes,
    Trickle,
    Undeliverable,
    decode_hub,
    encode,
)
from tests.unit.overlay.fakenet import WALL, FakeNet, Router
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


def test_strangers_are_limited_by_address_and_in_all_and_who_has_few_stays() -> None:
    door = Doorkeeper()
    few = door.greets(-1, "198.19.0.1", 0.0)
    gone = [door.greets(number, f"198.18.0.{number % 20}", 0.0) for number in range(STRANGERS + 5)]
    assert few is None and sum(each is not None for each in gone) == 6
    assert {each.reason for each in gone if each} == {"too many links that have not signed in"}
    assert -1 in door.strangers and len(door.strangers) == STRANGERS


def test_a_client_that_signs_in_does_not_count_as_one_that_knocks() -> None:
    door = Doorkeeper()
    for number in range(10 * int(KNOCKS.at_once)):
        assert door.knocks(STRANGER, 0.0) is None, "a carrier's address, after an outage"
        assert door.greets(number, STRANGER, 0.0) is None
        assert door.known(number, "client", f"client-{number}", STRANGER, 0.0) is None
    assert [door.knocks(STRANGER, 0.0) for _ in range(int(KNOCKS.at_once) + 1)][-1] == "too many links in a short time"
    assert door.knocks("198.51.100.67", 0.0) is None


def test_nobody_signs_in_again_and_again() -> None:
    door = Doorkeeper()
    said = [door.known(0, "client", "bob", STRANGER, 0.0) for _ in range(int(SIGN_INS.at_once) + 1)]
    assert said[-1] == "too many sign-ins in a short time; wait a little" and not any(said[:-1])
    assert door.known(0, "client", "alice", STRANGER, 0.0) is None
    assert door.known(0, "client", "bob", STRANGER, 60.0) is None


def test_reasons_that_strangers_can_word_fill_no_memory_and_hide_no_other() -> None:
    refusals = Refusals()
    for number in range(10 * MOST_REASONS):
        refusals.count(STRANGER, f"said {number}", 0.0, worded=True)
    refusals.count(STRANGER, "did not sign in", 0.0)
    assert len(refusals.counted) <= MOST_REASONS + 2
    assert refusals.counted.total() == 10 * MOST_REASONS + 1
    assert refusals.counted["did not sign in"] == 1


def test_who_is_turned_away_under_many_addresses_fills_no_log() -> None:
    refusals = Refusals()
    told = [refusals.count(f"198.18.{number >> 8}.{number & 255}", "silent", 0.0) for number in range(10_000)]
    assert sum(told) == TOLD.at_once and refusals.counted["silent"] == 10_000


def addresses(kind: str) -> list[str]:
    """Ten thousand source addresses: of one host, of many, of one IPv6 subscriber."""
    return {
        "one address": [STRANGER] * 10_000,
        "many addresses": [f"198.18.{number >> 8}.{number & 255}" for number in range(10_000)],
        "one IPv6 subscriber": [f"2001:db8:66::{number:x}" for number in range(10_000)],
    }[kind]


@pytest.mark.parametrize("kind", ["one address", "many addresses", "one IPv6 subscriber"])
def test_ten_thousand_connections_that_say_nothing_keep_nobody_out(net: FakeNet, kind: str) -> None:
    supernode = net.hosts["supernode-1"].machine
    for port, host in enumerate(addresses(kind)):
        supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), (host, 1024 + port)), net.now)
    most = STRANGERS if kind == "many addresses" else STRANGERS_EACH
    closed = [action for action in supernode.actions.take() if isinstance(action, Close)]
    assert len(closed) == 10_000 - most
    assert sum(not session.role for session in supernode.sessions.values()) == most
    counted = supernode.actions.refusals.counted
    assert counted.total() == 10_000 - most, counted
    if kind != "many addresses":
        knocks = int(KNOCKS.at_once)
        assert counted["too many links in a short time"] == 10_000 - knocks
        assert counted["too many links that have not signed in of one address"] == knocks - STRANGERS_EACH
    assert len(net.told("supernode-1", Rejected)) <= TOLD.at_once
    net.client("late", "198.51.100.77")
    assert net.run(3, until=lambda: net.hosts["late"].machine.hub.hub is not None)
    net.run(GREETING_LIMIT + 1)
    assert all(session.role for session in supernode.sessions.values())
    assert counted["did not sign in"] >= most - 1, "one may have made room for the honest one"
    link = supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), (addresses(kind)[0], 9)), net.now)
    assert link in supernode.sessions
    place(net, "late", "bob")


def test_more_people_of_one_address_than_may_be_strangers_at_once_come_in_and_no_other_address_notices() -> None:
    net = FakeNet()
    net.built_in = 1
    net.authority()
    hub = net.supernode(1).machine
    net.run(1)
    crowd = [f"neighbour-{number}" for number in range(2 * STRANGERS_EACH)]
    for number, name in enumerate(crowd):
        net.client(name, f"192.168.{number}.10", Router("203.0.113.90"))
    net.client("elsewhere", "192.168.250.10", Router("203.0.113.91"))
    assert net.run(2, until=lambda: net.hosts["elsewhere"].machine.hub.hub is not None), "it is not held up"
    counted = hub.actions.refusals.counted
    assert counted["too many links that have not signed in of one address"] >= STRANGERS_EACH
    assert net.run(20, until=lambda: all(net.hosts[name].machine.hub.hub for name in crowd))
    assert net.run(GREETING_LIMIT + 1, until=lambda: not hub.door.strangers.count("203.0.113.90"))
    assert set(counted) <= {
        "too many links that have not signed in of one address",
        "too many links in a short time",
    }
    assert not net.told("elsewhere", SignedOut)


def test_a_link_that_says_a_byte_now_and_then_has_no_longer_to_sign_in(net: FakeNet) -> None:
    supernode = net.hosts["supernode-1"].machine
    began = net.now
    link = supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), (STRANGER, 9)), began)
    net.settle(net.hosts["supernode-1"])
    for byte in frame(encode(Ping()), 4)[:9]:
        supernode.link_data(link, bytes([byte]), net.now)
        net.run(0.4)
    assert net.run(GREETING_LIMIT, until=lambda: link not in supernode.sessions)
    assert net.now == pytest.approx(began + GREETING_LIMIT)
    assert supernode.actions.refusals.counted["did not sign in"] == 1
    place(net, "alice", "frank")


def test_a_client_that_never_ends_a_message_is_silent(net: FakeNet) -> None:
    supernode, link = seat_of(net, "bob")
    net.hosts["bob"].alive = False
    supernode.link_data(link, (1000).to_bytes(4, "big"), net.now)
    for _ in range(7):
        net.run(1.0)
        if link in supernode.sessions:
            supernode.link_data(link, b"x", net.now)
    assert link not in supernode.sessions
    place(net, "alice", "frank")


def test_a_relay_that_signs_in_again_and_again_has_few_links(net: FakeNet) -> None:
    supernode = net.hosts["supernode-1"].machine
    relay = net.hosts["relay-1"].machine
    identity, greeting = relay.membership.identity, relay.hubs.built_in[0].greeting
    for port in range(10):
        link = supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), (STRANGER, 1024 + port)), net.now)
        signature = identity.sign("lab hello", supernode.sessions[link].nonce, supernode.membership.identity.public)
        hello = Hello("relay", identity.credential, signature, greeting.udp_port, greeting.tcp_ports)
        supernode.link_data(link, frame(encode(hello), 4), net.now)
    alike = [each for each, seat in supernode.sessions.items() if seat.name == "relay-1"]
    assert len(alike) == MOST_LINKS and alike[-1] == link
    assert supernode.actions.refusals.counted["relay relay-1 has signed in again"] == 11 - MOST_LINKS
    assert "relay-1" in supernode.roster.here


def seat_of(net: FakeNet, name: str) -> tuple[Supernode, int]:
    """Where a client sits, and its link there."""
    supernode: Supernode = net.hosts[str(net.hosts[name].machine.hub.hub)].machine
    (link,) = [link for link, session in supernode.sessions.items() if session.name == name]
    return supernode, link


def asks(net: FakeNet, name: str, times: int, body: bytes, recipient: str, relays: bool = False) -> list[Undeliverable]:
    """So many envelopes of a client at once; what it is told of those that are refused."""
    supernode, link = seat_of(net, name)
    supernode.actions.take()
    for number in range(times):
        to = recipient.format(number)
        envelope = Envelope(name, to, f"c{number}.x", body, bytes(64))
        supernode.link_data(link, frame(encode(Carry(envelope, relays)), 4), net.now)
    assert link in supernode.sessions
    said = [action.data for action in supernode.actions.take() if isinstance(action, Write) and action.link == link]
    words = [decode_hub(word[4:]) for word in said]
    return [word for word in words if isinstance(word, Undeliverable)]


def invite() -> bytes:
    """The body of one that rings."""
    return encode(Invite(0, WALL, Credential("bob", bytes(32), WALL, bytes(64)), bytes(32)))


def test_a_client_that_says_too_much_is_cut_off_and_others_are_not(net: FakeNet) -> None:
    supernode, link = seat_of(net, "bob")
    for _ in range(int(FRAMES.at_once) + 1):
        supernode.link_data(link, frame(encode(Ping()), 4), net.now)
    assert link not in supernode.sessions
    assert supernode.actions.refusals.counted["too many messages in a short time"] == 1
    place(net, "alice", "frank")


@pytest.mark.parametrize("relays", [False, True])
def test_invitations_are_counted_whether_or_not_relays_are_asked_for(net: FakeNet, relays: bool) -> None:
    supernode, _ = seat_of(net, "bob")
    body = b"an invite" if relays else invite()
    told = asks(net, "bob", int(INVITATIONS.at_once) + 5, body, "alice", relays)
    assert [word.reason for word in told] == ["too many invitations in a short time; wait a little"] * 5
    assert supernode.actions.refusals.counted["too many invitations in a short time"] == 5
    place(net, "alice", "frank")


def test_what_two_clients_say_in_a_call_is_no_invitation(net: FakeNet) -> None:
    assert asks(net, "bob", 3 * int(INVITATIONS.at_once), encode(Trickle(1, ())), "alice") == []


def test_names_that_others_are_asked_for_are_limited_by_user(net: FakeNet) -> None:
    supernode, _ = seat_of(net, "bob")
    told = asks(net, "bob", int(LOOKUPS.at_once) + 5, b"a word", "nobody-{}")
    assert [word.reason for word in told[:5]] == ["too many lookups in a short time; wait a little"] * 5
    assert supernode.actions.refusals.counted["too many lookups in a short time"] == 5
    place(net, "alice", "frank")
    net.run(2.5)
    assert len(asks(net, "bob", 1, b"a word", "nobody-{}")) == 0, "that is asked for again after a while"


def test_no_number_of_users_of_one_address_asks_for_all(net: FakeNet) -> None:
    door, now = Doorkeeper(), 0.0
    found = [door.lookup(f"client-{number % 100}", STRANGER, now) for number in range(int(ADDRESS_LOOKUPS.at_once) + 1)]
    assert found[-1] == "too many lookups of one address in a short time" and not any(found[:-1])
    assert door.lookup("bob", "198.51.100.67", now) is None
    begun = [door.invitation(f"client-{number % 100}", STRANGER, now) for number in range(401)]
    assert begun[-1] == "too many invitations of one address in a short time" and not any(begun[:-1])
    assert door.invitation("bob", "198.51.100.67", now) is None


def test_of_an_address_that_says_too_much_those_are_cut_off_that_say_much() -> None:
    door = Doorkeeper()
    loud = [door.frame("client", f"loud-{number % 30}", STRANGER, 0.0) for number in range(int(ADDRESS_FRAMES.at_once))]
    assert not any(loud), "each has said less than it may"
    assert door.frame("client", "loud-1", STRANGER, 0.0) == "too many messages of one address in a short time"
    assert door.frame("client", "quiet", STRANGER, 0.0) is None, "its neighbour goes on"
    assert door.frame("client", "loud-1", "198.51.100.67", 0.0) is None


def test_a_supernode_that_has_too_many_sought_is_told_so_and_what_is_here_is_brought(net: FakeNet) -> None:
    supernode, _ = seat_of(net, "bob")
    (peer,) = supernode.peers.values()
    said: list[Message] = []
    peer.send = said.append
    for number in range(int(MESH_LOOKUPS.at_once) + 3):
        envelope = Envelope("mallory", f"nobody-{number}", "c1.x", b"a word", bytes(64))
        supernode.peer_says(peer, Carry(envelope), net.now)
    reason = f"{peer.name} brings too many messages for clients that are not here"
    assert [word.reason for word in said if isinstance(word, Undeliverable) and "brings" in word.reason] == [reason] * 3
    assert supernode.actions.refusals.counted[reason] == 3
    supernode.actions.take()
    supernode.peer_says(peer, Carry(Envelope("mallory", "bob", "c1.x", b"a word", bytes(64))), net.now)
    assert any(isinstance(action, Write) for action in supernode.actions.take())


def test_what_a_supernode_tells_of_too_many_clients_is_left_out_and_its_link_is_kept(
    net: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    supernode, _ = seat_of(net, "bob")
    (peer,) = supernode.peers.values()
    looked_at = Counter[str]()
    monkeypatch.setattr(directory, "check_location", lambda where, *about: looked_at.update([where.credential.name]))
    number, now = itertools.count(), net.now

    def some(count: int) -> Located:
        people = (Credential(f"c{next(number)}", bytes(32), 2_000_000_000.0, bytes(64)) for _ in range(count))
        return Located(tuple(Location(one, peer.name, 1.0, bytes(32), bytes(64)) for one in people))

    for _ in range(int(LOCATIONS.at_once) // 50):
        supernode.peer_says(peer, some(50), now)
    assert looked_at.total() == LOCATIONS.at_once
    for word in (some(50), Moved(some(1).locations[0])):
        supernode.peer_says(peer, word, now)
    assert looked_at.total() == LOCATIONS.at_once
    assert supernode.actions.refusals.counted[f"{peer.name} tells of too many clients"] == 2
    supernode.peer_says(peer, some(50), now + 0.11)
    assert looked_at.total() == LOCATIONS.at_once + 50
    assert peer.name in supernode.peers


def test_a_supernode_that_says_too_much_is_cut_off(net: FakeNet) -> None:
    supernode, _ = seat_of(net, "bob")
    (peer,) = supernode.peers.values()
    for _ in range(int(MESH_FRAMES.at_once)):
        supernode.mesh.says(peer, Present(), net.now)
    with pytest.raises(TooMuch, match="too many messages in a short time"):
        supernode.mesh.says(peer, Present(), net.now)


FLOODS: tuple[Message, ...] = (
    Demoted("supernode", "a lie"),
    Room(0, 10**9),
    Supernodes((("198.51.100.66",), ("198.51.100.67",))),
    Relays((RelayEntry("relay-9", ("198.51.100.66",), 9, (9,)),)),
    Near((("relay-1", 0),)),
    Dial("supernode", "mallory", bytes(32), ("198.51.100.66",)),
)


@pytest.mark.parametrize("dials", ["supernode-1", "supernode-2"], ids=["on a link of its own", "on the other's link"])
@pytest.mark.parametrize("word", FLOODS, ids=lambda word: type(word).__name__)
def test_a_supernode_that_floods_with_a_word_is_cut_off_and_nobody_else_notices(
    net: FakeNet, dials: str, word: Message
) -> None:
    (victim,) = {"supernode-1", "supernode-2"} - {dials}  # the first of both has dialled
    id = place(net, "alice", "frank")
    flooder, host = net.hosts[dials].machine, net.hosts[victim]
    homes = {name: net.hosts[name].machine.hub.hub for name in ("alice", "bob", "frank")}
    before = {name: len(net.told(name, SignedOut)) for name in homes}
    for _ in range(int(MESH_WORDS[type(word)].at_once) + 50):
        if victim in flooder.peers:
            flooder.peers[victim].send(word)
    net.settle(net.hosts[dials])
    net.run(0.2)
    reason = f"too many {type(word).__name__} messages in a short time"
    assert host.machine.actions.refusals.counted[reason] == 1
    assert dials in {event.name for _, event in net.told(victim, Left)}
    assert "supernode-2" not in {event.name for _, event in net.told(victim, Unreachable)}
    net.run(10)
    assert {name: net.hosts[name].machine.hub.hub for name in homes} == homes
    assert {name: len(net.told(name, SignedOut)) for name in homes} == before
    assert id in net.hosts["alice"].machine.calls and not net.told("frank", Ended)
    place(net, "bob", "carol", id="c2.x")


def test_a_client_that_renews_again_and_again_is_cut_off(net: FakeNet) -> None:
    supernode, link = seat_of(net, "bob")
    hub, keys = net.hosts["bob"].machine.hub, net.hosts["bob"].machine.hub.greeting.sealing
    for _ in range(int(RENEWALS.at_once) + 1):
        assert link in supernode.sessions
        at, sealing = hub._since(net.now), keys.to_sign_in(net.now)
        signed = hub.identity.locate(supernode.name, at, sealing)
        fresh = Renewed(hub.identity.credential, at, signed, sealing)
        supernode.link_data(link, frame(encode(fresh), 4), net.now)
    assert link not in supernode.sessions
    assert supernode.actions.refusals.counted["too many renewals in a short time"] == 1
    place(net, "alice", "frank")


@pytest.mark.parametrize("off", [86_400.0, -86_400.0])
def test_a_client_whose_clock_is_off_by_a_day_is_told_so_and_nobody_else_notices(off: float) -> None:
    net = FakeNet()
    net.authority()
    net.supernode(1)
    own = net.membership
    net.membership = lambda name, *more: replace(  # type: ignore[method-assign]
        own(name, *more), wall=SetClock(own(name, *more).wall.offset + (off if name == "odd" else 0.0))
    )
    net.client("odd", "198.51.100.20", Router("203.0.113.40", mapping=None))
    net.client("alice", "198.51.100.21", Router("203.0.113.41", mapping=None))
    assert net.run(10, until=lambda: net.hosts["alice"].machine.hub.hub is not None)
    net.run(5)
    assert net.hosts["odd"].machine.hub.hub is None
    turned = net.hosts["supernode-1"].machine.actions.refusals.counted
    assert sum(times for reason, times in turned.items() if f"clock is {off:+.0f} s off" in reason) > 0, turned
    with pytest.raises(ConfigError, match=r"clock is .* s off, 30 s are allowed; set it"):
        net.hosts["odd"].machine.dial("c1.x", "alice", net.now)
