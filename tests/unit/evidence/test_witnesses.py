"""What a relay and the routers have counted, beside the packets: who lies or is missing fails the call, by name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from lab_calls import files
from packet_world import START, TOPOLOGY, World, relay, talk

from lab.errors import RuntimeUnavailable
from lab.harness import testimony, verdict
from lab.harness.call_report import CallReport, MediaPath
from lab.harness.events import parse_ended, parse_event
from lab.harness.placing import Placed, Request
from lab.harness.testimony import Said
from lab.runtime.capture import Captured
from lab.runtime.world import World as RunningWorld

SECONDS = 2.5
MEDIA = {"sent": 125, "received": 125, "lost": 0, "jitter_ms": 0.4, "rtt_ms": 1.2, "mouth_to_ear_ms": 43, "mos": 4.2}
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


def counted(out: int, back: int, **more: Any) -> Said:
    row = {"protocol": "udp", "inner": ["192.168.32.2", 4000], "remote": ["203.0.113.33", 5000], "packets": [out, back]}
    return Said({"flows": [{**row, **more}]})


def told(report: CallReport, name: str) -> tuple[bool | None, str]:
    (one,) = [witness for witness in report.witnesses if witness.name == name]
    return one.agrees, one.said


def judged(made: Placed, **said: Said) -> CallReport:
    made.said = {name.replace("_", "-"): answer for name, answer in said.items()}
    return verdict.report(TOPOLOGY, made)


def test_all_that_can_tell_of_a_call_stand_in_its_report(relayed: Placed) -> None:
    report = judged(relayed, relay_1=carried(250, 28_000))
    assert report.holds("relayed/udp"), report
    names = ["packets", "bob", "carol", "relay-1", "home-router", "office-router"]
    assert [one.name for one in report.witnesses] == names
    assert [one.agrees for one in report.witnesses] == [True, True, True, True, None, None]
    assert told(report, "bob")[1] == "claims relayed/udp via relay-1; sent 125 frames, heard 125"
    said = report.to_json()["witnesses"]
    assert said["relay-1"]["agrees"] is True and "28,000 bytes in 250 packets" in said["relay-1"]["said"]


@pytest.mark.parametrize("size", [0, 3_000, 60_000, 9_000_000])
def test_a_relay_that_says_less_or_more_than_came_to_it_fails_the_call(relayed: Placed, size: int) -> None:
    report = judged(relayed, relay_1=carried(250, size))
    assert told(report, "relay-1")[0] is False and not report.holds()
    assert any(sentence.startswith(f"relay-1 passed on {size:,} bytes") for sentence in report.disagreements)


def test_a_relay_that_carried_the_call_to_its_end_and_knows_nothing_of_it_fails_it(relayed: Placed) -> None:
    nothing = Said({"up_since": START - 60, "sessions": []})
    report = judged(relayed, relay_1=nothing)
    assert not report.holds() and "relay-1 knows nothing of call c7" in report.disagreements
    for name, end in relayed.reports.items():
        later = replace(end.history[0], path=MediaPath("punched", "udp", None))
        relayed.reports[name] = replace(end, history=(*end.history, later))
    report = judged(relayed, relay_1=nothing)
    assert told(report, "relay-1") == (None, "not asked: the call had left it before its end")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(why_not="it did not answer: gone"), "it did not answer: gone"),
        (carried(1, 1, complete=False), "what its kernel had counted is lost"),
        (Said({"up_since": START + 1, "sessions": []}), "it was started anew while they talked"),
    ],
)
def test_a_relay_that_cannot_know_is_not_asked_and_fails_nothing(relayed: Placed, said: Said, why: str) -> None:
    report = judged(relayed, relay_1=said)
    assert told(report, "relay-1") == (None, f"not asked: {why}") and report.holds()


def test_a_relay_whose_own_capture_lost_packets_is_not_asked(relayed: Placed) -> None:
    relayed.captured = [replace(one, dropped=9) if one.node == "relay-1" else one for one in relayed.captured]
    report = judged(relayed, relay_1=carried(1, 1))
    assert told(report, "relay-1") == (None, "not asked: its own capture is not whole") and report.holds()


def test_routers_that_counted_the_flow_agree(punched: Placed) -> None:
    flat = counted(130, 131, inner=["192.168.33.2", 5000], remote=["203.0.113.32", 4000])
    report = judged(punched, home_router=counted(131, 130), flat_router=flat)
    assert report.holds("punched/udp"), report
    assert [told(report, name)[0] for name in ("home-router", "flat-router")] == [True, True]


@pytest.mark.parametrize(("out", "back"), [(0, 0), (20, 125), (125, 20), (900, 125)])
def test_a_router_that_counted_something_else_fails_the_call_and_is_named(punched: Placed, out: int, back: int) -> None:
    report = judged(punched, home_router=counted(out, back))
    assert not report.holds() and told(report, "home-router")[0] is False
    assert any(sentence.startswith(f"home-router counted {out:,} packets") for sentence in report.disagreements)


@pytest.mark.parametrize(
    "said",
    [
        Said({"flows": []}),
        counted(0, 0, packets=None),
        counted(0, 0, remote=["203.0.113.33", 5001]),
        Said(why_not="the lab was changed while they talked"),
    ],
)
def test_a_router_that_cannot_tell_is_not_asked(punched: Placed, said: Said) -> None:
    report = judged(punched, home_router=said)
    assert report.holds() and told(report, "home-router")[0] is None


def test_a_call_that_was_on_hold_asks_no_router(punched: Placed) -> None:
    punched.request = Request("bob", "frank", holds=((1.0, 3.0),))
    assert told(judged(punched, home_router=counted(0, 0)), "home-router")[0] is None


def test_a_missing_capture_of_a_router_fails_the_call_and_names_it(punched: Placed) -> None:
    punched.captured = [one for one in punched.captured if one.node != "flat-router"]
    report = judged(punched)
    assert not report.holds() and told(report, "packets")[0] is False and "flat-router" in told(report, "packets")[1]


def test_a_client_that_lies_is_named(punched: Placed) -> None:
    claim(punched, "bob", RELAYED)
    report = judged(punched)
    assert not report.holds() and told(report, "bob")[0] is False and told(report, "frank")[0] is True


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
    monkeypatch.setattr(testimony, "COUNTED_SECONDS", 0.0)
    said = testimony.of_relay(never, punched)  # type: ignore[arg-type]
    assert said.why_not == "its kernel did not tell in time what it has counted"


def test_no_router_of_a_lab_that_was_changed_meanwhile_is_asked(
    punched: Placed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def order(engine: Any, world: Any, node: str, order: str) -> dict[str, Any]:
        asked.append(node)
        if node == "flat-router":
            raise RuntimeUnavailable("flat-router is stopped")
        return {"flows": []}

    monkeypatch.setattr(testimony.standing, "order", order)
    engine: Any = None
    lab = RunningWorld("lab", TOPOLOGY, {}, None)
    said = testimony.of_routers(engine, lab, punched, lambda: True)
    assert {one.why_not for one in said.values()} == {"the lab was changed while they talked"} and not asked
    said = testimony.of_routers(engine, lab, punched, lambda: False)
    assert sorted(asked) == ["flat-router", "home-router"] and said["home-router"] == Said({"flows": []})
    assert said["flat-router"].why_not == "it did not answer: flat-router is stopped"
    punched.reports.clear()
    assert testimony.of_routers(engine, lab, punched, lambda: False) == {}
