"""What a call's log has to hold so that the call can be explained: every candidate, and what ranked a path down."""

import json
import random

import pytest

from lab.node.journal import Journal
from lab.node.noting import noted
from lab.overlay.actions import Event
from lab.overlay.call_events import Met, RankedDown, RelayOffered, Told
from lab.overlay.voice_trial import VoiceTrial
from tests.unit.overlay.fakenet import FakeNet, Router
from tests.unit.overlay.test_lossy_paths import talk
from tests.unit.overlay.test_paths_in_memory import place

HARD = "address-and-port-dependent"


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> FakeNet:
    monkeypatch.setattr(VoiceTrial, "begin", lambda *about: None)
    net = FakeNet(delay=0.01)
    net.authority()
    net.supernode(1)
    net.supernode(2)
    net.relay(1)
    net.client("cone", "192.168.32.10", Router("203.0.113.32"))
    net.client("flat", "192.168.33.10", Router("203.0.113.33"))
    net.client("counting", "192.168.34.10", Router("203.0.113.34", mapping=HARD, sequential=True))
    net.client("blocked", "192.168.35.10", Router("203.0.113.35", mapping=HARD, udp=False))
    net.client("slow", "192.168.36.10", Router("203.0.113.36", udp_rate=2_000.0))
    clients = ("cone", "flat", "counting", "blocked", "slow")
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in clients))
    net.run(4)
    return net


def demotions(net: FakeNet, *names: str) -> list[tuple[str, str, str, float | None]]:
    told = [(name, event.demotion) for name in names for _, event in net.told(name, RankedDown)]
    return [(name, one.path, str(one.why), one.lost) for name, one in told]


def test_a_path_that_loses_voice_is_told_with_what_it_lost(net: FakeNet) -> None:
    id = place(net, "cone", "flat")
    talk(net, id, ("cone", "flat"), 3)
    assert not demotions(net, "cone", "flat")
    dice = random.Random(7)
    outer = {"203.0.113.32", "203.0.113.33"}
    net.lose = lambda source, to: {source[0], to[0]} == outer and dice.random() < 0.3
    talk(net, id, ("cone", "flat"), 4, first=150)
    found = demotions(net, "cone", "flat")
    assert {(name, path, why) for name, path, why, _ in found} >= {
        ("cone", "punched/udp", "loss"),
        ("flat", "punched/udp", "loss"),
    }
    assert all(lost is not None and 0.1 < lost < 0.5 for *_, lost in found)


def test_a_path_that_is_never_used_because_it_is_too_narrow_is_told(net: FakeNet) -> None:
    machine = net.hosts["slow"].machine
    machine.passage.tried(False, net.now)
    place(net, "slow", "cone")
    net.run(2)
    assert {why for _, path, why, _ in demotions(net, "slow", "cone") if path.endswith("udp")} == {"narrow"}


def test_a_leg_that_leaves_udp_for_its_loss_is_told_once(net: FakeNet) -> None:
    id = place(net, "slow", "blocked")
    talk(net, id, ("slow", "blocked"), 8)
    left = [each for each in demotions(net, "slow") if each[1] == "relayed/udp via relay-1"]
    assert left == [("slow", "relayed/udp via relay-1", "narrow", None)]


def test_every_candidate_is_in_the_log(net: FakeNet) -> None:
    place(net, "cone", "counting")
    net.run(3)
    for name in ("cone", "counting"):
        assert [event.relay for _, event in net.told(name, RelayOffered)] == ["relay-1"]
    predicted = [one for _, event in net.told("counting", Told) for one in event.candidates if one.kind == "predicted"]
    assert any(one.transport == "udp" for one in predicted)
    met = [event.remote for _, event in net.told("cone", Met)]
    assert met and {host for host, _ in met} == {"203.0.113.34"} and len(met) == len(set(met))


@pytest.mark.parametrize("kind", [Met, RankedDown, RelayOffered, Told])
def test_each_is_a_line(net: FakeNet, kind: type[Event]) -> None:
    id = place(net, "cone", "counting")
    net.run(3)
    call = net.hosts["cone"].machine.calls[id]
    for path in call.checklist.paths.values():
        path.shun(net.now)
    call.poll(net.now)
    net.settle(net.hosts["cone"])
    lines = [noted(event) for _, event in net.told("cone", kind)]
    assert lines and all(line is not None and line[0] == id for line in lines)


def call_ids(net: FakeNet, name: str, capsys: pytest.CaptureFixture[str]) -> dict[str, set[str]]:
    """The calls in a node's structured log, with the events that name each; a client's line has its own name as well,
    under which its user knows it."""
    journal, found = Journal(name), dict[str, set[str]]()
    capsys.readouterr()
    for _, event in net.hosts[name].events:
        if (line := noted(event)) is not None:
            id, kind, fields = line
            journal.write(kind, call=id.partition(".")[0], id=id, **fields)
        else:
            journal.record(event)
    for written in map(json.loads, capsys.readouterr().out.splitlines()):
        assert written["node"] == name
        if (id := written.get("id") or written.get("call")) is not None:
            found.setdefault(id, set()).add(written["event"])
    return found


def test_one_id_names_a_call_in_the_logs_of_all_that_had_to_do_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    net = FakeNet(delay=0.01)
    net.authority()
    for number in (1, 2):
        net.supernode(number)
    net.relay(1)
    names = [f"blocked-{number}" for number in range(4)]
    for number, name in enumerate(names):
        router = Router(f"203.0.113.{35 + number}", mapping=HARD, udp=False)
        net.client(name, f"192.168.{35 + number}.10", router)
    assert net.run(10, until=lambda: all(net.hosts[name].machine.hub.hub for name in names))
    net.run(3)
    homes = {name: net.hosts[name].machine.hub.hub for name in names}
    caller = next(name for name in names if homes[name] == "supernode-1")
    callee = next(name for name in names if homes[name] == "supernode-2")
    id = place(net, caller, callee, id="c7.4f2a")
    talk(net, id, (caller, callee), 2)
    net.hosts[caller].machine.hang_up(id, net.now)
    net.settle(net.hosts[caller])
    net.run(40)  # until the relay has let go of it as well
    logs = {name: call_ids(net, name, capsys) for name in net.hosts}
    assert {name for name, found in logs.items() if found} == {caller, callee, "supernode-1", "supernode-2", "relay-1"}
    assert all(set(found) <= {id} for found in logs.values()), logs
    for name in (caller, callee):
        assert {"candidates", "relay-offered", "answered", "moved", "ended"} <= logs[name][id]
    assert {"carried", "offered"} <= logs["supernode-1"][id] and "carried" in logs["supernode-2"][id]
    assert logs["relay-1"][id] == {"bound", "unbound"}
