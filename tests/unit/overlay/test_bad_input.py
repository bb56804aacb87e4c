"""What nobody would send in good faith, to each node that strangers reach: whoever sends it is cut off, the reason is
counted, and nobody else notices."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lab.overlay.actions import Close, LinkInfo, Machine, Write
from lab.overlay.authority import (
    APPLICANTS,
    APPLICANTS_EACH,
    ENROLMENTS,
    LINK_LIMIT,
    Authority,
    EnrolmentRefused,
    NameBound,
)
from lab.overlay.client import MOST_STRANGERS, STRANGER_LIMIT, STRANGERS_EACH
from lab.overlay.identity import CREDENTIAL_LIFETIME, Identity, check_credential, issue_credential, issue_token
from lab.overlay.relay import BIND_LIMIT, MOST_ASKED, STANDBY_LIMIT, UNBOUND, UNBOUND_EACH, Relay
from lab.overlay.roster import TOKEN_LIFETIME
from lab.overlay.stunserver import (
    ASKING_EACH,
    FIRST_LIMIT,
    IDLE_LIMIT,
    SILENT,
    SILENT_EACH,
    StunConnections,
)
from lab.overlay.wallclock import SetClock
from lab.wire.framing import frame
from lab.wire.messages import (
    FRAME_LIMIT,
    Challenge,
    Credential,
    Enrol,
    Enrolled,
    Ping,
    Refused,
    RelayGrant,
    decode_authority,
    encode,
)
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.fakenet import WALL, FakeNet
from tests.unit.overlay.test_paths_in_memory import place

STRANGER, OTHER = "198.51.100.66", "198.51.100.67"
DAY = 86_400.0


@dataclass
class Door:
    """One listener of one node. `good` is what an honest one says there first, `answered` whether it was served."""

    net: FakeNet
    name: str
    listener: str
    each: int
    most: int
    patience: float
    good: Callable[[], bytes]
    answered: Callable[[bytes], bool]
    ports: int = 1024
    heard: dict[int, bytes] = field(default_factory=dict)

    @property
    def machine(self) -> Machine:
        return self.net.hosts[self.name].machine

    @property
    def counted(self) -> Counter[str]:
        return self.machine.actions.refusals.counted

    def knock(self, host: str = STRANGER) -> int:
        self.ports += 1
        local = (self.net.open_addresses(11)[0], 443)
        return self.machine.accepted(self.listener, LinkInfo(local, (host, self.ports)), self.net.now)

    def say(self, link: int, data: bytes) -> None:
        self.machine.link_data(link, data, self.net.now)

    def closed(self) -> set[int]:
        """Which links have been closed since this was last asked, and what was said on all meanwhile is `heard`."""
        gone = set[int]()
        taken = self.machine.actions.take()
        for action in taken:
            if isinstance(action, Close):
                gone.add(action.link)
            elif isinstance(action, Write):
                self.heard[action.link] = self.heard.get(action.link, b"") + action.data
        self.machine.actions.pending += [action for action in taken if not isinstance(action, Close | Write)]
        return gone

    def serves(self, host: str = OTHER) -> bool:
        """Whether an honest one from that host is served."""
        link = self.knock(host)
        self.say(link, self.good())
        return link not in self.closed() and self.answered(self.heard.get(link, b""))


def enrol(name: str = "zoe") -> bytes:
    identity = Identity(name)
    signature = identity.sign("lab enrol", name.encode(), identity.public)
    return frame(encode(Enrol(name, identity.public, signature)), 4)


def ask() -> bytes:
    return StunMessage(Method.BINDING, Kind.REQUEST, random.randbytes(12)).encode()


def is_enrolled(said: bytes) -> bool:
    return bool(said) and isinstance(decode_authority(said[4:]), Enrolled)


ISSUER = Identity("supernode-9")


def vouched_for(authority: Ed25519PrivateKey) -> None:
    """Have that authority's word for the issuer of tokens, which travels with them."""
    ISSUER.credential = issue_credential(authority, ISSUER.name, ISSUER.public, WALL)


vouched_for(Ed25519PrivateKey.generate())


def token(leg: int | None, call: str = "c9", late: float = 0.0) -> bytes:
    return issue_token(ISSUER, RelayGrant(call, "relay-1", leg, WALL + TOKEN_LIFETIME - late))


def bind(leg: int | None, call: str = "c9", late: float = 0.0) -> bytes:
    request = StunMessage(Method.BIND, Kind.REQUEST, random.randbytes(12), token=token(leg, call, late))
    return frame(request.encode(), 2)


def is_bound(said: bytes) -> bool:
    return bool(said) and StunMessage.parse(said[2:]).kind is Kind.SUCCESS


def door(net: FakeNet, kind: str) -> Door:
    if kind == "authority":
        return Door(net, "authority", "enrolment", APPLICANTS_EACH, APPLICANTS, LINK_LIMIT, enrol, is_enrolled)
    if kind == "relay":
        vouched_for(net.authority_key)
        return Door(net, "relay-1", "relay", UNBOUND_EACH, UNBOUND, BIND_LIMIT, lambda: bind(0), is_bound)
    if kind == "client":
        return Door(
            net, "alice", "media", STRANGERS_EACH, MOST_STRANGERS, STRANGER_LIMIT, lambda: b"", lambda said: True
        )
    return Door(net, "supernode-1", "stun", SILENT_EACH, SILENT, FIRST_LIMIT, ask, bool)


DOORS = ("stun", "relay", "authority", "client")


# -- who says nothing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DOORS)
@pytest.mark.parametrize("hosts", [1, 10_000])
def test_ten_thousand_that_say_nothing_are_bounded_cut_off_and_counted(net: FakeNet, kind: str, hosts: int) -> None:
    at = door(net, kind)
    before, began = at.counted.total(), net.now
    links = {at.knock(f"198.18.{number % hosts >> 8}.{number % hosts & 255}") for number in range(10_000)}
    most = at.each if hosts == 1 else at.most
    assert len(links & at.closed()) == 10_000 - most
    assert at.counted.total() - before == 10_000 - most
    assert any("one address" in reason for reason in at.counted) is (hosts == 1)
    assert at.serves()
    deadline = at.machine.deadline()
    assert deadline is not None and deadline <= began + at.patience
    net.settle(net.hosts[at.name])
    net.run(at.patience)
    assert not links & set(at.machine.actions.links)
    assert at.counted.total() - before >= 10_000
    place(net, "alice", "frank")


@pytest.mark.parametrize("kind", DOORS)
def test_who_is_served_is_served_beside_ten_thousand_of_the_same_address(net: FakeNet, kind: str) -> None:
    at = door(net, kind)
    for _ in range(10_000):
        at.knock(STRANGER)
    assert at.serves(STRANGER), "a carrier's address, or a proxy's"


@pytest.mark.parametrize("kind", ["stun", "relay", "authority"])
def test_who_has_said_something_that_is_valid_is_not_pushed_out_by_who_has_not(net: FakeNet, kind: str) -> None:
    at = door(net, kind)
    link = at.knock()
    at.say(link, at.good())
    for _ in range(10_000):
        at.knock()
    assert link not in at.closed()
    assert at.answered(at.heard[link])


@pytest.mark.parametrize("kind", DOORS)
def test_a_byte_now_and_then_gives_nobody_more_time(net: FakeNet, kind: str) -> None:
    at = door(net, kind)
    link, began = at.knock(), net.now
    piece = {"stun": ask(), "authority": enrol()}.get(kind, bind(0))
    for number in range(20):
        now = began + number * at.patience / 20
        at.machine.poll(now)
        at.machine.link_data(link, piece[number : number + 1], now)
    assert link not in at.closed()
    at.machine.poll(began + at.patience)
    assert link in at.closed()
    assert at.counted.total() > 0


def test_a_stun_connection_lives_as_long_as_it_asks_and_there_are_so_many_of_one_address() -> None:
    machine = FakeNet().supernode(1).machine
    stun: StunConnections = machine.stun
    first = stun.accept(LinkInfo(("203.0.113.11", 3478), (STRANGER, 1)), 0.0)
    for now in (1.0, 25.0, 50.0):
        stun.link_data(first, ask(), now)
        stun.poll(now)
    stun.poll(50.0 + IDLE_LIMIT - 0.1)
    assert first in stun.streams
    stun.poll(50.0 + IDLE_LIMIT)
    assert not stun.streams
    for port in range(ASKING_EACH + 3):
        stun.link_data(stun.accept(LinkInfo(("203.0.113.11", 3478), (STRANGER, port)), 100.0), ask(), 100.0)
    assert len(stun.streams) == ASKING_EACH
    assert machine.actions.refusals.counted["too many STUN connections of one address"] == 3


def test_a_connection_that_waits_at_a_relay_has_its_time_anew_with_each_refresh() -> None:
    net = FakeNet()
    net.relay(1)
    at = door(net, "relay")
    link = at.knock()
    at.say(link, bind(None, "bob"))
    for _ in range(3):
        at.knock(OTHER)
    began = net.now
    assert isinstance(at.machine, Relay) and at.machine.standby.deadline() == began + STANDBY_LIMIT
    at.machine.poll(began + 20.0)
    at.machine.link_data(link, bind(None, "bob"), began + 20.0)
    at.machine.poll(began + STANDBY_LIMIT)
    assert link in at.machine.streams, "it has asked again meanwhile"
    at.machine.poll(began + 20.0 + STANDBY_LIMIT)
    assert not at.machine.streams


@pytest.mark.parametrize("what", ["bad tokens", "questions"])
def test_a_connection_has_few_signatures_of_a_relay_before_it_binds(net: FakeNet, what: str) -> None:
    at = door(net, "relay")
    link = at.knock()
    bad = frame(StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=b"none").encode(), 2)
    for _ in range(MOST_ASKED + 3):
        at.say(link, bad if what == "bad tokens" else frame(ask(), 2))
    assert link in at.closed()
    assert at.counted["too many questions of a connection that has not bound"] == 1
    assert at.serves()


def test_an_address_enrols_so_many_and_others_notice_nothing(net: FakeNet) -> None:
    at = door(net, "authority")
    for number in range(int(ENROLMENTS.at_once)):
        at.say(link := at.knock(), enrol(f"name-{number}"))
        assert is_enrolled(at.heard.get(link, b"")) or link not in at.closed()
    at.say(link := at.knock(), enrol("one-more"))
    assert link in at.closed()
    refused = decode_authority(at.heard[link][4:])
    reason = "too many enrolments of one address in a short time; wait a little"
    assert refused == Refused(reason) and at.counted[reason] == 1
    assert at.serves(OTHER)


# -- who says what is wrong ----------------------------------------------------------------------------------------


def signalling(**fields: Any) -> bytes:
    return frame(msgspec.msgpack.encode(fields), 4)


LONG = "x" * 10_000
NAMES = {"a name of 10,000 characters": LONG, "bad characters": "bob\n\x1b[31m", "no characters": "", "capitals": "Bob"}
HUB: dict[str, Sequence[bytes]] = {
    "too long": [(FRAME_LIMIT + 1).to_bytes(4, "big")],
    "longest of all": [b"\xff\xff\xff\xff"],
    "empty": [bytes(4)],
    "truncated inside": [frame(encode(Ping())[:-1], 4)],
    "unknown": [signalling(type="Overthrow", name="bob")],
    "an unknown field": [signalling(type="Lookup", name="bob", more=1)],
    "not even MessagePack": [frame(b"\xc1", 4)],
    "of the other side": [frame(encode(Challenge(Credential("bob", bytes(32), WALL, bytes(64)), bytes(32))), 4)],
    **{what: [signalling(type="Lookup", name=name)] for what, name in NAMES.items()},
}


@pytest.mark.parametrize("what", HUB)
@pytest.mark.parametrize("who", ["a stranger", "a client", "a relay"])
def test_a_supernode_cuts_off_who_says_what_is_wrong(net: FakeNet, who: str, what: str) -> None:
    at = Door(net, "supernode-1", "signalling", 0, 0, 0.0, ask, bool)
    name = {"a client": "bob", "a relay": "relay-1"}.get(who)
    supernode = at.machine
    if name is None:
        link = at.knock()
    else:
        here = [host for host in net.hosts.values() if any(seat.name == name for seat in sessions(host.machine))]
        at.name = here[0].name
        supernode = at.machine
        (link,) = [link for link, seat in supernode.sessions.items() if seat.name == name]  # type: ignore[attr-defined]
    before = at.counted.total()
    for data in HUB[what]:
        at.say(link, data)
    assert link in at.closed()
    assert at.counted.total() == before + 1
    assert all(len(reason) < 500 and reason.isprintable() for reason in at.counted)
    place(net, "alice", "frank")


def sessions(machine: Machine) -> Sequence[Any]:
    return list(getattr(machine, "sessions", {}).values()) if hasattr(machine, "door") else []


AUTHORITY: dict[str, bytes] = {
    "too long": (FRAME_LIMIT + 1).to_bytes(4, "big"),
    "empty": bytes(4),
    "truncated inside": frame(enrol()[4:-1], 4),
    "unknown": signalling(type="Overthrow", name="bob"),
    "out of order": frame(encode(Refused("no")), 4),
    "not even MessagePack": frame(b"\xc1", 4),
    "a false signature": signalling(type="Enrol", name="bob", key=bytes(32), signature=bytes(64)),
    **{what: signalling(type="Enrol", name=name, key=bytes(32), signature=bytes(64)) for what, name in NAMES.items()},
}


@pytest.mark.parametrize("what", AUTHORITY)
def test_the_authority_cuts_off_who_says_what_is_wrong_and_binds_nothing(net: FakeNet, what: str) -> None:
    at = door(net, "authority")
    assert isinstance(at.machine, Authority)
    names, link = dict(at.machine.names), at.knock()
    at.say(link, AUTHORITY[what])
    assert link in at.closed()
    assert isinstance(decode_authority(at.heard[link][4:]), Refused)
    (reason,) = at.counted
    assert at.counted[reason] == 1 and len(reason) < 500 and reason.isprintable()
    assert at.machine.names == names
    assert at.serves()


def test_what_is_cut_off_in_the_middle_binds_nothing(net: FakeNet) -> None:
    at = door(net, "authority")
    link = at.knock()
    at.say(link, enrol()[:-1])
    at.machine.link_down(link, "gone", net.now)
    at.say(link, enrol()[-1:])
    assert not [event for event in at.machine.actions.take() if isinstance(event, NameBound | EnrolmentRefused)]
    assert isinstance(at.machine, Authority) and not at.machine.applicants and not len(at.machine.lobby)


LONG_TOKEN = bytes(2_000)
RELAY: dict[str, bytes] = {
    "too long": b"\x10\x01",
    "truncated inside": frame(bind(0)[2:-5], 2),
    "unknown token": frame(StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=b"\xc1").encode(), 2),
    "no token": frame(StunMessage(Method.BIND, Kind.REQUEST, bytes(12)).encode(), 2),
    "a token of 2,000 bytes": frame(StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=LONG_TOKEN).encode(), 2),
    "media before a bind": frame(b"\x80" + bytes(60), 2),
    "an answer": frame(StunMessage(Method.BIND, Kind.SUCCESS, bytes(12)).encode(), 2),
}


@pytest.mark.parametrize("what", RELAY)
def test_a_relay_gives_nothing_to_who_says_what_is_wrong_and_cuts_it_off(net: FakeNet, what: str) -> None:
    at = door(net, "relay")
    assert isinstance(at.machine, Relay)
    link, began = at.knock(), net.now
    at.say(link, RELAY[what])
    at.machine.datagram(0, RELAY[what][2:], (STRANGER, 9), net.now)
    at.machine.poll(began + BIND_LIMIT)
    assert link in at.closed()
    assert at.counted.total() >= 1
    assert not at.machine.sessions and not at.machine.by_link
    assert all(len(reason) < 500 and reason.isprintable() for reason in at.counted)
    assert at.serves()


@pytest.mark.parametrize("name", [LONG, "bob\n\x1b[31m", ""])
def test_a_token_for_no_good_call_is_none(net: FakeNet, name: str) -> None:
    at = door(net, "relay")
    assert isinstance(at.machine, Relay)
    signed = issue_token(ISSUER, RelayGrant(name, "relay-1", 0, WALL + 60))
    link = at.knock()
    at.say(link, frame(StunMessage(Method.BIND, Kind.REQUEST, bytes(12), token=signed[:3000]).encode(), 2))
    assert not at.machine.sessions
    (reason,) = at.counted
    assert len(reason) < 500 and reason.isprintable()
    assert at.serves()


# -- whose clock is wrong ------------------------------------------------------------------------------------------


def test_a_token_of_a_day_ago_opens_nothing_and_says_so(net: FakeNet) -> None:
    at = door(net, "relay")
    link = at.knock()
    at.say(link, bind(0, late=DAY))
    at.closed()
    refused = StunMessage.parse(at.heard[link][2:])
    assert refused.kind is Kind.ERROR and refused.error is not None and "expired" in refused.error[1]
    assert isinstance(at.machine, Relay) and not at.machine.sessions
    assert at.serves()


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_a_relay_whose_clock_is_off_by_a_day_forwards_for_nobody_and_says_why(off: float) -> None:
    net = FakeNet()
    net.authority()
    host = net.relay(1)
    relay: Relay = host.machine
    relay.membership = replace(relay.membership, wall=SetClock(relay.membership.wall.offset + off))
    at = door(net, "relay")
    assert not at.serves()
    (reason,) = at.counted
    assert (f"{DAY - TOKEN_LIFETIME:.0f} s ago" if off > 0 else "lives longer than 90 s") in reason


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_an_authority_whose_clock_is_off_by_a_day_still_gives_names_that_hold(net: FakeNet, off: float) -> None:
    authority: Authority = net.hosts["authority"].machine
    authority.wall.offset += off
    at = door(net, "authority")
    at.say(link := at.knock(), enrol("zoe"))
    at.closed()
    message = decode_authority(at.heard[link][4:])
    assert isinstance(message, Enrolled)
    now = net.now + net.membership("zoe").wall.offset
    check_credential(message.credential, net.authority_key.public_key().public_bytes_raw(), now)
    assert message.credential.expires == pytest.approx(now + off + CREDENTIAL_LIFETIME)
    place(net, "alice", "frank")
