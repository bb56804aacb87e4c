"""Who opens a connection and finds that the other end breaks the protocol closes it, and counts that as well."""

import pytest

from lab.overlay.actions import Rejected
from lab.overlay.enrolment import Enrolment
from lab.overlay.member import Membership
from lab.overlay.reach import Reach
from lab.wire.framing import frame
from lab.wire.messages import Challenge, Credential, Dial, Refused, StandBy, Welcome, encode
from tests.unit.overlay.fakenet import FakeNet, Host
from tests.unit.overlay.test_paths_in_memory import place

MALLORY = Credential("mallory", bytes(range(32)), 2_000_000_000.0, bytes(64))
GARBAGE = b"\xff\xff\xff\xff"
"""No length that a frame could have, of either kind."""


def counted(host: Host) -> dict[str, int]:
    return dict(host.machine.actions.refusals.counted)


def heard(net: FakeNet, host: Host, link: int, data: bytes) -> None:
    host.machine.link_data(link, data, net.now)
    net.settle(host)


def test_a_hub_that_talks_nonsense_to_its_client_is_left_and_counted(net: FakeNet) -> None:
    bob = net.hosts["bob"]
    heard(net, bob, bob.machine.hub.link, frame(b"\x81\x00", 4))
    ((reason, times),) = counted(bob).items()
    assert times == 1 and reason
    (told,) = [event for _, event in net.told("bob", Rejected)]
    assert told.address in ("203.0.113.11", "203.0.113.12")


def test_a_hub_that_greets_out_of_turn_or_as_another_is_counted(net: FakeNet) -> None:
    bob = net.hosts["bob"]
    for word in (Welcome(("203.0.113.99", 1), ()), Challenge(MALLORY, bytes(32))):
        bob.machine.sign_in_anew(net.now)
        assert net.run(5, until=lambda: bool(bob.machine.hub.attempts))
        link = next(iter(bob.machine.hub.attempts))
        heard(net, bob, link, frame(encode(word), 4))
        assert net.run(10, until=lambda: bob.machine.hub.hub is not None)
    reasons = counted(bob)
    assert reasons.pop("a hub greeted with Welcome out of turn") == 1
    ((reason, times),) = reasons.items()
    assert times == 1 and "mallory" in reason


def test_a_hub_that_closes_the_door_breaks_no_protocol(net: FakeNet) -> None:
    bob = net.hosts["bob"]
    heard(net, bob, bob.machine.hub.link, frame(encode(Refused("go away")), 4))
    assert bob.machine.hub.hub is None
    assert counted(bob) == {}


@pytest.mark.parametrize("other", [1, 2], ids=["the other has dialled", "it has dialled itself"])
def test_a_supernode_counts_once_whom_it_cuts_off_whichever_has_dialled(net: FakeNet, other: int) -> None:
    """The first has dialled the second."""
    offender, host = f"supernode-{other}", net.hosts[f"supernode-{3 - other}"]
    net.hosts[offender].machine.peers[host.name].send(StandBy())
    net.settle(net.hosts[offender])
    net.run(1)
    assert counted(host) == {f"supernode {offender} sent StandBy": 1}
    (told,) = [event for _, event in net.told(host.name, Rejected)]
    assert told.address == f"203.0.113.{10 + other}"


def test_an_authority_that_talks_nonsense_is_counted(net: FakeNet) -> None:
    bob = net.hosts["bob"]
    enrolment: Enrolment = bob.machine.enrolment
    enrolment.start(net.now)
    (link,) = enrolment.links
    heard(net, bob, link, GARBAGE)
    assert sum(counted(bob).values()) == 1
    assert [event.address for _, event in net.told("bob", Rejected)] == ["203.0.113.5"]


def test_who_is_dialled_and_is_somebody_else_is_counted(net: FakeNet) -> None:
    bob = net.hosts["bob"]
    m: Membership = bob.machine.membership
    found: list[tuple[bool, bool]] = []
    question = Dial("supernode", "supernode-9", bytes(32), ("203.0.113.11",))
    reach = Reach(
        bob.machine.actions,
        question,
        m.authority,
        m.own,
        m.rng,
        m.wall,
        lambda _, tcp, udp, now: found.append((tcp, udp)),
    )
    reach.start(net.now)
    net.settle(bob)
    net.run(5)
    assert found == [(False, True)]
    assert counted(bob) == {"supernode-9 was dialled, and it is supernode-1": 1}


def test_a_relay_that_answers_a_leg_with_nonsense_over_tcp_is_counted(net: FakeNet) -> None:
    id = place(net, "dave", "erin")
    net.run(3)
    dave = net.hosts["dave"]
    leg = next(leg for leg in dave.machine.calls[id].legs.all if leg.tcp_bound is not None)
    heard(net, dave, leg.tcp_bound, frame(bytes(30_000), 2))
    assert sum(counted(dave).values()) == 1
    assert [event.address for _, event in net.told("dave", Rejected)] == ["203.0.113.21"]


def test_a_relay_where_a_client_waits_and_that_talks_nonsense_is_counted(net: FakeNet) -> None:
    dave = net.hosts["dave"]
    assert net.run(20, until=lambda: any(each.bound for each in dave.machine.standby.connections.values()))
    link = next(iter(dave.machine.standby.connections))
    heard(net, dave, link, frame(b"no STUN", 2))
    assert sum(counted(dave).values()) == 1
    assert link not in dave.machine.standby.connections


def test_a_peer_that_breaks_the_framing_of_media_is_counted_by_whoever_has_connected(net: FakeNet) -> None:
    """To alice everybody may connect."""
    id = place(net, "dave", "alice")
    net.run(3)
    dave = net.hosts["dave"]
    (link,) = [link for link, each in dave.machine.calls[id].checklist.tcp.links.items() if each.info is not None]
    heard(net, dave, link, frame(bytes(30_000), 2))
    assert sum(counted(dave).values()) == 1
    assert "198.51.100.18" in {event.address for _, event in net.told("dave", Rejected)}
