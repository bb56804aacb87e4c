"""Any client can become a supernode: who is asked, how it is measured, what follows, and how it ends."""

import random
from collections.abc import Callable, Mapping, Sequence

import pytest

from lab.overlay.call_events import Ended
from lab.overlay.candidacy import WEIGH_EVERY, AskedToBe, DemotedFrom, PromotedTo
from lab.overlay.member import SignedOut, Trouble
from lab.overlay.mesh import REDIAL, TURN, Peer
from lab.overlay.promoting import (
    DOUBTED,
    MEASURER_LIMIT,
    PAUSE,
    RECHECK_SOON,
    SETTLING,
    STAGE_LIMIT,
    UPTIME_LEAST,
    Asked,
    Candidate,
    FoundFit,
    FoundUnfit,
    Promoting,
    Rechecking,
)
from lab.overlay.seat import Left, ToldToWait
from lab.wire.messages import (
    Demoted,
    Dial,
    Dialled,
    Message,
    Nominate,
    Promoted,
    Relays,
    Room,
    Unwilling,
    Willing,
)
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

pytestmark = pytest.mark.slow


def crowd(closed: int = 9, opened: int = 3, routers: Sequence[Router] = (), capacity: int = 4) -> FakeNet:
    """One supernode that has room for few, clients behind routers, and some on the open internet."""
    net = FakeNet(delay=0.01)
    net.built_in, net.capacity = 1, capacity
    net.authority()
    net.supernode(1)
    net.relay(1)
    for number, router in enumerate(routers):
        net.client(f"odd-{number}", f"192.168.{100 + number}.10", router)
    for number in range(closed):
        net.client(f"closed-{number}", f"192.168.{number}.10", Router(f"203.0.113.{100 + number}"))
    for number in range(opened):
        net.client(f"open-{number}", f"198.51.100.{20 + number}", Router("", mapping=None))
    return net


def clients(net: FakeNet) -> list[str]:
    return [name for name in net.hosts if name.partition("-")[0] in ("closed", "open", "odd") and name[-1] != "+"]


def homes(net: FakeNet) -> dict[str, str | None]:
    return {name: net.hosts[name].machine.hub.hub for name in clients(net)}


def promoted(net: FakeNet) -> list[str]:
    return [name for name in clients(net) if net.hosts[name].machine.candidacy.promoted]


def meshed(net: FakeNet) -> bool:
    """Whether each supernode is linked with all others."""
    hubs = {"supernode-1": "supernode-1", **{f"{name}+": name for name in promoted(net)}}
    return all({*net.hosts[at].machine.peers, name} == set(hubs.values()) for at, name in hubs.items())


def test_a_crowd_at_a_small_supernode_makes_supernodes_of_those_that_anybody_reaches_and_all_are_in() -> None:
    net = crowd()
    assert net.run(90, until=lambda: None not in homes(net).values())
    assert net.run(2 * TURN, until=lambda: meshed(net) and None not in homes(net).values())
    assert set(promoted(net)) <= {"open-0", "open-1", "open-2"}
    assert set(homes(net).values()) > {"supernode-1"}
    first = net.hosts[promoted(net)[0]].machine.candidacy
    assert "supernode-1 had too much to do" in first.because or "open" in first.because
    for at in ("supernode-1", *(f"{name}+" for name in promoted(net))):
        assert len(net.hosts[at].machine.clients) <= 4
    told = [event.name for _, event in net.told("supernode-1", ToldToWait)]
    assert len(told) == len(set(told)), "each stands in the line once"
    at = homes(net)
    one = next(name for name in clients(net) if at[name] != "supernode-1")
    place(net, one, next(name for name in clients(net) if at[name] not in ("supernode-1", at[one])))


def test_nobody_is_promoted_where_there_is_room() -> None:
    net = crowd(closed=2, opened=1, capacity=10)
    net.run(60)
    assert not promoted(net)
    assert not net.told("supernode-1", Asked)


@pytest.mark.parametrize(
    "router",
    [
        Router("203.0.113.90"),
        Router("203.0.113.90", mapping="address-and-port-dependent"),
        Router("", mapping=None, stateful=True),
    ],
    ids=["cone", "symmetric", "firewall"],
)
def test_a_client_that_strangers_do_not_reach_is_never_promoted(router: Router) -> None:
    net = crowd(closed=5, opened=0, routers=[router])
    net.run(60)
    assert not promoted(net)
    assert not [event for _, event in net.told("odd-0", PromotedTo)]
    assert "odd-0" in {event.name for _, event in net.told("supernode-1", FoundUnfit)}
    translated = router.mapping is not None
    assert bool(net.told("odd-0", AskedToBe)) is not translated, "who is translated does not even begin"


def test_a_router_that_lets_in_whom_its_client_has_contacted_is_found_out_by_a_stranger() -> None:
    class Friendly(Router):
        """Filters by address: the supernode gets in, for the client has spoken to it; nobody else does."""

        def admit(self, source, destination):  # type: ignore[no-untyped-def]
            return destination if source[0] == "203.0.113.11" else None

        @property
        def inbound_tcp(self) -> bool:
            return True

    net = crowd(closed=5, opened=0, routers=[Friendly("", mapping=None)])
    net.run(60)
    assert not promoted(net)
    reasons = {event.name: event.reason for _, event in net.told("supernode-1", FoundUnfit)}
    assert reasons["odd-0"] == "nobody else has reached it"


def measured(judges: Mapping[str, Callable[[Message], object]], able: str = "") -> tuple[Promoting, list[str]]:
    """One that has asked "open" and reached it, at 100 s, and what it says of who is unfit; `able` has reached others
    before."""
    unfit: list[str] = []

    def tell(event: object) -> None:
        if isinstance(event, FoundUnfit):
            unfit.append(event.reason)

    promoting = Promoting(
        tell, random.Random(1), lambda *_: None, lambda _: judges, lambda: (), lambda name: name == able
    )
    reached_here(promoting, "open", 100.0)
    return promoting, unfit


def reached_here(promoting: Promoting, name: str, now: float) -> None:
    candidate = Candidate(name, b"", ("198.51.100.1", 1), 0.0, lambda message: None)
    promoting.poll("supernode", lambda: [candidate], 0.0, now)
    promoting.says(name, Willing("supernode", ("198.51.100.1",), 4), now)
    promoting.dialled(Dial("supernode", name, b"", ("198.51.100.1",)), True, True, now)


def test_a_measuring_takes_nobodys_turn_who_is_not_asked() -> None:
    judges = {name: lambda message: None for name in ("a", "b", "c")}
    promoting, unfit = measured(judges)
    for number in range(9):
        assert promoting.measurer, f"after {number}"
        promoting.says(promoting.measurer, Dialled(promoting.asking.candidate.name, True, True), 101.0)
        promoting.settling.clear()
        reached_here(promoting, f"open-{number}", 102.0)
    assert unfit == ["nobody is here who could measure it"], "each may three times"


def test_where_nobody_is_who_could_measure_it_the_pause_is_not_longer_each_time() -> None:
    promoting, unfit = measured({})
    for times in range(5):
        assert len(unfit) == 1 + times
        now = 100.0 + (times + 1) * (DOUBTED + 0.1)
        reached_here(promoting, "open", now)


@pytest.mark.parametrize(("able", "pause"), [("", 0.0), ("b", DOUBTED)])
def test_it_is_the_candidates_fault_if_one_does_not_reach_it_that_has_reached_others(able: str, pause: float) -> None:
    promoting, unfit = measured({name: lambda message: None for name in "abcdef"}, able)
    while promoting.asking is not None:
        promoting.says(promoting.measurer, Dialled("open", True, False), 101.0)
    assert unfit == ["nobody else has reached it"]
    assert promoting.unfit["open", "supernode"].pause == pause, "it counts for the next time"


def test_who_says_that_its_network_lets_it_reach_few_others_is_no_witness_and_another_is_asked() -> None:
    promoting, unfit = measured({name: lambda message: None for name in "abcdef"})
    for _ in range(5):
        promoting.cannot_measure(promoting.measurer, 101.0)
    promoting.says(promoting.measurer, Dialled("open", True, True), 102.0)
    assert list(promoting.promoted) == ["open"] and not unfit


def test_a_measurer_that_does_not_answer_is_not_the_candidates_fault() -> None:
    promoting, unfit = measured({name: lambda message: None for name in "ab"})
    first = promoting.measurer
    assert promoting.deadline("supernode", 0.0) == 100.0 + MEASURER_LIMIT
    promoting.poll("supernode", lambda: [], 0.0, 100.0 + MEASURER_LIMIT)
    assert promoting.measurer not in ("", first)
    promoting.says(promoting.measurer, Dialled("open", True, True), 106.0)
    assert list(promoting.promoted) == ["open"] and not unfit


@pytest.mark.parametrize("seed", range(4))
def test_clients_that_have_no_udp_themselves_condemn_nobody(seed: int) -> None:
    blind = [Router(f"203.0.113.{60 + number}", udp=False) for number in range(7)]
    net = crowd(closed=0, opened=0, routers=[*blind, Router("203.0.113.80")], capacity=10)
    net.rng.seed(seed)
    net.run(10)
    net.client("open-0", "198.51.100.20", Router("", mapping=None))
    net.run(5)
    net.hosts["supernode-1"].machine.admission.capacity = 8
    assert net.run(30, until=lambda: promoted(net) == ["open-0"])
    assert not [event for _, event in net.told("supernode-1", FoundUnfit) if event.name == "open-0"]
    assert [event.measurer for _, event in net.told("supernode-1", FoundFit)] == ["odd-7"]


def test_one_that_claims_room_without_end_and_lets_nobody_in_keeps_nobody_from_being_promoted() -> None:
    net = crowd(closed=12, opened=3)
    liar = net.supernode(2).machine
    liar.admission.capacity = 0
    liar._words = lambda: (Room(0, 10**9), Relays(()))
    honest = net.hosts["supernode-1"].machine
    assert net.run(10, until=lambda: "supernode-2" in honest.peers)
    net.run(2)
    assert honest.peers["supernode-2"].room == 4, "what it has itself"
    assert honest.relief.elsewhere.spare == sum(peer.room or 0 for peer in honest.peers.values())
    assert net.run(60, until=lambda: bool(promoted(net)))


def test_a_promoted_client_goes_on_being_one_and_its_call_does_not_notice() -> None:
    net = crowd(closed=3, opened=1, capacity=4)
    assert net.run(10, until=lambda: None not in homes(net).values())
    place(net, "open-0", "closed-0")
    net.client("late", "192.168.77.10", Router("203.0.113.177"))
    assert net.run(60, until=lambda: promoted(net) == ["open-0"])
    net.run(10)
    assert not net.told("open-0", Ended)
    assert not net.told("open-0", SignedOut)
    assert net.hosts["late"].machine.hub.hub is not None


def test_one_that_can_no_longer_be_reached_is_demoted_and_its_clients_are_elsewhere_first() -> None:
    net = crowd(closed=6, opened=1, capacity=4)
    assert net.run(60, until=lambda: promoted(net) == ["open-0"] and None not in homes(net).values())
    served = [name for name, at in homes(net).items() if at == "open-0"]
    assert served
    net.hosts["supernode-1"].machine.admission.capacity = 100
    net.run(5)
    net.hosts["open-0+"].routers[4].stateful = True
    assert net.run(60, until=lambda: not promoted(net))
    (cease,) = [event for _, event in net.told("open-0", DemotedFrom)]
    assert "cannot reach it" in cease.reason
    assert net.run(5, until=lambda: "open-0+" not in net.hosts)
    assert set(homes(net).values()) == {"supernode-1"}
    for name in served:
        assert not net.told(name, SignedOut), "it has moved before the old link broke"


def test_one_whose_machine_its_user_needs_takes_nobody_new_and_loses_nobody_for_whom_there_is_no_other_place() -> None:
    net = crowd(closed=4, opened=1, capacity=4)
    assert net.run(60, until=lambda: promoted(net) == ["open-0"] and None not in homes(net).values())
    hub = net.hosts["open-0+"].machine
    net.busy["open-0"] = "its machine is busy: timers come 300 ms late"
    net.run(3 * WEIGH_EVERY)
    sitting = set(hub.clients)
    assert 0 < len(sitting) < 4
    for number in range(4):
        net.client(f"closed-late-{number}", f"192.168.{50 + number}.10", Router(f"203.0.113.{150 + number}"))
    net.run(20)
    assert promoted(net) == ["open-0"] and set(hub.clients) == sitting
    assert list(homes(net).values()).count(None) == len(homes(net)) - 4 - len(sitting), "the others wait"
    del net.busy["open-0"]
    assert net.run(2 * WEIGH_EVERY, until=lambda: len(hub.clients) == 4)


def walled_in(net: FakeNet, name: str) -> None:
    """A firewall is put before it that lets nobody in, and the router forgets all connections."""
    hub = net.hosts[f"{name}+"]
    hub.routers[4].stateful = True
    hub.routers[4].contacted.clear()
    for key in [key for key in net.pipes if key[0] == hub.name]:
        del net.pipes[key]


def test_one_that_nobody_is_linked_with_any_more_and_nobody_reaches_is_demoted() -> None:
    net = crowd(closed=6, opened=2, capacity=4)
    assert net.run(60, until=lambda: bool(promoted(net)) and None not in homes(net).values())
    net.run(10)
    (hub,) = promoted(net)[:1]
    walled_in(net, hub)
    assert net.run(60, until=lambda: hub not in promoted(net))
    (cease,) = [event for _, event in net.told(hub, DemotedFrom)]
    assert f"cannot reach {hub} by" in cease.reason, "none of whom it dials lets it in again, and says why"


def test_one_that_is_kept_out_by_some_and_linked_with_another_goes_on() -> None:
    net = crowd(closed=6, opened=1, capacity=4)
    assert net.run(60, until=lambda: promoted(net) == ["open-0"])
    net.run(10)
    hub = net.hosts["open-0+"]
    for _ in range(3):
        hub.machine.kept_out("supernode-2 cannot reach it by TCP")
    net.settle(hub)
    assert promoted(net) == ["open-0"]


def test_one_that_moves_to_another_network_is_a_client_again() -> None:
    net = crowd(closed=5, opened=1, capacity=4)
    assert net.run(60, until=lambda: promoted(net) == ["open-0"])
    net.move("open-0", ("192.168.200.10", Router("203.0.113.200")))
    assert not promoted(net)
    assert net.run(10, until=lambda: "open-0+" not in net.hosts)


def test_when_a_promoted_supernode_dies_its_clients_are_back_and_another_is_promoted() -> None:
    net = crowd(closed=7, opened=2, capacity=5)
    assert net.run(90, until=lambda: None not in homes(net).values())
    (first,) = promoted(net)[:1]
    for name in (first, f"{first}+"):
        net.kill(name)
    others = [name for name in clients(net) if name != first]
    assert net.run(60, until=lambda: all(homes(net)[name] not in (None, first) for name in others))
    assert [event.name for _, event in net.told("supernode-1", FoundFit)][-1] != first
    assert first in {event.name for _, event in net.told("supernode-1", Left)}


def test_a_promoted_supernode_that_is_the_last_one_left_makes_another_that_is_linked_with_it() -> None:
    net = crowd(closed=5, opened=1)
    assert net.run(60, until=lambda: promoted(net) == ["open-0"] and None not in homes(net).values())
    net.client("open-1", "198.51.100.21", Router("", mapping=None))
    net.run(3)
    assert promoted(net) == ["open-0"]
    net.kill("supernode-1")
    assert net.run(90, until=lambda: "open-1" in promoted(net))
    assert net.run(2 * TURN, until=lambda: list(net.hosts["open-1+"].machine.peers) == ["open-0"])
    assert net.run(30, until=lambda: None not in homes(net).values())


def test_a_promoted_client_whose_supernode_is_the_last_one_left_sits_at_that_and_leaves_it_when_it_ends() -> None:
    net = crowd(closed=5, opened=1)
    assert net.run(60, until=lambda: promoted(net) == ["open-0"] and None not in homes(net).values())
    net.kill("supernode-1")
    assert net.run(20, until=lambda: list(homes(net).values()).count("open-0") == 5)
    assert homes(net)["open-0"] == "open-0", "it takes nobody's place, for all four have theirs"
    place(net, next(name for name in clients(net) if name != "open-0" and homes(net)[name]), "open-0")
    net.start("supernode-1")
    assert net.run(30, until=lambda: meshed(net))
    net.hosts["supernode-1"].machine.admission.capacity = 100
    net.run(5)
    net.hosts["open-0"].machine.candidacy.cease("its user wants it to")
    net.settle(net.hosts["open-0"])
    assert net.run(10, until=lambda: homes(net)["open-0"] == "supernode-1")


@pytest.mark.parametrize("minutes", [1.0, 2.1, 3.2, 4.3, 5.4])
def test_a_lone_built_in_supernode_that_comes_back_after_minutes_is_linked_with_the_promoted_ones_soon(
    minutes: float,
) -> None:
    net = crowd(closed=5, opened=2)
    assert net.run(60, until=lambda: bool(promoted(net)) and None not in homes(net).values())
    net.kill("supernode-1")
    net.run(60 * minutes)
    net.start("supernode-1")
    assert net.run(2 * REDIAL, until=lambda: bool(net.hosts["supernode-1"].machine.peers))
    assert net.run(2 * TURN, until=lambda: meshed(net))


def test_each_promoted_one_has_its_turn_to_be_measured_even_where_one_is_never_found_in_order() -> None:
    """A stranger does not reach one of them, this node does, and nobody else is there to say."""
    now, dialled = 100.0, list[tuple[float, str]]()
    questions = [Dial("supernode", name, b"", ("198.51.100.1",)) for name in ("a", "b", "c", "odd")]
    rechecking = Rechecking(random.Random(1), lambda question, now: dialled.append((now, question.name)), lambda _: {})
    rechecking.dialled("odd", False, now, "stranger")
    while now < 700.0:
        rechecking.poll(lambda: questions, now)
        if dialled and dialled[-1][0] == now:
            rechecking.dialled(dialled[-1][1], True, now)
        now += 0.5
    times = {name: [at for at, each in dialled if each == name] for name in ("a", "b", "c", "odd")}
    assert min(map(len, times.values())) >= 2
    assert len(times["odd"]) > len(times["a"])


def test_a_stranger_without_udp_of_its_own_says_nothing_of_one_that_was_promoted_and_another_look_is_taken_soon() -> (
    None
):
    question = Dial("supernode", "odd", b"", ("198.51.100.1",))
    rechecking = Rechecking(random.Random(1), lambda *_: None, lambda _: {"blind": lambda message: None})
    rechecking.can("blind")
    now = 100.0
    while not rechecking.measurer:
        rechecking.poll(lambda: [question], now)
        now += 1.0
    rechecking.cannot_measure("blind", now)
    assert not rechecking.measurer and not rechecking.failures.get("odd")
    assert rechecking.next == pytest.approx(now + RECHECK_SOON)


def test_where_many_see_that_there_is_no_room_few_promote_somebody_unless_many_wait() -> None:
    began: list[float] = []

    def promoting(number: int) -> Promoting:
        return Promoting(lambda event: None, random.Random(number), lambda *_: None, lambda _: {}, lambda: ())

    def candidates() -> list[Candidate]:
        return [Candidate("open", b"", ("198.51.100.1", 1), 0.0, lambda message: began.append(now))]

    patient, urgent = [promoting(number) for number in range(100)], promoting(100)
    now = 100.0
    for each in (*patient, urgent):
        each.poll("supernode", candidates, 10.0, now)
    for number, each in enumerate(patient):
        due = each.deadline("supernode", 10.0)
        assert due is not None and 100.0 <= due < 110.0, number
        if due < 101.0:
            now = due
            each.poll("supernode", candidates, 10.0, now)
            assert began.pop() == due
        else:
            each.poll(None, candidates, 10.0, 102.0)
            each.poll("supernode", candidates, 10.0, 103.0)
            due = each.deadline("supernode", 10.0)
            assert due is not None and due >= 103.0, "it has been needless meanwhile"
    assert sum(each.asking is not None for each in patient) < 20
    now = 100.1
    urgent.poll("supernode", candidates, 0.0, now)
    assert began == [100.1]


def test_who_has_been_here_longest_is_asked_first_and_nobody_who_has_just_come() -> None:
    asked: list[str] = []

    def candidate(name: str, since: float) -> Candidate:
        return Candidate(name, b"", ("198.51.100.1", 1), since, lambda message: asked.append(name))

    promoting = Promoting(lambda event: None, random.Random(1), lambda *_: None, lambda _: {}, lambda: ())
    everybody = [candidate("middle", 50.0), candidate("oldest", 10.0), candidate("newest", 100.0)]
    promoting.poll("supernode", lambda: everybody, 0.0, 100.5)
    assert asked == ["oldest"]
    alone = Promoting(lambda event: None, random.Random(1), lambda *_: None, lambda _: {}, lambda: ())
    alone.poll("supernode", lambda: [candidate("newest", 100.0)], 0.0, 100.0 + UPTIME_LEAST - 0.1)
    assert asked == ["oldest"], "it may be gone again"
    alone.poll("supernode", lambda: [candidate("newest", 100.0)], 0.0, 100.0 + UPTIME_LEAST + 1.0)
    assert asked == ["oldest", "newest"]


def test_where_everything_has_just_restarted_half_of_the_supernodes_own_time_is_long_enough() -> None:
    asked: list[str] = []
    newcomer = Candidate("newest", b"", ("198.51.100.1", 1), 100.0, lambda message: asked.append("newest"))
    promoting = Promoting(lambda event: None, random.Random(1), lambda *_: None, lambda _: {}, lambda: ())
    promoting.here_since = 99.0
    promoting.poll("supernode", lambda: [newcomer], 0.0, 100.9)
    assert not asked
    promoting.poll("supernode", lambda: [newcomer], 0.0, 101.2)
    assert asked == ["newest"]


def test_where_it_is_urgent_after_one_who_is_unwilling_the_next_is_asked_at_once() -> None:
    asked: list[str] = []
    everybody = [
        Candidate(name, b"", ("198.51.100.1", 1), 0.0, lambda message, name=name: asked.append(name))  # type: ignore[misc]
        for name in ("first", "second")
    ]
    promoting = Promoting(lambda event: None, random.Random(1), lambda *_: None, lambda _: {}, lambda: ())
    promoting.poll("supernode", lambda: everybody, 0.0, 100.0)
    promoting.says("first", Unwilling("supernode", "its address is translated on the way"), 100.05)
    promoting.turn = 0.0
    promoting.poll("supernode", lambda: everybody, 1.0, 100.05)
    assert asked == ["first"], "others may do it as well"
    promoting.poll("supernode", lambda: everybody, 0.0, 100.05)
    assert asked == ["first", "second"]


@pytest.mark.parametrize(("unwilling", "pauses"), [(False, [30, 60, 120, 240, 480, 600, 600]), (True, [600, 600])])
def test_who_was_not_reached_is_asked_again_sooner_than_who_would_not_and_each_time_later(
    unwilling: bool, pauses: list[float]
) -> None:
    said: list[Message] = []
    now = 100.0
    candidate = Candidate("open", b"", ("198.51.100.1", 1), 0.0, said.append)
    promoting = Promoting(lambda event: None, random.Random(1), lambda *_: None, lambda _: {}, lambda: ())
    for pause in pauses:
        promoting.poll("supernode", lambda: [candidate], 0.0, now)
        assert isinstance(said.pop(), Nominate)
        if unwilling:
            promoting.says("open", Unwilling("supernode", "its address is translated on the way"), now)
        else:
            promoting.says("open", Willing("supernode", ("198.51.100.1",), 4), now)
            promoting.dialled(Dial("supernode", "open", b"", ("198.51.100.1",)), True, False, now)
        now += pause - 0.1
        promoting.poll("supernode", lambda: [candidate], 0.0, now)
        assert not said or isinstance(said.pop(), Demoted), f"after {pause} s"
        now += 0.4
    promoting.poll("supernode", lambda: [candidate], 0.0, now)
    promoting.says("open", Unwilling("supernode", "its address is translated on the way"), now)
    elsewhere = Candidate("open", b"", ("198.51.100.2", 1), 0.0, said.append)
    promoting.poll("supernode", lambda: [elsewhere], 0.0, now + 1.0)
    assert isinstance(said[-1], Nominate) and len(said) == 2, "at another address nothing is known of it"


def test_who_is_asked_is_let_go_when_others_have_made_somebody_a_supernode_meanwhile() -> None:
    said: list[Message] = []
    open_one = Candidate("open", b"", ("198.51.100.1", 1), 0.0, said.append)
    promoting = Promoting(lambda event: None, random.Random(1), lambda *_: None, lambda _: {}, lambda: ())
    promoting.poll("supernode", lambda: [open_one], 0.0, 100.0)
    assert promoting.deadline("supernode", 0.0) == 100.0 + STAGE_LIMIT
    assert promoting.deadline(None, 0.0) == 0.0
    promoting.poll(None, lambda: [open_one], 0.0, 100.2)
    assert isinstance(said[-1], Demoted) and promoting.deadline(None, 0.0) is None
    promoting.poll("supernode", lambda: [open_one], 0.0, 101.0)
    assert isinstance(said[-1], Nominate), "it is no less fit than before"


def test_the_room_elsewhere_is_for_all_that_wait_and_not_for_one_line_alone() -> None:
    """One other has room for four, and three wait here: that suffices, unless three more are full, for then it is four
    that wait, each in three lines of four."""
    net = FakeNet()
    net.built_in, net.capacity = 1, 4
    hub = net.supernode(1).machine
    hub.ready, hub.clients = True, dict.fromkeys("abcd", 0)
    for link, name in enumerate(("one", "two", "three")):
        hub.admission.wait(link, name, 100.0)
    elsewhere = hub.relief.elsewhere
    elsewhere.noted(Peer("roomy", b"", (), lambda message: None, False, clients=0, room=3))
    assert hub.relief._needed(100.0) == "supernode"
    elsewhere.noted(Peer("roomy", b"", (), lambda message: None, False, clients=0, room=4))
    assert hub.relief._needed(100.0) is None
    for name in ("full-1", "full-2", "full-3"):
        elsewhere.noted(Peer(name, b"", (), lambda message: None, False, clients=4, room=0))
    assert hub.relief._needed(100.0) == "supernode"


def test_after_a_promotion_the_next_is_asked_at_once_only_where_many_times_more_wait_than_it_has_room_for() -> None:
    asked: list[str] = []
    everybody = [
        Candidate(name, b"", ("198.51.100.1", 1), 0.0, lambda message, name=name: asked.append(name))  # type: ignore[misc]
        for name in ("first", "second")
    ]
    judge = {"judge": lambda message: None}
    promoting = Promoting(lambda event: None, random.Random(1), lambda *_: None, lambda _: judge, lambda: ())
    promoting.poll("supernode", lambda: everybody, 0.0, 100.0, 100)
    promoting.says("first", Willing("supernode", ("198.51.100.1",), 30), 100.1)
    promoting.dialled(Dial("supernode", "first", b"", ("198.51.100.1",)), True, True, 100.2)
    promoting.says("judge", Dialled("first", True, True), 100.3)
    assert list(promoting.promoted) == ["first"]
    assert promoting.deadline("supernode", 0.0, 61) == pytest.approx(100.3 + PAUSE)
    assert promoting.deadline("supernode", 0.0, 60) == pytest.approx(100.3 + SETTLING)
    promoting.poll("supernode", lambda: everybody, 0.0, 100.6, 60)
    assert "second" not in asked
    promoting.poll("supernode", lambda: everybody, 0.0, 100.6, 61)
    assert asked[-1] == "second"


def test_one_that_is_asked_by_another_as_well_before_it_is_promoted_answers_that_one_too() -> None:
    """It waits at both, and leaves the line of the first when the second lets it in: that one promotes it."""
    first: list[object] = []
    second: list[object] = []
    net = crowd(closed=0, opened=1)
    candidacy = net.hosts["open-0"].machine.candidacy
    asked = Nominate("supernode", ("198.51.100.20", 1))
    candidacy.says("supernode-1", asked, first.append, net.now)
    candidacy.says("supernode-2", asked, second.append, net.now)
    assert not second, "it does not listen yet"
    candidacy.listening(None, net.now)
    assert not first and [type(each) for each in second] == [Willing]
    candidacy.says("supernode-1", asked, first.append, net.now)
    assert [type(each) for each in first] == [Willing]
    candidacy.says("supernode-1", Nominate("relay", asked.observed), first.append, net.now)
    assert isinstance(first[-1], Unwilling)
    candidacy.says("supernode-2", Demoted("supernode", "another has become one"), second.append, net.now)
    assert candidacy.role == "supernode", "the first is measuring it"
    candidacy.says("supernode-1", Promoted("supernode", "judge", ()), first.append, net.now)
    candidacy.says("supernode-2", asked, second.append, net.now)
    assert isinstance(second[-1], Unwilling) and candidacy.because.startswith("supernode-1 had")


@pytest.mark.parametrize("when", ["unasked", "before it listens", "by another", "to another role", "after it gave up"])
def test_nobody_is_promoted_but_by_who_has_asked_it_and_heard_that_it_is_willing(when: str) -> None:
    net = crowd(closed=0, opened=1)
    assert net.run(10, until=lambda: homes(net)["open-0"] == "supernode-1")
    host, word = net.hosts["open-0"], Promoted("supernode", "judge", ())
    client, asked = host.machine, Nominate("supernode", ("198.51.100.20", 1))
    if when == "by another":
        client.candidacy.says("supernode-2", asked, lambda answer: None, net.now)
    elif when != "unasked":
        client.hub_message(client.hub, asked, net.now)
    if when in ("by another", "to another role", "after it gave up"):
        client.candidacy.listening(None, net.now)
    if when == "to another role":
        word = Promoted("relay", "judge", ())
    if when == "after it gave up":
        client.hub_message(client.hub, Demoted("supernode", "it cannot be reached"), net.now)
    role = client.candidacy.role
    client.hub_message(client.hub, word, net.now)
    assert client.candidacy.promoted is None and client.candidacy.role == role
    assert not [each for each in client.actions.pending if isinstance(each, PromotedTo)]
    assert client.dropped == {"promotion": 1}
    net.settle(host)
    (trouble,) = [event.what for _, event in net.told("open-0", Trouble)]
    assert "supernode-1 promotes this client" in trouble
    assert homes(net)["open-0"] == "supernode-1", "it stays where it sits"


def test_a_second_promotion_by_another_that_asked_changes_nothing_and_is_no_offence() -> None:
    net = crowd(closed=0, opened=1)
    candidacy = net.hosts["open-0"].machine.candidacy
    for hub in ("supernode-1", "supernode-2"):
        candidacy.says(hub, Nominate("supernode", ("198.51.100.20", 1)), lambda answer: None, net.now)
        candidacy.listening(None, net.now)
    for hub in ("supernode-1", "supernode-2"):
        candidacy.says(hub, Promoted("supernode", "judge", ()), lambda answer: None, net.now)
    assert candidacy.because.startswith("supernode-1 had")
    assert len([each for each in net.hosts["open-0"].machine.actions.pending if isinstance(each, PromotedTo)]) == 1
