"""A supernode that is a stranger's may drop a call: it reads nothing, answers for nobody, sends nobody elsewhere."""

import contextlib
import hashlib
import itertools

import pytest

from lab.errors import ProtocolError
from lab.overlay.call_events import Answered, Ended, Heard, Moved, Rings
from lab.overlay.contacts import KeyChanged, KeyPinned
from lab.overlay.doorkeeper import ENVELOPES
from lab.overlay.identity import derive_keys, open_envelope
from lab.overlay.member import Trouble
from lab.overlay.sealing import GRACE
from lab.wire.framing import LengthPrefixed
from lab.wire.messages import FRAME_LIMIT, Carry, Envelope, Sealed, decode_body, decode_hub
from tests.hostile.attacks import ATTACKS, DROPPING, LATER, LIE, PRIVATE, PUBLIC, Hostile
from tests.hostile.judging import honest
from tests.unit.overlay.fakenet import FakeNet, Router

HONEST, HOSTILE = "203.0.113.11", "203.0.113.12"
HARD = "address-and-port-dependent"


def prefers(name: str) -> str:
    """The supernode that a client of this name goes to first."""
    return min((HONEST, HOSTILE), key=lambda host: hashlib.sha256(f"{name} {host}".encode()).digest())


def named(stem: str, host: str) -> str:
    return next(name for number in itertools.count() if prefers(name := f"{stem}-{number}") == host)


NEAR, MATE, ONLOOKER, BLOCKED = (named(stem, HOSTILE) for stem in ("near", "mate", "onlooker", "blocked"))
FAR, FRIEND = (named(stem, HONEST) for stem in ("far", "friend"))
PAIRS = {
    "both at the hostile one": (NEAR, MATE),
    "the caller there": (NEAR, FAR),
    "the callee there": (FAR, NEAR),
    "both elsewhere": (FAR, FRIEND),
}


@pytest.fixture
def world() -> FakeNet:
    """An honest supernode with the relay, a hostile one, and clients at both; nobody's attack has begun."""
    net = FakeNet()
    net.authority()
    net.supernode(1)
    net.supernode(2, Hostile)
    net.relay(1)
    for number, name in enumerate((NEAR, MATE, ONLOOKER, FAR, FRIEND), 31):
        net.client(name, f"192.168.{number}.10", Router(f"203.0.113.{number}"))
    net.client(BLOCKED, "192.168.36.10", Router("203.0.113.36", mapping=HARD, udp=False))
    assert net.run(10, until=lambda: all(at(net, name) for name in (NEAR, MATE, ONLOOKER, FAR, FRIEND, BLOCKED)))
    assert net.run(10, until=lambda: len(net.hosts["supernode-1"].machine.peers) == 1)
    net.run(2)
    assert [at(net, name) for name in (NEAR, FAR)] == ["supernode-2", "supernode-1"]
    return net


def at(net: FakeNet, name: str) -> str | None:
    return net.hosts[name].machine.hub.hub


def attack(net: FakeNet, what: str) -> Hostile:
    machine: Hostile = net.hosts["supernode-2"].machine
    machine.attack = lambda: what
    net.settle(net.hosts["supernode-2"])
    return machine


def outcome(net: FakeNet, caller: str, callee: str, id: str = "c1.x") -> str | None:
    """A call that is picked up where it rings; None once both talk to one another, else why the caller gave up.

    Whatever comes of it, nobody else rang, and who talks has the same keys as the other and no third one.
    """
    host, other = net.hosts[caller], net.hosts[callee]
    if at(net, caller) is None:
        return "away"
    host.machine.dial(id, callee, net.now)
    net.settle(host)
    net.run(8, until=lambda: rung(net, callee, id) or ended(net, caller, id) is not None)
    other.machine.answer(id, net.now)
    net.settle(other)
    net.run(20, until=lambda: ended(net, caller, id) is not None or talks(net, caller, id))
    assert [name for name in net.hosts if rung(net, name, id) and name not in (caller, callee)] == []
    if not talks(net, caller, id):
        assert ended(net, caller, id) is not None, "it neither began nor ended"
        return ended(net, caller, id)
    assert net.run(5, until=lambda: talks(net, callee, id))
    keys = {name: next(each for each in told(net, name, Answered, id)) for name in (caller, callee)}
    assert (keys[caller].send, keys[caller].receive) == (keys[callee].receive, keys[callee].send)
    for name in (caller, callee):
        assert net.run(5, until=lambda name=name: bool(told(net, name, Moved, id)))
    net.run(1)  # until then it may go by a relay that the other end is not at yet
    for name, peer in ((caller, callee), (callee, caller)):
        public = net.hosts[peer].machine.membership.identity.public
        assert {event.key for _, event in net.told(name, KeyPinned) if event.name == peer} == {public}
        assert not net.told(name, KeyChanged)
        assert net.hosts[name].machine.send(id, b"\x80voice of " + name.encode())
        net.settle(net.hosts[name])
        assert net.run(2, until=lambda peer=peer: bool(told(net, peer, Heard, id)))
    return None


def told(net: FakeNet, name: str, kind: type, id: str) -> list:
    return [event for _, event in net.told(name, kind) if event.call == id]


def rung(net: FakeNet, name: str, id: str) -> bool:
    return any(event.incoming for event in told(net, name, Rings, id))


def talks(net: FakeNet, name: str, id: str) -> bool:
    return bool(told(net, name, Answered, id))


def ended(net: FakeNet, name: str, id: str) -> str | None:
    return next((event.error or "" for event in told(net, name, Ended, id)), None)


@pytest.mark.parametrize("what", ATTACKS)
def test_a_call_reaches_whom_it_is_for_or_fails_and_says_so(world: FakeNet, what: str) -> None:
    attack(world, what)
    world.run(1)
    for number, (where, (caller, callee)) in enumerate(PAIRS.items()):
        error = outcome(world, caller, callee, f"c{number}.x")
        assert error is None or honest(error, caller, callee), (where, error)
        if where == "both elsewhere" or what not in DROPPING:
            assert error is None, (where, error)
        elif where == "both at the hostile one" and what != "false-location":
            assert error is not None, "the attack was not made"
        for name in (caller, callee):
            world.hosts[name].machine.hang_up(f"c{number}.x", world.now)
            world.settle(world.hosts[name])


def test_a_word_of_the_supernodes_own_is_shown_as_its_own(world: FakeNet) -> None:
    attack(world, "undeliverable")
    assert outcome(world, NEAR, MATE) == f"supernode-2 says: {LIE}"


def test_an_invite_rings_once_however_often_and_late_it_comes(world: FakeNet) -> None:
    attack(world, "replay")
    assert outcome(world, NEAR, MATE) is None
    world.hosts[NEAR].machine.hang_up("c1.x", world.now)
    world.settle(world.hosts[NEAR])
    world.run(LATER + 5)
    assert len(told(world, MATE, Rings, "c1.x")) == 1
    dropped = [event.what for _, event in world.told(MATE, Trouble)]
    assert any("seen before" in each for each in dropped)
    assert any("s old" in each for each in dropped)


def test_an_invite_that_was_held_back_does_not_ring(world: FakeNet) -> None:
    attack(world, "hold")
    assert outcome(world, NEAR, MATE) is not None
    world.run(60)
    assert not told(world, MATE, Rings, "c1.x")
    assert any("s old" in event.what for _, event in world.told(MATE, Trouble))


@pytest.mark.parametrize("what", ["", "answer", "alter", "talk-over"])
def test_what_it_has_seen_opens_no_voice(world: FakeNet, what: str) -> None:
    """It knows both public keys and the signed invite; none of the private halves that it has fits."""
    hub = attack(world, what)
    host = world.hosts[NEAR]
    host.machine.dial("c1.x", MATE, world.now)
    calls = [host.machine.calls["c1.x"]]
    world.settle(host)
    if world.run(2, until=lambda: rung(world, MATE, "c1.x")):
        calls.append(world.hosts[MATE].machine.calls["c1.x"])
        world.run(2)
    publics = {call.ephemeral.public_key().public_bytes_raw() for call in calls}
    for call in calls:
        if call.keys is None:
            continue
        secrets = {call.keys.check, call.keys.caller, call.keys.callee}
        assert not any(secret[:16] in seen for secret in secrets for seen in hub.seen)
        assert not any(call.ephemeral.private_bytes_raw() in seen for seen in hub.seen)
        for public, theirs in itertools.product(publics, repeat=2):
            guess = derive_keys(PRIVATE, public, "c1.x", call.invite_body, theirs)
            assert not secrets & {guess.check, guess.caller, guess.callee}


def test_who_is_told_to_move_where_nobody_is_stays(world: FakeNet) -> None:
    attack(world, "move-nowhere")
    world.run(30)
    assert at(world, NEAR) is not None
    attack(world, "move-here")
    world.run(10)
    assert at(world, NEAR) is not None
    assert at(world, FAR) == "supernode-1"


def test_who_is_turned_away_for_an_hour_tries_others_meanwhile(world: FakeNet) -> None:
    attack(world, "full")
    world.kill("supernode-1")
    for name in (NEAR, FAR):
        machine = world.hosts[name].machine
        machine.relocated((), world.now)
        world.settle(world.hosts[name])
        machine.relocated((world.hosts[name].addresses[4],), world.now)
        world.settle(world.hosts[name])
    world.run(20)
    assert at(world, NEAR) is None and at(world, FAR) is None
    revived = world.hosts["supernode-1"]
    revived.alive = True
    for link in list(revived.machine.actions.links):
        revived.machine.link_down(link, "broken while away", world.now)
    world.settle(revived)
    assert world.run(60, until=lambda: at(world, NEAR) == at(world, FAR) == "supernode-1")


def test_a_flood_for_one_client_is_cut_off_and_costs_the_others_nothing(world: FakeNet) -> None:
    hostile, honest_hub = (world.hosts[f"supernode-{number}"] for number in (2, 1))
    peer, carried = hostile.machine.peers["supernode-1"], []
    far = honest_hub.machine.clients[FAR]
    was = honest_hub.machine.send
    honest_hub.machine.send = lambda link, message: (carried.append((link, message)), was(link, message))
    for number in range(1000):
        peer.send(Carry(Envelope(NEAR, FAR, f"flood-{number}.x", b"?", bytes(64))))
        world.settle(hostile)
        world.run(0.001)
    world.run(1)
    to_far = [message for link, message in carried if link == far and isinstance(message, Carry)]
    assert ENVELOPES.at_once <= len(to_far) <= ENVELOPES.at_once + ENVELOPES.a_second * 2
    reason = f"supernode-2 brings too many messages for {FAR}"
    assert honest_hub.machine.actions.refusals.counted[reason] >= 400
    assert outcome(world, MATE, FRIEND) is None, "who sits at either is called as before"
    assert outcome(world, FRIEND, FAR, "c2.x") is None, "and by those whose supernode floods nobody"


def test_lies_about_a_callers_address_cost_the_peer_a_candidate_each_time_it_is_asked(world: FakeNet) -> None:
    attack(world, "ever-other")
    assert outcome(world, NEAR, MATE) is None
    world.run(20)
    call = world.hosts[NEAR].machine.calls["c1.x"]
    assert len(call.introduction.told) < 20


def test_relays_that_do_not_exist_fill_no_memory_and_displace_no_relay(world: FakeNet) -> None:
    attack(world, "many-relays")
    blocked = world.hosts[BLOCKED].machine
    world.run(30)
    assert len(blocked.standby.connections) <= 4
    attack(world, "false-relays")
    world.run(3)
    assert "relay-1" in {relay.name for relay in world.hosts["supernode-1"].machine.roster.chosen()}
    assert outcome(world, FAR, BLOCKED) is None


def test_a_call_that_needs_a_relay_and_is_offered_none_that_exists_says_so(world: FakeNet) -> None:
    attack(world, "no-relays")
    world.hosts[NEAR].machine.dial("c1.x", BLOCKED, world.now)
    world.settle(world.hosts[NEAR])
    assert world.run(5, until=lambda: rung(world, BLOCKED, "c1.x"))
    world.hosts[BLOCKED].machine.answer("c1.x", world.now)
    world.settle(world.hosts[BLOCKED])
    assert world.run(40, until=lambda: None not in (ended(world, NEAR, "c1.x"), ended(world, BLOCKED, "c1.x")))
    for name, other in ((NEAR, BLOCKED), (BLOCKED, NEAR)):
        error = ended(world, name, "c1.x") or ""
        assert honest(error, name, other) and "by a relay" in error


def test_a_forged_location_is_refused_and_an_old_one_displaces_none(world: FakeNet) -> None:
    directory = world.hosts["supernode-1"].machine.directory
    for what in ("false-location", "stale-location"):
        attack(world, what)
        world.run(5)
        assert directory.mine[FAR].hub == "supernode-1"


def everything_said(net: FakeNet, caller: str, callee: str, id: str) -> None:
    """A whole call: rung, answered, moved to another network, hung up with a reason."""
    assert outcome(net, caller, callee, id) is None
    net.hosts[caller].machine.calls[id].relocated(net.now)
    net.settle(net.hosts[caller])
    net.run(3)
    net.hosts[callee].machine.hang_up(id, net.now, frames=4321)
    net.settle(net.hosts[callee])
    assert net.run(3, until=lambda: ended(net, caller, id) is not None)


@pytest.mark.parametrize("what", ["", "no-key", "false-key", "talk-over", "sealed-anew"])
@pytest.mark.parametrize("where", ["both at the hostile one", "the caller there", "the callee there"])
def test_who_calls_whom_is_all_that_it_reads(world: FakeNet, where: str, what: str) -> None:
    caller, callee = PAIRS[where]
    hub = attack(world, what)
    hub.seen.clear()
    everything_said(world, caller, callee, "c1.x")
    seen = b"".join(hub.seen)
    assert all(each.encode() in seen for each in (caller, callee, "c1.x")), "it carries the call"
    for name in (caller, callee):
        for telling in ("candidates", "network", "server-reflexive", "hung up", "frames", "Ringing", "Trickle", "Bye"):
            assert telling.encode() not in seen, f"it reads {telling}"
        inner, outer = world.hosts[name].addresses[4], world.hosts[name].routers[4].outer
        for host in (inner,) if at(world, name) == "supernode-2" else (inner, outer):
            assert host.encode() not in seen, f"it reads where {name} is"
        assert world.hosts[name].machine.sealing._current.private_bytes_raw() not in seen


@pytest.mark.parametrize("what", ["", "false-key", "stale-key", "sealed-anew", "answer", "talk-over"])
def test_nothing_that_it_carries_opens_with_what_it_has(world: FakeNet, what: str) -> None:
    """Neither under its own name nor in the names of others; what it is sealed under is a client's own key."""
    hub = attack(world, what)
    hub.seen.clear()
    outcome(world, NEAR, MATE)
    carried: list[Envelope] = []
    for data in hub.seen:
        with contextlib.suppress(ProtocolError):  # STUN over TCP is no frame of signalling
            messages = map(decode_hub, LengthPrefixed(4, FRAME_LIMIT).feed(data))
            carried += [message.envelope for message in messages if isinstance(message, Carry)]
    words = [(each, word) for each in carried if isinstance(word := decode_body(each.body), Sealed)]
    assert words or what == "answer"
    for envelope, word in words:
        assert word.to != PUBLIC
        with pytest.raises(ProtocolError, match="does not open"):
            open_envelope(envelope, word, PRIVATE)


def test_a_key_that_is_not_the_callees_is_refused_and_its_own_gets_through(world: FakeNet) -> None:
    attack(world, "false-key")
    assert outcome(world, NEAR, MATE) is None
    near, mate = (world.hosts[name].machine for name in (NEAR, MATE))
    assert near.dropped == {"location": 3}, "changed, under another's signature, under another's name"
    dropped = " ".join(event.what for _, event in world.told(NEAR, Trouble))
    assert dropped.count("signature that does not fit its key") == 2
    assert f"it is supernode-2's, asked for {MATE}'s" in dropped
    assert mate.calls["c1.x"].introduced and not mate.dropped


def test_an_old_key_of_the_callees_opens_nothing_any_more_and_what_matters_is_said_again(world: FakeNet) -> None:
    mate = world.hosts[MATE].machine
    before = mate.sealing.public
    mate.sign_in_anew(world.now)
    world.settle(world.hosts[MATE])
    assert world.run(10, until=lambda: at(world, MATE) == "supernode-2")
    world.run(GRACE)
    hub = attack(world, "stale-key")
    assert hub.once[MATE].sealing == before != mate.sealing.public
    assert outcome(world, NEAR, MATE) is None
    assert any("not any more" in event.what for _, event in world.told(MATE, Trouble))
    assert mate.calls["c1.x"].introduced


def test_what_it_seals_itself_or_carries_elsewhere_is_refused_and_counted(world: FakeNet) -> None:
    attack(world, "sealed-anew")
    assert outcome(world, NEAR, MATE) is None
    nobody = Hostile.nobody
    for name in (NEAR, MATE):
        machine = world.hosts[name].machine
        assert machine.dropped["message"] >= 14
        assert not any(path.remote[0] == nobody for path in machine.calls["c1.x"].checklist.paths.values())
        assert nobody not in {candidate.address[0] for candidate in machine.calls["c1.x"].checklist.remote}


def test_a_changed_word_is_no_word(world: FakeNet) -> None:
    attack(world, "alter")
    outcome(world, NEAR, MATE)
    assert any("signature" in event.what or "understood" in event.what for _, event in world.told(MATE, Trouble))
