"""What a program is started with: machines and their addresses, from the environment."""

import asyncio
from dataclasses import replace

import pytest

from lab.errors import ConfigError
from lab.node import roles
from lab.node.hosting import supernode_status
from lab.node.journal import Journal
from lab.node.metrics import exposed
from lab.node.roles import Settings
from lab.node.spare import MEMORY_EACH, Spare
from lab.overlay.actions import Event
from lab.overlay.client import InviteTaken
from lab.overlay.contacts import KeyPinned
from lab.overlay.member import Membership
from lab.overlay.supernode import Supernode
from tests.unit.overlay.fakenet import FakeNet


def settings(monkeypatch: pytest.MonkeyPatch, authority: str, supernodes: str) -> Settings:
    monkeypatch.setenv("LAB_AUTHORITY", authority)
    monkeypatch.setenv("LAB_SUPERNODES", supernodes)
    return Settings.from_environment()


def test_one_machine_may_have_an_address_of_each_family(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, "203.0.113.5|2001:db8:0:1::5", "203.0.113.11|2001:DB8:0:1::0011, 2001:db8:0:1::12")
    assert found.authority == ("203.0.113.5", "2001:db8:0:1::5")
    assert found.supernodes == (("203.0.113.11", "2001:db8:0:1::11"), ("2001:db8:0:1::12",))


def test_ipv4_alone_is_written_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(monkeypatch, "203.0.113.5", "203.0.113.11,203.0.113.12")
    assert found.authority == ("203.0.113.5",)
    assert found.supernodes == (("203.0.113.11",), ("203.0.113.12",))


@pytest.mark.parametrize("text", ["supernode-1", "203.0.113.11:33033", "203.0.113.11|fe80::g"])
def test_what_is_no_address_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(ConfigError, match=r"LAB_SUPERNODES holds '.*', expected an IPv4 or IPv6 address"):
        settings(monkeypatch, "203.0.113.5", text)


@pytest.mark.parametrize(("told", "has"), [(None, 700), (4, 4)])
def test_a_supernode_has_the_room_that_it_is_told_or_measures(
    monkeypatch: pytest.MonkeyPatch, told: int | None, has: int
) -> None:
    begun: list[Supernode] = []

    class Begun(Supernode):
        def __init__(self, membership: Membership) -> None:
            super().__init__(membership)
            begun.append(self)
            raise asyncio.CancelledError

    async def measured() -> Spare:
        return Spare(1_000_000, 2 * MEMORY_EACH * 700, 0.0)

    async def membership(*_: object) -> Membership:
        return replace(FakeNet().membership("supernode-1", "203.0.113.11"), capacity=told)

    monkeypatch.setattr(roles, "Supernode", Begun)
    monkeypatch.setattr(roles, "measured", measured)
    monkeypatch.setattr(roles, "_membership", membership)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(roles.supernode(Settings("supernode-1", (), ()), Journal("supernode-1")))
    (machine,) = begun
    assert supernode_status(machine)["capacity"] == has
    assert f'lab_capacity{{node="supernode-1"}} {has}\n' in exposed("supernode-1", [machine], {})


def test_a_client_writes_down_whose_invites_it_has_taken_and_the_keys_of_whom_it_meets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[object] = []
    monkeypatch.setattr(roles.store, "save_invites", written.append)
    monkeypatch.setattr(roles.store, "save_pins", written.append)
    machine = FakeNet().client("bob", "198.51.100.20").machine
    journal: list[Event] = []
    record = roles._keeping_of_client(machine, journal.append)
    record(InviteTaken())
    assert written == [machine.invites] and not journal, "the call's own lines tell of it"
    met = KeyPinned("frank", bytes(32))
    record(met)
    assert written[1:] == [machine.contacts.pins] and journal == [met]
