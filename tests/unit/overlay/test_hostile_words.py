"""Any message, in any order, from anybody: who breaks the rules is cut off, nothing is raised, nobody else notices."""

from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.overlay.actions import LinkInfo
from lab.overlay.call_events import Ended
from lab.overlay.hub import HubLink
from lab.overlay.relay import Relay
from lab.overlay.supernode import Supernode
from lab.wire.framing import frame
from lab.wire.messages import (
    Absent,
    Carry,
    Challenge,
    Credential,
    Demoted,
    Dial,
    Dialled,
    Envelope,
    Found,
    Full,
    Hello,
    HubMessage,
    Located,
    Location,
    Lookup,
    Move,
    Moved,
    Near,
    Nominate,
    Offers,
    Ping,
    Pong,
    Present,
    Probe,
    Promoted,
    Reflect,
    Refused,
    RelayEntry,
    RelayOffer,
    Relays,
    Renewed,
    Room,
    StandBy,
    StandingBy,
    Supernodes,
    Suspected,
    Undeliverable,
    Unwilling,
    Wait,
    Welcome,
    Willing,
    encode,
)
from tests.unit.overlay.fakenet import FakeNet
from tests.unit.overlay.test_paths_in_memory import place

KEY, SIGNATURE = bytes(range(32)), bytes(64)
MALLORY = Credential("mallory", KEY, 2_000_000_000.0, SIGNATURE)
OFFER = RelayOffer("relay-9", ("127.0.0.1",), 9, (9,), b"no token")
WORDS: tuple[HubMessage, ...] = (
    Challenge(MALLORY, KEY),
    Hello("client", MALLORY, SIGNATURE),
    Hello("supernode", MALLORY, SIGNATURE),
    Hello("relay", MALLORY, SIGNATURE, 1, (1,), ("224.0.0.1",)),
    Welcome(("203.0.113.99", 1), (("127.0.0.1",), ("203.0.113.12",))),
    Full((("127.0.0.1",), ("224.0.0.1",))),
    Refused("go away"),
    Refused("its credential has expired", True),
    Renewed(MALLORY, 1_800_000_000.0, SIGNATURE),
    Ping(2_000_000_000),
    Pong(),
    Carry(Envelope("bob", "alice", "c9.x", b"\x80", SIGNATURE), True, (OFFER,)),
    Carry(Envelope("alice", "bob", "c9.x", b"", SIGNATURE)),
    Offers("c9.x", (OFFER,)),
    StandBy(),
    StandingBy((OFFER,)),
    Undeliverable("c1.x", "alice", "bob", "no"),
    Located((Location(MALLORY, "supernode-2", 1.0, KEY, SIGNATURE),)),
    Lookup("bob"),
    Found("bob", Location(MALLORY, "supernode-2", 1.0, KEY, SIGNATURE)),
    Found("frank"),
    Moved(Location(MALLORY, "supernode-2", 1.0, KEY, SIGNATURE)),
    Supernodes((("127.0.0.1",), ("198.51.100.66",))),
    Relays((RelayEntry("relay-9", ("127.0.0.1",), 9, (9,)),)),
    Room(10**9, 0),
    Near((("relay-1", 0), ("relay-9", 60_000))),
    Probe(),
    Present(),
    Suspected(("supernode-1", "supernode-2", "nobody")),
    Wait((("127.0.0.1",), ("198.51.100.66",)), 3),
    Move((("198.51.100.66",),)),
    Nominate("supernode", ("198.51.100.18", 1)),
    Willing("supernode", ("198.51.100.66",), 10**9),
    Unwilling("relay", "no"),
    Dial("supernode", "bob", KEY, ("198.51.100.66",)),
    Dialled("bob", True, True),
    Promoted("supernode", "mallory", (("198.51.100.66",),)),
    Demoted("supernode", "no"),
    Absent(("alice", "frank")),
    Reflect(("203.0.113.99", 1), ("198.51.100.18", 2), bytes(12), True, 1500),
)
BYTES = st.one_of(
    st.sampled_from(WORDS).map(lambda word: frame(encode(word), 4)),
    st.binary(max_size=64),
    st.binary(min_size=1, max_size=64).map(lambda body: frame(body, 4)),
    st.just(b"\xff\xff\xff\xff"),
)
SAID = st.lists(BYTES, min_size=1, max_size=6)
once = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def settled(net: FakeNet, *besides: str) -> None:
    """Everybody still sits where it sat, and two of them can call each other."""
    for host in list(net.hosts.values()):
        net.settle(host)
    for name in ("alice", "frank", "carol", "dave", "erin"):
        assert name in besides or net.hosts[name].machine.hub.hub is not None
    assert not net.hosts["supernode-1"].machine.directory.kept.get("mallory")


@once
@given(said=SAID)
def test_a_stranger_may_say_anything_to_a_supernode(net: FakeNet, said: Sequence[bytes]) -> None:
    supernode: Supernode = net.hosts["supernode-1"].machine
    before = set(supernode.clients), set(supernode.peers), set(supernode.roster.here)
    link = supernode.accepted("signalling", LinkInfo(("203.0.113.11", 33033), ("198.51.100.66", 4000)), net.now)
    for data in said:
        supernode.link_data(link, data, net.now)
    supernode.link_down(link, "gone", net.now)
    assert (set(supernode.clients), set(supernode.peers), set(supernode.roster.here)) == before
    settled(net)


@once
@given(said=SAID, role=st.sampled_from(["client", "relay"]))
def test_who_is_signed_in_may_say_anything_and_loses_its_own_place_at_most(
    net: FakeNet, said: Sequence[bytes], role: str
) -> None:
    name = {"client": "bob", "relay": "relay-1"}[role]
    at = [host.machine for host in net.hosts.values() if isinstance(host.machine, Supernode)]
    found = [(hub, link) for hub in at for link, session in hub.sessions.items() if session.name == name]
    if not found:
        net.run(3)  # it was cut off by the last example, and comes back
        return
    hub, link = found[0]
    for data in said:
        hub.link_data(link, data, net.now)
    settled(net, "bob")


@once
@given(said=SAID)
def test_a_hostile_hub_may_say_anything_to_its_client(net: FakeNet, said: Sequence[bytes]) -> None:
    client = net.hosts["bob"].machine
    hub: HubLink = client.hub
    if hub.link is None:
        net.run(3)
        return
    for data in said:
        if hub.link is not None:
            hub.link_data(hub.link, data, net.now)
    settled(net, "bob")
    assert all(len(machine) <= 2 and "127.0.0.1" not in machine for machine in hub.hubs.machines())


@once
@given(said=st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=5), framed=st.booleans())
def test_a_stranger_may_send_anything_to_a_relay(net: FakeNet, said: Sequence[bytes], framed: bool) -> None:
    relay: Relay = net.hosts["relay-1"].machine
    link = relay.accepted("relay", LinkInfo(("203.0.113.21", 443), ("198.51.100.66", 4001)), net.now)
    for data in said:
        relay.link_data(link, frame(data, 2) if framed else data, net.now)
        relay.datagram(0, data, ("198.51.100.66", 4001), net.now)
    relay.link_down(link, "gone", net.now)
    assert not relay.sessions
    settled(net)


@pytest.mark.parametrize("name", ["supernode-1", "supernode-2"])
def test_a_running_call_hears_nothing_of_what_strangers_say(net: FakeNet, name: str) -> None:
    id = place(net, "alice", "frank")
    supernode = net.hosts[name].machine
    for number, word in enumerate(WORDS * 20):
        link = supernode.accepted("signalling", LinkInfo(("203.0.113.11", 443), ("198.51.100.66", number)), net.now)
        supernode.link_data(link, frame(encode(word), 4), net.now)
        net.settle(net.hosts[name])
    net.run(5)
    assert not net.told("alice", Ended) and not net.told("frank", Ended)
    assert id in net.hosts["alice"].machine.calls
