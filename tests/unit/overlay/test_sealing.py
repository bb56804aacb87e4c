"""What is sealed opens for whom it is sealed, on its way and in its call; nothing else does, and nothing is raised."""

import contextlib

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.errors import ProtocolError
from lab.overlay.actions import LinkInfo
from lab.overlay.call_events import Answered, Closing, Ended, Rings
from lab.overlay.client import MOST_CALLS, Client
from lab.overlay.directory import CACHE_SECONDS
from lab.overlay.identity import CLOCK_TOLERANCE, Identity, _context, _covered, check_envelope, open_envelope, seal_seen
from lab.overlay.member import Trouble
from lab.overlay.sealing import GRACE, MOST_KEPT, STEP, SealingKeys, check_usable, fill, seal, unfill, unseal
from lab.wire.framing import frame
from lab.wire.messages import (
    Answer,
    Bye,
    Candidate,
    Carry,
    Envelope,
    Found,
    Hello,
    Invite,
    Sealed,
    Trickle,
    Withdrawn,
    decode_body,
    encode,
)
from tests.unit.overlay.fakenet import FakeNet, Host, Router
from tests.unit.overlay.test_paths_in_memory import place

PRIVATE, OTHER = X25519PrivateKey.generate(), X25519PrivateKey.generate()
PUBLIC = PRIVATE.public_key().public_bytes_raw()
LOW_ORDER = bytes(32)
ALICE = Identity("alice")
WORD = Bye(7, "hung up", 100)
untimed = settings(deadline=None)


# -- bytes -------------------------------------------------------------------------------------------------------------


@untimed
@given(st.binary(max_size=2_000), st.binary(max_size=80))
def test_what_was_sealed_opens_and_is_not_what_it_was(data: bytes, context: bytes) -> None:
    text = seal(data, PUBLIC, context)
    assert unseal(text, PRIVATE, context) == data
    assert seal(data, PUBLIC, context) != text, "each message has a key of its own"
    assert len(data) < 8 or data not in text


@untimed
@given(st.binary(max_size=600), st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 10_000))
def test_what_was_changed_or_cut_does_not_open(data: bytes, at: int, flip: int, cut: int) -> None:
    text = bytearray(seal(data, PUBLIC, b"here"))
    cut %= len(text)
    for kept in (bytes(text[:cut]), bytes(text) + b"\0"):
        with pytest.raises(ProtocolError, match="does not open"):
            unseal(kept, PRIVATE, b"here")
    text[at % len(text)] ^= flip
    if at % len(text) != 31 or flip != 128:  # X25519 ignores the highest bit of a public key; HPKE does not
        with pytest.raises(ProtocolError, match="does not open"):
            unseal(bytes(text), PRIVATE, b"here")


@untimed
@given(st.binary(max_size=600))
def test_another_key_and_another_context_do_not_open(data: bytes) -> None:
    text = seal(data, PUBLIC, b"here")
    for key, context in ((OTHER, b"here"), (PRIVATE, b"there"), (PRIVATE, b"")):
        with pytest.raises(ProtocolError, match="does not open"):
            unseal(text, key, context)


@untimed
@given(st.binary(max_size=700))
def test_any_bytes_are_refused_or_were_filled_up(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        unseal(data, PRIVATE, b"")
    with contextlib.suppress(ProtocolError):
        assert fill(unfill(data)) == data


@pytest.mark.parametrize("filled", [b"", b"\0", bytes(255), bytes(257), b"\xff" * 256, bytes(255) + b"\1", bytes(512)])
def test_what_is_not_filled_up_as_it_should_be_is_refused(filled: bytes) -> None:
    with pytest.raises(ProtocolError, match="filled up"):
        unfill(filled)


def test_how_many_candidates_there_are_does_not_show() -> None:
    few, more = (
        Trickle(2, tuple(Candidate("host", "udp", (f"192.168.32.{each}", 4000)) for each in range(count)))
        for count in (0, 2)
    )
    sizes = {len(encode(ALICE.seal("bob", "c1", word, PUBLIC))) for word in (few, more, WORD, Answer(1))}
    assert len(sizes) == 1
    assert {len(fill(bytes(count))) for count in (0, STEP - 2)} == {STEP}
    assert len(fill(bytes(STEP - 1))) == 2 * STEP


def test_a_key_of_low_order_is_refused() -> None:
    check_usable(PUBLIC)
    with pytest.raises(ProtocolError, match="not a usable X25519 key"):
        check_usable(LOW_ORDER)
    with pytest.raises(ProtocolError, match="not a usable X25519 key"):
        seal(b"word", LOW_ORDER, b"")


# -- envelopes ---------------------------------------------------------------------------------------------------------


def sealed(envelope: Envelope) -> Sealed:
    body = decode_body(envelope.body)
    assert isinstance(body, Sealed)
    return body


def test_an_envelope_opens_for_its_recipient_in_its_call() -> None:
    envelope = ALICE.seal("bob", "c1", WORD, PUBLIC)
    assert open_envelope(envelope, sealed(envelope), PRIVATE) == WORD
    with pytest.raises(ProtocolError, match="does not open"):
        open_envelope(envelope, sealed(envelope), OTHER)


@pytest.mark.parametrize("changed", [{"recipient": "carol"}, {"call": "c2"}, {"sender": "mallory"}])
def test_who_signs_anew_what_another_has_sealed_has_nothing_that_opens(changed: dict[str, str]) -> None:
    """A supernode is some user's client as well: it may have a name, a key and a credential of its own."""
    envelope = ALICE.seal("bob", "c1", WORD, PUBLIC)
    anew = msgspec.structs.replace(envelope, **changed)
    mallory = Identity(anew.sender)
    signed = mallory._signed(anew.recipient, anew.call, sealed(envelope))
    check_envelope(signed, mallory.public)
    with pytest.raises(ProtocolError, match="does not open"):
        open_envelope(signed, sealed(signed), PRIVATE)


def test_what_opens_and_is_no_word_of_a_call_is_refused() -> None:
    for body in (b"", b"\x80", encode(Withdrawn(1)), encode(Sealed(PUBLIC, b"")), encode(WORD)[:-1]):
        text = seal(body, PUBLIC, b"")
        envelope = ALICE._signed("bob", "c1", Sealed(PUBLIC, text))
        with pytest.raises(ProtocolError):
            open_envelope(envelope, sealed(envelope), PRIVATE)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_each_sign_in_has_a_key_of_its_own_and_an_attempt_that_fails_none() -> None:
    keys = SealingKeys()
    first = keys.to_sign_in(0.0)
    assert keys.to_sign_in(1.0) == first == keys.public
    keys.signed_in(1.0)
    second = keys.to_sign_in(2.0)
    assert second != first and keys.public == second
    assert keys.private(first, 2.0).public_key().public_bytes_raw() == first
    assert keys.private(second, 2.0).public_key().public_bytes_raw() == second


def test_a_replaced_key_opens_for_a_while_and_is_forgotten() -> None:
    keys = SealingKeys()
    first = keys.to_sign_in(0.0)
    keys.signed_in(0.0)
    keys.to_sign_in(50.0)
    keys.private(first, 100.0)  # it has signed in nowhere else yet
    keys.signed_in(100.0)
    keys.private(first, 100.0 + GRACE - 0.01)
    keys.poll(100.0 + GRACE)
    assert not keys._before
    for unknown in (first, PUBLIC):
        with pytest.raises(ProtocolError, match="does not have, or not any more"):
            keys.private(unknown, 100.0 + GRACE)
    assert GRACE >= CLOCK_TOLERANCE and GRACE > CACHE_SECONDS


def test_who_signs_in_all_the_time_keeps_few_keys() -> None:
    keys = SealingKeys()
    for _ in range(100):
        keys.to_sign_in(0.0)
        keys.signed_in(0.0)
    assert len(keys._before) == MOST_KEPT


# -- calls -------------------------------------------------------------------------------------------------------------


def client(net: FakeNet, name: str) -> Client:
    machine: Client = net.hosts[name].machine
    return machine


def dial(net: FakeNet, caller: str, callee: str, id: str = "c1.x") -> Host:
    host: Host = net.hosts[caller]
    host.machine.dial(id, callee, net.now)
    net.settle(host)
    return host


def troubles(net: FakeNet, name: str) -> str:
    return " ".join(event.what for _, event in net.told(name, Trouble))


def tamper(net: FakeNet, name: str, word: object) -> None:
    """What a hostile hub would hand to one of its clients."""
    host = net.hosts[name]
    host.machine.hub_message(host.machine.hub, word, net.now)
    net.settle(host)


def test_the_callee_has_where_the_caller_is_before_the_caller_has_heard_it_ring(net: FakeNet) -> None:
    """Nobody waits for a key: the caller's candidates are there no later than its first check could be."""
    dial(net, "bob", "frank")
    assert net.run(2, until=lambda: bool(net.told("frank", Rings)))
    rang = net.now
    assert net.run(2, until=lambda: bool(client(net, "frank").calls["c1.x"].checklist.remote))
    assert net.now - rang <= 4 * net.delay + 0.001, "one way from a client to its hub and back"
    assert net.run(2, until=lambda: bool(net.told("bob", Rings)))
    assert client(net, "bob").calls["c1.x"].introduction.told


def test_a_word_on_its_way_when_the_callee_signs_in_anew_still_opens(net: FakeNet) -> None:
    frank = client(net, "frank")
    before = frank.sealing.public
    dial(net, "bob", "frank")
    assert net.run(2, until=lambda: client(net, "bob").calls["c1.x"].seals_to == before)
    frank.sign_in_anew(net.now)
    net.settle(net.hosts["frank"])
    assert net.run(10, until=lambda: frank.hub.hub is not None and frank.sealing.public != before)
    call = client(net, "bob").calls["c1.x"]
    tamper(net, "frank", Carry(call.words[0]))
    tamper(net, "frank", Carry(call.words[1]))
    assert frank.calls["c1.x"].introduced
    assert not frank.dropped


@pytest.mark.parametrize("kept", ["the key", "nothing"])
def test_who_was_shown_an_old_key_says_it_again_once_it_hears_the_callee(net: FakeNet, kept: str) -> None:
    frank, bob = client(net, "frank"), client(net, "bob")
    old = net.hosts[frank.hub.hub].machine.directory.mine["frank"]
    frank.sign_in_anew(net.now)
    net.settle(net.hosts["frank"])
    assert net.run(10, until=lambda: frank.hub.hub is not None)
    if kept == "nothing":
        net.run(GRACE)
    bob._located = lambda found, now: type(bob)._located(bob, msgspec.structs.replace(found, location=old), now)
    place(net, "bob", "frank")
    assert frank.calls and bob.calls and not bob.dropped
    (call,) = frank.calls.values()
    assert call.introduced
    assert ("does not have, or not any more" in troubles(net, "frank")) is (kept == "nothing")
    assert frank.dropped == ({"message": 1} if kept == "nothing" else {})


def test_a_caller_that_hangs_up_before_it_knows_a_key_stops_the_ringing(net: FakeNet) -> None:
    host = dial(net, "bob", "frank")
    assert client(net, "bob").calls["c1.x"].seals_to is None
    host.machine.hang_up("c1.x", net.now)
    net.settle(host)
    assert net.run(3, until=lambda: bool(net.told("frank", Ended)))
    assert net.told("frank", Ended)[0][1].error == "bob ended the call: hung up"
    assert not client(net, "frank").dropped


def test_a_callee_withdraws_nothing(net: FakeNet) -> None:
    dial(net, "bob", "frank")
    assert net.run(2, until=lambda: bool(net.told("bob", Rings)))
    tamper(net, "bob", Carry(client(net, "frank").membership.identity.say("bob", "c1.x", Withdrawn(90))))
    assert "frank sent Withdrawn while the call is ringing" in troubles(net, "bob")
    assert not net.told("bob", Closing)


def test_who_has_too_many_calls_is_understood_before_it_rings(net: FakeNet) -> None:
    frank = client(net, "frank")
    frank.calls.update({f"c{number}": client(net, "frank")._new_call(f"c{number}", "eve", True, net.now)
                        for number in range(MOST_CALLS)})  # fmt: skip
    dial(net, "bob", "frank", "late.x")
    assert net.run(2, until=lambda: bool(net.told("bob", Ended)))
    assert net.told("bob", Ended)[0][1].error == "frank ended the call: busy"


def test_an_invite_under_whose_key_nothing_can_be_sealed_does_not_ring(net: FakeNet) -> None:
    bob = client(net, "bob").membership.identity
    assert bob.credential is not None
    wall = net.now + client(net, "frank").membership.wall.offset
    tamper(net, "frank", Carry(bob.say("frank", "c1.x", Invite(1, wall, bob.credential, LOW_ORDER))))
    assert not client(net, "frank").calls and not net.told("frank", Rings)
    assert "not a usable X25519 key" in troubles(net, "frank")
    assert client(net, "frank").dropped == {"message": 1}


def test_a_callee_that_names_a_useless_key_is_called_all_the_same(net: FakeNet) -> None:
    frank, bob = client(net, "frank"), client(net, "bob")
    where = net.hosts[frank.hub.hub].machine.directory.mine["frank"]
    signature = frank.membership.identity.locate(where.hub, where.at, LOW_ORDER)
    false = msgspec.structs.replace(where, sealing=LOW_ORDER, signature=signature)
    bob._located = lambda found, now: type(bob)._located(bob, Found("frank", false), now)
    dial(net, "bob", "frank")
    assert net.run(2, until=lambda: bool(bob.dropped))
    assert (bob.dropped, bob.calls["c1.x"].seals_to) == ({"location": 1}, None)
    assert not bob.calls["c1.x"].introduction.begun, "or it would say more under that key, and could not"
    assert net.run(2, until=lambda: frank.calls["c1.x"].introduced)


def test_hosts_that_do_not_open_vouch_for_nothing_and_the_word_counts(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    frank, identity = client(net, "frank"), client(net, "bob").membership.identity
    known = set(frank.calls[id].checklist.manners.vouched)
    assert known == {"203.0.113.32"}
    envelope, other = (identity.seal("frank", each, Answer(1), frank.calls[id]._public()) for each in (id, "c9.x"))
    key = frank.sealing.public
    context = _covered("lab seen", b"bob", b"frank", id.encode())
    lies = [
        seal_seen(other, ("203.0.113.66",), key),
        seal_seen(envelope, ("203.0.113.66",), PUBLIC),
        msgspec.structs.replace(seal_seen(envelope, ("203.0.113.66",), PUBLIC), to=key),
        Sealed(key, b""),
        Sealed(key, seal(b"\x80", key, context)),
        Sealed(key, seal(encode(("203.0.113.66",) * 6), key, context)),
    ]
    for seen in lies:
        tamper(net, "frank", Carry(envelope, seen=seen))
    assert frank.dropped == {"hosts": len(lies)}
    assert frank.calls[id].checklist.manners.vouched == known
    tamper(net, "frank", Carry(envelope, seen=seal_seen(envelope, ("203.0.113.67",), key)))
    assert frank.calls[id].checklist.manners.vouched == known | {"203.0.113.67"}


def test_a_word_that_does_not_open_is_counted_and_changes_nothing(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    bob, frank = client(net, "bob").calls[id], client(net, "frank").calls[id]
    identity = client(net, "bob").membership.identity
    own = frank._public()
    good = sealed(identity.seal("frank", id, Bye(90, "no"), own))
    bodies = [
        msgspec.structs.replace(good, text=good.text[:-1]),
        msgspec.structs.replace(good, text=b""),
        msgspec.structs.replace(good, to=PUBLIC),
        msgspec.structs.replace(good, to=client(net, "frank").sealing.public),
        sealed(identity.seal("frank", "c9.x", Bye(90, "no"), own)),
        sealed(identity.seal("alice", id, Bye(90, "no"), own)),
        sealed(Identity("alice").seal("frank", id, Bye(90, "no"), own)),
        Sealed(own, seal(encode(Invite(90, 1.0, identity.credential, own)), own, b"")),
    ]
    for body in bodies:
        tamper(net, "frank", Carry(identity._signed("frank", id, body)))
    assert client(net, "frank").dropped == {"message": len(bodies)}
    assert frank.state == "talking" and frank.heard_sequence == bob.sequence
    tamper(net, "frank", Carry(identity._signed("frank", id, good)))
    assert net.told("frank", Closing)


def test_a_sealed_word_that_comes_again_is_heard_once(net: FakeNet) -> None:
    id = place(net, "bob", "frank")
    bob, frank = client(net, "bob").calls[id], client(net, "frank").calls[id]
    heard = frank.heard_sequence
    for envelope in bob.words * 3:
        tamper(net, "frank", Carry(envelope))
    assert (frank.heard_sequence, frank.state) == (heard, "talking")
    assert len(net.told("frank", Rings)) == len(net.told("frank", Answered)) == 1


@pytest.mark.parametrize("before", [True, False])
def test_a_peer_of_the_version_that_sealed_nothing_is_refused(net: FakeNet, before: bool) -> None:
    """Its invite does not ring, and its words in a call count for nothing."""
    bob = client(net, "bob").membership.identity
    assert bob.credential is not None
    id = "c1.x" if before else place(net, "bob", "frank")
    wall = net.now + client(net, "frank").membership.wall.offset
    old = {"sequence": 90, "sent_at": wall, "credential": bob.credential, "ephemeral": PUBLIC, "candidates": ()}
    for fields in ({"type": "Invite"} | old, {"type": "Bye", "sequence": 91, "reason": "no", "frames": None}):
        body = msgspec.msgpack.encode(fields)
        signature = bob.sign("lab envelope", b"bob", b"frank", id.encode(), body)
        tamper(net, "frank", Carry(Envelope("bob", "frank", id, body, signature)))
    assert client(net, "frank").dropped == {"message": 2}
    assert troubles(net, "frank").count("is not understood") == 2
    assert len(net.told("frank", Rings)) == (0 if before else 1) and not net.told("frank", Closing)


@pytest.fixture(scope="module")
def talking() -> tuple[FakeNet, str]:
    """A call between bob and frank, once for all examples."""
    net = FakeNet()
    net.authority()
    for number in (1, 2):
        net.supernode(number)
    net.relay(1)
    for number, name in enumerate(("bob", "frank"), 32):
        net.client(name, f"192.168.{number}.10", Router(f"203.0.113.{number}"))
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in ("bob", "frank")))
    return net, place(net, "bob", "frank")


@untimed
@given(data=st.binary(max_size=400))
def test_any_body_of_the_peers_own_changes_nothing(talking: tuple[FakeNet, str], data: bytes) -> None:
    net, id = talking
    frank, bob = client(net, "frank"), client(net, "bob").membership.identity
    to = frank.calls[id]._public()
    signature = bob.sign("lab envelope", b"bob", b"frank", id.encode(), data)
    for envelope in (
        Envelope("bob", "frank", id, data, signature),
        bob._signed("frank", id, Sealed(to, data)),
        bob._signed("frank", id, Sealed(to, seal(data, to, _context("bob", "frank", id)))),
    ):
        before = frank.dropped["message"]
        tamper(net, "frank", Carry(envelope))
        assert frank.dropped["message"] == before + 1
    assert frank.calls[id].state == "talking"


def test_a_client_of_the_version_that_sealed_nothing_is_refused_and_counted(net: FakeNet) -> None:
    supernode = net.hosts["supernode-1"].machine
    identity = client(net, "bob").membership.identity
    assert identity.credential is not None
    link = supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), ("198.51.100.66", 4000)), net.now)
    at = net.now + supernode.membership.wall.offset
    location = identity.sign("lab location", b"supernode-1", repr(at).encode())
    signature = identity.sign("lab hello", supernode.sessions[link].nonce, supernode.membership.identity.public)
    hello = Hello("client", identity.credential, signature, at=at, location=location)
    supernode.link_data(link, frame(encode(hello), 4), net.now)
    assert link not in supernode.sessions
    assert supernode.actions.refusals.counted["client bob names no key to seal words to it under"] == 1
