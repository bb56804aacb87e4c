"""Names belong to keys, words are signed end to end, and a hub that lies is found out."""

import hashlib
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab.errors import ConfigError, ProtocolError
from lab.node import store
from lab.overlay.call_events import Answered, Closing, Ended, Rings
from lab.overlay.client import REMEMBERED_INVITES, Client, InviteTaken
from lab.overlay.enrolment import StrangeAuthority
from lab.overlay.identity import (
    CLOCK_TOLERANCE,
    Identity,
    check_credential,
    check_envelope,
    check_signature,
    issue_credential,
    remembering,
)
from lab.overlay.member import Trouble
from lab.wire.messages import Answer, Bye, Carry, Invite, Ringing, Withdrawn, encode
from tests.unit.overlay.fakenet import WALL, FakeNet
from tests.unit.overlay.test_paths_in_memory import place

PRIVATE = X25519PrivateKey.generate()
KEY = PRIVATE.public_key().public_bytes_raw()


def tamper(net: FakeNet, client: str, carry: Carry) -> None:
    """What a hostile hub would hand to one of its clients."""
    host = net.hosts[client]
    host.machine.hub_message(host.machine.hub, carry, net.now)
    net.settle(host)


def troubles(net: FakeNet, name: str) -> str:
    return " ".join(event.what for _, event in net.told(name, Trouble))


def test_a_second_enrolment_of_a_name_with_another_key_is_refused(net: FakeNet) -> None:
    impostor = net.client("bob", "198.51.100.77")
    net.run(3)
    assert impostor.machine.membership.identity.credential is None
    assert "the name bob belongs to another key" in troubles(net, "bob")


def test_a_stranger_at_the_authoritys_address_is_not_believed(net: FakeNet) -> None:
    net.hosts["authority"].key = Identity("mallory").public
    newcomer = net.client("grace", "198.51.100.78")
    net.run(3)
    assert newcomer.machine.membership.identity.credential is None
    assert net.told("grace", StrangeAuthority)


def test_a_hub_that_cannot_prove_its_name_lets_nobody_in(net: FakeNet) -> None:
    for name in ("supernode-1", "supernode-2"):
        net.hosts[name].key = Identity("mallory").public  # what the TLS certificate holds
    newcomer = net.client("grace", "198.51.100.78")
    net.run(5)
    assert newcomer.machine.membership.identity.credential is not None
    assert newcomer.machine.hub.hub is None


def test_credentials_expire() -> None:
    authority, node = Identity("authority"), Identity("bob")
    credential = issue_credential(authority.private, "bob", node.public, WALL)
    check_credential(credential, authority.public, WALL)
    with pytest.raises(ProtocolError, match="expired"):
        check_credential(credential, authority.public, credential.expires + 1)


def test_a_changed_envelope_is_nobodys() -> None:
    alice = Identity("alice")
    envelope = alice.seal("bob", "c1", Bye(1, "hung up"), KEY)
    check_envelope(envelope, alice.public)
    for field, value in (("sender", "carol"), ("recipient", "carol"), ("call", "c2"), ("body", encode(Withdrawn(1)))):
        with pytest.raises(ProtocolError, match="signature"):
            check_envelope(msgspec.structs.replace(envelope, **{field: value}), alice.public)


def test_a_hub_cannot_answer_in_the_callees_place(net: FakeNet) -> None:
    host = net.hosts["bob"]
    host.machine.dial("c1.x", "frank", net.now)
    call = host.machine.calls["c1.x"]
    mallory = Identity("frank")
    fake_authority = Identity("authority")
    mallory.credential = issue_credential(fake_authority.private, "frank", mallory.public, WALL)
    digest = hashlib.sha256(call.invite_body).digest()
    rings = Ringing(1, mallory.credential, KEY, (), digest, KEY)
    tamper(net, "bob", Carry(mallory.seal("bob", "c1.x", rings, call._public())))
    assert not net.told("bob", Rings)
    assert call.peer_key != mallory.public
    assert "signature" in troubles(net, "bob")


def called_once(net: FakeNet) -> Carry:
    """Frank has called bob, and it is over: the invite, as bob's supernode brought it."""
    seen: list[Carry] = []
    bob = net.hosts["bob"].machine
    original = bob._carried
    bob._carried = lambda carry, now: (seen.append(carry), original(carry, now))[1]
    id = place(net, "frank", "bob")
    net.hosts["frank"].machine.hang_up(id, net.now)
    net.settle(net.hosts["frank"])
    assert net.run(3, until=lambda: bool(net.told("bob", Ended)))
    return seen[0]


def test_a_replayed_invite_does_not_ring_twice(net: FakeNet) -> None:
    tamper(net, "bob", called_once(net))
    assert len(net.told("bob", Rings)) == 1
    assert "seen before" in troubles(net, "bob")


def test_a_replayed_invite_does_not_ring_after_a_restart_either_and_a_new_one_does(
    net: FakeNet, tmp_path: Path
) -> None:
    """The node keeps those that were taken each time that it is told of one, and reads them when it starts."""
    invite, bob = called_once(net), net.hosts["bob"]
    assert len(net.told("bob", InviteTaken)) == 1
    store.save_invites(bob.machine.invites, tmp_path)
    net.stop("bob")
    membership = replace(bob.machine.membership, invites=store.load_invites(tmp_path))
    bob.machine, bob.alive, bob.alarm = Client(membership, (7000, 443)), True, None
    net._add(bob)
    assert net.run(10, until=lambda: bob.machine.hub.hub is not None)
    assert net.now + bob.machine.membership.wall.offset < max(bob.machine.invites.values()), "it is fresh"
    rung = len(net.told("bob", Rings))
    tamper(net, "bob", invite)
    assert len(net.told("bob", Rings)) == rung and "seen before" in troubles(net, "bob")
    place(net, "frank", "bob", id="c2.x")
    assert len(net.told("bob", Rings)) == rung + 1
    net.run(2 * CLOCK_TOLERANCE + 1)
    place(net, "frank", "bob", id="c3.x")
    assert list(bob.machine.invites) == [("frank", "c3.x")], "they are kept only for as long as they are fresh"


def test_a_flood_of_invites_makes_no_other_be_forgotten(net: FakeNet) -> None:
    invite, bob = called_once(net), net.hosts["bob"].machine
    fresh = net.now + bob.membership.wall.offset + CLOCK_TOLERANCE
    bob.invites |= {("mallory", f"c{number}"): fresh for number in range(REMEMBERED_INVITES)}
    tamper(net, "bob", invite)
    net.hosts["frank"].machine.dial("c2.x", "bob", net.now)
    net.settle(net.hosts["frank"])
    net.run(1)
    assert len(net.told("bob", Rings)) == 1 and "invites came within a minute" in troubles(net, "bob")
    net.run(CLOCK_TOLERANCE + 1)
    place(net, "frank", "bob", id="c3.x")
    assert len(bob.invites) == 1, "what is old is forgotten once there is need"


def test_an_old_invite_does_not_ring(net: FakeNet) -> None:
    seen: list[Carry] = []
    bob = net.hosts["bob"].machine
    bob._carried = lambda carry, now: seen.append(carry)
    net.hosts["frank"].machine.dial("c1.x", "bob", net.now)
    net.settle(net.hosts["frank"])
    assert net.run(2, until=lambda: bool(seen))
    net.kill("frank")  # it would try again
    del bob._carried
    net.run(CLOCK_TOLERANCE + 1)
    tamper(net, "bob", seen[0])
    assert not net.told("bob", Rings)
    assert "old" in troubles(net, "bob")


def test_a_word_for_somebody_else_is_dropped(net: FakeNet) -> None:
    tamper(net, "bob", Carry(Identity("alice").seal("carol", "c9", Bye(1, "no"), KEY)))
    assert "it is for carol" in troubles(net, "bob")


@pytest.mark.parametrize("name", ["x" * 10_000, "", "Frank", "frank\n", "frank frank", "-frank"])
def test_a_name_that_is_none_is_refused_before_any_supernode_hears_it(net: FakeNet, name: str) -> None:
    bob = net.hosts["bob"].machine
    hub = bob.hub.hub
    with pytest.raises(ConfigError, match="is no name") as refused:
        bob.dial("c9.x", name, net.now)
    assert len(str(refused.value)) < 200
    net.settle(net.hosts["bob"])
    net.run(1)
    assert bob.hub.hub == hub and not bob.calls


def test_nobody_calls_itself_or_dials_while_away(net: FakeNet) -> None:
    bob = net.hosts["bob"].machine
    with pytest.raises(ConfigError, match="cannot call itself"):
        bob.dial("c1", "bob", net.now)
    net.kill("supernode-1")
    net.kill("supernode-2")
    assert net.run(4, until=lambda: bob.hub.hub is None)
    with pytest.raises(ConfigError, match="not signed in"):
        bob.dial("c1", "frank", net.now)


def test_an_unknown_callee_is_told_at_once(net: FakeNet) -> None:
    host = net.hosts["bob"]
    host.machine.dial("c1.x", "nobody", net.now)
    net.settle(host)
    assert net.run(1, until=lambda: bool(net.told("bob", Ended)))
    ended = net.told("bob", Ended)[0][1]
    assert ended.error == f"{host.machine.hub.hub} says: nobody is not signed in at any supernode"
    assert not ended.connected


def test_a_hub_cannot_pick_up_or_hang_up_once_the_peer_is_known(net: FakeNet) -> None:
    host = net.hosts["bob"]
    host.machine.dial("c1.x", "frank", net.now)
    net.settle(host)
    assert net.run(2, until=lambda: bool(net.told("bob", Rings)))
    mallory, under = Identity("frank"), host.machine.calls["c1.x"]._public()
    for word in (Answer(50), Bye(51, "hung up")):
        tamper(net, "bob", Carry(mallory.seal("bob", "c1.x", word, under)))
    assert not net.told("bob", Answered)
    assert not net.told("bob", Closing)
    assert troubles(net, "bob").count("signature that does not fit its key") == 2


def test_an_invite_under_somebody_elses_credential_does_not_ring(net: FakeNet) -> None:
    alice = net.hosts["alice"].machine.membership.identity
    assert alice.credential is not None
    mallory = Identity("alice")
    invite = Invite(1, net.now + net.hosts["bob"].machine.membership.wall.offset, alice.credential, KEY)
    tamper(net, "bob", Carry(mallory.say("bob", "c9.x", invite)))
    assert not net.told("bob", Rings)
    assert "signature that does not fit its key" in troubles(net, "bob")
    tamper(net, "bob", Carry(alice.say("bob", "c9.x", invite)))
    assert net.told("bob", Rings), "the same words under the right signature ring"


def test_signatures_are_remembered_up_to_as_many_as_are_asked_for_and_meanwhile_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked: list[bytes] = []

    class Key(Ed25519PublicKey):
        @classmethod
        def from_public_bytes(cls, data: bytes) -> Ed25519PublicKey:
            checked.append(data)
            return Ed25519PublicKey.from_public_bytes(data)

    monkeypatch.setattr("lab.overlay.identity.Ed25519PublicKey", Key)
    nodes = [Identity(f"node-{number}") for number in range(3)]

    def check_each_twice() -> int:
        checked.clear()
        for node in (*nodes, *nodes):
            check_signature(node.public, node.sign("a test", b""), "a test", b"")
        return len(checked)

    with remembering(3):
        assert check_each_twice() == 3
    with remembering(2):
        assert check_each_twice() == 6
    assert check_each_twice() == 3, "as before"
