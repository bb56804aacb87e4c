"""Where no relay has room, a client that strangers reach becomes one, and goes on being a client."""

from collections.abc import Sequence

import pytest

from lab.overlay.call_events import Ended
from lab.overlay.candidacy import TIRED, WEIGH_EVERY, AskedToBe, DemotedFrom, PromotedTo
from lab.overlay.member import SignedOut
from lab.overlay.promoting import Asked, FoundFit, FoundUnfit
from lab.overlay.reach import Reach
from lab.overlay.relay import Bound, Relay
from lab.overlay.relief import LACKING, SPARED_AFTER
from lab.overlay.seat import Unneeded, Unreachable
from lab.wire.messages import Demoted, Dial, Nominate, RelayEntry, Unwilling
from lab.wire.stun import Kind, Method, StunMessage
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_parting import assert_whole
from tests.unit.overlay.test_paths_in_memory import place
from tests.unit.overlay.test_promotion import crowd as crowd_with_relay
from tests.unit.overlay.test_relay import Bench
from tests.unit.overlay.test_survival import HARD, longest_gap, path

pytestmark = pytest.mark.slow

PAIR = ("blocked", "hard")


def crowd(opened: int = 1, supernodes: int = 1, routers: Sequence[Router] = (), calls: int | None = None) -> FakeNet:
    """No relay, two clients that need one, others that could measure, and some on the open internet."""
    net = FakeNet(delay=0.01)
    net.built_in, net.calls = supernodes, calls
    net.authority()
    for number in range(supernodes):
        net.supernode(number + 1)
    net.client("hard", "192.168.34.10", Router("203.0.113.34", mapping=HARD))
    net.client("blocked", "192.168.35.10", Router("203.0.113.35", mapping=HARD, udp=False))
    net.client("web", "192.168.36.10", Router("203.0.113.36", mapping=HARD, udp=False, tcp_ports={443}))
    for number in range(4):
        net.client(f"cone-{number}", f"192.168.{50 + number}.10", Router(f"203.0.113.{150 + number}"))
    for number, router in enumerate(routers):
        net.client(f"odd-{number}", f"192.168.{100 + number}.10", router)
    for number in range(opened):
        net.client(f"open-{number}", f"198.51.100.{20 + number}", Router("", mapping=None))
    return net


def promoted(net: FakeNet) -> dict[str, str]:
    """Who has become what."""
    candidacies = {
        name: host.machine.candidacy.promoted for name, host in net.hosts.items() if hasattr(host.machine, "candidacy")
    }
    return {name: role for name, role in candidacies.items() if role is not None}


def relays_of(net: FakeNet, name: str, id: str) -> set[str]:
    return {leg.offer.relay for leg in net.hosts[name].machine.calls[id].legs.all}


def test_without_a_relay_a_client_that_anybody_reaches_becomes_one_and_carries_calls() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    assert promoted(net) == {"open-0": "relay"}
    assert "knew no relay with room" in net.hosts["open-0"].machine.candidacy.because
    net.run(2)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    for name in PAIR:
        assert path(net, name) == "relayed/mixed via open-0"
    net.run(1)
    assert_whole(net, PAIR, 50, 150)
    assert not net.told("open-0", SignedOut)


def test_it_is_asked_once_relays_have_been_lacking_for_a_while_and_not_before() -> None:
    net = crowd()
    net.run(LACKING - 1)
    assert not net.told("supernode-1", Asked)
    net.relay(1)
    net.run(60)
    assert not promoted(net) and not net.told("supernode-1", Asked)


def test_who_has_no_line_for_one_voice_is_no_relay_nor_stays_one() -> None:
    net = crowd(opened=2)
    net.run(5)
    net.hosts["open-0"].machine.passage.tried(carries_voice=False, now=net.now)
    assert net.run(60, until=lambda: bool(promoted(net)))
    assert promoted(net) == {"open-1": "relay"}
    refused = {event.name: event.reason for _, event in net.told("supernode-1", FoundUnfit)}
    assert refused["open-0"] == "its network carries no voice over UDP"
    net.hosts["open-1"].machine.passage.tried(carries_voice=False, now=net.now)
    assert net.run((TIRED + 1) * WEIGH_EVERY, until=lambda: "open-1" not in promoted(net))


def test_where_several_supernodes_lack_a_relay_one_of_them_asks() -> None:
    net = crowd(opened=4, supernodes=3)
    net.run(90)
    assert list(promoted(net).values()) == ["relay"]
    for number in (1, 2, 3):
        assert len(net.hosts[f"supernode-{number}"].machine.roster.all()) == 1


def test_a_promoted_supernode_that_is_the_last_one_left_makes_a_relay_that_sits_at_it() -> None:
    net = crowd_with_relay(closed=5, opened=1)
    assert net.run(60, until=lambda: promoted(net) == {"open-0": "supernode"})
    hub = net.hosts["open-0+"].machine
    hub.admission.capacity = 100
    net.client("open-1", "198.51.100.21", Router("", mapping=None))
    net.run(10)
    for name in ("supernode-1", "relay-1"):
        net.kill(name)
    assert net.run(90, until=lambda: promoted(net).get("open-1") == "relay")
    assert net.run(5, until=lambda: list(hub.roster.here) == ["open-1"])


@pytest.mark.parametrize(
    "router",
    [Router("203.0.113.90"), Router("", mapping=None, stateful=True)],
    ids=["cone", "firewall"],
)
def test_a_client_that_strangers_do_not_reach_is_never_a_relay(router: Router) -> None:
    net = crowd(opened=0, routers=[router])
    net.run(90)
    assert not promoted(net)
    assert not net.told("odd-0", PromotedTo)
    assert ("odd-0", "relay") in {(event.name, event.role) for _, event in net.told("supernode-1", FoundUnfit)}
    assert bool(net.told("odd-0", AskedToBe)) is (router.mapping is None)


@pytest.mark.parametrize("over", ["TCP", "UDP"])
def test_a_relay_is_reached_over_both_or_is_none(over: str) -> None:
    net = crowd()
    net.lose = lambda source, to: over == "UDP" and to == ("198.51.100.20", 33034)
    net.cut = lambda source, to: over == "TCP" and to == ("198.51.100.20", 33034)
    net.run(60)
    assert not promoted(net)
    reasons = [event.reason for _, event in net.told("supernode-1", FoundUnfit) if event.name == "open-0"]
    assert reasons and over in reasons[0]


def test_a_router_that_lets_in_whom_its_client_has_contacted_is_found_out_by_a_stranger() -> None:
    class Friendly(Router):
        """Lets in the supernode, and nobody else."""

        def admit(self, source, destination):  # type: ignore[no-untyped-def]
            return destination if source[0] == "203.0.113.11" else None

        @property
        def inbound_tcp(self) -> bool:
            return True

    net = crowd(opened=0, routers=[Friendly("", mapping=None)])
    net.run(60)
    assert not promoted(net)
    assert {e.reason for _, e in net.told("supernode-1", FoundUnfit) if e.name == "odd-0"} == {
        "nobody else has reached it"
    }


def apart() -> tuple[FakeNet, str, str]:
    """A client that anybody reaches, alone at its supernode, and others at the other one: all strangers to it sit
    there. No relay is there."""
    net = FakeNet(delay=0.01)
    net.authority()
    for number in (1, 2):
        net.supernode(number)
    net.client("open-0", "198.51.100.20", Router("", mapping=None))
    closed = [f"closed-{number}" for number in range(6)]
    for number, name in enumerate(closed):
        net.client(name, f"192.168.{number}.10", Router(f"203.0.113.{100 + number}"))
    assert net.run(5, until=lambda: all(net.hosts[name].machine.hub.hub for name in ("open-0", *closed)))
    here = net.hosts["open-0"].machine.hub.hub
    for name in closed:
        if net.hosts[name].machine.hub.hub == here:
            net.stop(name)
    (there,) = {"supernode-1", "supernode-2"} - {here}
    assert net.hosts[there].machine.clients
    return net, here, there


def test_where_all_strangers_sit_at_another_supernode_one_of_them_measures() -> None:
    net, here, there = apart()
    assert net.run(60, until=lambda: bool(promoted(net)))
    assert [event.measurer for _, event in net.told(here, FoundFit)] == [there]
    assert not net.hosts[there].machine.relief.favours.asked


def test_whom_they_do_not_reach_is_not_promoted() -> None:
    net, here, _ = apart()
    hubs = ("203.0.113.11", "203.0.113.12")
    net.cut = lambda source, to: to == ("198.51.100.20", 33034) and source[0] not in hubs
    net.run(60)
    assert not promoted(net)
    assert {event.reason for _, event in net.told(here, FoundUnfit)} == {"nobody else has reached it"}


def test_when_all_relays_are_busy_another_is_made_and_offered() -> None:
    net = crowd(calls=2)
    net.relay(1)
    net.run(LACKING + 5)
    assert not promoted(net), "there is room"
    id = place(net, *PAIR)
    place(net, "cone-0", "cone-1", id="c2.x")
    assert net.run(60, until=lambda: promoted(net) == {"open-0": "relay"})
    net.run(2)
    place(net, "cone-2", "cone-3", id="c3.x")
    assert relays_of(net, "cone-2", "c3.x") == {"open-0"}, "a full one is offered to nobody"
    assert path(net, "hard").endswith("via relay-1") and id in net.hosts["hard"].machine.calls


def test_nobody_is_asked_to_be_what_it_is_already() -> None:
    net = crowd(supernodes=2, calls=1)
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(2)
    place(net, *PAIR)
    net.run(60)
    assert all(net.hosts[f"supernode-{number}"].machine.roster.lacking for number in (1, 2))
    asked = [event for number in (1, 2) for _, event in net.told(f"supernode-{number}", Asked)]
    assert [event.name for event in asked].count("open-0") == 1


def test_a_users_computer_comes_after_a_relay_that_does_nothing_else() -> None:
    net = crowd(opened=2)
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.relay(1)
    net.run(3)
    roster = net.hosts["supernode-1"].machine.roster
    assert [relay.name for relay in roster.chosen()] == ["relay-1", *promoted(net)]
    roster.here["relay-1"] = RelayEntry("relay-1", ("203.0.113.21",), 33034, (443,), load=9, room=1)
    assert [relay.name for relay in roster.chosen()] == [*promoted(net), "relay-1"]


@pytest.mark.slow
def test_a_relay_is_never_a_supernode_as_well_nor_the_other_way_round() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    said: list[object] = []
    candidacy = net.hosts["open-0"].machine.candidacy
    candidacy.says("supernode-1", Nominate("supernode", ("198.51.100.20", 1)), said.append, net.now)
    assert isinstance(said[0], Unwilling) and said[0].role == "supernode"
    net = crowd_with_relay(opened=6)  # of four at a supernode there may be none who could measure another
    net.kill("relay-1")
    net.run(120)
    roles = promoted(net)
    assert set(roles.values()) == {"supernode", "relay"}
    assert list(roles.values()).count("relay") == 1
    for name in roles:
        others = [host for host in net.hosts if host.startswith(f"{name}+")]
        assert len(others) == 1


def test_a_client_is_no_relay_of_its_own_users_calls() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(2)
    for number, (caller, callee) in enumerate((("open-0", "blocked"), ("web", "open-0"))):
        id = place(net, caller, callee, id=f"c{number}.x")
        net.run(3)
        for name in (caller, callee):
            assert relays_of(net, name, id) == set()
            assert path(net, name) == "direct/tcp"
    assert not net.told("open-0+", Bound)


def test_even_where_a_supernode_offers_it_to_itself() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(2)
    roster = net.hosts["supernode-1"].machine.roster
    chosen = roster.chosen
    roster.chosen = lambda without=(), hub=None: chosen()  # type: ignore[method-assign]
    id = place(net, "open-0", "blocked")
    net.run(3)
    assert relays_of(net, "open-0", id) == set()
    assert path(net, "open-0") == path(net, "blocked") == "direct/tcp"


def test_port_443_is_the_relays_for_binds_and_the_clients_for_all_else() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(2)
    relayed = place(net, "web", "hard", id="c1.x")
    own = place(net, "blocked", "open-0", id="c2.x")
    third = net.client("narrow", "192.168.37.10", Router("203.0.113.37", mapping=HARD, udp=False, tcp_ports={443}))
    assert net.run(5, until=lambda: bool(third.machine.hub.hub))
    direct = place(net, "narrow", "open-0", id="c3.x")
    net.run(4)
    assert path(net, "web") == path(net, "hard") == "relayed/mixed via open-0"
    assert path(net, "blocked") == path(net, "narrow") == "direct/tcp"
    assert {relayed, own, direct} >= set(net.hosts["open-0"].machine.calls)
    assert {event.transport for _, event in net.told("open-0+", Bound)} == {"udp", "tcp"}


def test_its_users_call_does_not_notice_that_it_becomes_a_relay_and_is_one_no_more() -> None:
    net, pair = crowd(), ("open-0", "cone-0")
    assert net.run(10, until=lambda: bool(net.hosts["open-0"].machine.hub.hub))
    net.run(4)
    id = place(net, *pair)
    began = net.now
    talk(net, id, pair, LACKING + 10)
    assert promoted(net) == {"open-0": "relay"}
    net.hosts["open-0"].machine.candidacy.cease("its user wants it so")
    net.settle(net.hosts["open-0"])
    talk(net, id, pair, 3, first=round(50 * (LACKING + 10)))
    assert "open-0+" not in net.hosts and not promoted(net)
    for name in pair:
        assert longest_gap(net, name, began + 1) < 0.1
        assert not net.told(name, Ended)
    assert not net.told("open-0", SignedOut)


def carried() -> tuple[FakeNet, str]:
    """A call of three seconds so far that a promoted client carries, and another relay that is there now."""
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(2)
    id = place(net, *PAIR)
    talk(net, id, PAIR, 3)
    assert path(net, "hard") == "relayed/mixed via open-0"
    net.relay(1)
    return net, id


def demoted(net: FakeNet, id: str, within: float) -> tuple[str, float]:
    """Why the client that carried this call is one no more, and after how long: the call is elsewhere, and whole."""
    since, frame = net.now, 150
    while promoted(net) and net.now < since + within:
        talk(net, id, PAIR, 0.5, first=frame)
        frame += 25
    took = net.now - since
    assert not promoted(net)
    (word,) = [event for _, event in net.told("open-0", DemotedFrom)]
    assert word.role == "relay"
    talk(net, id, PAIR, 4, first=frame)
    assert "open-0+" not in net.hosts
    net.run(1)
    for name in PAIR:
        assert path(net, name) == "relayed/mixed via relay-1"
    assert_whole(net, PAIR, 100, frame + 200)
    return word.reason, took


def test_one_that_is_out_of_reach_is_demoted_and_its_calls_are_elsewhere_first() -> None:
    net, id = carried()
    net.cut = lambda source, to: source[0].startswith("203.0.113.1") and to == ("198.51.100.20", 33034)
    reason, _ = demoted(net, id, 60)
    assert "cannot reach it" in reason


def test_one_that_strangers_no_longer_reach_is_demoted_though_its_supernode_does() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(180)
    assert promoted(net) == {"open-0": "relay"}, "who can dial nobody is no witness"
    net.cut = lambda source, to: to == ("198.51.100.20", 33034) and source[0] != "203.0.113.11"
    assert net.run(240, until=lambda: not promoted(net))
    (demoted,) = [event for _, event in net.told("open-0", DemotedFrom)]
    assert "cannot reach it by" in demoted.reason and "supernode" not in demoted.reason


@pytest.mark.slow
def test_one_whose_machine_its_user_needs_is_a_client_again_and_its_calls_are_elsewhere_first() -> None:
    net, id = carried()
    net.busy["open-0"] = "its machine is busy: timers come 300 ms late"
    reason, took = demoted(net, id, 200)
    assert reason == net.busy["open-0"] and WEIGH_EVERY <= took <= (TIRED + 1) * WEIGH_EVERY


def test_one_busy_moment_is_none() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    candidacy = net.hosts["open-0"].machine.candidacy
    for refusal in ("busy", None, "busy", None):
        candidacy.spares(refusal)
    assert promoted(net)


@pytest.mark.slow
def test_one_that_carries_nothing_while_others_suffice_is_let_go_and_asked_again_when_it_is_needed() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(SPARED_AFTER + 30)
    assert promoted(net), "it is the only one"
    net.relay(1)
    net.run(SPARED_AFTER - 20)
    assert promoted(net)
    assert net.run(60, until=lambda: not promoted(net) and "open-0+" not in net.hosts)
    (demoted,) = [event for _, event in net.told("open-0", DemotedFrom)]
    assert demoted.reason == "the relays that do nothing else suffice"
    net.kill("relay-1")
    assert net.run(90, until=lambda: promoted(net) == {"open-0": "relay"})


@pytest.mark.slow
def test_one_that_carries_a_call_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.overlay.relief.SPARED_AFTER", 15.0)
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.run(2)
    id = place(net, *PAIR)
    net.relay(1)
    talk(net, id, PAIR, 45)
    assert promoted(net) and path(net, "hard") == "relayed/mixed via open-0"
    assert not net.told("open-0+", Unneeded)


def test_one_that_moves_is_a_client_again() -> None:
    net = crowd()
    assert net.run(60, until=lambda: bool(promoted(net)))
    net.move("open-0", ("192.168.200.10", Router("203.0.113.200")))
    assert not promoted(net)
    assert net.run(15, until=lambda: "open-0+" not in net.hosts)
    assert net.run(15, until=lambda: "open-0" not in net.hosts["supernode-1"].machine.roster.all())


def test_one_that_dies_is_followed_by_another() -> None:
    net = crowd(opened=2)
    assert net.run(60, until=lambda: bool(promoted(net)))
    (first,) = promoted(net)
    for name in (first, f"{first}+"):
        net.kill(name)
    assert net.run(60, until=lambda: len(promoted(net)) == 2)  # the dead one has not been told
    assert [event.name for _, event in net.told("supernode-1", FoundFit)] == [
        first,
        *(name for name in promoted(net) if name != first),
    ]


# -- whether a relay is there ------------------------------------------------------------------------------------------


def test_a_question_is_answered_with_a_signature_and_never_with_more_than_was_asked() -> None:
    bench = Bench()
    short = StunMessage(Method.BINDING, Kind.REQUEST, bytes(12)).encode()
    assert bench.say(("203.0.113.40", 1), short) == []
    long = StunMessage(Method.BINDING, Kind.REQUEST, bytes(12), padding=bytes(96)).encode()
    ((to, answer),) = bench.say(("203.0.113.40", 1), long)
    assert to == ("203.0.113.40", 1) and len(answer) <= len(long)
    six = ("2001:db8::40", 1)
    ((to, answer),) = bench.say(six, long)
    assert to == six and len(answer) <= len(long)


@pytest.mark.parametrize("right", [True, False])
def test_another_relay_at_that_address_is_not_the_one_that_was_meant(right: bool) -> None:
    net = FakeNet()
    net.authority()
    net.supernode(1)
    relay = net.relay(1)
    net.client("asks", "192.168.32.10", Router("203.0.113.32"))
    net.run(2)
    host, told = net.hosts["asks"], []
    key = relay.key if right else bytes(32)
    question = Dial("relay", "relay-1", key, ("203.0.113.21",))
    m = host.machine.membership
    reach = Reach(host.machine.actions, question, m.authority, m.own, m.rng, m.wall, lambda *found: told.append(found))
    reach.start(net.now)
    net.settle(host)
    for _ in range(40):
        net.run(0.1)
        reach.poll(net.now)
        net.settle(host)
    ((_, tcp, udp, _),) = told
    assert (tcp, udp) == (right, right)


def test_a_relay_that_does_nothing_else_is_measured_by_nobody_and_ends_on_no_supernodes_word() -> None:
    net = crowd(opened=0)
    relay = net.relay(1)
    net.run(40)
    hub = net.hosts["supernode-1"].machine
    assert not hub.roster.promoted
    assert isinstance(relay.machine, Relay)
    (link,) = [link for link, seat in hub.sessions.items() if seat.role == "relay"]
    hub.send(link, Demoted("relay", "a lie"))
    net.settle(net.hosts["supernode-1"])
    net.run(10)
    assert not net.told("relay-1", Unreachable) and "relay-1" in net.hosts and relay.machine.parting is None
