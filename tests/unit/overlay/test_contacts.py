"""A contact's key is pinned, and a change is shown."""

from lab.overlay.contacts import MOST, Contacts, KeyChanged, KeyPinned
from lab.overlay.identity import issue_credential
from tests.unit.overlay.fakenet import WALL, FakeNet
from tests.unit.overlay.test_paths_in_memory import place


def test_the_first_key_is_pinned_by_both_and_a_second_call_says_nothing(net: FakeNet) -> None:
    place(net, "alice", "bob")
    keys = {name: net.hosts[name].machine.membership.identity.public for name in ("alice", "bob")}
    for one, other in (("alice", "bob"), ("bob", "alice")):
        assert [(event.name, event.key) for _, event in net.told(one, KeyPinned)] == [(other, keys[other])]
        assert not net.told(one, KeyChanged)


def test_another_key_for_the_same_name_is_shown_to_the_other_side(net: FakeNet) -> None:
    stranger = bytes(32)
    net.hosts["alice"].machine.contacts.pins["bob"] = stranger
    place(net, "alice", "bob")
    (changed,) = [event for _, event in net.told("alice", KeyChanged)]
    now = net.hosts["bob"].machine.membership.identity.public
    assert (changed.name, changed.before, changed.now) == ("bob", stranger.hex(), now.hex())
    assert not net.told("bob", KeyChanged)


def test_who_is_not_in_the_call_with_a_good_credential_pins_nothing(net: FakeNet) -> None:
    bob = net.hosts["bob"].machine
    identity = bob.membership.identity
    identity.credential = issue_credential(bob.membership.identity.private, "bob", identity.public, WALL)
    bob.dial("c1.x", "alice", net.now)
    net.settle(net.hosts["bob"])
    net.run(3)
    assert not net.hosts["alice"].machine.contacts.pins


def test_contacts_fill_no_memory(net: FakeNet) -> None:
    contacts = Contacts(net.hosts["alice"].machine.actions, {})
    for number in range(MOST + 5):
        contacts.meets("c1", f"c{number}", number.to_bytes(32, "big"))
    assert len(contacts.pins) == MOST
    assert "c0" not in contacts.pins
