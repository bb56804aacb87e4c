"""Whole calls between networks that only guessing joins: the voice loses and repeats nothing, sockets are put away."""

import itertools

import msgspec
import pytest

from lab.overlay.call_events import Finished, Guesses, Heard, Moved
from lab.overlay.checklist import PACING
from lab.overlay.checks import Checks, Word
from lab.overlay.choice import CONSENT
from lab.overlay.client import Client
from lab.overlay.courtesy import MOST_A_SECOND
from lab.overlay.guessing import MOST_KNOWN, Guessing
from lab.overlay.paths import Key, Kind, Path
from lab.overlay.prospects import Part
from lab.wire.addresses import Address
from lab.wire.messages import Candidate, Trickle, decode_body
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_paths_in_memory import place

HARD = "address-and-port-dependent"


class Lenient(Router):
    """Filters by address."""

    def admit(self, source: Address, destination: Address) -> Address | None:
        known = any(outer == destination and host == source[0] for outer, (host, _) in self.contacted)
        return self.back.get(destination) if known else None


class ByAddress(Lenient):
    """Maps by address as well, and counts."""

    def translate(self, source: Address, destination: Address) -> Address:
        key = (source, (destination[0], 0))
        if key not in self.out:
            outer = (self.outer, next(self.ports))
            self.out[key], self.back[outer] = outer, source
        self.contacted.add((self.out[key], destination))
        return self.out[key]


@pytest.fixture
def net() -> FakeNet:
    net = FakeNet(delay=0.01, seed=3)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("cone", "192.168.32.10", Router("203.0.113.32"))
    net.client("counting", "192.168.33.10", Router("203.0.113.33", mapping=HARD, sequential=True))
    net.client("counting-too", "192.168.34.10", Router("203.0.113.34", mapping=HARD, sequential=True))
    net.client("drawing", "192.168.35.10", Router("203.0.113.35", mapping=HARD, ports_drawn_from=range(1024, 65536)))
    net.client(
        "drawing-too", "192.168.36.10", Router("203.0.113.36", mapping=HARD, ports_drawn_from=range(1024, 65536))
    )
    names = ("cone", "counting", "counting-too", "drawing", "drawing-too")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in names))
    net.run(3)
    return net


def words(net: FakeNet, name: str) -> list[int]:
    return [int.from_bytes(event.data[2:4], "big") for _, event in net.told(name, Heard)]


def forget(router: Router) -> None:
    router.out.clear()
    router.back.clear()
    router.contacted.clear()


PAIRS = [("cone", "counting"), ("counting", "counting-too"), ("cone", "drawing")]


@pytest.mark.parametrize(("caller", "callee"), [*PAIRS, *((b, a) for a, b in PAIRS)])
@pytest.mark.parametrize("ring", [0.0, 0.5])
def test_voice_moves_to_the_guessed_path_without_a_lost_or_repeated_frame(
    net: FakeNet, caller: str, callee: str, ring: float
) -> None:
    id = place(net, caller, callee, ring)
    names = (caller, callee)
    for number in range(400):
        for name in names:
            assert net.hosts[name].machine.send(id, b"\x80\x6f" + number.to_bytes(2, "big") + bytes(100)) or number < 20
            net.settle(net.hosts[name])
        net.run(0.02)
    net.run(0.5)
    for name in names:
        assert str(net.told(name, Moved)[-1][1].path) == "punched/udp"
        heard = words(net, name)
        assert sorted(heard) == list(range(heard[0], 400)) and heard[0] < 20
        assert net.told(name, Finished)


def test_sockets_are_put_away_and_the_call_ends_with_none(net: FakeNet) -> None:
    before = len(net.hosts["drawing"].sockets)
    id = place(net, "cone", "drawing")
    net.run(8)
    drawing = net.hosts["drawing"].machine
    assert isinstance(drawing, Client)
    told = [event for _, event in net.told("drawing", Guesses)]
    assert [event.under_way for event in told] == [True, False] and told[1].sockets > 1
    net.run(8)
    assert len(drawing.calls[id].checklist.guessing.sockets) <= 2
    drawing.hang_up(id, net.now)
    net.settle(net.hosts["drawing"])
    net.run(2)
    assert len(net.hosts["drawing"].sockets) == before


def test_two_calls_of_one_client_guess_no_faster_than_one(net: FakeNet, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[float] = []
    check, media = Guessing.check, set[int]()

    def noted(self: Guessing, socket: int, address: Address, now: float, hops: int | None = None) -> bool:
        gone = check(self, socket, address, now, hops)
        if gone and socket in media:
            sent.append(now)
        return gone

    monkeypatch.setattr(Guessing, "check", noted)
    outer = {"203.0.113.32", "203.0.113.35", "203.0.113.36"}
    net.lose = lambda source, destination: {source[0], destination[0]} <= outer
    for callee in ("drawing", "drawing-too"):
        place(net, "cone", callee, id=f"{callee}.x")
    media.update(call.media.socket for call in net.hosts["cone"].machine.calls.values())
    net.run(6)
    assert len(media) == 2 and len(sent) > 600
    assert all(later - earlier >= 1.0 for earlier, later in zip(sent, sent[MOST_A_SECOND:], strict=False))


def test_a_guessed_path_that_dies_is_guessed_again(net: FakeNet) -> None:
    place(net, "cone", "counting")
    net.run(4)
    assert str(net.told("cone", Moved)[-1][1].path) == "punched/udp"
    router = net.hosts["counting"].routers[4]
    router.out.clear()
    router.back.clear()
    router.contacted.clear()
    assert net.run(10, until=lambda: str(net.told("cone", Moved)[-1][1].path).startswith("relayed"))
    assert net.run(10, until=lambda: str(net.told("cone", Moved)[-1][1].path) == "punched/udp")


def works(net: FakeNet, id: str, *names: str) -> None:
    """Both sides use a punched path that has answered of late."""
    for name in names:
        using = net.hosts[name].machine.calls[id].checklist.selected
        assert using is not None and str(using.name) == "punched/udp" and net.now - using.last_answer < 1, name


@pytest.mark.parametrize("who", ["counting", "cone"])
@pytest.mark.parametrize("other", ["counting", "drawing"])
def test_after_a_cable_was_out_a_path_is_guessed_again(net: FakeNet, other: str, who: str) -> None:
    """The sockets of the former one went with the address."""
    who = other if who == "counting" else who
    id = place(net, "cone", other)
    net.run(8)
    assert str(net.told("cone", Moved)[-1][1].path) == "punched/udp"
    host = net.hosts[who]
    place_of = [(address, host.routers[4]) for address in host.addresses.values()]
    net.move(who)
    net.run(1)
    net.move(who, *place_of)
    net.run(15)
    works(net, id, "cone", other)


@pytest.mark.parametrize(("roams", "to"), [("cone", "counting"), ("cone", "drawing"), ("flat", "counting")])
def test_who_goes_to_a_network_that_has_to_be_guessed_is_guessed_there(net: FakeNet, roams: str, to: str) -> None:
    net.client("flat", "192.168.41.10", Router("203.0.113.41"))
    assert net.run(10, until=lambda: net.hosts["flat"].machine.hub.hub is not None)
    net.run(3)
    id = place(net, "cone", "flat")
    net.run(2)
    assert str(net.told("cone", Moved)[-1][1].path) == "punched/udp"
    router = net.hosts[to].routers[4]
    net.move(roams, (f"{net.hosts[to].addresses[4].rpartition('.')[0]}.77", router))
    net.run(20)
    works(net, id, "cone", "flat")


def test_a_udp_that_was_shut_and_is_open_again_lets_a_guess_in(net: FakeNet) -> None:
    id = place(net, "cone", "drawing")
    net.run(8)
    guessing = net.hosts["cone"].machine.calls[id].checklist.guessing
    own = guessing.own
    guessing.hopeless = True
    guessing.meet(msgspec.structs.replace(own, udp=False), guessing.peer, True, net.now)
    assert guessing.hopeless
    guessing.meet(own, guessing.peer, True, net.now)
    assert not guessing.hopeless


def test_a_peer_that_names_thousands_of_addresses_is_known_by_its_last_ones(net: FakeNet) -> None:
    id = place(net, "cone", "drawing")
    guessing = net.hosts["cone"].machine.calls[id].checklist.guessing
    for number in range(200):
        named = [Candidate("server-reflexive", "udp", (f"198.51.{number}.{host}", 5000)) for host in range(1, 51)]
        guessing.learn(named, net.now)
    assert len(guessing.candidates) == MOST_KNOWN and guessing.target == ("198.51.199.50", 5000)


def test_two_sides_that_draw_from_every_port_stay_on_the_relay_and_do_not_guess(net: FakeNet) -> None:
    id = place(net, "drawing", "drawing-too")
    net.run(5)
    for name in ("drawing", "drawing-too"):
        assert str(net.told(name, Moved)[-1][1].path) == "relayed/udp via relay-1"
        assert not net.told(name, Guesses)
        assert net.hosts[name].machine.calls[id].checklist.both_finished()


@pytest.mark.parametrize(("caller", "callee"), [("drawing", "drawing-too"), ("drawing-too", "drawing")])
def test_a_router_that_has_become_another_since_it_was_looked_at_is_seen_in_the_call(
    net: FakeNet, caller: str, callee: str
) -> None:
    """What was found out says that both draw ports, and neither side would guess."""
    router = net.hosts["drawing"].routers[4]
    router.mapping = "endpoint-independent"
    forget(router)
    place(net, caller, callee)
    net.run(10)
    for name in (caller, callee):
        assert str(net.told(name, Moved)[-1][1].path) == "punched/udp"


def test_a_router_that_has_begun_to_draw_ports_is_seen_in_the_call(net: FakeNet) -> None:
    router = net.hosts["cone"].routers[4]
    router.mapping, router.ports_drawn_from = HARD, range(1024, 65536)
    forget(router)
    id = place(net, "cone", "drawing")
    net.run(4)
    for name in ("cone", "drawing"):
        assert str(net.told(name, Moved)[-1][1].path) == "relayed/udp via relay-1"
        assert net.hosts[name].machine.calls[id].checklist.both_finished(), "there is nothing to wait for"


@pytest.mark.parametrize(("caller", "callee"), [("cone", "drawing"), ("drawing", "cone")])
def test_a_router_that_has_begun_to_count_is_foreseen_in_the_call(net: FakeNet, caller: str, callee: str) -> None:
    router = net.hosts["drawing"].routers[4]
    router.sequential = True
    forget(router)
    place(net, caller, callee)
    net.run(1)
    for name in (caller, callee):
        assert str(net.told(name, Moved)[-1][1].path) == "punched/udp"
    assert net.told("drawing", Guesses)[-1][1].part == Part.TELL


@pytest.mark.parametrize(("caller", "callee"), [("cone", "counting"), ("counting", "cone")])
def test_a_router_that_counts_no_more_is_not_foreseen(net: FakeNet, caller: str, callee: str) -> None:
    router = net.hosts["counting"].routers[4]
    router.sequential, router.ports_drawn_from = False, range(1024, 65536)
    forget(router)
    place(net, caller, callee)
    net.run(10)
    for name in (caller, callee):
        assert str(net.told(name, Moved)[-1][1].path) == "punched/udp"
    assert net.told("counting", Guesses)[-1][1].part == Part.OPEN


def test_candidates_that_a_later_word_has_overtaken_still_count(net: FakeNet) -> None:
    """What goes in band is faster than what goes by the hub."""
    id = place(net, "cone", "drawing")
    net.run(1)
    cone, drawing = (net.hosts[name].machine.calls[id] for name in ("cone", "drawing"))
    addresses = [("198.51.100.7", 5000), ("198.51.100.8", 5000)]
    words = [Trickle(cone._next(), (Candidate("host", "udp", address),)) for address in addresses]
    for word in reversed(words):
        envelope = cone.around.identity.seal("drawing", id, word, cone.seals_to)
        drawing.envelope(envelope, decode_body(envelope.body), net.now)
        drawing.envelope(envelope, decode_body(envelope.body), net.now)
    assert {path.remote for path in drawing.checklist.paths.values()} >= set(addresses)


@pytest.mark.parametrize("other", ["counting", "drawing"])
@pytest.mark.parametrize("calls", [True, False])
def test_a_router_that_has_begun_to_filter_by_port_since_it_was_looked_at_is_doubted_soon(
    net: FakeNet, other: str, calls: bool
) -> None:
    cone = net.hosts["cone"].machine
    cone.discovery.network = msgspec.structs.replace(cone.discovery.network, filtering="address-dependent")
    place(net, *(("cone", other) if calls else (other, "cone")))
    net.run(0.5)
    assert not net.told("cone", Finished), "it is not content with the relay"
    net.run(9.5)
    for name in ("cone", other):
        assert str(net.told(name, Moved)[-1][1].path) == "punched/udp"


def test_a_router_that_does_let_in_whom_it_has_written_to_is_not_doubted(net: FakeNet) -> None:
    net.client("lenient", "192.168.40.10", Lenient("203.0.113.40"))
    assert net.run(10, until=lambda: net.hosts["lenient"].machine.hub.hub is not None)
    net.run(3)
    place(net, "lenient", "drawing")
    net.run(4)
    for name in ("lenient", "drawing"):
        assert str(net.told(name, Moved)[-1][1].path) == "punched/udp"
        assert net.told(name, Finished)[0][0] - net.told(name, Moved)[0][0] < 0.6
        assert not net.told(name, Guesses)


@pytest.fixture(params=range(6))
def crowded(request: pytest.FixtureRequest) -> FakeNet:
    """Two routers that count by address let every socket of one side through to every one of the other: dozens of paths
    are found at once, and each is to be checked."""
    net = FakeNet(delay=0.01, seed=request.param)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    for number, name in enumerate(NAMES, 32):
        router = ByAddress(f"203.0.113.{number}", mapping="address-dependent")
        net.client(name, f"192.168.{number}.10", router)
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in NAMES))
    net.run(3)
    return net


def test_who_follows_a_nomination_does_so_before_all_else_that_is_due(crowded: FakeNet) -> None:
    """Voice goes the same way at both ends but for a round trip."""
    net = crowded
    place(net, *NAMES, ring=0.5)
    net.run(3)
    moved = [next(at for at, event in net.told(name, Moved) if str(event.path) == "punched/udp") for name in NAMES]
    assert abs(moved[0] - moved[1]) < 0.1


def test_the_path_in_use_is_asked_in_time_however_many_others_are_due(
    crowded: FakeNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = crowded
    asked: dict[tuple[int, Key], list[float]] = {}
    request = Checks.request

    def noted(self: Checks, path: Path, nominate: bool, word: Word, now: float) -> bytes:
        asked.setdefault((id(self), path.key), []).append(now)
        return request(self, path, nominate, word, now)

    monkeypatch.setattr(Checks, "request", noted)
    call = place(net, *NAMES, ring=0.5)
    net.run(3)
    for name in NAMES:
        checklist = net.hosts[name].machine.calls[call].checklist
        using = checklist.selected
        assert using is not None and using.name.kind == Kind.PUNCHED and len(checklist.paths) > 20
        since = net.told(name, Moved)[-1][0]
        times = [since, *(at for at in asked[id(checklist.checks), using.key] if at > since), net.now]
        assert max(later - sooner for sooner, later in itertools.pairwise(times)) <= 1.2 * CONSENT + 2 * PACING


NAMES = ("one", "other")
