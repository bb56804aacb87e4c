"""What a relay and the routers have counted, beside the packets: who lies or is missing fails the call, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab_calls import files
from packet_world import ACK, FIN, IN, RELAY, RST, START, SYN, TOPOLOGY, World, address, frame, relay, talk, ticks

from lab.errors import LabError, RuntimeUnavailable
from lab.evidence import Captures, counters
from lab.evidence.counters import Tracked, on_routers, tracked
from lab.evidence.media import Bout
from lab.evidence.paths import survey
from lab.evidence.pcap import Endpoint
from lab.evidence.scene import Scene, merged
from lab.harness import testimony, verdict
from lab.harness.call_report import CallReport, Media, MediaPath
from lab.harness.events import parse_ended, parse_event
from lab.harness.placing import Placed, Request
from lab.harness.testimony import Asking, Said
from lab.runtime.capture import Captured

pytestmark = pytest.mark.slow


Json = dict[str, Any]
SECONDS = 2.5
MEDIA = {"sent": 125, "received": 125, "lost": 0, "jitter_ms": 0.4, "rtt_ms": 1.2, "mouth_to_ear_ms": 43, "mos": 4.2}
NO_MEASURE = "absent: the capture that it is held against saw nothing, is cut short, or lost more than it saw"
TWICE = Media(250, 250, 0, 0.4, 1.2, 43, 4.2)
RELAYED = {"kind": "relayed", "transport": "udp", "via": "relay-1"}
PUNCHED = {"kind": "punched", "transport": "udp", "via": None}


def placed(world: World, folder: Path, path: dict[str, Any], callee: str) -> Placed:
    made = Placed("c7", Request("bob", callee), START - 0.1)
    for name in ("bob", callee):
        claim(made, name, path)
    made.captured = [Captured(place, file, 1, 0) for place, file in files(world, folder).items()]
    return made


def claim(made: Placed, name: str, path: dict[str, Any]) -> None:
    history = [{"from": START, "to": START + SECONDS, **path}]
    said = {"event": "ended", "call": "c7", "node": name, "at": START + SECONDS + 0.1, "reason": "hangup"}
    event = parse_event({**said, "ok": True, "connected": True, "path": path, "history": history, "media": MEDIA})
    made.events.append(event)
    made.reports[name] = parse_ended(event)


@pytest.fixture
def relayed(tmp_path: Path) -> Placed:
    world = World()
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS)
    return placed(world, tmp_path, RELAYED, "carol")


@pytest.fixture
def punched(tmp_path: Path) -> Placed:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    return placed(world, tmp_path, PUNCHED, "frank")


def carried(packets: int, size: int, **more: Any) -> Said:
    session = {"packets": packets, "bytes": size, "complete": True, "counting": False}
    return Said({"up_since": START - 60, "sessions": [{**session, **more}]})


def counted(out: int, back: int, size: int = 150) -> Json:
    return {"flow": {"packets": [out, back], "bytes": [out * size, back * size]}}


class Routers:
    """Answer what they are given, and keep what they were asked; who has no answer has counted all."""

    def __init__(self, answers: Mapping[str, Json | LabError], changes: Sequence[Json] = ()) -> None:
        self.answers, self.asked = dict(answers), list[tuple[str, Json]]()
        self.asking = Asking(self.order, lambda since: changes)

    def order(self, node: str, what: str, **flow: Any) -> Json:
        assert what == "tally"
        self.asked.append((node, flow))
        answer = self.answers.get(node, counted(131, 130))
        if isinstance(answer, LabError):
            raise answer
        return answer


def told(report: CallReport, name: str) -> tuple[bool | None, str]:
    (one,) = [witness for witness in report.witnesses if witness.name == name]
    return one.agrees, one.said


def event(what: str, **about: str) -> Json:
    """A line of the lab's timeline, 1.5 s into a call."""
    return {"event": what, "at": START + 1.4, **about}


def judged(made: Placed, *, changes: Sequence[Json] = (), relay_1: Said | None = None, **said: Any) -> CallReport:
    """With what its relay has said, and each router (`home_router`) says when it is asked."""
    made.said = {"relay-1": relay_1} if relay_1 else {}
    routers = Routers({name.replace("_", "-"): answer for name, answer in said.items()}, changes)
    return verdict.report(TOPOLOGY, made, asking=routers.asking)


def test_all_that_can_tell_of_a_call_stand_in_its_report(relayed: Placed) -> None:
    report = judged(relayed, relay_1=carried(250, 28_000))
    assert report.holds("relayed/udp"), report
    names = ["packets", "bob", "carol", "relay-1", "home-router", "office-router"]
    assert [one.name for one in report.witnesses] == names
    assert [one.agrees for one in report.witnesses] == [True] * 6
    assert told(report, "bob")[1] == "claims relayed/udp via relay-1; sent 125 frames, heard 125"
    said = report.to_json()["witnesses"]
    assert said["relay-1"]["agrees"] is True and "28,000 bytes in 250 packets" in said["relay-1"]["said"]


@pytest.mark.parametrize("size", [0, 3_000, 60_000, 9_000_000])
def test_a_relay_that_says_less_or_more_than_came_to_it_fails_the_call(relayed: Placed, size: int) -> None:
    report = judged(relayed, relay_1=carried(250, size))
    assert told(report, "relay-1")[0] is False and not report.holds()
    assert any(sentence.startswith(f"relay-1 passed on {size:,} bytes") for sentence in report.disagreements)


@pytest.mark.parametrize("legs", [("udp", "udp"), ("udp", "tcp"), ("tcp", "tcp")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_relay_has_passed_on_the_voice_that_was_seen_to_leave_it(
    tmp_path: Path, legs: tuple[str, str], wrapped: bool
) -> None:
    world = World(sizes=range(48, 60)) if wrapped else World()
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS, legs, wrapped=wrapped)
    transport = legs[0] if legs[0] == legs[1] else "mixed"
    made = placed(world, tmp_path, {**RELAYED, "transport": transport}, "carol")
    passed = 250 * (12 + 54 if wrapped else 12 + 100)
    assert told(judged(made, relay_1=carried(250, passed)), "relay-1")[0] is True
    in_tls = wrapped and "tcp" in legs
    for part, agrees in ((0.6, in_tls), (0.1, False)):
        said = round(passed * part)
        assert told(judged(made, relay_1=carried(250, said)), "relay-1")[0] is agrees, (part, legs)


def test_what_a_relay_answers_while_no_voice_passes_it_has_not_passed_on(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS)
    for number in range(400):
        at = START + SECONDS + 0.1 + 0.1 * number
        world.send(at, "udp", "bob", 4000, RELAY, world.stun())
        world.send(at + 0.01, "udp", "relay-1", RELAY[1], world.outer("bob", "udp", 4000, RELAY), world.stun())
    captures = Captures.read(files(world, tmp_path))
    window = START, START + SECONDS + 40
    scene = survey(TOPOLOGY, captures, "bob", "carol", *window)
    for size, agrees in ((28_000, True), (18_000, False)):
        compared = counters.relayed(TOPOLOGY, captures, scene, "relay-1", (250, size), window)
        assert compared is not None and compared.agrees is agrees, compared


def test_a_relay_that_a_call_came_back_to_may_have_forgotten_what_it_had_passed_on_before(tmp_path: Path) -> None:
    for pause, agrees in ((5.0, False), (40.0, True)):
        world = World()
        for begin in (0.0, SECONDS + pause):
            relay(world, ("bob", 4000), ("carol", 5000), START + begin, SECONDS)
        folder = tmp_path / str(pause)
        folder.mkdir()
        captures = Captures.read(files(world, folder))
        window = START, START + 2 * SECONDS + pause
        scene = survey(TOPOLOGY, captures, "bob", "carol", *window)
        compared = counters.relayed(TOPOLOGY, captures, scene, "relay-1", (250, 28_000), window)
        assert compared is not None and compared.agrees is agrees, compared


def test_a_relay_that_carried_the_call_to_its_end_and_knows_nothing_of_it_fails_it(relayed: Placed) -> None:
    nothing = Said({"up_since": START - 60, "sessions": []})
    report = judged(relayed, relay_1=nothing)
    assert not report.holds() and "relay-1 knows nothing of call c7" in report.disagreements
    for name, end in relayed.reports.items():
        later = replace(end.history[0], path=MediaPath("punched", "udp", None))
        relayed.reports[name] = replace(end, history=(*end.history, later))
    report = judged(relayed, relay_1=nothing)
    assert told(report, "relay-1") == (None, "absent: the call had left it before its end")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (None, "nobody was there to ask it"),
        (Said(why_not="it did not answer: gone"), "it did not answer: gone"),
        (carried(1, 1, complete=False), "what its kernel had counted is lost"),
        (Said({"up_since": START + 1, "sessions": []}), "it was started anew while they talked"),
    ],
)
def test_a_relay_that_ought_to_know_and_does_not_fails_the_call(relayed: Placed, said: Said | None, why: str) -> None:
    report = judged(relayed, relay_1=said)
    assert told(report, "relay-1") == (False, f"is missing: {why}") and not report.holds()
    assert f"relay-1 is missing: {why}" in report.disagreements
    changed = judged(relayed, relay_1=said, changes=[event("restart", node="relay-1")])
    excuse = "for the lab was changed while they talked: restart relay-1, 1.5 s into the call"
    assert told(changed, "relay-1") == (None, f"absent: {why}, {excuse}")
    others = [event("restart", node="supernode-1"), event("set", site="home", firewall="none")]
    other = judged(relayed, relay_1=said, changes=others)
    assert told(other, "relay-1")[0] is False, "what was done to another is no excuse"


def test_a_relay_that_was_not_captured_fails_the_call(relayed: Placed) -> None:
    relayed.captured = [one for one in relayed.captured if one.node != "relay-1"]
    report = judged(relayed, relay_1=carried(250, 28_000))
    assert told(report, "relay-1") == (False, "is missing: it was not captured") and not report.holds()


def lossy(made: Placed, node: str, dropped: int) -> None:
    """Has the capture of a node say that it lost so many packets."""
    made.captured = [replace(one, dropped=dropped) if one.node == node else one for one in made.captured]


def cut(made: Placed, node: str) -> None:
    """Cuts the capture of a node short."""
    (file,) = (one.file for one in made.captured if one.node == node)
    file.write_bytes(file.read_bytes()[:-5])


@pytest.mark.parametrize(("packets", "size"), [(1, 1), (50, 6_000)])
@pytest.mark.parametrize("dropped", [9, 250, 100_000])
def test_a_relay_that_says_less_than_was_seen_is_not_excused_by_what_its_capture_lost(
    relayed: Placed, packets: int, size: int, dropped: int
) -> None:
    lossy(relayed, "relay-1", dropped)
    report = judged(relayed, relay_1=carried(packets, size))
    agrees, words = told(report, "relay-1")
    assert agrees is False and not report.holds() and words.endswith(f", and the capture lost {dropped:,} more")
    assert any(sentence.startswith(f"relay-1 passed on {size:,} bytes") for sentence in report.disagreements)


@pytest.mark.parametrize(("dropped", "size", "agrees"), [(0, 45_000, False), (9, 45_000, True), (9, 50_000, False)])
def test_what_the_capture_of_a_relay_lost_may_have_been_full_packets_and_no_more(
    relayed: Placed, dropped: int, size: int, agrees: bool
) -> None:
    lossy(relayed, "relay-1", dropped)
    report = judged(relayed, relay_1=carried(250, size))
    assert told(report, "relay-1")[0] is agrees and report.holds() is agrees


def test_a_capture_that_lost_more_than_it_saw_bears_no_relay_out(relayed: Placed) -> None:
    lossy(relayed, "relay-1", 250)
    assert told(judged(relayed, relay_1=carried(250, 28_000)), "relay-1")[0] is True
    lossy(relayed, "relay-1", 251)
    report = judged(relayed, relay_1=carried(250, 28_000))
    assert told(report, "relay-1") == (None, NO_MEASURE) and report.holds()


@pytest.mark.parametrize("size", [1, 28_000, 900_000])
def test_a_relay_whose_capture_is_cut_short_cannot_be_compared(relayed: Placed, size: int) -> None:
    cut(relayed, "relay-1")
    report = judged(relayed, relay_1=carried(250, size))
    assert told(report, "relay-1") == (None, NO_MEASURE) and report.holds()


@pytest.mark.parametrize(
    ("dropped", "out", "agrees"), [(0, 170, True), (0, 171, False), (40, 218, True), (40, 219, False), (40, 79, False)]
)
def test_what_the_capture_of_a_router_lost_may_have_been_the_flow_s(
    punched: Placed, dropped: int, out: int, agrees: bool
) -> None:
    lossy(punched, "home-router", dropped)
    report = judged(punched, home_router=counted(out, 125))
    assert told(report, "home-router")[0] is agrees and report.holds() is agrees


def test_a_capture_that_lost_more_than_it_saw_of_a_flow_bears_no_router_out(punched: Placed) -> None:
    lossy(punched, "home-router", 251)
    report = judged(punched, home_router=counted(125, 125))
    assert told(report, "home-router") == (None, NO_MEASURE) and report.holds()
    report = judged(punched, home_router=counted(125, 20))
    assert told(report, "home-router")[0] is False and not report.holds()


def test_a_router_whose_capture_is_cut_short_cannot_be_compared(punched: Placed) -> None:
    cut(punched, "home-router")
    assert told(judged(punched, home_router=counted(20, 20)), "home-router") == (None, NO_MEASURE)


def test_of_tcp_too_what_was_seen_is_compared_where_packets_were_lost(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("alice", 5000), START, SECONDS, "tcp")
    made = placed(world, tmp_path, {"kind": "direct", "transport": "tcp", "via": None}, "alice")
    lossy(made, "home-router", 9)
    assert told(judged(made, home_router=counted(131, 20)), "home-router")[0] is False
    assert told(judged(made, home_router=counted(1000, 1000)), "home-router")[0] is True
    begun_again = told(judged(made, home_router=counted(1, 0)), "home-router")
    assert begun_again[0] is None and "an end dialled again" in begun_again[1], "its end may be among what was lost"


def test_a_client_that_relays_is_asked_and_its_router_too(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS, at=(address("alice"), 33478))
    made = placed(world, tmp_path, {**RELAYED, "via": "alice"}, "carol")
    made.captured = [one for one in made.captured if one.node != "alice"]
    made.said = {"alice": carried(250, 28_000)}
    routers = Routers({})
    report = verdict.report(TOPOLOGY, made, asking=routers.asking)
    assert report.holds("relayed/udp"), report
    assert told(report, "alice")[0] is True and {node for node, _ in routers.asked} == {
        "home-router",
        "office-router",
        "park-router",
    }
    made.said = {"alice": carried(250, 3_000)}
    assert told(verdict.report(TOPOLOGY, made, asking=routers.asking), "alice")[0] is False
    made.said = {}
    assert told(verdict.report(TOPOLOGY, made, asking=routers.asking), "alice")[1].startswith("is missing")


@pytest.mark.parametrize("counts", [(20, 125), (125, 20), (171, 125), (125, 171)])
def test_the_router_of_a_client_that_relays_is_held_against_core(tmp_path: Path, counts: tuple[int, int]) -> None:
    world = World()
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS, at=(address("alice"), 33478))
    made = placed(world, tmp_path, {**RELAYED, "via": "alice"}, "carol")
    made.captured = [one for one in made.captured if one.node not in ("alice", "park-router")]
    made.said = {"alice": carried(250, 28_000)}
    for answer, agrees in ((counted(145, 145), True), (counted(*counts), False)):
        report = verdict.report(TOPOLOGY, made, asking=Routers({"park-router": answer}).asking)
        assert told(report, "park-router")[0] is agrees and report.holds() is agrees
    lossy(made, "core", 40)
    most = verdict.report(TOPOLOGY, made, asking=Routers({"park-router": counted(210, 210)}).asking)
    assert told(most, "park-router")[0] is True


def test_routers_are_asked_for_the_flow_of_the_voice_and_agree(punched: Placed) -> None:
    routers = Routers({})
    report = verdict.report(TOPOLOGY, punched, asking=routers.asking)
    assert report.holds("punched/udp"), report
    assert [told(report, name)[0] for name in ("home-router", "flat-router")] == [True, True]
    flow = dict(routers.asked)["home-router"]
    assert flow["protocol"] == "udp" and flow["inner"] == [address("bob"), 4000]
    assert flow["remote"][0] == "203.0.113.33"


@pytest.mark.parametrize(("out", "back"), [(0, 0), (20, 125), (125, 20), (171, 125), (125, 171), (900, 900)])
def test_a_router_that_counted_something_else_fails_the_call_and_is_named(punched: Placed, out: int, back: int) -> None:
    report = judged(punched, home_router=counted(out, back))
    assert not report.holds() and told(report, "home-router")[0] is False
    assert any(sentence.startswith(f"home-router counted {out:,} packets") for sentence in report.disagreements)


def test_of_tcp_a_router_has_counted_the_bytes_that_passed_and_maybe_more(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("alice", 5000), START, SECONDS, "tcp")
    made = placed(world, tmp_path, {"kind": "direct", "transport": "tcp", "via": None}, "alice")
    report = judged(made, home_router=counted(1000, 1000))
    assert report.holds("direct/tcp"), report
    assert told(report, "home-router")[0] is True and "bytes" in told(report, "home-router")[1]
    assert told(judged(made, home_router=counted(131, 20)), "home-router")[0] is False


def test_what_came_to_a_router_and_was_let_through_by_no_rule_may_have_been_counted(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("frank", 5000), START, SECONDS)
    for number in range(100):
        data = frame("udp", ("203.0.113.33", 5000), ("203.0.113.32", 4000), world.voice(number), IN)
        world.see("home-router", START + 0.02 * number, data)
    made = placed(world, tmp_path, PUNCHED, "frank")
    assert told(judged(made, home_router=counted(125, 225)), "home-router")[0] is True
    assert told(judged(made, home_router=counted(225, 125)), "home-router")[0] is False


@pytest.mark.parametrize("lost", [0.0, 0.5])
def test_what_came_from_a_neighbour_to_be_turned_back_may_have_been_counted(tmp_path: Path, lost: float) -> None:
    world = World()
    bob, bella = (world.outer(name, "udp", port, ("0.0.0.0", 0)) for name, port in (("bob", 4000), ("bella", 5000)))
    for number, time in enumerate(ticks(world, START, SECONDS)):
        world.send(time, "udp", "bob", 4000, bella, world.voice(number))
        on_the_line = "home-router" if number < lost * 125 else None
        world.send(time, "udp", "bella", 5000, bob, world.voice(number), lost=on_the_line)
    ends, window = (Endpoint(address("bob"), 4000), Endpoint(*bella)), (START, START + SECONDS)
    flow = Tracked("home-router", "udp", *ends, 125, round(125 * (1 - lost)), *window)
    captures = Captures.read(files(world, tmp_path))
    for back, agrees in ((125, True), (171, False)):
        found = tracked(TOPOLOGY, captures, flow, {"packets": [125, back]}, window)
        assert found is not None and found.agrees is agrees


@pytest.mark.parametrize(("opened", "agrees"), [(True, False), (False, True)])
@pytest.mark.parametrize(("out", "back"), [(400, 125), (125, 400)])
def test_of_a_connection_that_a_capture_saw_opened_a_router_can_have_counted_no_more_than_came(
    tmp_path: Path, opened: bool, agrees: bool, out: int, back: int
) -> None:
    world = World()
    if opened:
        world.send(START - 0.05, "tcp", "bob", 4000, (address("alice"), 5000), b"", flags=SYN)
    talk(world, ("bob", 4000), ("alice", 5000), START, SECONDS, "tcp")
    made = placed(world, tmp_path, {"kind": "direct", "transport": "tcp", "via": None}, "alice")
    assert told(judged(made, home_router=counted(130, 130)), "home-router")[0] is True
    assert told(judged(made, home_router=counted(out, back)), "home-router")[0] is agrees
    lossy(made, "home-router", 100)
    assert told(judged(made, home_router=counted(out, back)), "home-router")[0] is True


@pytest.mark.parametrize("by", ["bob", "alice"])
@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("dialled", [None, "before", "after"])
@pytest.mark.parametrize("said", [{"flow": None}, counted(1, 0, 60), counted(40, 40)])
def test_only_another_connection_after_the_end_of_a_call_s_makes_a_router_forget_what_it_counted(
    tmp_path: Path, said: Json, dialled: str | None, ended: bool, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testimony.time, "time", lambda: START + SECONDS + 1)
    world, bob, alice = World(), ("203.0.113.32", 4000), (address("alice"), 5000)

    def bare(at: float, sender: str, flags: int) -> None:
        port, to = (4000, alice) if sender == "bob" else (5000, bob)
        world.send(START + at, "tcp", sender, port, to, b"", flags=flags)

    bare(-0.3, "bob", SYN)
    bare(-0.2, "alice", RST)
    if dialled == "before":
        bare(-0.1, by, SYN)
    talk(world, ("bob", 4000), ("alice", 5000), START, SECONDS, "tcp")
    if ended:
        bare(SECONDS, "bob", ACK | FIN)
    if dialled == "after":
        if by == "alice":  # her router forwards; bob's drops what it has no flow of any more
            world._insides.clear()
        bare(SECONDS + 0.1, by, SYN)
    made = placed(world, tmp_path, {"kind": "direct", "transport": "tcp", "via": None}, "alice")
    agrees, words = told(judged(made, home_router=said), "home-router")
    excused = ended and dialled == "after" and said != counted(40, 40)
    assert agrees is (None if excused else False), words
    assert ("an end dialled again" in words) is excused


def test_a_syn_in_mid_call_excuses_no_router_that_knows_nothing_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testimony.time, "time", lambda: START + 2 * SECONDS + 1)
    world = World()
    for begin in (0.0, 2 * SECONDS):
        talk(world, ("bob", 4000), ("alice", 5000), START + begin, SECONDS, "tcp")
        world.send(START + begin + SECONDS, "tcp", "bob", 4000, (address("alice"), 5000), b"", flags=ACK | FIN)
        if not begin:
            world.send(START + SECONDS + 0.1, "tcp", "bob", 4000, (address("alice"), 5000), b"", flags=SYN)
    made = placed(world, tmp_path, {"kind": "direct", "transport": "tcp", "via": None}, "alice")
    made.reports = {name: replace(end, at=START + 3 * SECONDS + 0.1) for name, end in made.reports.items()}
    agrees, words = told(judged(made, home_router={"flow": None}), "home-router")
    assert agrees is False and "it tracks no flow of TCP" in words


LOST = [
    ({"flow": None}, "it tracks no flow of UDP of 192.168.32.2:4000"),
    (RuntimeUnavailable("home-router is stopped"), "it did not answer: home-router is stopped"),
    (counted(20, 20), "counted 20 packets out"),
]


@pytest.mark.parametrize(("said", "why"), LOST)
@pytest.mark.parametrize(
    "change",
    [
        event("restart", node="home-router"),
        event("kill", node="home-router"),
        event("unplug", node="home-router"),
        event("forget", site="home"),
        event("renew", site="home"),
        event("set", site="home", profile="symmetric"),
        event("set", site="home", axes="udp-timeout=20"),
        event("up", topology="reference.yml"),
    ],
    ids=lambda line: line["event"],
)
def test_an_event_at_a_router_that_sets_back_what_it_counts_excuses_it_and_is_named(
    punched: Placed, said: Any, why: str, change: Json, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testimony.time, "time", lambda: START + SECONDS + 1)
    report = judged(punched, home_router=said, changes=[change])
    agrees, words = told(report, "home-router")
    assert agrees is None and words.startswith(f"absent: {why}") and report.holds()
    at = " home-router" if "node" in change else " home" if "site" in change else ""
    excuse = f"for the lab was changed while they talked: {change['event']}{at}, 1.5 s into the call"
    assert words.endswith(excuse)
    assert told(report, "flat-router")[0] is True, "the other end's router testifies"


@pytest.mark.parametrize(("said", "why"), LOST)
@pytest.mark.parametrize(
    "changes",
    [
        [],
        [event("restart", node="hotel-router"), event("forget", site="hotel"), event("forget", site="flat")],
        [event("restart", node="core"), event("restart", node="bob"), event("kill", node="relay-1")],
        [event("set", site="home", link="loss=1%"), event("plug", node="home-router")],  # type: ignore[list-item]
        [event("move", node="bella", site="home")],
    ],
    ids=["nothing", "elsewhere", "no router", "nothing that resets", "a move"],
)
def test_what_was_done_elsewhere_or_resets_nothing_excuses_no_router(
    punched: Placed, said: Any, why: str, changes: list[Json], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testimony.time, "time", lambda: START + SECONDS + 1)
    report = judged(punched, home_router=said, changes=changes)
    agrees, words = told(report, "home-router")
    assert agrees is False and words.removeprefix("is missing: ").startswith(why) and not report.holds()


def test_a_router_that_was_changed_and_agrees_needs_no_excuse(punched: Placed) -> None:
    report = judged(punched, changes=[event("set", site="home", firewall="none")])
    assert told(report, "home-router")[0] is True and report.holds()


def test_a_relay_that_began_anew_and_counted_less_is_excused_by_name(tmp_path: Path) -> None:
    world = World()
    relay(world, ("bob", 4000), ("carol", 5000), START, SECONDS, at=(address("alice"), 33478))
    made = placed(world, tmp_path, {**RELAYED, "via": "alice"}, "carol")
    made.captured = [one for one in made.captured if one.node != "alice"]
    made.said = {"alice": carried(20, 2_000)}
    assert told(judged_again(made, []), "alice")[0] is False
    agrees, words = told(judged_again(made, [event("restart", node="alice")]), "alice")
    assert agrees is None and words.startswith("absent: passed on 2,000 bytes") and "restart alice" in words


def judged_again(made: Placed, changes: Sequence[Json]) -> CallReport:
    return verdict.report(TOPOLOGY, made, asking=Routers({}, changes).asking)


def test_the_far_router_tells_of_the_flow_that_it_had_since_the_near_one_forgot(tmp_path: Path) -> None:
    world = World()
    for begin, port in ((0.0, 4000), (SECONDS, 4001)):  # home's router gives bob another port: another flow at flat's
        world._mappings["udp", (address("bob"), 4000)] = ("203.0.113.32", port)
        world._insides["udp", ("203.0.113.32", port)] = (address("bob"), 4000)
        talk(world, ("bob", 4000), ("frank", 5000), START + begin, SECONDS)
    made = placed(world, tmp_path, PUNCHED, "frank")
    for name, end in made.reports.items():
        until = START + 2 * SECONDS
        made.reports[name] = replace(end, at=until + 0.1, history=(replace(end.history[0], end=until),), media=TWICE)
    changes = [event("forget", site="home")]
    routers = Routers({"home-router": counted(126, 125), "flat-router": counted(126, 125)}, changes)
    report = verdict.report(TOPOLOGY, made, asking=routers.asking)
    assert report.holds("punched/udp"), report
    assert told(report, "flat-router")[0] is True and dict(routers.asked)["flat-router"]["remote"][1] == 4001
    routers.answers["flat-router"] = counted(20, 125)
    assert told(verdict.report(TOPOLOGY, made, asking=routers.asking), "flat-router")[0] is False


def test_after_a_silence_that_it_did_not_survive_a_flow_is_counted_anew(tmp_path: Path) -> None:
    world = World()
    for begin in (0.0, 10.0):
        talk(world, ("bob", 4000), ("frank", 5000), START + begin, SECONDS)
    captures = Captures.read(files(world, tmp_path))
    scene = survey(TOPOLOGY, captures, "bob", "frank", START, START + 10 + SECONDS)
    flow = next(one for one in on_routers(TOPOLOGY, scene.paths, held=False) if one.router == "home-router")
    since, window = {"packets": [126, 125]}, (START, START + 10 + SECONDS)
    remembered = tracked(TOPOLOGY, captures, flow, since, window, remembers=30)
    forgotten = tracked(TOPOLOGY, captures, flow, since, window, remembers=5)
    assert remembered is not None and not remembered.agrees and forgotten is not None and forgotten.agrees


def test_a_router_that_may_have_forgotten_is_absent(punched: Placed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(testimony.time, "time", lambda: START + SECONDS + 1000)
    report = judged(punched, home_router={"flow": None})
    assert told(report, "home-router")[0] is None and "forgotten" in told(report, "home-router")[1] and report.holds()


def test_a_kernel_that_counts_nothing_is_absent(punched: Placed) -> None:
    report = judged(punched, home_router={"flow": {"packets": None, "bytes": None}})
    assert told(report, "home-router") == (None, "absent: its kernel counts no packets") and report.holds()


def test_after_a_hold_a_router_is_held_against_what_came_since(tmp_path: Path) -> None:
    world = World()
    for begin in (0.0, 6.0):
        talk(world, ("bob", 4000), ("frank", 5000), START + begin, SECONDS)
    made = placed(world, tmp_path, PUNCHED, "frank")
    for name, end in made.reports.items():
        stretches = [replace(end.history[0], start=START + at, end=START + at + SECONDS) for at in (0.0, 6.0)]
        made.reports[name] = replace(end, at=START + 8.6, history=tuple(stretches), media=TWICE)
    made.request = Request("bob", "frank", holds=((SECONDS, 6.0),))
    report = judged(made, home_router=counted(131, 130), flat_router=counted(20, 20))
    assert told(report, "home-router")[0] is True, "its kernel may have begun anew in the silence"
    assert told(report, "flat-router")[0] is False


def test_routers_that_no_voice_passed_are_absent(tmp_path: Path) -> None:
    world = World()
    talk(world, ("bob", 4000), ("bella", 5000), START, SECONDS)
    made = placed(world, tmp_path, {"kind": "direct", "transport": "udp", "via": None}, "bella")
    made.captured = [Captured(name, file, 1, 0) for name, file in files(world, tmp_path, ("bob", "bella")).items()]
    routers = Routers({})
    report = verdict.report(TOPOLOGY, made, asking=routers.asking)
    assert told(report, "home-router") == (None, "absent: no voice passed it") and not routers.asked
    assert report.holds("direct/udp"), report


def test_the_router_of_a_network_that_an_end_has_left_says_so(punched: Placed, tmp_path: Path) -> None:
    captures = Captures.read({one.node: one.file for one in punched.captured})
    (path,) = survey(TOPOLOGY, captures, "bob", "frank", START, START + SECONDS).paths
    there = replace(path.caller, inside=("192.168.34.10", 4000), trail=())
    late = [Bout(span.start + SECONDS, span.end + SECONDS, span.packets) for span in path.spans]
    after = replace(path, caller=there, to_caller=replace(path.ways[0], spans=tuple(late)))
    (moved,) = merged([path, after])
    assert (moved.caller, moved.former) == (there, (path.caller,))
    said = testimony.heard(
        TOPOLOGY,
        punched,
        captures,
        Scene((moved,), ()),
        START + SECONDS,
        Routers({"flat-router": {"flow": None}}).asking,
    )
    found = next(one for one in said if one.name == "home-router")
    assert found.agrees is None and "stands elsewhere" in found.said


def test_where_nobody_can_be_asked_every_router_is_missing(punched: Placed) -> None:
    report = verdict.report(TOPOLOGY, punched)
    assert "home-router is missing: it did not answer: nobody was there to ask it" in report.disagreements


def test_an_end_that_says_nothing_in_the_end_is_missing_by_name(punched: Placed) -> None:
    del punched.reports["frank"]
    report = judged(punched)
    assert told(report, "frank")[0] is False and any("frank is missing" in one for one in report.disagreements)


def test_a_missing_capture_of_a_router_fails_the_call_and_names_it(punched: Placed) -> None:
    punched.captured = [one for one in punched.captured if one.node != "flat-router"]
    report = judged(punched)
    assert not report.holds() and told(report, "packets")[0] is False and "flat-router" in told(report, "packets")[1]


def test_a_client_that_lies_is_named(punched: Placed) -> None:
    claim(punched, "bob", RELAYED)
    report = judged(punched)
    assert not report.holds() and told(report, "bob")[0] is False and told(report, "frank")[0] is True


def counts(made: Placed, name: str, sent: int, heard: int, lost: int = 0) -> None:
    """Has an end say that it counted these."""
    made.reports[name] = replace(made.reports[name], media=Media(sent, heard, lost, 0.4, 1.2, 43, 4.2))


@pytest.mark.parametrize(("sent", "heard"), [(79, 125), (171, 125), (125, 171), (125, 43), (0, 0)])
def test_an_end_that_counts_other_frames_than_it_had_packets_fails_the_call_and_is_named(
    punched: Placed, sent: int, heard: int
) -> None:
    counts(punched, "frank", sent, heard)
    report = judged(punched)
    assert not report.holds() and told(report, "frank")[0] is False and told(report, "bob")[0] is True
    shown = f"sent {sent} frames and heard {heard}, where 125 packets of voice left it and 125 came to it"
    assert told(report, "frank")[1] == f"claims punched/udp; {shown}"
    assert report.disagreements == (f"frank says that it {shown}",)


@pytest.mark.parametrize(("sent", "heard", "lost"), [(80, 170, 0), (170, 44, 0), (125, 0, 125)])
def test_an_end_that_counts_about_as_many_agrees(punched: Placed, sent: int, heard: int, lost: int) -> None:
    counts(punched, "frank", sent, heard, lost)
    report = judged(punched)
    assert report.holds("punched/udp"), report
    assert told(report, "frank") == (True, f"claims punched/udp; sent {sent} frames, heard {heard}")


@pytest.mark.parametrize(
    ("change", "at"),
    [
        (event("unplug", node="bob"), "unplug bob"),
        (event("plug", node="frank"), "plug frank"),
        (event("move", node="bob", site="park"), "move bob"),
        (event("restart", node="home-router"), "restart home-router"),
        (event("up", topology="reference.yml"), "up"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_an_event_that_sets_an_end_apart_from_its_packets_excuses_its_count_and_is_named(
    punched: Placed, change: Json, at: str
) -> None:
    counts(punched, "bob", 275, 125)
    report = judged(punched, changes=[change])
    words = f"sent 275 frames, heard 125, which is not compared with its packets: {at}, 1.5 s into the call"
    assert told(report, "bob") == (True, f"claims punched/udp; {words}") and report.holds()


@pytest.mark.parametrize(
    "change",
    [
        event("restart", node="flat-router"),
        event("kill", node="relay-1"),
        event("unplug", node="bella"),
        event("forget", site="home"),
        event("set", site="home", link="loss=30%"),
    ],
    ids=lambda line: line["event"],
)
def test_an_event_elsewhere_excuses_no_end_s_count(punched: Placed, change: Json) -> None:
    counts(punched, "bob", 275, 125)
    report = judged(punched, changes=[change])
    assert told(report, "bob")[0] is False and not report.holds()


def test_frames_said_where_an_end_had_no_path_left_nobody_and_those_of_a_hold_were_not_said(punched: Placed) -> None:
    counts(punched, "bob", 270, 125)
    end = punched.reports["bob"]
    punched.reports["bob"] = replace(end, at=START + SECONDS + 3.0)  # two seconds more than leave takes
    assert told(judged(punched), "bob")[0] is True
    punched.reports["bob"] = replace(punched.reports["bob"], holds=((START + SECONDS, START + SECONDS + 3.0),))
    assert told(judged(punched), "bob")[0] is False


def test_what_a_call_that_broke_off_counted_is_not_compared(punched: Placed) -> None:
    counts(punched, "bob", 1500, 125)
    punched.reports["bob"] = replace(punched.reports["bob"], ok=False, reason="no path for 30 s")
    report = judged(punched)
    assert told(report, "bob") == (True, "claims punched/udp; sent 1,500 frames, heard 125")
    assert report.error == "no path for 30 s" and not report.disagreements


class Channel:
    """A relay that counts what its kernel has after so many questions."""

    def __init__(self, until: int) -> None:
        self.until, self.asked = until, list[bool]()

    def order(self, order: str, *, within: float, call: str, count: bool) -> dict[str, Any]:
        assert call == "c7.d00d"
        self.asked.append(count)
        return {"up_since": 1.0, "sessions": [{"counting": len(self.asked) <= self.until}]}


def test_what_a_kernel_counts_is_waited_for_and_not_for_ever(monkeypatch: pytest.MonkeyPatch, punched: Placed) -> None:
    one, never = Channel(2), Channel(99)
    dialled = {"event": "dialled", "call": "c7", "id": "c7.d00d", "node": "bob", "at": START}
    punched.events.insert(0, parse_event(dialled))
    assert testimony.of_relay(one, punched).answer is not None and one.asked == [True, False, False]  # type: ignore[arg-type]
    monkeypatch.setattr(testimony, "WITHIN", 0.0)
    said = testimony.of_relay(never, punched)  # type: ignore[arg-type]
    assert said.why_not == "its kernel did not tell in time what it has counted"
